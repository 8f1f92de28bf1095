"""Which tensors does a network have? The names and shapes of its state dict, without torch."""

from collections.abc import Mapping

from explorer.plan.kinds import KINDS
from explorer.plan.operations import Plan
from explorer.plan.wiring import owner

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

COUNTER = "num_batches_tracked"  # of a batch norm; files from before torch 0.4.1 have none, and nothing reads it


def tensors(plan: Plan) -> dict[str, Shape]:
    """Name -> shape, as the network that is built of the plan has them, in the order in which it runs."""
    found: dict[str, Shape] = {}
    for op in plan.ops[1:]:
        for name, shape in KINDS[op.kind].tensors(op, plan[op.inputs[0]]).items():
            found[f"{owner(op)}.{name}"] = shape
    return found


def without_counters(shapes: Shapes) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes.items() if not name.endswith(COUNTER)}
