"""Who reads whom? What a plan's inputs tell: readers and forks, shortcuts, the ends of stages, who owns a kernel."""

from collections import Counter
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from explorer.plan.kinds import KINDS
from explorer.plan.operations import Op, Plan

Edge = tuple[str, str]  # an operation, and another that reads it
Role = Literal["identity", "projection", "padding", "gate"]
Block = tuple[str, str]  # the labels of stage and block


def owner(op: Op) -> str:
    """Under which name the operation's parameters stand: its own, or that of the kernel that it shares."""
    return getattr(op.attributes, "shared", "") or op.name


def weight_owners(plan: Plan) -> dict[str, str]:
    """The operation that first reads each kernel or matrix -> the name under which that stands."""
    first: dict[str, str] = {}
    for op in plan.ops:
        if KINDS[op.kind].weighted:
            first.setdefault(owner(op), op.name)
    return {op: name for name, op in first.items()}


def block_of(op: Op) -> Block:
    return op.stage, op.block


def forks(plan: Plan) -> tuple[Edge, ...]:
    """The edges out of operations that more than one other reads; the image is not one."""
    return tuple((op.name, to) for op in plan.ops[1:] if len(plan.readers[op.name]) > 1 for to in plan.readers[op.name])


def ancestors(plan: Plan, name: str) -> tuple[Op, ...]:
    """The operations that `name` is computed from, and itself, in the order in which they run."""
    needed = {name}
    for op in reversed(plan.ops):
        if op.name in needed:
            needed.update(op.inputs)
    return tuple(op for op in plan.ops if op.name in needed)


def body(plan: Plan) -> tuple[Op, ...]:
    """The operations between the image and the head, which is the last operation's stage."""
    head = plan.ops[-1].stage
    return tuple(op for op in plan.ops[1:] if op.stage != head)


def width(plan: Plan) -> int:
    """Channels of the narrowest convolution larger than 1x1 behind the stem; 0 where there is none."""
    weighted = [op for op in body(plan) if op.stage != "stem" and KINDS[op.kind].weighted]
    return min((op.shape[0] for op in weighted if getattr(op.attributes, "kernel", 1) > 1), default=0)


def stage_ends(plan: Plan) -> dict[str, Op]:
    """Stage of the body -> its last feature map that another stage reads, or its last one if none does."""
    stage_of = {op.name: op.stage for op in plan.ops}
    read = {name for op in plan.ops for name in op.inputs if stage_of[name] != op.stage}
    maps = [op for op in body(plan) if min(op.shape[1:]) > 1]
    return {op.stage: op for op in maps} | {op.stage: op for op in maps if op.name in read}


def refined_layers(plan: Plan) -> dict[str, tuple[str, str]]:
    """The layers that are computed twice, by a name to choose them by: "block 1, layer 2" -> the operations that end
    the first pass over it and the second. Layers are counted in each stage.
    """
    found: dict[str, tuple[str, str]] = {}
    layers: Counter[str] = Counter()
    for first, again in plan.refinements:
        stage = plan[again].stage
        layers[stage] += 1
        found[f"{stage}, layer {layers[stage]}"] = first, again
    return found


class Shortcut(NamedTuple):
    """The shorter way into a join, round the branch: from `source` through the operations of `path`."""

    source: str
    path: tuple[str, ...]
    role: Role


def shortcut(plan: Plan, join: Op) -> Shortcut:
    """How the inputs of a sum or a gate meet again, going back within its block: the shorter of the two ways."""
    one, other = (way_back(plan, name, join) for name in join.inputs[:2])
    meeting = next((name for name in one if name in other), one[-1])
    ways = [way[: way.index(meeting)] if meeting in way else way for way in (one, other)]
    path = min(ways, key=len)
    detours = {KINDS[plan[name].kind].detour for name in path}
    role: Role = "identity"
    if KINDS[join.kind].join == "gate":
        role = "gate"
    elif "padding" in detours:
        role = "padding"
    elif "projection" in detours:
        role = "projection"
    return Shortcut(meeting, tuple(reversed(path)), role)


def shortcuts(plan: Plan) -> dict[str, Shortcut]:
    """Each sum or gate -> its shortcut."""
    return {op.name: shortcut(plan, op) for op in plan.ops if KINDS[op.kind].join in ("sum", "gate")}


def way_back(plan: Plan, name: str, join: Op) -> list[str]:
    """From an input of a join back to the first operation outside its block, that one included."""
    way = [name]
    while block_of(plan[way[-1]]) == block_of(join) and plan[way[-1]].inputs:
        way.append(plan[way[-1]].inputs[0])
    return way


class Residual(NamedTuple):
    """A residual block: what is at `source` goes on to `join` by one edge, or by the others through the branch."""

    source: str
    join: str
    role: Role
    shortcut: Edge
    branch: tuple[Edge, ...]


def residual_blocks(plan: Plan) -> tuple[Residual, ...]:
    """In the order in which they run."""
    found = []
    for op in plan.ops:
        if KINDS[op.kind].join == "sum":
            way = shortcut(plan, op)
            skip = way.source, way.path[0] if way.path else op.name
            branch = tuple((way.source, to) for to in plan.readers[way.source] if (way.source, to) != skip)
            found.append(Residual(way.source, op.name, way.role, skip, branch))
    return tuple(found)


def computes_otherwise(before: Plan, now: Plan) -> str:
    """The first operation at which a network does something else with the same tensors than another; "" for none.

    The size of images and how weights are initialised are no difference.
    """
    if before is now:
        return ""
    for one, other in zip_longest(before.ops, now.ops):
        if one is None or other is None or _function(one) != _function(other):
            return str((other or one).name)
    return ""


def _function(op: Op) -> tuple[Any, ...]:
    # a norm's `zero` is what it starts from
    given = op.attributes._replace(zero=False) if hasattr(op.attributes, "zero") else op.attributes
    return op.name, op.kind, op.inputs, given
