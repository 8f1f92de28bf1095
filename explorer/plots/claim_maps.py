"""Several small maps of an experiment beside each other, on one scale of colours."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from explorer.plots.claims import Figure, Values, whole

PANEL = 230  # pixels in height
GAP = 0.06  # of the picture's width, between two of them; and of its height


class Panel(NamedTuple):
    """values (rows, columns), NaN where there is nothing; the first row is on top."""

    title: str
    values: Values


def panels(
    rows: Mapping[str, Sequence[Panel]],
    x_title: str,
    y_title: str,
    colorscale: Any,
    bar: str,
    reach: tuple[float, float],
) -> Figure:
    """Rows of panels by their names, as many in each, all of one shape; panels above each other have the same title.

    Colours go from the first of `reach` to the second, and `bar` is their title. Rows and columns of a panel are
    counted from 1; what they are stands below the columns, and of the rows only under the pointer, for want of room.
    """
    hover = f"{y_title} %{{y}}, {x_title} %{{x}}: %{{z:.2f}}"
    data: list[Figure] = []
    annotations: list[Figure] = []
    layout: Figure = {
        "height": 60 + PANEL * len(rows),
        "margin": {"l": 12, "r": 12, "t": 26, "b": 8},
        "coloraxis": {
            "cmin": reach[0],
            "cmax": reach[1],
            "colorscale": colorscale,
            "colorbar": {"title": {"text": bar, "side": "right"}, "thickness": 12, "nticks": 5},
        },
        "annotations": annotations,
    }
    number = 0
    for r, (name, row) in enumerate(rows.items()):
        bottom, top = _part(len(rows) - 1 - r, len(rows), GAP)
        for c, panel in enumerate(row):
            number += 1
            left, right = _part(c, len(row), GAP)
            one = "" if number == 1 else str(number)
            data.append(
                {
                    "type": "heatmap",
                    "z": panel.values,
                    "x": np.arange(1, panel.values.shape[1] + 1),
                    "y": np.arange(1, panel.values.shape[0] + 1),
                    "xaxis": f"x{one}",
                    "yaxis": f"y{one}",
                    "coloraxis": "coloraxis",
                    "xgap": 1,
                    "ygap": 1,
                    "hoverongaps": False,
                    "hovertemplate": f"{hover}<extra>{escape(panel.title)}, {escape(name)}</extra>",
                }
            )
            plain = {"showgrid": False, "zeroline": False, "nticks": 5, "automargin": True}
            last = r == len(rows) - 1
            layout[f"xaxis{one}"] = plain | {
                "domain": [left, right],
                "anchor": f"y{one}",
                "showticklabels": last,
                "title": {"text": x_title if last else "", "standoff": 4},
            }
            layout[f"yaxis{one}"] = plain | {
                "domain": [bottom, top],
                "anchor": f"x{one}",
                "autorange": "reversed",
                "showticklabels": not c,
                "title": {"text": "" if c else escape(name), "standoff": 4},
            }
            if r:
                continue
            annotations.append(
                {
                    "text": escape(panel.title),
                    "x": (left + right) / 2,
                    "y": top,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "center",
                    "yanchor": "bottom",
                    "showarrow": False,
                    "font": {"size": 12},
                }
            )
    return whole(data, layout)


def _part(number: int, count: int, gap: float) -> tuple[float, float]:
    """Where the number-th of `count` parts of a whole begins and ends."""
    size = (1 - gap * (count - 1)) / count
    return number * (size + gap), number * (size + gap) + size
