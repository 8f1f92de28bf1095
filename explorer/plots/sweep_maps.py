"""Trials of a sweep over two of the knobs that it turns, as a map."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from explorer.learning.sweeps.cells import Cells
from explorer.learning.sweeps.reading import Values
from explorer.plots.claims import Figure, whole
from explorer.plots.colours import INVISIBLE
from explorer.plots.sweeps import Measure

# low, middle, high: told apart by colour-blind people, and read on white and on black
SCALE = ("#2F7ABF", "#8F8F8F", "#D55E00")
ROW, WIDE = 44, 800  # pixels: of a row of cells, and of the whole map, about
NUMBER = 50  # pixels that a number is wide
MOST_NUMBERS = 150  # cells that have theirs written in them
MARKER = 34  # pixels of what is clicked in a cell


def knob_map(cells: Cells, across: str, upward: str, measure: Measure) -> Figure:
    """Means in coloured cells, over the knobs of these titles; "" upward for a single row. Each cell carries its best
    trial. A star marks cells in which all trials were stopped early.
    """
    shown = 1 - cells.means if measure == "error" else cells.means
    there = np.argwhere(cells.best >= 0)
    few = cells.means.size <= MOST_NUMBERS and len(cells.columns) <= WIDE // NUMBER
    low, high = _reach(shown[np.isfinite(shown)])
    height = 105 + ROW * max(2, len(cells.rows))
    data: list[Figure] = [
        {
            "type": "heatmap",
            "z": shown,
            "x": [_below(one) for one in cells.columns],
            "y": [escape(one) for one in cells.rows],
            "text": [[_cell(cells, shown, r, c) for c in range(shown.shape[1])] for r in range(shown.shape[0])],
            "texttemplate": "%{text}" if few else "",
            "zmin": low,
            "zmax": high,
            "colorscale": _scale(measure),
            "colorbar": {
                "title": {"text": f"test {measure}", "side": "right"},
                "tickformat": ".0%" if high - low > 0.05 else ".1%",
                "thickness": 12,
            },
            "xgap": 2,
            "ygap": 2,
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [_below(cells.columns[c]) for _, c in there],
            "y": [escape(cells.rows[r]) for r, _ in there],
            "customdata": [int(cells.best[r, c]) for r, c in there],
            "text": [_about(cells, shown, int(r), int(c), across, upward, measure) for r, c in there],
            "marker": {"symbol": "square", "size": min(MARKER, WIDE // len(cells.columns)), "color": INVISIBLE},
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        },
    ]
    layout = {
        "height": height,
        "margin": {"l": 12, "r": 12, "t": 8, "b": 8},
        "hovermode": "closest",
        "xaxis": _categories(across, [_below(one) for one in cells.columns]),
        "yaxis": _categories(upward, [escape(one) for one in cells.rows]) | ({} if upward else {"visible": False}),
    }
    return whole(data if len(there) else [], layout)


def _reach(values: Values) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _scale(measure: Measure) -> list[list[float | str]]:
    """What is better is the same colour either way."""
    colours = SCALE[::-1] if measure == "error" else SCALE
    return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


def _below(text: str) -> str:
    """Both ends of a bin below each other, where there is little room beside."""
    return escape(text).replace(" – ", " –<br>")


def _categories(title: str, values: Sequence[str]) -> Figure:
    return {
        "title": {"text": escape(title)},
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(values),
        "range": [-0.5, len(values) - 0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }


def _cell(cells: Cells, shown: Values, row: int, column: int) -> str:
    value = float(shown[row, column])
    return "" if math.isnan(value) else f"{value:.1%}{'' if cells.finished[row, column] else '*'}"


def _about(cells: Cells, shown: Values, row: int, column: int, across: str, upward: str, measure: Measure) -> str:
    where = [f"{escape(across)} {escape(cells.columns[column])}"]
    where += [f"{escape(upward)} {escape(cells.rows[row])}"] if upward else []
    count = int(cells.counts[row, column])
    of = "one trial" if count == 1 else f"mean of {count} trials"
    early = "" if cells.finished[row, column] else ", stopped early"
    right = "wrong" if measure == "error" else "right"
    return f"{'<br>'.join(where)}<br><b>{shown[row, column]:.1%} {right}</b>, {of}{early}"
