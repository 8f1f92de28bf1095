"""Trials of a sweep over all the knobs that it turns, side by side: parallel coordinates.

Plotly's own need WebGL and make up scripts while they run, which the server's content policy forbids; and nobody can
click a line of theirs.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.learning.sweeps.cells import MOST_CELLS, axes, numbers_of
from explorer.learning.sweeps.reading import NETWORK, Findings, Values
from explorer.plots.axes import logarithmic
from explorer.plots.claims import Figure, whole
from explorer.plots.sweep_maps import SCALE
from explorer.plots.sweeps import OPENED, Measure
from explorer.wording import number

Numbers = NDArray[np.int64]

MOST_AXES = 8  # of knobs side by side
MOST_BAND = 0.3  # of the way to the next axis: kept free for an axis's numbers, at most, on each side
LETTER, WIDE = 3.2, 720  # pixels: half a letter of an axis's numbers, and all axes together, about
NOTHING = 0.15  # of an axis's height: below it are trials whose network does not turn the knob
SPREAD = 0.035  # how far lines of one value lie apart, to each side, of an axis's height
SHADES = 12  # of the lines
LINES = ((40, 0.9), (200, 0.65), (1000, 0.4), (10**9, 0.2))  # so many trials -> how opaque each line is
HEIGHT = 380
ABOVE = 0.07  # of the height: where an axis's title stands


class Axis(NamedTuple):
    """`places` (trials,) from 0 at the bottom to 1; `ticks`: the texts and their places."""

    title: str
    places: Values
    ticks: Sequence[tuple[float, str]]


def parallel(found: Findings, measure: Measure, opened: int = -1) -> Figure:
    """A line a trial, from knob to knob to its parameters and its accuracy, and coloured by that. The point at a line's
    end carries the trial.
    """
    accuracy = found.trials["accuracy"].to_numpy(np.float64)
    order = np.argsort(accuracy, kind="stable")  # the best are drawn last, over all others
    trials = found.trials.iloc[order[: int(np.isfinite(accuracy).sum())]]
    if not len(trials):
        return whole([], {"height": HEIGHT})
    every = _axes(found, trials, measure)
    shades = _shades(trials["accuracy"].to_numpy(np.float64))
    x, y = _paths(every)
    opacity, numbers = _opacity(len(trials)), trials.index.to_numpy()
    data = [
        _lines(x, y[shades == shade], colour, 1.6, opacity)
        for shade, colour in enumerate(_colours())
        if (shades == shade).any()
    ]
    if (numbers == opened).any():
        data.append(_lines(x, y[numbers == opened], OPENED, 4, 1))
    data.append(_ends(found, trials, every, shades, measure))
    last = len(every) - 1
    layout = {
        "height": HEIGHT,
        "margin": {"l": 12, "r": 12, "t": 12, "b": 8},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"visible": False, "range": [-_beside(every[0], last), last + _beside(every[-1], last)]},
        "yaxis": {"visible": False, "range": [-0.06, 1 + 2.2 * ABOVE]},
        "dragmode": False,
        "annotations": [note for i, axis in enumerate(every) for note in _notes(i, last, axis)],
    }
    return whole(data, layout)


def _axes(found: Findings, trials: pd.DataFrame, measure: Measure) -> list[Axis]:
    """Of the knobs that any of these trials turns."""
    titles = [(name, title) for name, title in axes(found).items() if name == NETWORK or (trials[name] != "").any()]
    every = [_knob(found, trials, name, title) for name, title in titles[:MOST_AXES]]
    accuracy = trials["accuracy"].to_numpy(np.float64)
    every.append(_logarithmic("Parameters", trials["params"].to_numpy(np.float64)))
    every.append(_linear(f"Test {measure}", 1 - accuracy if measure == "error" else accuracy))
    return every


def _knob(found: Findings, trials: pd.DataFrame, name: str, title: str) -> Axis:
    if name == NETWORK:
        networks, at = np.unique(trials[NETWORK].to_numpy(int), return_inverse=True)
        return _even(title, [found.networks[i].title for i in networks], at)
    values = trials[name].tolist()
    there = [value for value in values if value != ""]
    unique = set(there)
    listed = [value for value in found.order(name, there) if value in unique]
    if len(listed) > MOST_CELLS and (numbers := numbers_of(there)) is not None:
        whole_axis = _logarithmic if numbers.min() > 0 and numbers.max() / numbers.min() > 30 else _linear
        axis = whole_axis(title, np.array([float(value) if value else np.nan for value in values]))
    else:
        places = {value: i for i, value in enumerate(listed)}
        axis = _even(title, listed, np.array([places.get(value, -1) for value in values]))
    return axis if len(there) == len(values) else _above_nothing(axis)


def _above_nothing(axis: Axis) -> Axis:
    """With a place at the bottom for the trials whose network does not turn the knob."""
    places = np.where(np.isnan(axis.places), 0.0, NOTHING + (1 - NOTHING) * axis.places)
    ticks = [(NOTHING + (1 - NOTHING) * place, text) for place, text in axis.ticks]
    return Axis(axis.title, places, [(0.0, "not turned"), *ticks])


def _even(title: str, listed: Sequence[str], at: Numbers) -> Axis:
    """Values at equal distances; lines of one value lie side by side, the better ones further on."""
    step = 1 / max(1, len(listed) - 1)
    places = np.full(len(at), np.nan)
    for i in range(len(listed)):
        own = np.flatnonzero(at == i)
        middle = i * step if len(listed) > 1 else 0.5
        apart = np.linspace(-1, 1, len(own)) * min(SPREAD, 0.4 * step) if len(own) > 1 else 0.0
        places[own] = middle + apart
    return Axis(title, places, [(i * step if len(listed) > 1 else 0.5, value) for i, value in enumerate(listed)])


def _linear(title: str, values: Values) -> Axis:
    low, high = _ends_of(values)
    share = title.startswith("Test ")
    return Axis(
        title,
        (values - low) / (high - low),
        [
            (i / 4, f"{low + (high - low) * i / 4:.1%}" if share else f"{low + (high - low) * i / 4:.3g}")
            for i in range(5)
        ],
    )


def _logarithmic(title: str, values: Values) -> Axis:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if not low > 0:
        return _linear(title, values)
    ends = logarithmic(low, high)
    bottom, top = ends["range"]
    with np.errstate(invalid="ignore"):
        places = (np.log10(values) - bottom) / (top - bottom)
    ticks = [((math.log10(tick) - bottom) / (top - bottom), number(tick)) for tick in ends["tickvals"]]
    return Axis(title, places, ticks)


def _ends_of(values: Values) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _paths(every: Sequence[Axis]) -> tuple[Values, Values]:
    """Points (points,) and (trials, points) of lines from axis to axis, leaving room for the axes' numbers, and
    NaN behind each of them.
    """
    x: list[float] = []
    y: list[Values] = []
    last = len(every) - 1
    for i, (left, right) in enumerate(pairwise(every)):
        begin = i + (_band(left, len(every)) if i else 0)
        end = i + 1 - (_band(right, len(every)) if i + 1 < last else 0)
        x += [begin, end, math.nan]
        y += [left.places, right.places, np.full(len(left.places), math.nan)]
    return np.array(x), np.stack(y, 1)


def _lines(x: Values, y: Values, colour: str, width: float, opacity: float) -> Figure:
    """As numbers of half the usual size: there are a dozen of them for each trial."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": np.tile(x, len(y)).astype(np.float32),
        "y": y.ravel().astype(np.float32),
        "line": {"color": colour, "width": width},
        "opacity": opacity,
        "hoverinfo": "skip",
    }


