"""How tensors get from node to node: what the colours of edges mean, and how many there are of each in truth."""

from collections import Counter
from typing import NamedTuple

from explorer.drawing import Role
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import block_of, shortcuts


class Style(NamedTuple):
    title: str  # in the legend
    colour: str
    dash: str  # lengths of strokes and gaps, as SVG takes them; "" for none


ROLES: dict[Role, Style] = {
    "flow": Style("next", "#8a8a8a", ""),
    "identity": Style("identity shortcut", "#D55E00", ""),
    "projection": Style("projection shortcut", "#D55E00", "7 4"),
    "padding": Style("zero-padding shortcut", "#D55E00", "2 3"),
    "gate": Style("gated", "#CC79A7", "2 3"),
    "concat": Style("into a concat", "#2b8cc4", ""),
    "second pass": Style("into the second pass", "#009E73", ""),
}
SHORTCUTS: tuple[Role, ...] = ("identity", "projection", "padding")


def counts(plan: Plan) -> Counter[Role]:
    """How many shortcuts, gates and inputs of concats the network has, whether the drawing shows each or not."""
    found: Counter[Role] = Counter(way.role for way in shortcuts(plan).values())
    again = {block_of(plan[name]) for _, name in plan.refinements}
    for op in plan.ops:
        if KINDS[op.kind].join == "concat":
            for name in op.inputs:
                elsewhere = block_of(op) in again and block_of(plan[name]) != block_of(op)
                found["second pass" if elsewhere else "concat"] += 1
    return found
