"""Measurements of an experiment, drawn: every seed is seen, and what is meant by their mean.

Figures are plain dictionaries in Plotly's terms. Colours of text, grid and paper are left to the page's theme.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.plots import axes
from explorer.plots.colours import faint

Figure = dict[str, Any]
Values = NDArray[np.float64]

# Okabe and Ito's, which colour-blind people can tell apart; all of them read on white and on black
BLUE, RED, GREEN, PINK, ORANGE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"
HEIGHT = 300  # pixels
ROW = 30  # pixels of a bar
LEGEND = {
    "orientation": "h",
    "x": 0,
    "y": 1.03,
    "yanchor": "bottom",
    "traceorder": "normal",
}  # above, where no title is
NOTHING = "Nothing is measured yet"


class Line(NamedTuple):
    """x (P,); values (seeds, P), NaN where there is none. `points` marks each x, `each_seed` each value too."""

    title: str
    colour: str
    x: Values
    values: Values
    dashed: bool = False
    points: bool = False
    each_seed: bool = False


class Bar(NamedTuple):
    """values (seeds,)."""

    title: str
    colour: str
    values: Values


class Axis(NamedTuple):
    """`share`: of a whole, from 0 to 100 %."""

    title: str
    log: bool = False
    share: bool = False


class Level(NamedTuple):
    """A value to be compared with, as a dotted line: what guessing gives."""

    title: str
    value: float


def lines(found: Sequence[Line], x: Axis, y: Axis, levels: Sequence[Level] = ()) -> Figure:
    """Each as the mean over its seeds in a band from the least to the most."""
    found = [line for line in found if line.values.size]
    form = ".1%" if y.share else ".4~g"
    data: list[Figure] = []
    for i, line in enumerate(found):
        low, mean, high = _over_seeds(line.values)
        there = np.isfinite(mean)
        shared = {"type": "scatter", "legendgroup": str(i), "x": line.x[there], "showlegend": False}
        if len(line.values) > 1:
            band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            data.append({**shared, **band, "y": low[there]})
            data.append({**shared, **band, "y": high[there], "fill": "tonexty", "fillcolor": faint(line.colour, 0.2)})
        if line.each_seed:
            data.append({**shared, **_each_seed(line, form)})
        seeds = f", mean of {len(line.values)} seeds" if len(line.values) > 1 else ""
        data.append(
            {
                **shared,
                "y": mean[there],
                "mode": "lines+markers" if line.points else "lines",
                "line": {"color": line.colour, "width": 2.2, "dash": "6px,3px" if line.dashed else "solid"},
                "marker": {"size": 7, "symbol": "circle-open" if line.dashed else "circle"},
                "name": escape(line.title),
                "showlegend": True,
                "hovertemplate": f"%{{x:.4~g}}: %{{y:{form}}}{seeds}<extra>{escape(line.title)}</extra>",
            }
        )
    every_x = [line.x for line in found]
    layout = {
        "height": HEIGHT,
        "margin": {"l": 12, "r": 12, "t": 30, "b": 8},
        "legend": LEGEND,
        "hovermode": "closest",
        "xaxis": _axis(x, every_x),
        "yaxis": _axis(y, [line.values for line in found]),
        "shapes": [_level(level) for level in levels],
        "annotations": [_level_title(level, x.log) for level in levels],
    }
    return whole(data, layout)


def _each_seed(line: Line, form: str) -> Figure:
    """A small point for each value."""
    there = np.isfinite(line.values)
    return {
        "mode": "markers",
        "x": np.broadcast_to(line.x, line.values.shape)[there],
        "y": line.values[there],
        "marker": {"color": faint(line.colour, 0.6), "size": 4},
        "hovertemplate": f"%{{x:.4~g}}: %{{y:{form}}}<extra>{escape(line.title)}, one seed</extra>",
    }


def bars(found: Sequence[Bar], x: Axis, levels: Sequence[Level] = ()) -> Figure:
    """Each mean as a bar, with every seed as a point on it; the first on top."""
    found = [bar for bar in found if np.isfinite(bar.values).any()]
    titles = [escape(bar.title) for bar in found]
    form = ".1%" if x.share else ".4~g"
    data: list[Figure] = [
        {
            "type": "bar",
            "orientation": "h",
            "y": titles,
            "x": [float(np.nanmean(bar.values)) for bar in found],
            "marker": {"color": [faint(bar.colour, 0.55) for bar in found]},
            "hovertemplate": f"%{{y}}: %{{x:{form}}}<extra>mean</extra>",
            "width": 0.6,
        }
    ]
    for bar, title in zip(found, titles, strict=True):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": bar.values,
                "y": [title] * len(bar.values),
                "marker": {"color": bar.colour, "size": 8, "line": {"color": "#888888", "width": 1}},
                "hovertemplate": f"%{{x:{form}}}<extra>{title}, one seed</extra>",
            }
        )
    layout = {
        "height": 70 + ROW * max(3, len(found)),
        "margin": {"l": 12, "r": 12, "t": 8, "b": 8},
        "showlegend": False,
        "xaxis": _axis(x, [bar.values for bar in found]) | ({} if x.log or x.share else {"rangemode": "tozero"}),
        "yaxis": {"autorange": "reversed", "automargin": True, "showgrid": False},
        "shapes": [_level(level, vertical=True) for level in levels],
    }
    return whole(data if found else [], layout)


def cells(
    values: Values,
    columns: Sequence[str],
    rows: Sequence[str],
    x_title: str,
    y_title: str,
    colorscale: Any,
    bar: str,
    broken: NDArray[np.bool_] | None = None,
) -> Figure:
    """Shares (rows, columns) as coloured cells, each with its number; NaN stays blank. `bar` is the scale's title.
    Where something is `broken` (rows, columns), a cross says so, above the number if there is one."""
    marks = np.zeros(values.shape, bool) if broken is None else broken
    text = [["" if math.isnan(value) else f"{value:.0%}" for value in row] for row in values]
    alone, beside = np.argwhere(marks & np.isnan(values)), np.argwhere(marks & ~np.isnan(values))
    data: list[Figure] = [
        {
            "type": "heatmap",
            "z": values,
            "x": list(columns),
            "y": list(rows),
            "text": text,
            "texttemplate": "%{text}",
            "zmin": 0,
            "zmax": 1,
            "colorscale": colorscale,
            "colorbar": {"title": {"text": bar, "side": "right"}, "tickformat": ".0%", "thickness": 12, "nticks": 5},
            "xgap": 2,
            "ygap": 2,
            "hovertemplate": f"{y_title} %{{y}}, {x_title} %{{x}}: %{{z:.1%}}<extra></extra>",
        }
    ]
    if len(alone):
        data.append(
            {
                "type": "scatter",
                "mode": "text",
                "x": [columns[column] for _, column in alone],
                "y": [rows[row] for row, _ in alone],
                "text": ["\u2715"] * len(alone),
                "hovertemplate": f"{y_title} %{{y}}, {x_title} %{{x}}: diverged<extra></extra>",
                "showlegend": False,
            }
        )
    layout = {
        "height": 110 + ROW * max(3, len(rows)),
        "margin": {"l": 12, "r": 12, "t": 8, "b": 8},
        "xaxis": {"title": {"text": x_title}, "type": "category", "automargin": True, "showgrid": False},
        "yaxis": {
            "title": {"text": y_title},
            "type": "category",
            "automargin": True,
            "autorange": "reversed",
            "showgrid": False,
        },
        "annotations": [_corner(int(column), int(row)) for row, column in beside],
    }
    return whole(data if np.isfinite(values).any() or len(alone) else [], layout)


def _corner(column: int, row: int) -> Figure:
    """A small cross in a cell's upper right corner; dark, since the cells of what broke are pale on every page.

    Columns are told by number: a name such as 0.1 would be taken for one.
    """
    there = {"x": column, "y": row, "xshift": 9, "yshift": 9, "showarrow": False}
    return there | {"text": "\u2715", "font": {"size": 8, "color": "#444444"}}


def _over_seeds(values: Values) -> tuple[Values, Values, Values]:
    """Least, mean and most of each column; NaN where no seed has a value."""
    some = np.isfinite(values)
    counts = some.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(some, values, 0).sum(0) / np.where(counts, counts, np.nan)
    low = np.where(counts, np.where(some, values, np.inf).min(0), np.nan)
    high = np.where(counts, np.where(some, values, -np.inf).max(0), np.nan)
    return low, mean, high


def _axis(axis: Axis, found: Sequence[Values]) -> Figure:
    values = np.concatenate([np.ravel(one) for one in found]) if found else np.empty(0)
    values = values[np.isfinite(values)]
    made: Figure = {"title": {"text": axis.title}, "automargin": True, "zeroline": False}
    if axis.share:
        return made | axes.share()
    if axis.log and (values > 0).any():
        values = values[values > 0]
        return made | axes.logarithmic(float(values.min()), float(values.max()))
    return made | {"nticks": 6}


def _level(level: Level, vertical: bool = False) -> Figure:
    along, across = ("x", "y") if vertical else ("y", "x")
    return {
        "type": "line",
        f"{along}0": level.value,
        f"{along}1": level.value,
        f"{across}0": 0,
        f"{across}1": 1,
        f"{across}ref": "paper",
        "line": {"color": "#888888", "dash": "dot", "width": 1},
    }


def _level_title(level: Level, log_x: bool) -> Figure:
    return {
        "text": escape(level.title),
        "x": 1,
        "xref": "paper",
        "xanchor": "right",
        "y": level.value,
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11},
    }


def whole(data: list[Figure], layout: Figure) -> Figure:
    """Streamlit draws no figure without data."""
    if not data:
        layout["annotations"] = [
            {"text": NOTHING, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
        ]
        data = [{"type": "scatter", "x": [None], "y": [None], "showlegend": False}]
    return {"data": data, "layout": layout}
