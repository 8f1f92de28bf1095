"""Plotly figures. Colours of text, grid and paper are left to the page's theme, so that light and dark both read."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from explorer.analyses.activations import Channels
from explorer.counting.costs import Row
from explorer.plots.colours import INVISIBLE, colorscale
from explorer.plots.mosaic import Mosaic, data_url

BINS = 40  # of a histogram


def stage_bars(rows: Sequence[Row], colour: str) -> go.Figure:
    """Where the parameters, the MACs and the activation memory are: one bar a stage, input at the top."""
    names = [row.name for row in rows]
    columns: tuple[tuple[str, list[float], str], ...] = (
        ("Parameters", [row.params for row in rows], "%{y}: %{x:,} parameters"),
        ("MACs", [row.macs for row in rows], "%{y}: %{x:,} MACs"),
        ("Activation memory (MB)", [row.activation_bytes / 1e6 for row in rows], "%{y}: %{x:.2f} MB"),
    )
    titles = [title for title, *_ in columns]
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=titles)
    for column, (_, values, hover) in enumerate(columns, start=1):
        total = sum(values) or 1
        figure.add_bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=colour,
            text=[f"{value / total:.0%}" if value / total >= 0.005 else "" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=hover + "<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        # with room for the share behind the longest bar
        figure.update_xaxes(range=[0, 1.18 * (max(values) or 1)], col=column)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(nticks=5, tickformat="~s")
    figure.update_layout(height=70 + 26 * len(rows), margin={"l": 0, "r": 8, "t": 30, "b": 20}, bargap=0.25)
    return figure


def clickable(mosaic: Mosaic, labels: Sequence[str], numbers: Sequence[int], width: int = 580) -> go.Figure:
    """The mosaic, about `width` pixels wide on the page, with an invisible marker on every tile: hovering shows
    its label, a click selects its number.

    A picture sends no events itself; the marker's `customdata` carries the channel's number.
    """
    h, w, _ = mosaic.picture.shape
    th, tw = mosaic.tile
    places = [divmod(i, mosaic.columns) for i in range(len(numbers))]
    figure = go.Figure()
    figure.add_scatter(
        x=[column * (tw + 1) + 1 + tw / 2 for _, column in places],
        y=[row * (th + 1) + 1 + th / 2 for row, _ in places],
        customdata=list(numbers),
        text=list(labels),
        mode="markers",
        marker={"symbol": "square", "size": max(6, min(tw, th) * 0.8), "color": INVISIBLE},
        hovertemplate="%{text}<extra></extra>",
        # plotly dims what is not selected, which would draw an outline on every tile
        selected={"marker": {"color": INVISIBLE}},
        unselected={"marker": {"color": INVISIBLE, "opacity": 0}},
    )
    picture = {"source": data_url(mosaic.picture), "sizing": "stretch", "layer": "below"}
    figure.add_layout_image(picture, x=0, y=0, sizex=w, sizey=h, xref="x", yref="y")
    figure.update_xaxes(visible=False, range=[0, w], constrain="domain", constraintoward="left")
    figure.update_yaxes(visible=False, range=[h, 0], scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_layout(
        height=max(60, round(width * h / w)),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        dragmode=False,
        hovermode="closest",
        plot_bgcolor=INVISIBLE,
    )
    return figure


def channel_labels(stats: Channels, numbers: NDArray[np.intp]) -> list[str]:
    """What is shown when hovering over a channel."""
    return [
        f"channel {c}<br>mean {stats.mean[c]:.3g}, max {stats.maximum[c]:.3g}<br>zeros {stats.zeros[c]:.0%}"
        for c in numbers
    ]


def colour_scale(reach: float, signed: bool) -> go.Figure:
    """The bar that says which number has which colour."""
    low = -reach if signed else 0.0
    steps = np.linspace(low, reach, 200)
    figure = go.Figure()
    figure.add_heatmap(
        x=steps, z=[steps], colorscale=colorscale(signed), showscale=False, hovertemplate="%{x:.3g}<extra></extra>"
    )
    ticks = [low, low / 2, 0, reach / 2, reach] if signed else [0, reach / 4, reach / 2, 3 * reach / 4, reach]
    figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:.3g}" for tick in ticks])
    figure.update_yaxes(visible=False)
    figure.update_layout(height=48, margin={"l": 24, "r": 24, "t": 0, "b": 30})
    return figure


def histogram(values: NDArray[np.floating], colour: str) -> go.Figure:
    """How often a channel has which value; the bars at exact zero are counted apart, since ReLU makes so many."""
    flat = values.ravel().astype(np.float64)
    zeros, odd = int((flat == 0).sum()), int((~np.isfinite(flat)).sum())
    rest = flat[(flat != 0) & np.isfinite(flat)]
    figure = go.Figure()
    width = 1.0
    if rest.size:
        low, high = float(rest.min()), float(rest.max())
        width = max((high - low) / BINS, 1e-9 * max(abs(low), abs(high)))  # a channel may have one value only
        counts, edges = np.histogram(rest, bins=BINS, range=(low, low + BINS * width))
        hover = "%{y} positions near %{x:.3g}<extra></extra>"
        figure.add_bar(
            x=edges[:-1] + width / 2, y=counts, width=width, marker_color=colour, name="not zero", hovertemplate=hover
        )
    if zeros:
        hover = "%{y} positions are exactly zero<extra></extra>"
        figure.add_bar(
            x=[0.0], y=[zeros], width=[width], marker_color="#999999", name="exactly zero", hovertemplate=hover
        )
    if odd:
        figure.add_annotation(
            text=f"{odd} positions are not finite", x=1, y=1, xref="paper", yref="paper", showarrow=False
        )
    figure.update_xaxes(title="value")
    figure.update_yaxes(title="positions")
    figure.update_layout(
        height=240,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        barmode="overlay",
        bargap=0,
        legend={"orientation": "h", "y": 1.1},
    )
    return figure
