"""Gradient flow, drawn. Colours are Okabe and Ito's, which colour-blind people can tell apart; a line that shares its
colour with another is dashed.

On a logarithmic scale zero and infinity have no place: they are marked at the lower and upper edge, never dropped.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from explorer.analyses.flow_reading import Line
from explorer.analyses.gradients import Matrix, Split
from explorer.analyses.paths import Paths
from explorer.plots.colours import SIGNED

Table = NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
DASHES = ("solid", "dash", "dot")
SHORTCUT, BRANCH = "#0072B2", "#E69F00"


def along_the_network(
    lines: Sequence[Line], x_title: str, y_title: str, log: bool = True, selected: str | None = None
) -> go.Figure:
    """Each network as a line through the runs' (on a logarithmic scale geometric) means, in a band from least to most.

    `selected` is an operation of the first network. A click's `customdata` is the operation's name and the number of
    its line.
    """
    figure = go.Figure()
    low, high = _reach([line.values for line in lines], log)
    for i, line in enumerate(lines):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        shown = np.isfinite(line.values) & ((line.values > 0) | (not log))
        values = np.where(shown, line.values, np.nan)
        some = shown.any(0)
        middle = np.full(len(line.x), np.nan)
        middle[some] = np.exp(np.nanmean(np.log(values[:, some]), 0)) if log else np.nanmean(values[:, some], 0)
        if len(values) > 1 and some.any():
            least, most = np.nanmin(values[:, some], 0), np.nanmax(values[:, some], 0)
            figure.add_scatter(
                x=np.concatenate([line.x[some], line.x[some][::-1]]), y=np.concatenate([most, least[::-1]]),
                fill="toself", fillcolor=_faint(colour), line={"width": 0}, hoverinfo="skip", showlegend=False,
                legendgroup=str(i),
            )  # fmt: skip
        figure.add_scatter(
            x=line.x, y=middle, name=line.title, mode="lines+markers", legendgroup=str(i),
            line={"color": colour, "width": 2, "dash": dash}, marker={"size": 4, "color": colour},
            customdata=[[name, i] for name in line.names],
            hovertemplate=f"%{{customdata[0]}}<br>%{{y:.3g}}<extra>{line.title}</extra>",
            selected={"marker": {"color": colour}}, unselected={"marker": {"opacity": 1}},
        )  # fmt: skip
        _mark(figure, line, np.isnan(line.values), high, "x", "not a number", colour, i)
        _mark(figure, line, np.isposinf(line.values), high, "triangle-up", "infinite", colour, i)
        if log:
            _mark(figure, line, line.values == 0, low, "triangle-down", "exactly zero", colour, i)
    if log:
        figure.update_yaxes(type="log", range=[np.log10(low) - 0.15, np.log10(high) + 0.15], exponentformat="power")
        decades = np.log10(high / low)
        figure.update_yaxes(dtick="D2" if decades < 1.5 else max(1, round(decades / 8)))
    if lines and selected in lines[0].names:
        at = lines[0].x[lines[0].names.index(selected)]
        figure.add_vline(
            at, line={"color": "#888888", "dash": "dot", "width": 1}, annotation_text=selected, annotation_opacity=0.8
        )
    figure.update_xaxes(title=x_title, zeroline=False)
    figure.update_yaxes(title=y_title)
    figure.update_layout(
        height=440, margin={"l": 0, "r": 0, "t": 10, "b": 0}, hovermode="closest", dragmode=False,
        legend={"orientation": "h", "y": -0.2},
    )  # fmt: skip
    return figure


def _mark(
    figure: go.Figure, line: Line, where: NDArray[np.bool_], y: float, symbol: str, what: str, colour: str, i: int
) -> None:
    columns = np.flatnonzero(where.any(0))
    if columns.size:
        figure.add_scatter(
            x=line.x[columns], y=np.full(columns.size, y), mode="markers", showlegend=False, legendgroup=str(i),
            marker={"symbol": symbol, "size": 9, "color": colour}, customdata=[[line.names[c], i] for c in columns],
            hovertemplate=f"%{{customdata[0]}}<br>{what}<extra>{line.title}</extra>", cliponaxis=False,
        )  # fmt: skip


def _reach(tables: Sequence[Table], log: bool) -> tuple[float, float]:
    """The least and the most that can be drawn."""
    shown = np.concatenate([table[np.isfinite(table) & ((table > 0) | (not log))] for table in tables] or [np.ones(1)])
    return (float(shown.min()), float(shown.max())) if shown.size else (0.1, 1.0)


def _faint(colour: str) -> str:
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},0.18)"


def shortcut_shares(splits: Sequence[Split], titles: Sequence[str]) -> go.Figure:
    """One bar a block, input at the left: shortcut below, branch above, together 1; below zero what works against."""
    figure = go.Figure()
    for name, colour, parts in (
        ("through the shortcut", SHORTCUT, [split.shortcut for split in splits]),
        ("through the branch", BRANCH, [split.branch for split in splits]),
    ):
        figure.add_bar(
            x=list(titles),
            y=[part / (split.whole or np.nan) for split, part in zip(splits, parts, strict=True)],
            name=name,
            marker_color=colour,
            customdata=[[split.source, split.role] for split in splits],
            hovertemplate="%{x}, %{customdata[1]}<br>%{y:.1%} of the gradient at %{customdata[0]}<extra></extra>",
        )
    figure.add_hline(0.5, line={"color": "#888888", "dash": "dot", "width": 1})
    figure.update_yaxes(title="share of the gradient", tickformat=".0%")
    figure.update_xaxes(title="residual block, from the input", tickangle=-60 if len(splits) > 9 else 0)
    figure.update_layout(
        barmode="relative", height=380, margin={"l": 0, "r": 0, "t": 10, "b": 0}, bargap=0.15,
        legend={"orientation": "h", "y": 1.12},
    )  # fmt: skip
    return figure


def matrix(one: Matrix, title: str, signed: bool) -> go.Figure:
    """Sources across, consumers down; empty where there is no edge."""
    finite = np.abs(one.values[np.isfinite(one.values)])
    reach = float(finite.max()) if finite.size else 1.0
    reach = reach or 1.0
    negative = signed and bool((one.values < 0).any())
    anchors = SIGNED if negative else SIGNED[4:]
    figure = go.Figure(
        go.Heatmap(
            x=list(one.sources), y=list(one.consumers), z=one.values, zmin=-reach if negative else 0, zmax=reach,
            colorscale=[[i / (len(anchors) - 1), colour] for i, colour in enumerate(anchors)],
            colorbar={"title": {"text": title, "side": "right"}, "thickness": 12, "exponentformat": "power"},
            hovertemplate="from %{x} through %{y}<br>%{z:.3g}<extra></extra>", hoverongaps=False, xgap=1, ygap=1,
        )
    )  # fmt: skip
    figure.update_xaxes(title="source", showgrid=False, type="category", tickangle=-60 if len(one.sources) > 6 else 0)
    figure.update_yaxes(title="read by", autorange="reversed", showgrid=False, type="category")
    figure.update_layout(
        height=min(620, max(300, 130 + 22 * len(one.consumers))), margin={"l": 0, "r": 0, "t": 10, "b": 0}
    )
    return figure


def path_lengths(found: Paths) -> go.Figure:
    """How many paths have each length, what one of them carries, and what they carry together."""
    figure = make_subplots(
        rows=1, cols=3, horizontal_spacing=0.08,
        subplot_titles=("How many paths", "Gradient along one path", "Gradient of all of them together"),
    )  # fmt: skip
    lengths = list(found.lengths)
    hover = "length %{x}: %{y:.2%}<extra></extra>"
    figure.add_bar(x=lengths, y=found.frequency, marker_color="#7F7F7F", hovertemplate=hover, row=1, col=1)
    mean = found.gradient.mean(1)
    figure.add_scatter(
        x=np.repeat(lengths, found.gradient.shape[1]), y=np.where(found.gradient > 0, found.gradient, np.nan).ravel(),
        mode="markers", marker={"size": 4, "color": _faint(SHORTCUT).replace("0.18", "0.5")}, row=1, col=2,
        hovertemplate="one path of length %{x}: %{y:.3g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=lengths, y=np.where(mean > 0, mean, np.nan), mode="lines", line={"color": SHORTCUT, "width": 2}, row=1, col=2,
        hovertemplate="mean of length %{x}: %{y:.3g}<extra></extra>",
    )  # fmt: skip
    figure.add_bar(x=lengths, y=found.carried, marker_color=BRANCH, hovertemplate=hover, row=1, col=3)
    figure.update_xaxes(title="branches on the way", range=[-0.7, found.blocks + 0.7])
    figure.update_yaxes(tickformat=".0%", col=1)
    figure.update_yaxes(type="log", exponentformat="power", col=2)
    figure.update_yaxes(tickformat=".0%", col=3)
    figure.update_layout(height=320, margin={"l": 0, "r": 0, "t": 40, "b": 0}, showlegend=False)
    return figure
