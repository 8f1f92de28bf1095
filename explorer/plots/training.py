"""How does a network learn? Runs as curves over their epochs; with its maps, which stand in `training_maps`.

Figures are plain dictionaries in Plotly's terms, since a page draws them anew every second while a run goes on, and
building graph objects takes longer than all else. Colours of text, grid and paper are left to the page's theme.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.learning.results import Broke, Seeds, broke, numbers, over_seeds
from explorer.plots.colours import faint
from explorer.plots.training_maps import UPDATES, UPDATES_CAPTION, USUAL_UPDATE, confusion_matrix, gradient_heat_map

__all__ = [
    "UPDATES",
    "UPDATES_CAPTION",
    "USUAL_UPDATE",
    "Curve",
    "colours_of",
    "confusion_matrix",
    "curves",
    "gradient_heat_map",
]

Figure = dict[str, Any]  # {"data": [...], "layout": {...}}
Values = NDArray[np.float64]


class Curve(NamedTuple):
    """A run, or several that differ in their seeds alone: `metrics` is the table of each. `selected` stands out."""

    title: str
    colour: str  # "#rrggbb"
    metrics: pd.DataFrame | Sequence[pd.DataFrame]
    selected: bool = False


# colours that no family has, of Okabe and Ito and of Paul Tol, and a grey; all of them read on white and on black
SPARE = ("#E69F00", "#56B4E9", "#AA4499", "#999933", "#7F7F7F")
TINTS = (0.4, 0.6)  # shares of white in what comes when those are used up
PALE = 0.7  # opacity of what is not selected, where something is

COLUMNS = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "learning_rate")
HEIGHT, LEGEND_LINE = 460, 20  # pixels: of the curves with one line of legend, and of each further line
NARROWEST = 640  # pixels for the legend on a page of 700
LETTER, KEY = 7, 55  # pixels of the legend: a letter's width, and what stands beside a name
PANELS = (
    ("y", (0.60, 1.0), "Accuracy <i>(solid: test, dashed: train)</i>"),
    ("y2", (0.22, 0.525), "Loss <i>(solid: test, dashed: train)</i>"),
    ("y3", (0.0, 0.13), "Learning rate"),
)
MOST_LOSS = 100.0  # on the axis; beyond it there is nothing to read but that a run breaks
LEAST_DECADES = 0.75  # of the loss axis, so that two of 1, 2, 5, 10 are always on it
NEAR = (0.13, 0.13)  # shares of the panel's width and height within which two numbers would overlap
NOTHING = "No step has been made yet"
PAPER = {"xref": "paper", "yref": "paper", "showarrow": False}
HEADING = {"x": 0, "xanchor": "left", "yanchor": "bottom", **PAPER}


def colours_of(families: Sequence[str]) -> list[str]:
    """A colour for each run, given its family's colour: the family's own for its first run, and for others one of
    those that no family has, each time that which is farthest from all in use; when they are used up a tint of the
    family's. With more than eight runs of one family colours repeat.
    """
    taken, found = list(dict.fromkeys(families)), list[str]()
    for i, family in enumerate(families):
        if family not in families[:i]:
            found.append(family)
            continue
        tints = [_tint(family, white) for white in TINTS]
        left = [colour for colour in SPARE if colour not in taken] or [c for c in tints if c not in taken] or tints
        found.append(max(left, key=lambda colour: min(_distance(colour, other) for other in taken)))
        taken.append(found[-1])
    return found


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _tint(colour: str, white: float) -> str:
    return "#" + "".join(f"{round(part + (255 - part) * white):02X}" for part in _rgb(colour))


def _distance(one: str, other: str) -> float:
    return math.dist(_rgb(one), _rgb(other))


# ---- learning ----


class _Run(NamedTuple):
    """A curve's lines, each with its epochs, and where runs of it broke."""

    curve: Curve
    lines: dict[str, tuple[Values, Seeds]]
    ends: list[tuple[Broke, pd.DataFrame]]
    seeds: int


