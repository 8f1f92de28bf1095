"""What other settings cost, as pictures: a small curve beside a slider, a map of two knobs, the published field."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from explorer.counting.design_space import Curve, Grid, Mark, Measure
from explorer.plots.colours import INVISIBLE, colorscale
from explorer.running.published import Published

SPARK_HEIGHT = 26
# as `knob_map` shows a measure: the unit, and what makes one of it
UNITS: Mapping[Measure, tuple[str, float]] = {
    "params": ("M params", 1e6),
    "MACs": ("G MACs", 1e9),
    "memory": ("MB, forward peak", 1e6),
    "receptive field": ("px", 1),
}


PRESENT, PUBLISHED = "#56B4E9", "#009E73"
INK = "#222222"  # on the colours of a map


def sparkline(curve: Curve, low: float, high: float, colour: str, top: float) -> str:
    """The curve as an HTML image, as wide as the slider whose ends are `low` and `high`, so that it lines up with it.

    From zero at the bottom to `top`, where it leaves the picture; how far it goes on is written beside that. A line
    marks the present value. After Willett et al., Scented widgets, 2007.
    """
    svg = base64.b64encode(_spark(curve, low, high, colour, top).encode()).decode()
    says = f"from {curve.costs[0]:,} to {curve.costs[-1]:,}, now {curve.cost:,}"
    # an <img>, since Streamlit's sanitiser takes <svg> out of the page
    return (
        f'<div style="position:relative;margin:-10px 6px 6px"><img src="data:image/svg+xml;base64,{svg}" alt="{says}" '
        f'title="{says}" style="display:block;width:100%;height:{SPARK_HEIGHT}px">'
        f"{_beyond(curve, low, high, top)}</div>"
    )


def _beyond(curve: Curve, low: float, high: float, top: float) -> str:
    """How many times the present cost the curve goes up to, where it leaves the picture; nothing where it stays in."""
    above = [value for value, cost in zip(curve.values, curve.costs, strict=True) if cost > top]
    if not above:
        return ""
    # on the side on which it is cut, against the edge: there is no line but what goes up
    side = "left" if above[0] - low < high - above[-1] else "right"
    return (
        f'<span style="position:absolute;top:0;{side}:3px;font-size:11px;line-height:12px;font-weight:600">'
        f"↑ to {max(curve.costs) / max(1, curve.cost):,.0f}×</span>"
    )


def _spark(curve: Curve, low: float, high: float, colour: str, top: float) -> str:
    """As SVG; x in thousandths of the slider."""
    reach = (high - low) or 1
    x = [1000 * (value - low) / reach for value in curve.values]
    y = [SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 3) * cost / top for cost in curve.costs]  # what is above is cut off
    present = 1000 * (curve.present - low) / reach
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
    under = f"{x[0]:.0f},{SPARK_HEIGHT} {points} {x[-1]:.0f},{SPARK_HEIGHT}"
    thin = f'stroke="{colour}" fill="none" vector-effect="non-scaling-stroke"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {SPARK_HEIGHT}" preserveAspectRatio="none" '
        f'width="1000" height="{SPARK_HEIGHT}">'
        # the area fades towards the top, so that the edge at which it is cut is not taken for the curve
        f'<linearGradient id="fade" gradientUnits="userSpaceOnUse" x1="0" x2="0" y1="{SPARK_HEIGHT}" y2="0">'
        f'<stop stop-color="{colour}" stop-opacity="0.35"/><stop offset="1" stop-color="{colour}" stop-opacity="0"/>'
        f'</linearGradient><polygon points="{under}" fill="url(#fade)"/>'
        f'<polyline points="{points}" {thin} stroke-width="1.5"/>'
        f'<line x1="{present:.0f}" x2="{present:.0f}" y1="0" y2="{SPARK_HEIGHT}" {thin} stroke-width="2"/></svg>'
    )


def knob_map(grid: Grid, present: tuple[float, float], marks: Sequence[Mark], unit: str, factor: float) -> go.Figure:
    """The measure over two knobs: colour and contour lines, in `unit` after dividing by `factor`.

    An invisible marker in each cell carries (x, y) as `customdata`, since a heat map sends no clicks.
    """
    costs = np.array([[np.nan if cost is None else cost / factor for cost in row] for row in grid.costs])
    figure = go.Figure()
    figure.add_heatmap(
        x=grid.xs,
        y=grid.ys,
        z=costs,
        colorscale=colorscale(signed=False),
        zmin=0,
        hoverinfo="skip",
        colorbar={"title": {"text": unit, "side": "right"}, "thickness": 14},
    )
    figure.add_contour(
        x=grid.xs,
        y=grid.ys,
        z=costs,
        ncontours=10,
        showscale=False,
        showlegend=False,
        hoverinfo="skip",
        contours={"coloring": "none", "showlabels": True, "labelfont": {"size": 11, "color": INK}},
        line={"color": INK, "width": 0.8},
    )
    _draw_cells(figure, grid, costs, unit)
    _draw_marks(figure, [mark for mark in marks if mark.exact], "published", "diamond")
    _draw_marks(figure, [mark for mark in marks if not mark.exact], "published, other knobs differ", "diamond-open")
    figure.add_scatter(
        x=[present[0]],
        y=[present[1]],
        mode="markers",
        name="this network",
        hoverinfo="skip",
        marker={"symbol": "circle", "size": 14, "color": PRESENT, "line": {"width": 2, "color": INK}},
    )
    figure.update_xaxes(title=grid.x.title, range=_range(grid.xs))
    figure.update_yaxes(title=grid.y.title, range=_range(grid.ys))
    figure.update_layout(
        height=470,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "y": -0.16},
    )
    return figure


def _draw_cells(figure: go.Figure, grid: Grid, costs: NDArray[np.float64], unit: str) -> None:
    """What hovering over a cell says, and what a click in it selects; cells that no network can have are left out."""
    rows, columns = np.nonzero(~np.isnan(costs))
    xs, ys = [grid.xs[column] for column in columns], [grid.ys[row] for row in rows]
    figure.add_scatter(
        x=xs,
        y=ys,
        customdata=[[x, y] for x, y in zip(xs, ys, strict=True)],
        text=[f"{cost:.4g} {unit}" for cost in costs[rows, columns]],
        mode="markers",
        marker={"symbol": "square", "size": 22, "color": INVISIBLE},
        hovertemplate=f"{grid.x.title} %{{x:g}}<br>{grid.y.title} %{{y:g}}<br>%{{text}}<extra>go there</extra>",
        selected={"marker": {"color": INVISIBLE}},
        unselected={"marker": {"color": INVISIBLE}},
        showlegend=False,
    )


def _draw_marks(figure: go.Figure, marks: Sequence[Mark], title: str, symbol: str) -> None:
    if marks:
        figure.add_scatter(
            x=[mark.x for mark in marks],
            y=[mark.y for mark in marks],
            text=[mark.title for mark in marks],
            mode="markers",
            name=title,
            hovertemplate="%{text}<extra></extra>",
            marker={"symbol": symbol, "size": 10, "color": PUBLISHED, "line": {"width": 2, "color": PUBLISHED}},
        )


def _range(values: Sequence[float]) -> list[float]:
    half = (values[-1] - values[0]) / (2 * len(values)) or 0.5
    return [values[0] - half, values[-1] + half]


def published_field(networks: Sequence[Published], params: int, macs: int) -> go.Figure:
    """Top-1 error against parameters and against MACs; lines mark where the present network stands."""
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    columns = (
        (1, "parameters", "millions", [network.params / 1e6 for network in networks], params / 1e6),
        (2, "MACs", "billions", [network.macs / 1e9 for network in networks], macs / 1e9),
    )
    for column, title, word, costs, present in columns:
        for family in dict.fromkeys(network.family for network in networks):
            members = [i for i, network in enumerate(networks) if network.family == family]
            figure.add_scatter(
                x=[costs[i] for i in members],
                y=[networks[i].error for i in members],
                text=[networks[i].title for i in members],
                mode="markers",
                name=family,
                showlegend=column == 1,
                marker={"size": 10, "color": networks[members[0]].colour},
                hovertemplate=f"%{{text}}<br>%{{x:.4g}} {word} of {title}<br>%{{y:.2f}} % error<extra></extra>",
                row=1,
                col=column,
            )
        figure.add_vline(present, line={"color": "#888888", "dash": "dash", "width": 1.5}, row=1, col=column)
        figure.update_xaxes(title=f"{title}, {word}", type="log", dtick=1, col=column)
    figure.update_yaxes(title="top-1 error, %", col=1)
    figure.update_layout(height=380, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend={"orientation": "h", "y": -0.2})
    return figure
