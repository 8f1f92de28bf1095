"""The loss's shape on a plane through trained networks: as contours and as surfaces, all on the same scales.

Figures are plain dictionaries in Plotly's terms. Colours of text, grid and paper are left to the page's theme.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Figure = dict[str, Any]
Values = NDArray[np.float64]

COLORSCALE = "Viridis"  # of one lightness from end to end, which colour-blind people read as others do
TITLE = "log<sub>10</sub> loss"
HEIGHT = "log10 loss"  # of a surface, whose axes know no markup
ABREAST = 3  # networks in a row
FLAT, DEEP = 300, {1: 300, 2: 300, 3: 250}  # pixels of a row's height: contours; surfaces, by how many are in it
GAP, OVER = 0.06, 34  # between two in a row, as a share of the width; pixels over a row, for titles
LINES = 12  # contour lines, about
AWAY = {1: 1.7, 2: 1.7, 3: 2.15}  # of the camera, by how many stand in a row: a narrow picture cuts the sides off
GREY = "#888888"  # readable on white and on black
DIRECTIONS = ("first direction", "second direction")
PATH, CENTRE = "#D55E00", "#FFFFFF"


class Shape(NamedTuple):
    """height (rows, columns): the loss's power of ten at ys (rows,) and xs (columns,); rows and columns that are not
    computed yet are NaN and are left out. `path` (k, 2) are points that an optimizer went through, to (0, 0).
    """

    title: str
    xs: Values
    ys: Values
    height: Values
    path: Values | None = None

    @property
    def computed(self) -> "Shape":
        there = ~np.isnan(self.height)
        rows, columns = there.any(1), there.any(0)
        return self._replace(xs=self.xs[columns], ys=self.ys[rows], height=self.height[np.ix_(rows, columns)])


def shape(title: str, xs: Any, ys: Any, height: Any, path: Any = None) -> Shape:
    """Of lists, as JSON has them; None is what is not there."""
    columns, rows, heights = (np.array(one, np.float64) for one in (xs, ys, height))
    return Shape(title, columns, rows, heights, None if path is None else np.array(path, np.float64))


def contours(found: Sequence[Shape], chance: float | None = None) -> Figure:
    """Side by side. Where a network does as well as guessing, whose loss's power of ten is `chance`, a line is dashed.
    The trained network is a cross in the middle.
    """
    found = [one.computed for one in found]
    low, high, step = _scale(found)
    data: list[Figure] = []
    layout = _layout(found, low, high, step, FLAT)
    for i, one in enumerate(found):
        axes = {"xaxis": f"x{i + 1}", "yaxis": f"y{i + 1}"}
        data.append(
            {
                "type": "contour",
                **axes,
                "x": one.xs,
                "y": one.ys,
                "z": one.height.astype(np.float32),
                "coloraxis": "coloraxis",
                "contours": {"coloring": "heatmap", "start": low, "end": high, "size": step},
                "line": {"width": 0.6, "color": "rgba(255,255,255,0.55)"},
                "hovertemplate": f"(%{{x:.3~g}}, %{{y:.3~g}}): loss 10^%{{z:.2f}}<extra>{escape(one.title)}</extra>",
            }
        )
        if chance is not None and np.nanmin(one.height) < chance < np.nanmax(one.height):
            data.append(_guessing(one, axes, chance))
        if one.path is not None:
            data.append(_path(one.path, axes))
        data.append(_centre(axes))
        x, y = _place(i, len(found), _over(FLAT))
        layout |= _flat_axes(i, x, y, len(found))
    return _whole(data, layout)


def surfaces(found: Sequence[Shape]) -> Figure:
    """Side by side, to be turned with the mouse; height and colour both are the loss's power of ten."""
    found = [one.computed for one in found]
    low, high, step = _scale(found)
    data: list[Figure] = []
    row = DEEP[_abreast(len(found))]
    layout = _layout(found, low, high, step, row)
    for i, one in enumerate(found):
        data.append(
            {
                "type": "surface",
                "scene": f"scene{i + 1 if i else ''}",
                "x": one.xs,
                "y": one.ys,
                "z": one.height.astype(np.float32),
                "coloraxis": "coloraxis",
                "contours": {"z": {"show": True, "start": low, "end": high, "size": step, "color": "#555555"}},
                "lighting": {"ambient": 0.85, "diffuse": 0.5, "specular": 0.05},
                "hovertemplate": f"(%{{x:.3~g}}, %{{y:.3~g}}): loss 10^%{{z:.2f}}<extra>{escape(one.title)}</extra>",
            }
        )
        x, y = _place(i, len(found), _over(row))
        plain = {
            "showbackground": False,
            "gridcolor": GREY,
            "nticks": 3,
            "tickfont": {"size": 11, "color": GREY},
            "title": {"text": ""},
        }
        up = {"title": {"text": HEIGHT, "font": {"size": 12, "color": GREY}}, "range": [low, high], "nticks": 5}
        layout[f"scene{i + 1 if i else ''}"] = {
            "domain": {"x": x, "y": y},
            "camera": _camera(_abreast(len(found))),
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.75},
            "xaxis": plain,
            "yaxis": plain,
            "zaxis": plain | up,
        }
    return _whole(data, layout)


