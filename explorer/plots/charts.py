"""Plotly figures. Colours of text, grid and paper are left to the page's theme, so that light and dark both read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.analyses.activations import Channels
from explorer.counting.costs import Row
from explorer.plots.colours import INVISIBLE, colorscale
from explorer.plots.mosaic import Mosaic, data_url
from explorer.plots.plain import Figure

BINS = 40  # of a histogram
BETWEEN = 0.03  # plots side by side, of the whole's width


def stage_bars(rows: Sequence[Row], colour: str) -> Figure:
    """Where the parameters, the MACs and the activation memory are: one bar a stage, input at the top."""
    columns: tuple[tuple[str, list[float], str, str], ...] = (
        ("Parameters", [row.params for row in rows], "~s", "%{y}: %{x:,} parameters"),
        ("MACs", [row.macs for row in rows], "~s", "%{y}: %{x:,} MACs"),
        ("Activation memory (MB)", [row.activation_bytes / 1e6 for row in rows], "~g", "%{y}: %{x:.2f} MB"),
    )
    names, width = [row.name for row in rows], (1 - 2 * BETWEEN) / len(columns)
    bars: list[dict[str, Any]] = []
    titles: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": 70 + 26 * len(rows),
        "margin": {"l": 0, "r": 8, "t": 30, "b": 20},
        "bargap": 0.25,
        "annotations": titles,
    }
    for i, (title, values, ticks, hover) in enumerate(columns):
        n = str(i + 1) if i else ""
        begin, end = i * (width + BETWEEN), i * (width + BETWEEN) + width
        bars.append(_bars(values, names, f"{hover}<extra></extra>", colour) | {"xaxis": f"x{n}", "yaxis": f"y{n}"})
        # with room for the share behind the longest bar
        reach = [0, 1.18 * (max(values) or 1)]
        layout[f"xaxis{n}"] = {
            "anchor": f"y{n}",
            "domain": [begin, end],
            "range": reach,
            "nticks": 5,
            "tickformat": ticks,
        }
        layout[f"yaxis{n}"] = {"anchor": f"x{n}", "domain": [0, 1], "autorange": "reversed"}
        if i:
            layout[f"yaxis{n}"] |= {"matches": "y", "showticklabels": False}
        titles.append(_over((begin + end) / 2, title))
    return {"data": bars, "layout": layout}


def _bars(values: Sequence[float], names: Sequence[str], hover: str, colour: str) -> dict[str, Any]:
    """To the right, with its share of the sum behind each."""
    total = sum(values) or 1
    return {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": names,
        "text": [f"{value / total:.0%}" if value / total >= 0.005 else "" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": colour},
        "hovertemplate": hover,
        "showlegend": False,
    }


def _over(x: float, title: str) -> dict[str, Any]:
    """A title over one of several plots, whose middle is at `x` of the whole's width."""
    where = {"x": x, "xref": "paper", "xanchor": "center", "y": 1, "yref": "paper", "yanchor": "bottom"}
    return {"text": title, "font": {"size": 16}, "showarrow": False} | where


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
