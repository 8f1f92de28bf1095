"""What other settings cost, as pictures: a small curve beside a slider, a map of two knobs, the published field."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.counting.design_space import Curve, Grid, Mark, Measure
from explorer.plots.colours import SIGNED
from explorer.running.published import Published

SPARK_HEIGHT = 26
# as `knob_map` shows a measure: the unit, and what makes one of it
UNITS: Mapping[Measure, tuple[str, float]] = {
    "params": ("M params", 1e6),
    "MACs": ("G MACs", 1e9),
    "memory": ("MB, forward peak", 1e6),
    "receptive field": ("px", 1),
}


def sparkline(curve: Curve, low: float, high: float, colour: str, top: float) -> str:
    """The curve as an HTML image, as wide as the slider whose ends are `low` and `high`, so that it lines up with it.

    From zero at the bottom to `top`, where it is cut; a line marks the present value. After Willett et al.,
    Scented widgets, 2007.
    """
    x = [1000 * (value - low) / ((high - low) or 1) for value in curve.values]
    y = [SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 3) * min(1, cost / top) for cost in curve.costs]
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
    here = 1000 * (curve.present - low) / ((high - low) or 1)
    thin = f'stroke="{colour}" fill="none" vector-effect="non-scaling-stroke"'
    under = f"{x[0]:.0f},{SPARK_HEIGHT} {points} {x[-1]:.0f},{SPARK_HEIGHT}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {SPARK_HEIGHT}" preserveAspectRatio="none" '
        f'width="1000" height="{SPARK_HEIGHT}">'
        f'<polygon points="{under}" fill="{colour}" opacity="0.18"/>'
        f'<polyline points="{points}" {thin} stroke-width="1.5"/>'
        f'<line x1="{here:.0f}" x2="{here:.0f}" y1="0" y2="{SPARK_HEIGHT}" {thin} stroke-width="2"/></svg>'
    )
    # an <img>, since Streamlit's sanitiser takes <svg> out of the page
    source = base64.b64encode(svg.encode()).decode()
    says = f"from {curve.costs[0]:,} to {curve.costs[-1]:,}, now {curve.cost:,}"
    return (
        f'<img src="data:image/svg+xml;base64,{source}" alt="{says}" title="{says}" '
        f'style="display:block;width:calc(100% - 12px);height:{SPARK_HEIGHT}px;margin:-10px 6px 6px">'
    )


def knob_map(grid: Grid, present: tuple[float, float], marks: Sequence[Mark], unit: str, factor: float) -> go.Figure:
    """The measure over two knobs: colour and contour lines, in `unit` after dividing by `factor`.

    An invisible marker in each cell carries (x, y) as `customdata`, since a heat map sends no clicks.
    """
    costs = np.array([[np.nan if cost is None else cost / factor for cost in row] for row in grid.costs])
    colours = [[i / 4, colour] for i, colour in enumerate(SIGNED[4:])]
    figure = go.Figure(
        go.Heatmap(
            x=grid.xs, y=grid.ys, z=costs, colorscale=colours, zmin=0, hoverinfo="skip",
            colorbar={"title": {"text": unit, "side": "right"}, "thickness": 14},
        )
    )  # fmt: skip
    figure.add_contour(
        x=grid.xs, y=grid.ys, z=costs, ncontours=10, showscale=False, showlegend=False, hoverinfo="skip",
        contours={"coloring": "none", "showlabels": True, "labelfont": {"size": 11, "color": "#222222"}},
        line={"color": "#222222", "width": 0.8},
    )  # fmt: skip
    cells = [
        (x, y, costs[i, j]) for i, y in enumerate(grid.ys) for j, x in enumerate(grid.xs) if not np.isnan(costs[i, j])
    ]
    figure.add_scatter(
        x=[x for x, *_ in cells], y=[y for _, y, _ in cells], customdata=[[x, y] for x, y, _ in cells],
        text=[f"{cost:.4g} {unit}" for *_, cost in cells], mode="markers",
        marker={"symbol": "square", "size": 22, "color": "rgba(0,0,0,0)"},
        hovertemplate=f"{grid.x.title} %{{x:g}}<br>{grid.y.title} %{{y:g}}<br>%{{text}}<extra>go there</extra>",
        selected={"marker": {"color": "rgba(0,0,0,0)"}}, unselected={"marker": {"color": "rgba(0,0,0,0)"}},
        showlegend=False,
    )  # fmt: skip
    for exact, name, symbol in (
        (True, "published", "diamond"),
        (False, "published, other knobs differ", "diamond-open"),
    ):
        chosen = [mark for mark in marks if mark.exact == exact]
        if chosen:
            figure.add_scatter(
                x=[mark.x for mark in chosen], y=[mark.y for mark in chosen], text=[mark.title for mark in chosen],
                mode="markers", name=name, hovertemplate="%{text}<extra></extra>",
                marker={"symbol": symbol, "size": 10, "color": "#009E73", "line": {"width": 2, "color": "#009E73"}},
            )  # fmt: skip
    figure.add_scatter(
        x=[present[0]], y=[present[1]], mode="markers", name="this network", hoverinfo="skip",
        marker={"symbol": "circle", "size": 14, "color": "#56B4E9", "line": {"width": 2, "color": "#222222"}},
    )  # fmt: skip
    figure.update_xaxes(title=grid.x.title, range=_range(grid.xs))
    figure.update_yaxes(title=grid.y.title, range=_range(grid.ys))
    figure.update_layout(
        height=470, margin={"l": 0, "r": 0, "t": 10, "b": 0}, dragmode=False, hovermode="closest",
        legend={"orientation": "h", "y": -0.16},
    )  # fmt: skip
    return figure


def _range(values: Sequence[float]) -> list[float]:
    half = (values[-1] - values[0]) / (2 * len(values)) or 0.5
    return [values[0] - half, values[-1] + half]


def published_field(networks: Sequence[Published], params: int, macs: int) -> go.Figure:
    """Top-1 error against parameters and against MACs; lines mark where the present network stands."""
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    columns = ((1, "parameters", "millions", 1e6, params), (2, "MACs", "billions", 1e9, macs))
    for column, title, word, unit, here in columns:
        for family in dict.fromkeys(network.family for network in networks):
            chosen = [network for network in networks if network.family == family]
            figure.add_scatter(
                x=[(n.params if column == 1 else n.macs) / unit for n in chosen], y=[n.error for n in chosen],
                text=[n.title for n in chosen], mode="markers", name=family, showlegend=column == 1,
                marker={"size": 10, "color": chosen[0].colour}, row=1, col=column,
                hovertemplate=f"%{{text}}<br>%{{x:.4g}} {word} of {title}<br>%{{y:.2f}} % error<extra></extra>",
            )  # fmt: skip
        figure.add_vline(here / unit, line={"color": "#888888", "dash": "dash", "width": 1.5}, row=1, col=column)
        figure.update_xaxes(title=f"{title}, {word}", type="log", dtick="D2", col=column)
    figure.update_yaxes(title="top-1 error, %", col=1)
    figure.update_layout(height=380, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend={"orientation": "h", "y": -0.2})
    return figure
