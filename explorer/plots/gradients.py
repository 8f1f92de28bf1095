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
from explorer.plots import axes
from explorer.plots.colours import colorscale, faint

Table = NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
DASHES = ("solid", "dash", "dot")
SHORTCUT, BRANCH, OF_ALL = "#0072B2", "#E69F00", "#7F7F7F"
GUIDE = {"color": "#888888", "dash": "dot", "width": 1}
NO_MARGIN = {"l": 0, "r": 0, "t": 10, "b": 0}


def along_the_network(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    log: bool = True,
    selected: str | None = None,
    share: bool = False,
) -> go.Figure:
    """Each network as a line through the runs' (on a logarithmic scale geometric) means, in a band from least to most.
    Values that are a `share` of a whole stand on an axis from 0 to 100 %.

    `selected` is an operation of the first network. A click's `customdata` is the operation's name and the number of
    its line.
    """
    figure = go.Figure()
    low, high = _reach([line.values for line in lines], log)
    for i, line in enumerate(lines):
        _draw_line(figure, line, i, log)
        _mark(figure, line, i, np.isnan(line.values), high, "x", "not a number")
        _mark(figure, line, i, np.isposinf(line.values), high, "triangle-up", "infinite")
        if log:
            _mark(figure, line, i, line.values == 0, low, "triangle-down", "exactly zero")
    if log:
        figure.update_yaxes(axes.logarithmic(low, high))
    else:
        figure.update_yaxes(axes.share() if share else {"rangemode": "tozero"})
    if lines and selected in lines[0].names:
        x = lines[0].x[lines[0].names.index(selected)]
        figure.add_vline(x, line=GUIDE, annotation_text=selected, annotation_opacity=0.8)
    last = max((line.x[-1] for line in lines if len(line.x)), default=1)
    counted = axes.whole(int(last)) | {"range": [0.5, last + 0.5]} if last > 1 else {}
    figure.update_xaxes(title=x_title, zeroline=False, **counted)
    figure.update_yaxes(title=y_title)
    figure.update_layout(
        height=440, margin=NO_MARGIN, hovermode="closest", dragmode=False, legend={"orientation": "h", "y": -0.2}
    )
    return figure


