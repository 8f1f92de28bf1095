"""What is asked of a search under a budget: which network is the best, and what it may cost."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from explorer.counting.memory import forward_bytes
from explorer.families import PRESETS, Config, Family, write_plan
from explorer.plan import Plan
from explorer.plan.wiring import width

Limit = Literal["params", "MACs", "memory"]
Objective = Literal["closest", "deepest", "widest", "largest", "cheapest"]
LIMITS: tuple[Limit, ...] = ("params", "MACs", "memory")


class Costs(NamedTuple):
    """Of a network, or as bounds of many. Memory is the peak of one image's forward pass in bytes; depth is counted as
    in the family's papers, and width as the family says.
    """

    params: float
    macs: float
    memory: float
    depth: float
    width: float

    def of(self, limit: Limit) -> float:
        return {"params": self.params, "MACs": self.macs, "memory": self.memory}[limit]


NOTHING, ENDLESS = Costs(0, 0, 0, 0, 0), Costs(*[math.inf] * 5)


class Question(NamedTuple):
    """`depth` is the least that counts as an answer."""

    objective: Objective
    limits: tuple[tuple[Limit, int], ...] = ()
    depth: int = 1

    def used(self, costs: Costs) -> float:
        """The mean share of the limits that is used up, each at most whole."""
        shares = [min(1.0, costs.of(limit) / most) if most else 1.0 for limit, most in self.limits]
        return sum(shares) / max(1, len(shares))

    def passed(self, costs: Costs) -> Limit | None:
        """The first limit that is passed."""
        return next((limit for limit, most in self.limits if costs.of(limit) > most), None)

    def costs(self, config: Config, plan: Plan, family: Family) -> Costs:
        wide = family.width(config) if family.width else width(plan)
        memory = forward_bytes(plan) if "memory" in dict(self.limits) else 0  # as long to count as half a plan to write
        return Costs(plan.params, plan.macs, memory, family.depth(config), wide)


Rank = tuple[float, ...]  # the greater is the better, the first number first


class Goal(NamedTuple):
    """`rank` is of a network that costs `most` where more is better, and `least` where less is."""

    title: str
    order: str  # by what the answers are in order, in words
    rank: Callable[[Question, Costs, Costs], Rank]
    beyond: Callable[[float], str]  # what a network would be whose first number were greater, in words
    # the first number of the rank, where that is a count of few
    level: Literal["depth", "width", ""] = ""


GOALS: Mapping[Objective, Goal] = {
    "closest": Goal(
        "closest to the limits",
        "the mean share of the limits that is used up; then fewer MACs",
        lambda question, most, least: (question.used(most), -least.macs),
        lambda best: f"closer to them than {best:.2%}",
    ),
    "deepest": Goal(
        "deepest",
        "depth; then more parameters, then fewer MACs",
        lambda question, most, least: (most.depth, most.params, -least.macs),
        lambda best: f"deeper than {best:.0f}",
        level="depth",
    ),
    "widest": Goal(
        "widest",
        "width; then more parameters, then fewer MACs",
        lambda question, most, least: (most.width, most.params, -least.macs),
        lambda best: f"wider than {best:.0f}",
        level="width",
    ),
    "largest": Goal(
        "most parameters",
        "parameters; then fewer MACs",
        lambda question, most, least: (most.params, -least.macs),
        lambda best: f"larger than {best:,.0f} params",
    ),
    "cheapest": Goal(
        "fewest MACs for a depth",
        "MACs, the fewest first; then greater depth, then fewer parameters",
        lambda question, most, least: (-least.macs, most.depth, -least.params),
        lambda best: f"cheaper than {-best:,.0f} MACs",
    ),
}


@lru_cache(maxsize=512)
def cost_of(preset: str, limit: Limit) -> int:
    """What a published network has of something that can be limited. Raises PlanError."""
    plan = write_plan(PRESETS[preset])
    return {"params": lambda: plan.params, "MACs": lambda: plan.macs, "memory": lambda: forward_bytes(plan)}[limit]()


def usual_limits(plan: Plan) -> dict[Limit, int]:
    """To search under: a small network's for CIFAR, or ResNet-50's, whichever this one is nearer to."""
    return {
        "params": 1_000_000 if plan.params < 5_000_000 else 25_000_000,
        "MACs": 300_000_000 if plan.macs < 1_000_000_000 else 4_000_000_000,
        "memory": 10_000_000 if forward_bytes(plan) < 50_000_000 else 150_000_000,
    }