def curves(lines: Sequence[Curve]) -> Figure:
    """Accuracy, loss (logarithmic) and learning rate over the epochs, one below the other.

    Several seeds are drawn as their mean in a band from least to most. The best test accuracy has a point, and its
    number where there is room; the legend has it always. A run that diverged ends in a cross. What is exactly zero,
    and so has no place on the logarithmic axis, is marked at its lower edge.
    """
    runs = [_run(curve) for curve in lines]
    last = max((x[-1] for run in runs for x, _ in run.lines.values() if len(x)), default=0.0) or 1.0
    peak = max((float(y.mean.max()) for run in runs for x, y in [run.lines["learning_rate"]] if len(x)), default=0.0)
    bottom, top = _loss_range(runs)
    bests = [_best(run) for run in runs]
    numbered = _with_room(bests, [run.curve.selected for run in runs], last)
    order = sorted(range(len(runs)), key=lambda i: runs[i].curve.selected)  # what stands out is drawn over the others
    some = any(run.curve.selected for run in runs)
    data = [
        trace
        for i in order
        for trace in _traces(runs[i], i, bests[i], i in numbered, bottom, top, some and not runs[i].curve.selected)
    ]
    rows = _legend_rows([trace["name"] for trace in data if trace["showlegend"]])
    decades = math.log10(top / bottom)
    axis = {"anchor": "x", "zeroline": False, "automargin": True}
    layout: Figure = {
        "height": HEIGHT + LEGEND_LINE * (rows - 1),
        "margin": {"l": 44, "r": 12, "t": 24, "b": 48 + LEGEND_LINE * rows},
        "hovermode": "closest",
        "uirevision": "training",  # a zoom survives the next second's figure
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "annotations": [{**HEADING, "y": domain[1], "text": title} for _, domain, title in PANELS],
        "xaxis": {"anchor": "y3", "title": {"text": "epoch"}, "range": [0, 1.01 * last], "zeroline": False},
        "yaxis": {**axis, "domain": PANELS[0][1], "range": [0, 1], "dtick": 0.25, "tickformat": ".0%"},
        "yaxis2": {
            **axis,
            "domain": PANELS[1][1],
            "type": "log",
            "range": [math.log10(bottom), math.log10(top)],
            # 1, 2, 5, 10, or whole powers of ten: two of them at least
            "dtick": "D2" if decades < 2.2 else math.ceil(decades / 4),
            "tickformat": "~g",
        },
        "yaxis3": {
            **axis,
            "domain": PANELS[2][1],
            "range": [0, 1.15 * (peak or 1)],
            "tickvals": [0, peak or 1],
            "ticktext": ["0", f"{peak or 1:.3g}"],
        },
    }
    if not any(len(x) for run in runs for x, _ in run.lines.values()):
        # Plotly draws no axis that nothing belongs to, and Streamlit no figure without data
        data += [{"type": "scatter", "x": [None], "y": [None], "yaxis": y, "showlegend": False} for y, *_ in PANELS]
        layout["annotations"].append({"text": NOTHING, "x": 0.5, "y": 0.8, **PAPER})
    return {"data": data, "layout": layout}