def _draw_line(figure: go.Figure, line: Line, number: int, log: bool) -> None:
    """The means and, where there are several runs, the band."""
    values = np.where(_can_be_drawn(line.values, log), line.values, np.nan)
    some = ~np.isnan(values).all(0)
    mean = np.full(len(line.x), np.nan)
    mean[some] = np.exp(np.nanmean(np.log(values[:, some]), 0)) if log else np.nanmean(values[:, some], 0)
    colour = _colour(number)
    if len(values) > 1 and some.any():
        x, least, most = line.x[some], np.nanmin(values[:, some], 0), np.nanmax(values[:, some], 0)
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([most, least[::-1]]),
            mode="lines",  # plotly draws markers, too, where there are few points
            fill="toself",
            fillcolor=faint(colour, 0.18),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=str(number),
        )
    figure.add_scatter(
        x=line.x,
        y=mean,
        name=line.title,
        mode="lines+markers",
        legendgroup=str(number),
        line={"color": colour, "width": 2, "dash": DASHES[number // len(COLOURS) % len(DASHES)]},
        marker={"size": 4, "color": colour},
        customdata=[[name, number] for name in line.names],
        hovertemplate=f"%{{customdata[0]}}<br>%{{y:.3g}}<extra>{line.title}</extra>",
        selected={"marker": {"color": colour}},
        unselected={"marker": {"opacity": 1}},
    )


def _mark(
    figure: go.Figure, line: Line, number: int, where: NDArray[np.bool_], y: float, symbol: str, what: str
) -> None:
    """A symbol at `y` for each operation of which some run is one of `where` (runs, operations)."""
    columns = np.flatnonzero(where.any(0))
    if columns.size:
        figure.add_scatter(
            x=line.x[columns],
            y=np.full(columns.size, y),
            mode="markers",
            showlegend=False,
            legendgroup=str(number),
            marker={"symbol": symbol, "size": 9, "color": _colour(number)},
            customdata=[[line.names[c], number] for c in columns],
            hovertemplate=f"%{{customdata[0]}}<br>{what}<extra>{line.title}</extra>",
            cliponaxis=False,
        )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _can_be_drawn(values: Table, log: bool) -> NDArray[np.bool_]:
    return np.isfinite(values) & ((values > 0) | (not log))


def _reach(tables: Sequence[Table], log: bool) -> tuple[float, float]:
    """The least and the most that can be drawn."""
    shown = np.concatenate([table[_can_be_drawn(table, log)] for table in tables] or [np.ones(1)])
    return (float(shown.min()), float(shown.max())) if shown.size else (0.1, 1.0)


def shortcut_shares(splits: Sequence[Split]) -> go.Figure:
    """One bar a block, input at the left: shortcut below, branch above, together 1; below zero what works against."""
    figure = go.Figure()
    whole = np.array([split.whole or np.nan for split in splits])
    shares = np.array([[split.shortcut for split in splits], [split.branch for split in splits]]) / whole
    names = "through the shortcut", "through the branch"
    for name, colour, parts in zip(names, (SHORTCUT, BRANCH), shares, strict=True):
        figure.add_bar(
            x=[split.block for split in splits],
            y=parts,
            name=name,
            marker_color=colour,
            customdata=[[split.source, split.role] for split in splits],
            hovertemplate="%{x}, %{customdata[1]}<br>%{y:.1%} of the gradient at %{customdata[0]}<extra></extra>",
        )
    figure.add_hline(0.5, line=GUIDE)
    below, above = np.nansum(np.minimum(shares, 0), 0), np.nansum(np.maximum(shares, 0), 0)
    figure.update_yaxes(title="share of the gradient", **axes.share(float(below.min()), float(above.max())))
    figure.update_xaxes(title="residual block, from the input", tickangle=-60 if len(splits) > 9 else 0)
    figure.update_layout(
        barmode="relative", height=380, margin=NO_MARGIN, bargap=0.15, legend={"orientation": "h", "y": 1.12}
    )
    return figure


def matrix(one: Matrix, title: str, signed: bool, share: bool = False) -> go.Figure:
    """Sources across, consumers down; empty where there is no edge. Shares of a whole are on a scale to 100 %."""
    finite = np.abs(one.values[np.isfinite(one.values)])
    reach = float(finite.max(initial=float(share))) or 1.0
    negative = signed and bool((one.values < 0).any())
    figure = go.Figure()
    figure.add_heatmap(
        x=list(one.sources),
        y=list(one.consumers),
        z=one.values,
        zmin=-reach if negative else 0,
        zmax=reach,
        colorscale=colorscale(negative),
        colorbar={
            "title": {"text": title, "side": "right"},
            "thickness": 12,
            "exponentformat": "power",
            "nticks": 7,
            "tickformat": ".0%" if share else "",
        },
        hovertemplate=f"from %{{x}} through %{{y}}<br>%{{z:{'.1%' if share else '.3g'}}}<extra></extra>",
        hoverongaps=False,
        xgap=1,
        ygap=1,
    )
    figure.update_xaxes(title="source", showgrid=False, type="category", tickangle=-60 if len(one.sources) > 6 else 0)
    figure.update_yaxes(title="read by", autorange="reversed", showgrid=False, type="category")
    figure.update_layout(height=min(620, max(300, 130 + 22 * len(one.consumers))), margin=NO_MARGIN)
    return figure


def path_lengths(found: Paths) -> go.Figure:
    """How many paths have each length, what one of them carries, and what they carry together."""
    titles = ("How many paths", "Gradient along one path", "Gradient of all of them together")
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.08, subplot_titles=titles)
    hover = "length %{x}: %{y:.2~%}<extra></extra>"
    for column, shares, colour in ((1, found.frequency, OF_ALL), (3, found.carried, BRANCH)):
        figure.add_bar(x=found.every, y=shares, marker_color=colour, hovertemplate=hover, row=1, col=column)
        figure.update_yaxes(tickformat=".2~%", rangemode="tozero", nticks=6, col=column)
    _draw_single_paths(figure, found)
    figure.update_xaxes(title="branches on the way", range=[-0.7, found.blocks + 0.7], **axes.whole(found.blocks))
    figure.update_yaxes(axes.logarithmic(*_reach([found.gradient], log=True)), col=2)
    figure.update_layout(
        height=320, margin={"l": 0, "r": 0, "t": 40, "b": 0}, showlegend=False, bargap=0.1 if found.blocks < 30 else 0
    )
    return figure


def _draw_single_paths(figure: go.Figure, found: Paths) -> None:
    """Each path that was sampled as a dot, and their means as a line."""
    mean = found.gradient.mean(1)
    figure.add_scatter(
        x=np.repeat(found.lengths, found.gradient.shape[1]),
        y=np.where(found.gradient > 0, found.gradient, np.nan).ravel(),
        mode="markers",
        marker={"size": 4, "color": faint(SHORTCUT, 0.5)},
        hovertemplate="one path of length %{x}: %{y:.3g}<extra></extra>",
        row=1,
        col=2,
    )
    figure.add_scatter(
        x=list(found.lengths),
        y=np.where(mean > 0, mean, np.nan),
        mode="lines",
        line={"color": SHORTCUT, "width": 2},
        hovertemplate="mean of length %{x}: %{y:.3g}<extra></extra>",
        row=1,
        col=2,
    )
