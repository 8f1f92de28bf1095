"""Whether a map tells the truth, drawn."""

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.analyses.attribution.checks import Curve, Randomised
from explorer.plots.colours import faint

DELETION, INSERTION = "#D55E00", "#0072B2"
LAYOUT = {"height": 380, "margin": {"l": 0, "r": 0, "t": 10, "b": 0}, "legend": {"orientation": "h", "y": -0.3}}


def deletion_and_insertion(deleted: Curve, inserted: Curve, y_title: str) -> go.Figure:
    """The score as the map's best pixels go, and as they come; the areas stand in the legend."""
    figure = go.Figure()
    for curve, name, colour in ((deleted, "deletion", DELETION), (inserted, "insertion", INSERTION)):
        figure.add_scatter(
            x=curve.shares,
            y=curve.scores,
            mode="lines",
            name=f"{name}, area {curve.area:.3f}",
            line={"color": colour, "width": 2},
            fill="tozeroy",
            fillcolor=faint(colour, 0.15),
            hovertemplate="%{x:.0%} of the pixels: %{y:.3g}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="share of pixels, strongest first", tickformat=".0%")
    figure.update_yaxes(title=y_title, rangemode="tozero")
    figure.update_layout(LAYOUT)
    return figure


def randomisation(found: Sequence[Randomised]) -> go.Figure:
    """How like the original the map stays while stage after stage loses what it learned."""
    figure = go.Figure()
    for name, colour, dash, values in (
        ("rank correlation", INSERTION, "solid", [one.rank for one in found]),
        ("rank correlation of magnitudes", INSERTION, "dot", [one.rank_absolute for one in found]),
        ("SSIM", DELETION, "solid", [one.ssim for one in found]),
        ("SSIM of magnitudes", DELETION, "dot", [one.ssim_absolute for one in found]),
    ):
        figure.add_scatter(
            x=["none", *(one.stage for one in found)],
            y=[1.0, *values],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="%{x}: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.add_hline(0, line={"color": "#888888", "width": 1})
    figure.update_xaxes(title="fresh weights from the classifier down to", type="category")
    figure.update_yaxes(title="likeness to the original map", range=[-1.05, 1.05])
    figure.update_layout(LAYOUT)
    return figure
