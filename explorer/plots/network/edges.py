"""How tensors get from node to node: for each role of an edge one trace of lines and arcs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.drawing import Drawing, Edge, Role
from explorer.plots.network.places import Numbers, Places


class Style(NamedTuple):
    title: str  # in the legend
    colour: str
    dash: str


ROLES: dict[Role, Style] = {
    "flow": Style("next", "#8a8a8a", "solid"),
    "identity": Style("identity shortcut", "#D55E00", "solid"),
    "projection": Style("projection shortcut", "#D55E00", "dash"),
    "padding": Style("zero-padding shortcut", "#D55E00", "dot"),
    "gate": Style("gated", "#CC79A7", "dot"),
    "concat": Style("into a concat", "#2b8cc4", "solid"),
    "second pass": Style("into the second pass", "#009E73", "solid"),
}
SHORTCUTS = ("identity", "projection", "padding")


def draw_edges(figure: go.Figure, drawing: Drawing, places: Places) -> None:
    for role, style in ROLES.items():
        edges = [edge for edge in drawing.edges if edge.role == role]
        if not edges:
            continue
        # a shortcut round a closed block ends behind it, where the block's add is
        joins = np.array([role in SHORTCUTS and drawing.nodes[edge.target].level == "block" for edge in edges])
        behind = np.array([min(20, places.spacing[drawing.nodes[edge.target].row] / 2) for edge in edges])
        end = places.x[[edge.target for edge in edges]].copy()
        end[joins] += behind[joins]
        x, y = _curves(edges, places, end, places.arcs[[edge.role == role for edge in drawing.edges]])
        count = len(edges)
        # the more there are, the thinner and fainter
        width = 2 if count < 60 else 1 if count < 300 else 0.7
        figure.add_scatter(
            x=_one_line(x),
            y=_one_line(y),
            mode="lines",
            hoverinfo="skip",
            name=f"{style.title} ({count})" if count > 1 else style.title,
            line={"color": style.colour, "dash": style.dash, "width": width},
            opacity=max(0.55, 1 - count / 900),
        )
        if joins.any():
            figure.add_scatter(
                x=end[joins],
                y=places.y[[edge.target for edge in edges]][joins],
                mode="markers",
                hoverinfo="skip",
                showlegend=False,
                marker={"symbol": "circle-cross-open", "size": 10, "color": style.colour, "line": {"width": 1.5}},
            )


def _curves(
    edges: Sequence[Edge], places: Places, end: Numbers, arcs: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Points on each edge up to its `end`, x and y (edges, points): half an ellipse as high as its arc, or a line."""
    source, target = [edge.source for edge in edges], [edge.target for edge in edges]
    points = 2 if not arcs.any() else 25 if len(edges) < 200 else 13
    t = np.linspace(0, 1, points, dtype=np.float32)
    middle, half = (places.x[source] + end) / 2, (end - places.x[source]) / 2
    x = middle[:, None] - half[:, None] * np.cos(np.pi * t)
    y = places.y[source][:, None] + (places.y[target] - places.y[source])[:, None] * (1 - np.cos(np.pi * t)) / 2
    return x, y + arcs[:, None] * np.sin(np.pi * t)


def _one_line(points: NDArray[np.floating]) -> Numbers:
    """Many lines as one, with gaps between them."""
    return np.pad(points, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype(np.float32)