def _abreast(count: int) -> int:
    return max(1, min(count, ABREAST))


def _camera(abreast: int) -> Figure:
    away = AWAY[abreast]
    return {"eye": {"x": away, "y": -away, "z": 0.6 * away}, "center": {"x": 0, "y": 0, "z": -0.1}}


def _scale(found: Sequence[Shape]) -> tuple[float, float, float]:
    """The least and the most of all, as round numbers, and a round step between lines."""
    values = np.concatenate([one.height[np.isfinite(one.height)] for one in found]) if found else np.empty(0)
    if not values.size:
        return 0.0, 1.0, 0.1
    low, high = float(values.min()), float(values.max())
    step = next(size for size in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if (high - low) / size <= LINES or size == 2)
    low = step * math.floor(low / step)
    return low, max(step * math.ceil(high / step), low + step), step


def _layout(found: Sequence[Shape], low: float, high: float, step: float, height: int) -> Figure:
    rows = -(-len(found) // ABREAST) or 1
    every = step * max(1, round((high - low) / step / 6))
    ticks = np.arange(low, high + every / 100, every)
    annotations = []
    for i, one in enumerate(found):
        x, y = _place(i, len(found), _over(height))
        annotations.append(
            {
                "text": escape(one.title),
                "x": sum(x) / 2,
                "y": y[1],
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "yshift": 4,
                "showarrow": False,
                "font": {"size": 13},
            }
        )
    return {
        "height": rows * height + 50,
        "margin": {"l": 12, "r": 12, "t": 8, "b": 8},
        "showlegend": False,
        "annotations": annotations,
        "coloraxis": {
            "colorscale": COLORSCALE,
            "cmin": low,
            "cmax": high,
            "colorbar": {
                "title": {"text": TITLE, "side": "right"},
                "thickness": 12,
                "tickvals": ticks.tolist(),
                "ticktext": [f"{round(tick, 2) + 0.0:g}" for tick in ticks.tolist()],
            },
        },
    }


def _over(height: int) -> float:
    return OVER / height


def _place(i: int, count: int, over: float) -> tuple[list[float], list[float]]:
    """The i-th of them: its share of the width and of the height, below its title."""
    rows, columns = -(-count // ABREAST), _abreast(count)
    width, height = (1 - GAP * (columns - 1)) / columns, 1 / rows
    left, top = (i % columns) * (width + GAP), 1 - (i // columns) * height
    return [left, left + width], [top - height * (1 - 0.22 * (rows > 1)), top - over * height]


def _flat_axes(i: int, x: list[float], y: list[float], count: int) -> Figure:
    """With titles at the left, and once below them all, alone."""
    shared = {"showgrid": False, "zeroline": False, "nticks": 4, "ticks": "outside", "tickangle": 0}
    columns = _abreast(count)
    last = range(count - (count - 1) % columns - 1, count)
    titles = DIRECTIONS[0] if i == last[(len(last) - 1) // 2] else "", DIRECTIONS[1] if i % columns == 0 else ""
    number = str(i + 1) if i else ""
    return {
        f"xaxis{number}": shared | {"domain": x, "anchor": f"y{number}", "title": {"text": titles[0]}},
        f"yaxis{number}": shared | {"domain": y, "anchor": f"x{number}", "title": {"text": titles[1], "standoff": 4}},
    }


def _guessing(one: Shape, axes: Figure, chance: float) -> Figure:
    return {
        "type": "contour",
        **axes,
        "x": one.xs,
        "y": one.ys,
        "z": one.height.astype(np.float32),
        "contours": {"type": "constraint", "operation": "=", "value": chance},
        "line": {"color": "#FFFFFF", "width": 2, "dash": "dash"},
        "hoverinfo": "skip",
        "showscale": False,
    }


def _path(path: Values, axes: Figure) -> Figure:
    points = np.vstack([path, np.zeros((1, 2))])
    return {
        "type": "scatter",
        **axes,
        "mode": "lines+markers",
        "x": points[:, 0],
        "y": points[:, 1],
        "line": {"color": PATH, "width": 2},
        "marker": {"size": 6, "color": PATH, "line": {"color": "#FFFFFF", "width": 1}},
        "hovertemplate": "(%{x:.3~g}, %{y:.3~g})<extra>the optimizer's path</extra>",
    }


def _centre(axes: Figure) -> Figure:
    return {
        "type": "scatter",
        **axes,
        "mode": "markers",
        "x": [0],
        "y": [0],
        "marker": {"symbol": "x", "size": 10, "color": CENTRE, "line": {"color": "#000000", "width": 1.2}},
        "hovertemplate": "the trained network<extra></extra>",
    }


def _whole(data: list[Figure], layout: Figure) -> Figure:
    """Streamlit draws no figure without data."""
    if not data:
        nothing = {"text": "Nothing is measured yet", "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
        layout["annotations"] = [nothing | {"showarrow": False}]
        data = [{"type": "scatter", "x": [None], "y": [None]}]
    return {"data": data, "layout": layout}
