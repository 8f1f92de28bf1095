"""The drawing of a network as one plotly figure: where everything stands is `places`, and `edges`, `frames` and `nodes`
(with their `labels`) are drawn in this order, each over the ones before.
"""

from collections.abc import Collection

import plotly.graph_objects as go

from explorer.drawing import Drawing
from explorer.plan import Plan
from explorer.plots.colours import INVISIBLE
from explorer.plots.network.edges import ROLES, draw_edges
from explorer.plots.network.frames import draw_frames
from explorer.plots.network.nodes import Colouring, draw_nodes, draw_rings
from explorer.plots.network.places import MARGIN, WIDTH, places_of

__all__ = ["ROLES", "Colouring", "figure"]

CHANGED, SELECTED = "#E69F00", "#D55E00"
LEGEND = {"orientation": "h", "y": 0, "yanchor": "top", "itemclick": False, "itemdoubleclick": False}


def figure(
    drawing: Drawing,
    plan: Plan,
    colouring: Colouring = "kind",
    selected: str | None = None,
    changed: Collection[str] = (),
) -> go.Figure:
    """Nodes carry their id as `customdata`; the title of an opened stage or block carries its id.

    `selected` is an operation to ring, `changed` are operations to mark as different.
    """
    places = places_of(drawing)
    result = go.Figure()
    draw_edges(result, drawing, places)
    draw_frames(result, drawing, places)
    draw_nodes(result, drawing, places, plan, colouring)
    # a node that stands for several equal blocks is ringed for an operation in any of them
    draw_rings(result, drawing, places, changed, CHANGED, "differs")
    draw_rings(result, drawing, places, [selected] if selected else [], SELECTED, "selected")
    result.update_xaxes(visible=False, range=[-MARGIN, WIDTH + 30])
    result.update_yaxes(visible=False, range=[-places.height, 0])
    result.update_layout(
        height=round(places.height) + 74,
        margin={"l": 0, "r": 0, "t": 24, "b": 0},
        dragmode="pan",
        hovermode="closest",
        legend=LEGEND,
        plot_bgcolor=INVISIBLE,
    )
    return result
