"""Where everything stands: rows below one another, each as high as its nodes, arcs and lanes need.

In the drawing's units, a pixel each where the page is as wide as it; x to the right and y down, from the upper left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.drawing import Drawing, Edge, Node
from explorer.plots.network.sizes import THINNEST, Numbers, Sizes

WIDTH = 1000.0  # of the whole, unless it needs more
MARGIN = 66.0  # to its left, for the ruler and for what ports are called
RIGHT = 30.0  # to its right, for labels
LABEL = 34.0  # under nodes, for two lines
TITLE = 22.0  # over an opened stage, and under opened blocks
LANES = 26.0  # between lanes
PORT = 18.0  # between ports above one another
RISE = 60.0  # of the longest arc, over what it goes round
BETWEEN = 14.0  # rows
GAPS = {"stage": 64.0, "block": 44.0, "operation": 30.0}  # the most room between nodes
LEAST_GAP = 3.0
NARROWEST = 0.35  # of its width that a node has where there are many

Wholes = NDArray[np.int_]


class Places(NamedTuple):
    x: Numbers  # middle of each node
    y: Numbers
    width: Numbers
    room: Numbers  # from the middle of the neighbours' gap to that of the other side's
    columns: list[Numbers]  # of each row: where its columns begin, and where the last ends
    tops: list[float]  # of each row: where it begins
    trunks: list[float]  # of each row: the middle of its nodes
    feet: list[float]  # of each row: where its nodes' labels stand
    apexes: Numbers  # y of each edge's highest point, or lowest where it hangs; nan for a straight line
    size: tuple[float, float]  # of the whole, width and height


def places(drawing: Drawing, size: Sizes) -> Places:
    nodes = drawing.nodes
    row, lane = np.array([node.row for node in nodes]), np.array([node.lane for node in nodes])
    port = np.array([node.level == "port" for node in nodes])
    tall = np.where(port, THINNEST, np.maximum(size.height, size.gathered))
    columns, narrow = _columns(drawing, size)
    x, room = np.zeros(len(nodes)), np.zeros(len(nodes))
    raised = np.where(port, PORT * lane, 0.0)  # over the trunk
    halves = _halves(row, np.where(port, 0, lane), tall)
    at = np.array([node.x for node in nodes])
    for r, (edges, half) in enumerate(zip(columns, halves, strict=True)):
        mine, whole = row == r, np.arange(len(edges))
        # what stands aside stands between columns
        begin, end = np.interp(at[mine], whole, edges), np.interp(at[mine] + 1, whole, edges)
        x[mine], room[mine] = (begin + end) / 2, end - begin
        raised[mine & ~port & (lane == 1)] = half.trunk + LANES + half.above
        raised[mine & ~port & (lane == -1)] = -(half.trunk + LANES + half.below)
    rises = _rises(drawing, x, raised, tall)
    tops, trunks, feet = _rows(drawing, halves, raised + tall / 2, rises)
    trunk = np.array(trunks)
    target = np.array([edge.target for edge in drawing.edges], int)
    return Places(
        x=x,
        y=trunk[row] - raised,
        width=np.maximum(NARROWEST * THINNEST, narrow * size.width),
        room=room,
        columns=columns,
        tops=tops[:-1],
        trunks=trunks,
        feet=feet,
        apexes=trunk[row[target]] - rises,
        size=(max(WIDTH, *(float(edges[-1]) + RIGHT for edges in columns)), tops[-1]),
    )


def _columns(drawing: Drawing, size: Sizes) -> tuple[list[Numbers], float]:
    """Where the columns of each row begin, and how much narrower nodes are than they want to be, in all rows alike."""
    rows = []
    for r in range(drawing.nodes[-1].row + 1):
        # what stands aside, over a branch, has no column of its own
        standing = [i for i, node in enumerate(drawing.nodes) if node.row == r and (node.lane <= 0 or node.x == 0)]
        wanted = np.full(1 + max(int(drawing.nodes[i].x) for i in standing), THINNEST)
        for i in standing:
            column = int(drawing.nodes[i].x)
            wanted[column] = max(wanted[column], size.width[i])
        rows.append((wanted, min(GAPS[level] for level in _levels([drawing.nodes[i] for i in standing]))))
    room = WIDTH - MARGIN - RIGHT
    narrow = max(NARROWEST, min(1.0, *((room - LEAST_GAP * len(wanted)) / wanted.sum() for wanted, _ in rows)))
    columns = []
    for wanted, most in rows:
        gap = max(LEAST_GAP, min(most, (room - narrow * wanted.sum()) / len(wanted)))
        columns.append(MARGIN + np.concatenate([[0.0], np.cumsum(narrow * wanted + gap)]))
    return columns, narrow


def _levels(nodes: Sequence[Node]) -> set[str]:
    """Those that say how much room there is: single operations among blocks take a block's."""
    levels = {str(node.level) for node in nodes} - {"port"}
    return levels - {"operation"} or levels


