"""Where in a network do gradients vanish or explode while it learns, and what does it take for what?

Heat maps as plain dictionaries in Plotly's terms, as the curves are in `training`, which has these functions too.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.plots.colours import colorscale

Figure = dict[str, Any]  # {"data": [...], "layout": {...}}

GRADIENTS, UPDATES = "gradient's norm", "update / weight"
USUAL_UPDATE = 1e-3
UPDATES_CAPTION = (
    "How far a step moves a layer's weights, as a share of the weights themselves. About 1e-3 is the usual rule of "
    "thumb (Karpathy's notes to Stanford's CS231n): far less, and the layer hardly learns; far more, and its steps "
    "are too large."
)

MOST_HEIGHT, FURNITURE = 640, 70  # pixels: of a map, and of what stands around it
ROW, LABEL, TILTED = 18, 14, 20  # pixels: of a row while there are few, and between two labels at least
NARROWEST = 480  # pixels for the columns, on a page of 700
LONGEST = 26  # letters of a label
MOST_DECADES = 8  # on a colour scale
ABSENT: list[list[float | str]] = [
    [0, "#808080"],
    [1, "#808080"],
]  # of what has no place on a scale; visible on light and on dark pages
MUTED: list[list[float | str]] = [[0, "#f7f7f7"], [1, "#9a9a9a"]]  # of what is right: there is nothing to be seen to
MOST_WITH_NUMBERS = 12  # classes
LEAST_REACH = 0.1  # of the scale of errors, so that a few of them do not look like many
UPRIGHT = 60  # letters that fit side by side


def gradient_heat_map(
    norms: pd.DataFrame, log: bool = True, title: str = GRADIENTS, reference: float | None = None
) -> Figure:
    """A table of runs.gradient_norms or runs.update_ratios: layers down, the first column on top, by step.

    One hue from the least to the most, in whole powers of ten; norms below the 8 largest powers have the lightest
    colour. Zero, on a logarithmic scale, and what is not finite are grey, and hovering says which it is. `reference`
    is a value that the colour bar names as the usual one.
    """
    layers = [str(column) for column in norms.columns if column != "step"]
    steps = norms["step"].to_numpy(np.float64) if layers else np.empty(0)
    values = norms[layers].to_numpy(np.float64).T
    drawn = np.isfinite(values) & ((values > 0) | (not log))
    z = np.full(values.shape, np.nan)
    z[drawn] = np.log10(values[drawn]) if log else values[drawn]
    height, shown = _rows(len(layers))
    odd = np.where(values == 0, "exactly zero", np.where(np.isnan(values), "not a number", "infinite"))
    hover = "%{y}, step %{x:,}<br>"
    heat = {
        "type": "heatmap",
        "x": steps,
        "y": layers,
        "z": z.astype(np.float32),
        "customdata": values.astype(np.float32),
        "colorscale": colorscale(signed=False),
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12},
        "hovertemplate": hover + "%{customdata:.3~g}<extra></extra>",
        "hoverongaps": False,
    }
    _scale(heat, z[drawn], log, reference)
    data = [heat]
    if not drawn.all():
        data.append(
            {
                "type": "heatmap",
                "x": steps,
                "y": layers,
                "z": np.where(drawn, np.nan, 1).astype(np.float32),
                "text": np.where(drawn, "", odd).tolist(),
                "colorscale": ABSENT,
                "showscale": False,
                "hovertemplate": hover + "%{text}<extra></extra>",
                "hoverongaps": False,
            }
        )
    layout = {
        "height": height,
        "margin": {"l": 4, "r": 0, "t": 10, "b": 40},
        "uirevision": "training",
        "xaxis": {
            "title": {"text": "step"},
            "showgrid": False,
            "zeroline": False,
            "tickvals": _some(steps, 8),
            "tickformat": ",d",
        },
        "yaxis": {**_names(layers, shown, ending=True), "autorange": "reversed"},
    }
    return {"data": data, "layout": layout}


def _scale(heat: Figure, z: NDArray[np.float64], log: bool, reference: float | None) -> None:
    """The ends of a heat map's scale, and numbers beside it."""
    if not log:
        heat |= {"zmin": 0.0, "zmax": float(z.max(initial=0)) or 1.0}
        heat["colorbar"]["exponentformat"] = "power"
        return
    low, high = (math.floor(z.min()), math.ceil(z.max())) if z.size else (-1, 0)
    cut = high - low > MOST_DECADES
    low = max(min(low, high - 1), high - MOST_DECADES)  # two numbers on the bar at least
    usual = {} if reference is None else {math.log10(reference): ", usual"}
    ticks = [*range(low, high + 1)]
    words = [("≤ " if cut and tick == low else "") + f"1e{tick}" + usual.get(tick, "") for tick in ticks]
    heat |= {"zmin": low, "zmax": high}
    heat["colorbar"] |= {"tickvals": ticks, "ticktext": words}


