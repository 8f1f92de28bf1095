"""Trials of a sweep, drawn: what accuracy costs. Over their knobs: `sweep_maps`, `sweep_lines`.

Figures are plain dictionaries in Plotly's terms. Colours of text, grid and paper are left to the page's theme. Every
point carries its trial's number as `customdata`.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from explorer.learning.sweeps.reading import NETWORK, Findings, Setting, Values, front
from explorer.plots import axes
from explorer.plots.claims import Figure, whole
from explorer.plots.colours import faint
from explorer.plots.training import colours_of
from explorer.wording import number

Measure = Literal["accuracy", "error"]

OPENED = "#E69F00"  # of the trial that is open, which no family has
GREY = "#7F7F7F"
HEIGHT = 400  # pixels
GAP = 0.03  # between the plots, of the whole's width
MOST_COLOURS = 8  # networks that have a colour each; of more, all of a family have one
LEAST_SPAN = 0.1  # of the accuracy's axis: chance does not look like a difference
LEAST_ERROR = 1e-4  # where none is wrong, on an axis that has no zero
COSTS = (("params", "Parameters"), ("macs", "MACs"))
FADED = ((100, 0.4), (400, 0.25), (10**9, 0.12))  # so many trials -> how opaque a single one is
SYMBOLS = {"finished": "circle", "early": "circle-open"}
OTHER = "x-thin-open"  # of a trial that neither finished nor was stopped early: it diverged, say


class Group(NamedTuple):
    """Networks that share a colour, and a line of the legend."""

    title: str
    colour: str
    networks: tuple[int, ...]


def groups(found: Findings) -> list[Group]:
    """One each, as long as colours can be told apart; else one a family."""
    every = found.networks
    if len(every) <= MOST_COLOURS:
        colours = colours_of([one.colour for one in every])
        return [Group(one.title, colour, (i,)) for i, (one, colour) in enumerate(zip(every, colours, strict=True))]
    families = dict.fromkeys((one.family, one.colour) for one in every)
    return [
        Group(family, colour, tuple(i for i, one in enumerate(every) if one.family == family))
        for family, colour in families
    ]


def trade_off(found: Findings, measure: Measure, opened: int = -1, chance: float = 0.0) -> Figure:
    """Accuracy, or error, over parameters and beside it over MACs: each trial faint, the mean of a setting's seeds with
    the least and the most, and the front of those means that no cheaper one reaches. `chance` is the accuracy of
    guessing, drawn where it is in sight.
    """
    table = found.trials[found.trials["accuracy"].notna()]
    layout: Figure = {
        "height": HEIGHT,
        "margin": {"l": 12, "r": 12, "t": 30, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False},
        "hovermode": "closest",
        "uirevision": measure,  # what is zoomed into stays so while trials come in
        "yaxis": _vertical(_measured(table["accuracy"].to_numpy(np.float64), measure), measure),
        **_guessing(table, measure, chance),
    }
    drawn = _Drawn(found, table, measure, opened)
    data: list[Figure] = []
    for i, (column, title) in enumerate(COSTS):
        number = f"{i + 1 if i else ''}"
        data += [trace | {"xaxis": f"x{number}", "yaxis": "y"} for trace in drawn.over(column)]
        width = (1 - GAP) / len(COSTS)
        layout[f"xaxis{number}"] = {
            "title": {"text": title},
            "domain": [i * (width + GAP), i * (width + GAP) + width],
            "anchor": "y",
            "automargin": True,
            "zeroline": False,
            **_costs(table[column].to_numpy(np.float64)),
        }
    return whole([*data, *_legend(found, opened)] if len(table) else [], layout)


def _legend(found: Findings, opened: int) -> list[Figure]:
    """What is drawn there, for itself: of a trace Plotly would show whatever its first point looks like."""
    every, states = groups(found), set(found.trials["state"].tolist())
    seeds = "mean of a setting's seeds" if any(len(one.trials) > 1 for one in found.settings) else "one setting"
    shown = [(group.title if len(every) > 1 else seeds, "circle", group.colour, 9) for group in every]
    shown += [("stopped early", "circle-open", GREY, 7)] * ("early" in states)
    shown += [("diverged", OTHER, GREY, 7)] * ("diverged" in states)
    shown += [("open below", "circle-open", OPENED, 12)] * (opened in found.trials.index)
    traces: list[Figure] = []
    for title, symbol, colour, size in shown:
        marker = {"symbol": symbol, "color": colour, "size": size, "line": {"width": 2, "color": colour}}
        traces.append({"mode": "markers", "name": escape(title), "marker": marker})
    front_line = {
        "mode": "lines+markers",
        "name": "Pareto front",
        "marker": {"symbol": "diamond", "color": GREY, "size": 9},
        "line": {"color": GREY, "width": 1.8},
    }
    nowhere = {"type": "scatter", "x": [None], "y": [None], "showlegend": True, "hoverinfo": "skip"}
    return [nowhere | trace for trace in (*traces, front_line)]


class _Drawn:
    """The traces, of which all but the costs is the same over each kind of cost."""

    def __init__(self, found: Findings, table: pd.DataFrame, measure: Measure, opened: int) -> None:
        self.found, self.table, self.measure, self.opened = found, table, measure, opened
        every = groups(found)
        self.each = [_each(found, table, measure, one) for one in every]
        self.settings = [[one for one in found.settings if one.network in group.networks] for group in every]
        self.means = [_means(found, own, measure, group) for own, group in zip(self.settings, every, strict=True)]

    def over(self, column: str) -> list[Figure]:
        """Each trial, the front, the means, and the ring of the open trial."""
        hover, costs = {"hovertemplate": _hover(column, self.measure)}, self.table[column]
        data = [trace | hover | {"x": costs[trace["customdata"]].to_numpy(np.float64)} for trace in self.each]
        best = [self.found.settings[i] for i in _front(self.found, column)]
        data.append(_steps(best, self.table, column, self.measure))
        members = {one.trials for one in best}
        for trace, settings in zip(self.means, self.settings, strict=True):
            values = np.array([getattr(one, column) for one in settings], np.float64)
            data.append(_marked(trace, [one.trials in members for one in settings]) | hover | {"x": values})
        own = self.table[self.table.index == self.opened]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": own[column].to_numpy(np.float64),
                "y": _measured(own["accuracy"].to_numpy(np.float64), self.measure),
                "marker": {"symbol": "circle-open", "size": 19, "color": OPENED, "line": {"width": 3}},
                "showlegend": False,
                "hoverinfo": "skip",
            }
        )
        return [trace for trace in data if len(trace["x"])]


def _each(found: Findings, table: pd.DataFrame, measure: Measure, group: Group) -> Figure:
    """Trials by themselves; of a setting with one seed alone the mean says it all."""
    alone = {one.trials[0] for one in found.settings if len(one.trials) == 1}
    table = table[table[NETWORK].isin(group.networks) & ~table.index.isin(alone)]
    trials, states = table.index.tolist(), table["state"].tolist()
    return {
        "type": "scatter",
        "mode": "markers",
        "y": _measured(table["accuracy"].to_numpy(np.float64), measure),
        "customdata": trials,
        "text": [
            f"{escape(found.labels[trial])}{'' if state == 'finished' else f'<br>{_state(state)}'}"
            for trial, state in zip(trials, states, strict=True)
        ],
        "marker": {
            "color": group.colour,
            "size": 7,
            "opacity": next(opacity for most, opacity in FADED if len(found.trials) <= most),
            "symbol": _symbols(states),
            "line": {"width": 1.5, "color": group.colour},
        },
        "showlegend": False,
    }


def _means(found: Findings, settings: Sequence[Setting], measure: Measure, group: Group) -> Figure:
    """With their spread."""
    means = _measured(np.array([one.mean for one in settings]), measure)
    ends = [_measured(np.array(own), measure) for own in ([s.low for s in settings], [s.high for s in settings])]
    low, high = np.minimum(*ends), np.maximum(*ends)
    return {
        "type": "scatter",
        "mode": "markers",
        "y": means,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": high - means,
            "arrayminus": means - low,
            "thickness": 1.2,
            "width": 0,
            "color": faint(group.colour, 0.6),
            "visible": bool((high > low).any()),
        },
        "customdata": [one.best for one in settings],
        "text": [f"{escape(found.label(one)) or 'As it is'}<br>{_seeds(one)}" for one in settings],
        "marker": {"color": group.colour, "line": {"width": 1, "color": "#FFFFFF"}},
        "showlegend": False,
    }


def _marked(means: Figure, members: Sequence[bool]) -> Figure:
    """With those on the front as diamonds."""
    text = [f"{one}<br>on the Pareto front" if on else one for one, on in zip(means["text"], members, strict=True)]
    size, symbol = [12 if on else 9 for on in members], ["diamond" if on else "circle" for on in members]
    return means | {"text": text, "marker": means["marker"] | {"size": size, "symbol": symbol}}


def _steps(best: Sequence[Setting], table: pd.DataFrame, column: str, measure: Measure) -> Figure:
    """What the best of the means is at each cost."""
    costs = [float(getattr(one, column)) for one in best]
    values = _measured(np.array([one.mean for one in best]), measure).tolist()
    if best and (reach := float(table[column].max())) > costs[-1]:  # dearer ones are no better
        costs, values = [*costs, reach], [*values, values[-1]]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": costs,
        "y": values,
        "line": {"shape": "hv", "color": GREY, "width": 1.8},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _front(found: Findings, column: str) -> list[int]:
    return front([getattr(one, column) for one in found.settings], [one.mean for one in found.settings])


def _seeds(one: Setting) -> str:
    if len(one.trials) == 1:
        return "one seed"
    return f"mean of {len(one.trials)} seeds, from {one.low:.1%} to {one.high:.1%} right"


def _symbols(states: Sequence[str]) -> str | list[str]:
    """One for all, where nothing was stopped and nothing broke: a long list is slow to send."""
    found = [SYMBOLS.get(state, OTHER) for state in states]
    return found if len({*found}) > 1 else "".join(found[:1])


def _state(state: str) -> str:
    return {"early": "stopped early"}.get(state, escape(state))


def _hover(column: str, measure: Measure) -> str:
    cost = {"params": "parameters", "macs": "MACs"}[column]
    return (
        f"%{{text}}<br><b>%{{y:.1%}} {'wrong' if measure == 'error' else 'right'}</b>, %{{x:.4s}} {cost}<extra></extra>"
    )


def _measured(accuracies: Values, measure: Measure) -> Values:
    return np.maximum(1 - accuracies, LEAST_ERROR) if measure == "error" else accuracies


def _vertical(values: Values, measure: Measure) -> Figure:
    made: Figure = {
        "title": {"text": f"Test {measure}"},
        "domain": [0, 1],
        "automargin": True,
        "zeroline": False,
    }
    if not len(values):
        return made | {"range": [0, 1], "tickformat": ".0%"}
    low, high = float(values.min()), float(values.max())
    if measure == "error":
        found = axes.logarithmic(low, high)
        return made | found | {"ticktext": [f"{100 * tick:.4g}%" for tick in found["tickvals"]]}
    room = max(0.06 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    bottom, top = max(-0.02, low - room), min(1 + room / 10, high + room)  # where all are right no tick is beyond that
    return made | {"range": [bottom, top], "tickformat": ".0%" if top - bottom > 0.05 else ".1%", "nticks": 7}


def _costs(values: Values) -> dict[str, Any]:
    values = values[values > 0]
    if not len(values):
        return {}
    found = axes.logarithmic(float(values.min()), float(values.max()))
    return found | {"ticktext": [number(tick) for tick in found["tickvals"]]}


def _guessing(table: pd.DataFrame, measure: Measure, chance: float) -> Figure:
    """A dotted line, where some network is not far better."""
    if not chance or not len(table) or float(table["accuracy"].min()) > 2 * chance:
        return {}
    value = 1 - chance if measure == "error" else chance
    line = {"color": "#888888", "dash": "dot", "width": 1}
    there = {"xref": "paper", "x": 0, "xanchor": "left", "yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
    return {
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}],
        "annotations": [there | {"text": "guessing", "y": math.log10(value) if measure == "error" else value}],
    }