def _band(axis: Axis, count: int) -> float:
    """Half of the room that an axis's numbers need, where so many axes share the picture."""
    longest = max((len(text) for _, text in axis.ticks), default=0)
    return min(MOST_BAND, (LETTER * longest + 10) * (count - 1) / WIDE)


def _beside(axis: Axis, last: int) -> float:
    """The room that the first or the last axis needs at the picture's side: for its numbers, and half of its title."""
    longest = max((len(text) for _, text in axis.ticks), default=0)
    return max(2 * LETTER * longest + 12, 1.2 * LETTER * len(axis.title)) * max(1, last) / WIDE


def _ends(found: Findings, table: pd.DataFrame, every: Sequence[Axis], shades: Numbers, measure: Measure) -> Figure:
    """What is clicked."""
    right = "wrong" if measure == "error" else "right"
    shown = 1 - table["accuracy"] if measure == "error" else table["accuracy"]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": np.full(len(table), float(len(every) - 1)),
        "y": every[-1].places,
        "customdata": table.index.tolist(),
        "text": [
            f"{escape(found.labels[trial])}<br><b>{value:.1%} {right}</b>"
            for trial, value in zip(table.index.tolist(), shown.tolist(), strict=True)
        ],
        "marker": {
            "color": shades.astype(np.uint8),
            "cmin": 0,
            "cmax": SHADES - 1,
            "colorscale": [[i / (len(SCALE) - 1), colour] for i, colour in enumerate(SCALE)],
            "size": 8,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }


def _notes(number: int, last: int, axis: Axis) -> list[Figure]:
    """The axis's title and its numbers: beside it at both ends of the picture, else in the room between the lines."""
    anchor = "right" if number == 0 else "left" if number == last else "center"
    shift = {"right": -8, "left": 8, "center": 0}[anchor]
    there = {"x": number, "showarrow": False, "xanchor": anchor, "yanchor": "middle", "xshift": shift}
    title = {"text": f"<b>{escape(axis.title)}</b>", "y": 1 + ABOVE, "yanchor": "bottom", "xanchor": "center"}
    return [there | title | {"xshift": 0, "font": {"size": 12}}] + [
        there | {"text": escape(text), "y": place, "font": {"size": 11}} for place, text in axis.ticks
    ]


def _shades(accuracies: Values) -> Numbers:
    low, high = _ends_of(accuracies)
    found: Numbers = np.minimum(((accuracies - low) / (high - low) * SHADES).astype(int), SHADES - 1)
    return found


def _colours() -> list[str]:
    anchors = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in SCALE], float)
    at, steps = np.linspace(0, 1, len(SCALE)), np.linspace(0, 1, SHADES)
    rgb = np.stack([np.interp(steps, at, anchors[:, i]) for i in range(3)], 1).round().astype(int)
    return [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in rgb]


def _opacity(count: int) -> float:
    return next(opacity for most, opacity in LINES if count <= most)
