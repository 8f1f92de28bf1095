"""The drawing of a network as data for the component that draws it: `sizes` of nodes, their `places`, how they are
`paint`ed, their `labels`, and what `edges` mean.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from explorer.counting.costs import total
from explorer.drawing import Drawing, Edge, Frame
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plots.network.edges import ROLES, SHORTCUTS, counts
from explorer.plots.network.labels import hover, labels, shapes
from explorer.plots.network.paint import Colouring, paint
from explorer.plots.network.places import Places, places
from explorer.plots.network.sizes import Numbers, ruler, sizes

__all__ = ["ROLES", "Colouring", "scene", "widest"]

GATHERED = "#2b8cc4"  # what a closed block gathers in its concat; the colour of edges into one
GLYPHS = {"sum": "+", "gate": "×"}


def widest(plan: Plan) -> int:
    """The most channels that any of its operations has: what drawings of one network, changed, are measured by."""
    return max(op.shape[0] for op in plan.ops)


def scene(
    drawing: Drawing,
    plan: Plan,
    reference: int,
    colouring: Colouring = "kind",
    changed: Collection[str] = (),
) -> dict[str, Any]:
    """All that is drawn, in units of the drawing (`places`), as JSON has it.

    `reference` channels are as high in every drawing; `changed` are operations to mark as different. Nodes, and titles
    of what is opened, carry the ids by which clicks on them are told.
    """
    size = sizes(drawing, reference)
    there = places(drawing, size)
    tall = np.maximum(size.height, size.gathered)
    rows = [total(plan, node.ops, node.label) for node in drawing.nodes]
    painted = paint(drawing, plan, rows, colouring)
    written = shapes(drawing)
    marked = {drawing.places[name] for name in changed if name in drawing.places}
    two_lanes = {node.row for node in drawing.nodes if node.lane == -1}
    nodes = []
    for i, (node, row) in enumerate(zip(drawing.nodes, rows, strict=True)):
        text, last = written.get(i, ("", i))
        single = node.level == "operation" and node.times == 1
        nodes.append(
            {
                "id": node.id,
                "level": node.level,
                "labels": labels(node),
                "shape": "" if node.row in two_lanes else text,
                "over": _over(there, i, last),
                "x": _short(there.x[i]),
                "y": _short(there.y[i]),
                "width": _short(there.width[i]),
                "height": _short(size.height[i]),
                "gathered": _short(size.gathered[i]),
                "room": _short(there.room[i]),
                # where a second pass is below, a label stands at its node
                "foot": _short(there.feet[node.row] if node.lane == 0 and node.row not in two_lanes else 0),
                "lane": node.lane,
                "fill": painted.colours[i],
                "glyph": GLYPHS.get(KINDS[node.ops[-1].kind].join or "", "") if node.level == "operation" else "",
                "times": node.times if node.level != "port" else 1,
                "says": hover(node, row),
                "holds": [] if single or node.level == "port" else [op.name for op in node.ops],
                "changed": i in marked,
            }
        )
    channels, height = ruler(size.per_channel)
    return {
        "size": [_short(side) for side in there.size],
        "nodes": nodes,
        "edges": [
            [edge.source, edge.target, edge.role, None if np.isnan(apex) else _short(apex), _goes_behind(drawing, edge)]
            for edge, apex in zip(drawing.edges, there.apexes, strict=True)
        ],
        "frames": [_frame(frame, drawing, there, tall, frame.row in two_lanes) for frame in drawing.frames],
        "lanes": [_lanes(drawing, there, row) for row in sorted(two_lanes)],
        "ruler": {"text": f"{channels} channels" if channels > 1 else "1 channel", "height": _short(height)},
        "gathered": GATHERED,
        "roles": _roles(drawing, plan),
        "keys": painted.keys,
        "bar": painted.bar,
    }


def _short(value: float) -> float:
    return round(float(value), 1)


def _over(there: Places, first: int, last: int) -> float:
    """How much room there is for a text from the first node to the last."""
    return _short(there.x[last] - there.x[first] + (there.room[first] + there.room[last]) / 2)


def _goes_behind(drawing: Drawing, edge: Edge) -> bool:
    """A shortcut round a closed block ends behind it, where the block's add is."""
    return edge.role in SHORTCUTS and drawing.nodes[edge.target].level == "block"


def _frame(frame: Frame, drawing: Drawing, there: Places, tall: Numbers, two_lanes: bool) -> dict[str, Any]:
    """A line over an opened stage or under an opened block, with its title."""
    columns = there.columns[frame.row]
    begin, end = np.interp([frame.first, frame.last + 1], np.arange(len(columns)), columns)
    foot = there.feet[frame.row] + 30
    if two_lanes:  # under the pass that it belongs to
        own = [
            i
            for i, node in enumerate(drawing.nodes)
            if (node.row, node.lane) == (frame.row, frame.lane) and frame.first <= node.x <= frame.last
        ]
        foot = max(there.y[i] + tall[i] / 2 for i in own) + 18
    return {
        "id": frame.id,
        "level": frame.level,
        "title": frame.label,
        "begin": _short(begin + 3),
        "end": _short(end - 3),
        "y": _short(there.tops[frame.row] + 6 if frame.level == "stage" else foot),
    }


def _lanes(drawing: Drawing, there: Places, row: int) -> list[float]:
    """Where the first pass is, and the second."""
    lower = next(y for y, node in zip(there.y, drawing.nodes, strict=True) if (node.row, node.lane) == (row, -1))
    return [_short(there.trunks[row]), _short(lower)]


def _roles(drawing: Drawing, plan: Plan) -> list[dict[str, Any]]:
    """What the edges drawn mean, and of how many the network has in truth."""
    shown, number = {edge.role for edge in drawing.edges}, counts(plan)
    return [
        {"role": role, "title": style.title, "colour": style.colour, "dash": style.dash, "count": number.get(role, 0)}
        for role, style in ROLES.items()
        if role in shown
    ]
