"""What do weights not say of their network? A file of them has names, shapes and numbers.

Weights of another network load without an error where its tensors have the same names and shapes: timm's resnetblur50
and resnetaa50 have those of ResNet-50, and other pools and strides between them.
"""

from collections.abc import Mapping

from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import shortcuts
from explorer.running.kinds import RUNNING

MOST_NAMED = 3  # enough to tell a stride on the 3x3 from one on the first 1x1
ARTICLES = {"identity": "an identity", "projection": "a projection", "padding": "padding", "gate": "a gate"}


def unsaid(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """What the network does in eval mode that no name or shape of a tensor says, as a clause -> the operations that do
    it, in the order in which they run.
    """
    ways = shortcuts(plan)
    found: dict[str, tuple[str, ...]] = {}
    for op in plan.ops[1:]:
        clause = RUNNING[op.kind].unsaid(op)
        if way := ways.get(op.name):
            verb = "is multiplied by" if way.role == "gate" else "is added to"
            clause = f"the branch {verb} {ARTICLES[way.role]} that starts at the {KINDS[plan[way.source].kind].word}"
        if clause:
            found[clause] = (*found.get(clause, ()), op.name)
    return found


def sentences(plan: Plan) -> tuple[str, ...]:
    """What somebody should know whose weights have fitted: what was taken from this network, and how to make sure."""
    clauses = "; ".join(f"{clause} ({_listed(names)})" for clause, names in unsaid(plan).items())
    return (
        f"Names and shapes fit. What they do not say is taken from this network: {clauses}.",
        "If the network that was trained differs in one of these, in the order of its operations or in what is joined, "
        "its weights load without an error and the answers are wrong: compare the logits of a picture with those of "
        "the program that trained it.",
    )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