def _legend_rows(names: Sequence[str]) -> int:
    """Plotly gives all names the width of the longest."""
    width = LETTER * max(map(len, names), default=0) + KEY
    return math.ceil(len(names) / max(1, NARROWEST // width)) or 1


def _run(curve: Curve) -> _Run:
    tables = [curve.metrics] if isinstance(curve.metrics, pd.DataFrame) else list(curve.metrics)
    ends = [(end, table) for table in tables if (end := broke(table)) is not None]
    epochs = [numbers(table, "epoch") for table in tables]
    lines = {}
    for column in COLUMNS:
        found = [numbers(table, column) for table in tables]
        there = [np.isfinite(x) & np.isfinite(y) for x, y in zip(epochs, found, strict=True)]
        if len(tables) == 1:
            y = found[0][there[0]]
            lines[column] = epochs[0][there[0]], Seeds(y, y, y)
        else:
            grid = np.unique(np.concatenate([np.empty(0), *(x[some] for x, some in zip(epochs, there, strict=True))]))
            lines[column] = grid, over_seeds(tables, column, grid)
    return _Run(curve, lines, ends, len(tables))


def _best(run: _Run) -> tuple[float, float] | None:
    """The epoch and the value of the highest test accuracy, of several seeds of their mean."""
    x, y = run.lines["test_accuracy"]
    return (float(x[y.mean.argmax()]), float(y.mean.max())) if len(x) else None


def _with_room(bests: Sequence[tuple[float, float] | None], selected: Sequence[bool], last: float) -> set[int]:
    """Which of the best values can have their number beside them without one overlapping another."""
    placed: dict[int, tuple[float, float]] = {}
    for i in sorted(range(len(bests)), key=lambda i: (not selected[i], i)):
        one = bests[i]
        if one and all(abs(one[0] - x) > NEAR[0] * last or abs(one[1] - y) > NEAR[1] for x, y in placed.values()):
            placed[i] = one
    return set(placed)


def _loss_range(runs: Iterable[_Run]) -> tuple[float, float]:
    """The ends of the logarithmic axis: what is above zero, with some room."""
    found = [y for run in runs for name in ("train_loss", "test_loss") for y in run.lines[name][1]]
    shown = np.concatenate(found or [np.empty(0)])
    shown = shown[shown > 0]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.1, 10.0)
    high = max(low, min(high, MOST_LOSS))
    room = max(0.06 * math.log10(high / low), 0.5 * (LEAST_DECADES - math.log10(high / low)))
    return low / 10**room, high * 10**room


def _traces(
    run: _Run, number: int, best: tuple[float, float] | None, numbered: bool, bottom: float, top: float, pale: bool
) -> list[Figure]:
    """All that is drawn of a curve. A click on its name in the legend hides it all."""
    curve, found = run.curve, list[Figure]()
    title = escape(curve.title)
    shared: Figure = {"type": "scatter", "legendgroup": str(number), "meta": title, "showlegend": False}
    shared |= {"opacity": PALE if pale else 1.0, "legendrank": number + 1}
    for column, (x, y) in run.lines.items():
        what, _, measure = column.partition("_")
        axis, form = {"accuracy": ("y", ".2%"), "loss": ("y2", ".4g"), "rate": ("y3", ".4g")}[measure]
        place = {**shared, "yaxis": axis}
        low, mean, high = (np.maximum(one, bottom) if measure == "loss" else one for one in (y.low, y.mean, y.high))
        if run.seeds > 1 and axis != "y3" and len(x):
            found.append({**place, **_band(x, low, high, curve.colour)})
        told = {"test": "test", "train": "train", "learning": "learning rate"}[what]
        mean_of = f", mean of {run.seeds} seeds" if run.seeds > 1 and axis != "y3" else ""
        found.append(
            {
                **place,
                "x": x.astype(np.float32),
                "y": mean.astype(np.float32),
                "mode": "lines" if len(x) > 1 else "markers",
                "line": {
                    "color": curve.colour,
                    "width": 1.3 if what != "test" else 2.8 if curve.selected else 2.0,
                    "dash": "4px,3px" if what == "train" else "solid",
                },
                "marker": {"color": curve.colour, "size": 5},
                "hovertemplate": f"epoch %{{x:.4~g}}<br>%{{y:{form}}}{mean_of}<extra>%{{meta}}, {told}</extra>",
            }
        )
        if measure == "loss" and (y.mean <= 0).any():
            zero = x[y.mean <= 0]
            hover = f"epoch %{{x:.4~g}}<br>exactly zero<extra>%{{meta}}, {told}</extra>"
            found.append({**place, **_marks(zero, np.full(len(zero), bottom), "triangle-down", curve.colour, hover)})
    for end, table in run.ends:
        hover = f"diverged at step {end.step:,}<extra>%{{meta}}</extra>"
        for axis, column in (("y", "train_accuracy"), ("y2", "train_loss")):
            before = numbers(table, column)[numbers(table, "step") <= end.step]
            before = before[np.isfinite(before)]
            y_end = before[-1:] if axis == "y" else np.clip(before[-1:], bottom, top)
            x_end = np.full(len(y_end), end.epoch)
            found.append({**shared, "yaxis": axis, **_marks(x_end, y_end, "x", curve.colour, hover)})
    if best:
        hover = "best: %{y:.2%} at epoch %{x:.4~g}<extra>%{meta}</extra>"
        point = {**shared, **_marks(np.array(best[:1]), np.array(best[1:]), "circle", curve.colour, hover)}
        if numbered:
            side = "left" if best[0] > 0.1 * max(x[-1] for x, _ in run.lines.values() if len(x)) else "right"
            point |= {"mode": "markers+text", "text": [f"{best[1]:.1%}"], "textposition": f"bottom {side}"}
        found.append(point)
    name = title + (f", {run.seeds} seeds" if run.seeds > 1 else "") + (f", best {best[1]:.1%}" if best else "")
    line = {"color": curve.colour, "width": 2.8 if curve.selected else 2.0}
    # a line without points, so that there is a name from the first second on
    key = {"x": [None], "y": [None], "mode": "lines", "line": line, "name": name, "showlegend": True}
    return [*found, shared | key]


def _band(x: Values, low: Values, high: Values, colour: str) -> Figure:
    return {
        "x": np.concatenate([x, x[::-1]]).astype(np.float32),
        "y": np.concatenate([high, low[::-1]]).astype(np.float32),
        "mode": "lines",  # plotly draws markers, too, where there are few points
        "fill": "toself",
        "fillcolor": faint(colour, 0.18),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _marks(x: Values, y: Values, symbol: str, colour: str, hover: str) -> Figure:
    return {
        "x": x,
        "y": y,
        "mode": "markers",
        "marker": {"symbol": symbol, "size": 6 if symbol == "triangle-down" else 9, "color": colour},
        "hovertemplate": hover,
        "cliponaxis": False,
    }
