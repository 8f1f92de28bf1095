"""Classes that a kind of operation needs and torch.nn does not have: the kinds have their source."""

from explorer.plan import Plan
from explorer.running.kinds import RUNNING

HELPERS = {name: source for kind in RUNNING.values() for name, source in kind.helper.items()}


def helpers_of(plan: Plan) -> list[str]:
    """The helpers of a plan's operations; the text that makes such an operation begins with its helper's name."""
    constructions = (RUNNING[op.kind].construction(op, plan[op.inputs[0]]) for op in plan.ops[1:])
    used = {str(text[0]).removesuffix("(") for text in constructions if text}
    return [source for name, source in HELPERS.items() if name in used]