class _Halves(NamedTuple):
    """Half of the tallest node over the trunk of a row, on it and under it."""

    above: float
    trunk: float
    below: float


def _halves(row: Wholes, lane: Wholes, tall: Numbers) -> list[_Halves]:
    return [
        _Halves(*(float(tall[(row == r) & there].max(initial=0)) / 2 for there in (lane >= 1, lane == 0, lane == -1)))
        for r in range(row[-1] + 1)
    ]


def _rises(drawing: Drawing, x: Numbers, raised: Numbers, tall: Numbers) -> Numbers:
    """How far over the trunk each edge's arc comes, the further the longer it is, clear of what it goes round; below
    zero where it hangs under a second pass; nan for a straight line.
    """
    nodes, edges = drawing.nodes, drawing.edges
    rises = np.full(len(edges), np.nan)
    source, target = (np.array([edge[end] for edge in edges], int) for end in (0, 1))
    lane = np.minimum(0, np.array([node.lane for node in nodes]))
    row = np.array([node.row for node in nodes])
    curved = np.array([not _is_straight(edge, nodes) for edge in edges], bool)
    for r, hangs in {(int(row[end]), int(lane[end])) for end in target[curved]}:
        mine = np.flatnonzero(curved & (row[target] == r) & (lane[target] == hangs))
        standing = np.flatnonzero((row == r) & (np.array([node.lane for node in nodes]) == hangs))
        standing = standing[np.argsort(x[standing], kind="stable")]
        first = np.searchsorted(x[standing], x[source[mine]] - 0.1)
        last = np.searchsorted(x[standing], x[target[mine]] + 0.1)
        clear = _greatest(tall[standing], first, last) / 2
        length = x[target[mine]] - x[source[mine]]
        rise = np.minimum(RISE * (length / length.max()) ** 0.7, 0.4 * length + 4) + 6
        rises[mine] = clear + rise if hangs == 0 else raised[target[mine]] - clear - rise
    return rises


def _greatest(values: Numbers, first: Wholes, last: Wholes) -> Numbers:
    """The greatest of values[first:last], for many such ranges; 0 for an empty one."""
    tables = [np.append(values, 0.0)]  # of each power of two: the greatest of so many from here
    while len(tables[-1]) > 1 and 2 ** len(tables) <= len(values):
        half = 2 ** (len(tables) - 1)
        shifted = np.append(tables[-1][half:], np.zeros(half))
        tables.append(np.maximum(tables[-1], shifted))
    found = np.zeros(len(first))
    for i, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if end > begin:
            power = (end - begin).bit_length() - 1
            found[i] = max(tables[power][begin], tables[power][end - 2**power])
    return found


def _is_straight(edge: Edge, nodes: Sequence[Node]) -> bool:
    """Between lanes, above the trunk, and between neighbours; a shortcut goes round all the same."""
    source, target = nodes[edge.source], nodes[edge.target]
    near = edge.role in ("flow", "concat", "second pass") and target.x - source.x <= 1.01
    return near or source.lane != target.lane or target.lane > 0


def _rows(drawing: Drawing, halves: list[_Halves], reach: Numbers, rises: Numbers) -> tuple[list[float], ...]:
    """Top, trunk and foot of each row, and after the last top where all ends. `reach` is how far over its row's trunk
    each node comes.
    """
    row = np.array([node.row for node in drawing.nodes])
    target = np.array([drawing.nodes[edge.target].row for edge in drawing.edges], int)
    tops, trunks, feet = [0.0], [], []
    for r, half in enumerate(halves):
        arcs = np.nan_to_num(rises[target == r])
        high = max(float(reach[row == r].max()), float(arcs.max(initial=0)))
        low = max(half.trunk + (LANES + 2 * half.below if half.below else 0), -float(arcs.min(initial=0)))
        opened = {frame.level for frame in drawing.frames if frame.row == r}
        trunks.append(tops[-1] + (TITLE if "stage" in opened else 0) + high + 10)
        feet.append(trunks[-1] + low + 6)
        tops.append(feet[-1] + LABEL + (TITLE if "block" in opened else 0) + BETWEEN)
    return tops, trunks, feet
