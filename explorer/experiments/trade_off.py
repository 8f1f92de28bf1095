"""Is one family of networks better than another at equal cost? Their errors are compared as curves over the cost.

Sizes of two families never agree, so each family's error is interpolated between its sizes, and compared where the
costs of both overlap. Errors and costs span factors, so both are taken as logarithms.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from explorer.experiments.experiment import Arm, Figure
from explorer.experiments.results import Results
from explorer.experiments.verdict import Interval, Verdict, below, difference, in_words
from explorer.plots import claims as plots

COSTS = {"params": "parameters", "macs": "MACs"}


class Family(NamedTuple):
    """Networks that differ in size alone, the smallest first."""

    title: str
    colour: str
    arms: tuple[Arm, ...]


class Curve(NamedTuple):
    """One family of one seed: costs (N,) ascending, and the error at each (N,), as a share above zero."""

    costs: Sequence[float]
    errors: Sequence[float]


def overlap(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The least and the most that two families both reach. Raises ValueError where they do not meet."""
    low, high = max(min(one), min(other)), min(max(one), max(other))
    if low >= high:
        raise ValueError(f"costs from {low:g} to {high:g} are nothing to compare over")
    return low, high


def mean_log_error(curve: Curve, low: float, high: float) -> float:
    """The natural logarithm of the error, a straight line between sizes over the logarithm of the cost, averaged over
    all of `low` to `high`, which lie within the curve's costs. NaN where an error is.
    """
    at, heights = np.log(curve.costs), np.log(curve.errors)
    inside = [x for x in at if math.log(low) < x < math.log(high)]
    places = np.array([math.log(low), *inside, math.log(high)])
    return float(np.trapezoid(np.interp(places, at, heights), places) / (places[-1] - places[0]))


def curves(results: Results, arms: Sequence[str], cost: str, images: int) -> list[Curve]:
    """Of each seed with which every size was measured. An error is at least half an image of `images`, so that it has
    a logarithm.
    """
    costs, right = results.table(arms, cost), results.table(arms, "test_accuracy")
    whole = [row for row, seed in enumerate(results.seeds) if all(seed in results.seeds_of(arm) for arm in arms)]
    return [Curve(costs[row].tolist(), np.maximum(1 - right[row], 0.5 / images).tolist()) for row in whole]


def log_ratio(one: Sequence[Curve], other: Sequence[Curve]) -> Interval:
    """Of errors at equal cost: the mean logarithm of one family less that of the other, over their seeds."""
    if not (one and other):
        return difference([], [])
    low, high = overlap(one[0].costs, other[0].costs)
    first, second = ([mean_log_error(curve, low, high) for curve in each] for each in (one, other))
    return difference(first, second)


def cost_at_equal_error(one: Sequence[Curve], other: Sequence[Curve]) -> float:
    """How many times as much `one` costs as `other` at the same error, by two parallel straight lines through all
    points of both, logarithm over logarithm (least squares). NaN where the error does not fall with the cost.
    """
    points = [
        (1.0, float(first), math.log(cost), math.log(error))
        for first, curves in ((True, one), (False, other))
        for curve in curves
        for cost, error in zip(*curve, strict=True)
    ]
    table = np.array(points).reshape(-1, 4)
    if not (one and other and np.isfinite(table).all()):
        return math.nan
    _, shift, slope = np.linalg.lstsq(table[:, :3], table[:, 3], rcond=None)[0]
    return math.exp(-shift / slope) if slope < 0 else math.nan


def ratio(results: Results, one: Family, other: Family, cost: str, images: int) -> Interval:
    """`log_ratio` of two families: by how much less `one` errs than `other` at equal cost, on `images` test images."""
    return log_ratio(*(curves(results, [arm.name for arm in each.arms], cost, images) for each in (one, other)))


def rule(one: Family, other: Family, cost: str) -> str:
    """What `judge` does, in words."""
    return (
        "In each seed a family's test error is interpolated between its sizes (logarithm of the error over that of the "
        f"{COSTS[cost]}) and averaged over the {COSTS[cost]} that both families reach. It holds where {one.title}'s is "
        "lower, with the whole 95 % interval of the difference over seeds (Welch) below zero; it does not hold where "
        "the whole interval is above zero."
    )


def judge(one: Family, other: Family, cost: str, images: int) -> Callable[[Results], Verdict]:
    """Of the claim that `one` errs less often than `other` at equal cost."""

    def judged(results: Results) -> Verdict:
        found = ratio(results, one, other, cost, images)
        times = "no number of times" if math.isnan(found.mean) else f"{ratio_in_words(found)} times"
        return Verdict(
            below(found, 0),
            f"At equal {COSTS[cost]} {one.title} errs {times} as often as {other.title} on test images.",
        )

    return judged


def times_as_many(one: Family, other: Family, cost: str, images: int) -> Callable[[Results], str]:
    """The cost of `one` that errs as often as `other`, in costs of that: see `cost_at_equal_error`."""

    def said(results: Results) -> str:
        each = (curves(results, [arm.name for arm in family.arms], cost, images) for family in (one, other))
        factor = cost_at_equal_error(*each)
        return "no number" if math.isnan(factor) else f"{factor:.1f} times as many"

    return said


def drawn(families: Sequence[Family], cost: str, images: int, each_seed: bool = False) -> Callable[[Results], Figure]:
    """Each family's error over its cost, logarithm over logarithm."""

    def draw(results: Results) -> Figure:
        found = []
        for family in families:
            names = [arm.name for arm in family.arms if results.seeds_of(arm.name)]
            costs, wrong = results.table(names, cost), 100 * (1 - results.table(names, "test_accuracy"))
            at = np.nanmean(costs, 0) if names else np.empty(0)
            wrong = np.maximum(wrong, 50 / images)
            found.append(plots.Line(family.title, family.colour, at, wrong, points=True, each_seed=each_seed))
        y = plots.Axis("wrong on test images, %", log=True)
        return plots.lines(found, plots.Axis(COSTS[cost], log=True), y)

    return draw


def ratio_in_words(found: Interval) -> str:
    """Of a difference of logarithms: 0.80 (0.70 to 0.91)."""
    if math.isinf(found.low):
        return in_words(Interval(math.exp(found.mean), found.low, found.high), digits=2)
    return in_words(Interval(*map(math.exp, found)), digits=2)
