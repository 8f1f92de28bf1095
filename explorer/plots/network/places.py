"""Where everything stands: rows below one another, each as high as its arcs, ports and lanes need.

All in the drawing's units, about a pixel each; y is zero at the top and falls.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.drawing import Drawing, Edge, Node

WIDTH = 1000.0  # of a row
MARGIN = 90.0  # to its left, for what the ports and lanes are called
LANE = 60.0  # between the trunk and what stands above or below it
PORT = 18.0  # between ports above one another
LABEL = 34.0  # for the text under a node
TITLE = 24.0  # for the title over an opened stage, and under an opened block
LEAST_ABOVE = 22.0  # a row's trunk, for its nodes
HIGHEST = 110.0  # of an arc
BETWEEN = 10.0  # rows

SPACING = {"stage": 130.0, "block": 84.0, "operation": 66.0}  # the most room that a node gets

Numbers = NDArray[np.float32]


class Places(NamedTuple):
    x: Numbers  # of each node
    y: Numbers
    spacing: list[float]  # of each row: the room between its nodes
    tops: list[float]  # of each row: where it begins
    trunks: list[float]  # of each row: where its nodes stand
    arcs: NDArray[np.floating]  # height of each edge's arc, below zero where it hangs; 0 for a straight line
    height: float  # of the whole


def places_of(drawing: Drawing) -> Places:
    nodes, edges = drawing.nodes, drawing.edges
    rows = range(nodes[-1].row + 1)
    row = np.array([node.row for node in nodes])
    lane = np.array([node.lane for node in nodes])
    raised = lane * np.array([PORT if node.level == "port" else LANE for node in nodes])  # above the trunk
    spacing = [_spacing([node for node in nodes if node.row == r]) for r in rows]
    x = np.array([(node.x + 0.5) * spacing[node.row] for node in nodes], np.float32)
    arcs = _arcs(drawing, x)
    target = np.array([edge.target for edge in edges], int)
    above, below = np.full(len(rows), LEAST_ABOVE), np.full(len(rows), LABEL)
    titles, feet = np.zeros(len(rows)), np.zeros(len(rows))
    for r in rows:
        high = arcs[(row[target] == r) & (lane[target] == 0)].max(initial=0)
        low = arcs[(row[target] == r) & (lane[target] < 0)].max(initial=0)
        above[r] = max(above[r], high + 8, raised[row == r].max() + 16)
        if lane[row == r].min() < 0:
            below[r] = LANE + max(LABEL, low + 8)
    for frame in drawing.frames:
        (titles if frame.level == "stage" else feet)[frame.row] = TITLE
    tops = np.concatenate([[0.0], -np.cumsum(above + below + titles + feet + BETWEEN)])
    trunks = tops[:-1] - titles - above
    return Places(
        x=x,
        y=(trunks[row] + raised).astype(np.float32),
        spacing=spacing,
        tops=tops.tolist(),
        trunks=trunks.tolist(),
        arcs=arcs * np.where(lane[target] < 0, -1, 1),
        height=-float(tops[-1]),
    )


def _spacing(nodes: Sequence[Node]) -> float:
    """The room for each node of a row: as much as there is, and no more than its levels want."""
    levels = {node.level for node in nodes} - {"port"}
    levels = levels - {"operation"} or levels  # single operations among blocks take a block's room
    return min(WIDTH / (max(node.x for node in nodes) + 1), min(SPACING[level] for level in levels))


def _arcs(drawing: Drawing, x: Numbers) -> Numbers:
    """The height of each edge's arc: the longer the higher, up to the highest of its row."""
    nodes, edges = drawing.nodes, drawing.edges
    source, target = np.array([e.source for e in edges], int), np.array([e.target for e in edges], int)
    distance = x[target] - x[source]
    curved = np.array([not _is_straight(edge, nodes) for edge in edges], bool)
    row = np.array([node.row for node in nodes])[target]
    arcs = np.zeros(len(edges), np.float32)
    for r in range(nodes[-1].row + 1):
        mine = (row == r) & curved
        if mine.any():
            # the row's longest arc is as high as may be, and none is steeper than a half circle
            share = (distance[mine] / distance[mine].max()) ** 0.7
            arcs[mine] = np.minimum(HIGHEST * share, 0.5 * distance[mine] + 6)
    return arcs


def _is_straight(edge: Edge, nodes: Sequence[Node]) -> bool:
    """Between lanes, above the trunk, and between neighbours; a shortcut goes round all the same."""
    source, target = nodes[edge.source], nodes[edge.target]
    near = edge.role in ("flow", "concat", "second pass") and target.x - source.x <= 1.01
    return near or source.lane != target.lane or target.lane > 0
