"""How long does a pass through a network take, beside its multiply-accumulates? Roughly, as an estimate needs it.

Two things count that no multiply-accumulate is: tensors are read and written, which rules where layers are narrow
and images large; and every operation takes a while to start, which rules where they are small and many.
"""

from explorer.plan import Plan

ELEMENT = 100  # multiply-accumulates in the time in which a number of an operation's output is read and written
BUILDING = 3  # passes' starts in the time in which an operation's module is made
PARAMETER = 300  # multiply-accumulates in the time in which a weight is drawn


def slowness(plan: Plan) -> float:
    """By how much longer than its arithmetic a pass takes: at least 1."""
    return max(1.0, ELEMENT * sum(op.size for op in plan.ops) / max(1, plan.macs))


def building(plan: Plan) -> tuple[float, int]:
    """What building takes, in multiply-accumulates and in operations started."""
    return float(PARAMETER * plan.params), BUILDING * len(plan.ops)