def confusion_matrix(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Of each class (row) the share that is taken for each class (column); rows add up to one. What is right is
    grey, errors are red; a class without images has an empty row.

    counts (K, K), row = true class; names (K,). Up to 12 classes the shares stand in the cells.
    """
    classes = len(names)
    images = counts.sum(1, keepdims=True)
    shares = np.where(images > 0, counts / np.maximum(images, 1), np.nan)
    own = np.eye(classes, dtype=bool)
    errors = np.where(own, np.nan, shares)
    reach = max(LEAST_REACH, float(np.nanmax(errors, initial=0)))
    # two classes may have one name, as ImageNet's cranes do, which would be one row to Plotly
    labels = [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names)]
    height, shown = _rows(classes, row=34)
    shared: Figure = {
        "type": "heatmap",
        "x": labels,
        "y": labels,
        "customdata": counts,
        "hoverongaps": False,
        "xgap": 1 if classes <= MOST_WITH_NUMBERS else 0,
        "ygap": 1 if classes <= MOST_WITH_NUMBERS else 0,
    }
    right = {
        **shared,
        "z": np.where(own, shares, np.nan).astype(np.float32),
        "zmin": 0,
        "zmax": 1,
        "colorscale": MUTED,
        "showscale": False,
        "hovertemplate": "%{y}<br>%{customdata:,} images, %{z:.1%} of its own, are right<extra></extra>",
    }
    wrong = {
        **shared,
        "z": errors.astype(np.float32),
        "zmin": 0,
        "zmax": reach,
        "colorscale": colorscale(signed=False),
        "colorbar": {"title": {"text": "share of the true class", "side": "right"}, "thickness": 12},
        "hovertemplate": "%{y} taken for %{x}<br>%{customdata:,} images, %{z:.1%} of its own<extra></extra>",
    }
    wrong["colorbar"] |= {"tickformat": ".0%", "nticks": 6}
    if classes <= MOST_WITH_NUMBERS:
        for trace, there in ((right, own), (wrong, ~own)):
            text = [[_percent(share) for share in row] for row in np.where(there, shares, 0)]
            trace |= {"text": text, "texttemplate": "%{text}"}
    tilted = classes * max(map(len, labels), default=0) > UPRIGHT
    across = _names(labels, NARROWEST // TILTED if tilted else classes)
    layout = {
        "height": height,
        "margin": {"l": 4, "r": 0, "t": 10, "b": 40},
        "xaxis": {**across, "title": {"text": "says"}, "tickangle": -60 if tilted else 0},
        "yaxis": {**_names(labels, shown), "title": {"text": "true"}, "autorange": "reversed"},
    }
    return {"data": [right, wrong], "layout": layout}


def _percent(share: float) -> str:
    """As short as fits a cell: 93%, 0.4%, and nothing for nothing."""
    if not share > 0:
        return ""
    return f"{share:.0%}" if share >= 0.0095 else f"{max(share, 0.001):.1%}"


def _rows(count: int, row: int = ROW) -> tuple[int, int]:
    """The height of a map with so many rows, and how many of them can have a label."""
    height = min(MOST_HEIGHT, max(200, FURNITURE + row * count))
    return height, (height - FURNITURE) // LABEL


def _names(names: Sequence[str], most: int, ending: bool = False) -> Figure:
    """An axis of names, of which about `most` are written; long ones keep their start, or with `ending` their end."""
    chosen = names[:: math.ceil(len(names) / max(1, most)) or 1]
    return {
        "type": "category",
        "tickvals": list(chosen),
        "ticktext": [escape(_short(name, ending)) for name in chosen],
        "showgrid": False,
        "automargin": True,
    }


def _short(name: str, ending: bool) -> str:
    if len(name) <= LONGEST:
        return name
    return "…" + name[-LONGEST + 1 :] if ending else name[: LONGEST - 1] + "…"


def _some(steps: NDArray[np.float64], most: int) -> list[float]:
    """About `most` of the steps, evenly chosen, with the first and the last."""
    if not len(steps):
        return []
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))
    return [float(step) for step in steps[chosen]]
