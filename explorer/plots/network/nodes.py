"""What there is to see and click: operations, closed blocks and stages, ports; in the colours of kinds or of a cost."""

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.counting.costs import Row, total
from explorer.drawing import Drawing, Node
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plots.colours import colorscale
from explorer.plots.network.labels import INSIDE, hover, labels
from explorer.plots.network.places import Places

Colouring = Literal["kind", "params", "MACs", "activations", "receptive field"]

SIZE = {"stage": 34.0, "block": 24.0, "operation": 13.0, "port": 9.0}

CLOSED, PORTS = "#7a8aa0", "#bbbbbb"
ON_DARK, ON_LIGHT = "#ffffff", "#222222"  # text on a node


class _Paint(NamedTuple):
    """The colours of nodes."""

    marker: dict[str, Any]
    dark: NDArray[np.bool_]  # nodes on which text must be light


def draw_nodes(figure: go.Figure, drawing: Drawing, places: Places, plan: Plan, colouring: Colouring) -> None:
    nodes = drawing.nodes
    rows = [total(plan, node.ops, node.label) for node in nodes]
    paint = _kinds(drawing) if colouring == "kind" else _costs(drawing, plan, rows, colouring, places.height)
    written = labels(drawing, places.spacing)
    figure.add_scatter(
        x=places.x,
        y=places.y,
        customdata=[node.id for node in nodes],
        text=["" if position == INSIDE else text for text, position in written],
        textposition=[position for _, position in written],
        textfont={"size": 11},
        mode="markers+text",
        marker={"symbol": "square", "opacity": 1, "size": _sizes(drawing, places), **paint.marker},
        hovertext=[hover(node, row) for node, row in zip(nodes, rows, strict=True)],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
        # plotly fades what is not selected; a selection here is a click
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )
    inside = [i for i, (_, position) in enumerate(written) if position == INSIDE]
    if inside:
        # the theme's colour is for text on the page; this text stands on the node
        figure.add_scatter(
            x=places.x[inside],
            y=places.y[inside],
            text=[written[i][0] for i in inside],
            mode="text",
            textfont={"size": 11, "color": np.where(paint.dark[inside], ON_DARK, ON_LIGHT)},
            hoverinfo="skip",
            showlegend=False,
        )
    if colouring == "kind":
        _draw_legend(figure, drawing)


def draw_rings(
    figure: go.Figure, drawing: Drawing, places: Places, names: Collection[str], colour: str, title: str
) -> None:
    """A square round each node that shows one of these operations."""
    ringed = sorted({drawing.places[name] for name in names if name in drawing.places})
    if not ringed:
        return
    sizes = _sizes(drawing, places)
    figure.add_scatter(
        x=places.x[ringed],
        y=places.y[ringed],
        mode="markers",
        name=title,
        hoverinfo="skip",
        marker={"symbol": "square-open", "size": [sizes[i] + 7 for i in ringed], "color": colour, "line": {"width": 2}},
    )


def _sizes(drawing: Drawing, places: Places) -> list[float]:
    return [min(SIZE[node.level], 0.85 * places.spacing[node.row]) for node in drawing.nodes]


def _kinds(drawing: Drawing) -> _Paint:
    """Each operation in the colour of its kind."""
    return _Paint({"color": [_colour(node) for node in drawing.nodes]}, np.full(len(drawing.nodes), True))


def _colour(node: Node) -> str:
    if node.level == "port":
        return PORTS
    return KINDS[node.ops[-1].kind].colour if node.level == "operation" else CLOSED


def _draw_legend(figure: go.Figure, drawing: Drawing) -> None:
    """Names of the kinds that have a node."""
    for kind in dict.fromkeys(node.ops[-1].kind for node in drawing.nodes if node.level == "operation"):
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=KINDS[kind].word,
            hoverinfo="skip",
            marker={"symbol": "square", "size": 10, "color": KINDS[kind].colour},
        )


def _costs(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring, height: float) -> _Paint:
    """Each node in the shade of what it costs, or of how far it sees."""
    values, title = _values(drawing, plan, rows, colouring)
    most = float(values.max(initial=1e-9))
    bar = {
        "title": {"text": title, "side": "right"},
        "thickness": 12,
        "lenmode": "pixels",
        "len": min(260, round(height) + 40),
        "y": 1,
        "yanchor": "top",
    }
    marker = {
        "color": values,
        "colorscale": colorscale(signed=False),
        "cmin": 0,
        "cmax": most,
        "line": {"width": 1, "color": "#999999"},
        "colorbar": bar,
    }
    return _Paint(marker, 2 * values > most)


def _values(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring) -> tuple[NDArray[np.float64], str]:
    """The number that each node's colour shows, and what it is: ports cost nothing; a node that stands for several
    equal blocks costs as much as all of them.
    """
    sees = [0.0] * len(rows)
    for name, place in drawing.places.items():
        sees[place] = max(sees[place], plan[name].receptive_field)
    per_row, title, adds_up = {
        "params": ([100 * row.params_share for row in rows], "% of parameters", True),
        "MACs": ([100 * row.macs_share for row in rows], "% of MACs", True),
        "activations": ([row.activation_bytes / 1e6 for row in rows], "MB of activations", True),
        "receptive field": (sees, "receptive field, px", False),
    }[colouring]
    times = np.array([0 if node.level == "port" else node.times if adds_up else 1 for node in drawing.nodes])
    return np.array(per_row) * times, title
