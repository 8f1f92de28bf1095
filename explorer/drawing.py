"""Where does everything stand in a drawing of the network? Nodes, edges and their places, from the plan's real edges.

A stage or block that is closed is one node; an opened one shows what is inside. Where all blocks do not fit, equal
neighbours fold into one node. A row with opened blocks that is full ends before the next opened stage, and tensors
that come into a row from another stand at its left end as ports, so that every edge stays within its row.

Places are counted in nodes: x along the row, and a lane: 0 is the trunk, 1 is above it (what goes round a
branch), -1 below (a second pass, each layer under itself in the first). How large a node is, the figure decides.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import Block, Shortcut, block_of, shortcuts, way_back

MOST_COLUMNS = 24  # of a row with opened blocks and more than one opened stage
MOST_UNFOLDED = 80  # columns of the whole; beyond it equal neighbours fold

Level = Literal["stage", "block", "operation"]
# how a tensor gets from one node to another
Role = Literal["flow", "identity", "projection", "padding", "concat", "second pass", "gate"]


class Node(NamedTuple):
    """Something to see and click: an operation, a closed block or stage, or a port where a tensor comes in."""

    id: str  # the operation's name; or "stage", "stage/block" of what is closed
    level: Literal["stage", "block", "operation", "port"]
    label: str
    ops: tuple[Op, ...]
    times: int  # how many equal neighbours it stands for
    row: int
    x: float
    lane: int
    leaves_to: str  # a stage in another row that reads it; "" for none, and for the last node of a row


class Edge(NamedTuple):
    source: int  # index of a node
    target: int
    role: Role


class Frame(NamedTuple):
    """An opened stage or block around its nodes; closing it is a click on its label."""

    id: str
    label: str
    level: Literal["stage", "block"]
    row: int
    lane: int
    first: float
    last: float


class Drawing(NamedTuple):
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    frames: tuple[Frame, ...]
    places: dict[str, int]  # operation -> index of the node that shows it


def opened_to(plan: Plan, level: Level) -> frozenset[str]:
    """What must be open to see all stages, all blocks, or all operations."""
    opened: set[str] = set()
    for op in plan.ops[1:]:
        if level == "operation" or (level == "block" and op.block):
            opened.add(op.stage)
        if level == "operation" and op.block:
            opened.add(f"{op.stage}/{op.block}")
    return frozenset(opened)


def draw(plan: Plan, opened: Collection[str] = ()) -> Drawing:
    """The network with the stages and blocks in `opened` open.

    A block that computes features anew stands below the one that it refines. Names in `opened` that the network does
    not have are passed over.
    """
    ways = shortcuts(plan)
    above = {block_of(plan[again]): block_of(plan[first]) for first, again in plan.refinements}
    stages = [list(ops) for _, ops in groupby(plan.ops, key=lambda op: op.stage)]
    folds = _Layout(plan, opened, above, ways, folds=False).write_row(0, stages) > MOST_UNFOLDED
    rows: list[list[list[Op]]] = [[]]
    for stage in stages:
        longer = [*rows[-1], stage]
        blocks = any(f"{op.stage}/{op.block}" in opened for ops in longer for op in ops)
        full = blocks and _Layout(plan, opened, above, ways, folds).write_row(0, longer) > MOST_COLUMNS
        if full and rows[-1] and stage[0].stage in opened:
            rows.append([])
        rows[-1].append(stage)
    layout = _Layout(plan, opened, above, ways, folds)
    for row, some in enumerate(rows):
        layout.write_row(row, some)
    return layout.drawing()


def _signature(ops: Sequence[Op], before: str) -> tuple[object, ...]:
    """Equal for blocks that one node can stand for: the same operations, wired in the same way, and reading nothing
    outside but `before`, the end of what stands before the block.
    """
    index = {op.name: i for i, op in enumerate(ops)} | {before: -1}
    return tuple(
        (op.kind, op.shape, op.params, op.macs, op.attributes, tuple(index.get(name, name) for name in op.inputs))
        for op in ops
    )


class _Layout:
    """Writes nodes row by row, left to right, in the order in which the operations run."""

    def __init__(
        self,
        plan: Plan,
        opened: Collection[str],
        above: dict[Block, Block],
        ways: dict[str, Shortcut],
        folds: bool,
    ) -> None:
        self.plan, self.opened, self.above, self.shortcuts, self.folds = plan, opened, above, ways, folds
        self.nodes: list[Node] = []
        self.frames: list[Frame] = []
        self.places: dict[str, int] = {}
        self.ports: dict[tuple[int, str], int] = {}  # (row, operation elsewhere) -> index of its port
        self.aside = {name: way for way in ways.values() for name in way.path}  # operations on a shortcut
        self.begins: dict[Block, float] = {}  # block -> x of its first node
        self.ends = {0: 0.0, -1: 0.0}  # lane -> x behind its last node

    def write_row(self, row: int, stages: list[list[Op]]) -> float:
        """Returns how many columns the row takes."""
        inside = {op.name for ops in stages for op in ops}
        entering = dict.fromkeys(name for ops in stages for op in ops for name in op.inputs if name not in inside)
        for i, name in enumerate(entering):
            source = self.plan[name]
            self.ports[row, name] = len(self.nodes)
            self.nodes.append(Node(name, "port", source.stage, (source,), 1, row, 0.0, i, ""))
        self.ends = dict.fromkeys(self.ends, 1.0 if entering else 0.0)
        for ops in stages:
            if ops[0].stage in self.opened:
                self._write_open_stage(row, ops)
            else:
                self._write(row, ops[0].stage, "stage", ops[0].stage, ops)
        return self.ends[0]

    def _write_open_stage(self, row: int, ops: list[Op]) -> None:
        began = len(self.nodes)
        blocks = [list(block) for _, block in groupby(ops, key=lambda op: op.block)]
        before = ops[0].inputs[0] if ops[0].inputs else ""
        signed = []
        for block in blocks:
            # one that was opened by itself stands by itself
            opened = f"{block[0].stage}/{block[0].block}" in self.opened
            signed.append((block, (opened, _signature(block, before)) if self.folds else block[0].name))
            before = block[-1].name
        for _, run in groupby(signed, key=lambda pair: pair[1]):
            self._write_equal(row, [block for block, _ in run])
        self._frame(row, ops[0].stage, ops[0].stage, "stage", began)

    def _write_equal(self, row: int, blocks: list[list[Op]]) -> None:
        """Neighbouring blocks that are equal: one is shown for all."""
        first, began = blocks[0], len(self.nodes)
        identity = f"{first[0].stage}/{first[0].block}"
        label = first[0].block if len(blocks) == 1 else f"{first[0].block}–{blocks[-1][0].block.split()[-1]}"
        if not first[0].block or identity in self.opened:
            for op in first:
                self._write(row, op.name, "operation", _local(op), [op], len(blocks))
            if first[0].block:
                times = f" ×{len(blocks)}" if len(blocks) > 1 else ""
                self._frame(row, identity, label + times, "block", began)
        else:
            self._write(row, identity, "block", label, first, len(blocks))
        for alike in blocks[1:]:
            self.places |= {op.name: self.places[shown.name] for op, shown in zip(alike, first, strict=True)}

    def _write(self, row: int, identity: str, level: Level, label: str, ops: list[Op], times: int = 1) -> None:
        x, lane = self._place(ops[0], level)
        self.places |= dict.fromkeys([op.name for op in ops], len(self.nodes))
        self.nodes.append(Node(identity, level, label, tuple(ops), times, row, x, lane, ""))

    def _place(self, op: Op, level: Level) -> tuple[float, int]:
        block = block_of(op)
        if level == "operation" and op.name in self.aside:
            # above the branch, which has been written already, at equal distances
            path = self.aside[op.name].path
            begin, end = self.begins.get(block, 0.0), self.ends[0] - 1
            return begin + (end - begin) * (path.index(op.name) + 1) / (len(path) + 1), 1
        lane = -1 if level != "stage" and block in self.above else 0
        x = self.ends[lane]
        if block not in self.begins:
            x = max(x, self.begins.get(self.above.get(block, block), x))
            self.begins[block] = x
        self.ends[lane] = x + 1
        self.ends[0] = max(self.ends.values())
        return x, lane

    def _frame(self, row: int, identity: str, label: str, level: Literal["stage", "block"], began: int) -> None:
        xs = [node.x for node in self.nodes[began:]]
        self.frames.append(Frame(identity, label, level, row, self.nodes[began].lane, min(xs), max(xs)))

    def drawing(self) -> Drawing:
        edges: dict[Edge, None] = {}
        leaves: dict[int, str] = {}
        for op in self.plan.ops:
            target = self.places[op.name]
            node = self.nodes[target]
            for name in op.inputs:
                if self.nodes[self.places[name]].row != node.row:
                    leaves.setdefault(self.places[name], op.stage)
                source = self._seen_from(node.row, name)
                # nodes stand in the order in which they run; between equal blocks that share a node there is no edge
                if source < target:
                    edges[Edge(source, target, self._role(op, name, source, node))] = None
            if KINDS[op.kind].join == "sum" and node.level == "block":
                # the branch is hidden in the closed block, its shortcut is not
                way = self.shortcuts[op.name]
                source = self._seen_from(node.row, way_back(self.plan, way.source, op)[-1])
                if source < target:
                    edges[Edge(source, target, way.role)] = None
        last = {node.row: i for i, node in enumerate(self.nodes) if node.level != "port"}
        nodes = [
            node._replace(leaves_to=leaves.get(i, "") if i != last.get(node.row) else "")
            for i, node in enumerate(self.nodes)
        ]
        return Drawing(tuple(nodes), tuple(edges), tuple(self.frames), self.places)

    def _seen_from(self, row: int, name: str) -> int:
        """The node that stands for an operation in this row: itself, or the port where its tensor comes in."""
        place = self.places[name]
        return place if self.nodes[place].row == row else self.ports[row, name]

    def _role(self, op: Op, name: str, source: int, node: Node) -> Role:
        join = KINDS[op.kind].join
        if node.level == "stage":
            next_to_it = node.x - self.nodes[source].x <= 1
            return "concat" if join == "concat" and not next_to_it else "flow"
        if node.level == "operation" and op.name in self.aside:
            return self.aside[op.name].role
        if node.lane == -1 and block_of(self.plan[name]) != block_of(op):
            return "second pass"
        if join == "concat":
            return "concat"
        if join and node.level == "operation":
            way = self.shortcuts[op.name]
            if name == (way.path[-1] if way.path else way.source):
                return way.role
        return "flow"


def differences(plan: Plan, other: Plan) -> frozenset[str]:
    """Operations of `plan` that `other` does not have, or has with another kind, shape, cost or attribute."""

    def compared(op: Op) -> tuple[object, ...]:
        return op.kind, op.shape, op.params, op.macs, op.attributes

    return frozenset(op.name for op in plan.ops if op.name not in other or compared(other[op.name]) != compared(op))


def _local(op: Op) -> str:
    """The last part of the name that says something: conv2, downsample.0."""
    parts = op.name.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() and len(parts) > 1 else parts[-1]
