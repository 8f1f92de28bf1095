"""Is one family of networks better than another at equal cost? Their errors are compared as curves over the cost.

Sizes of two families never agree, so each family's error is interpolated between its sizes, and compared where the
costs of both overlap. Errors and costs span factors, so both are taken as logarithms.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from explorer.experiments.results import Results
from explorer.experiments.verdict import Interval, difference, in_words


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


def ratio_in_words(found: Interval) -> str:
    """Of a difference of logarithms: 0.80 (0.70 to 0.91)."""
    if math.isinf(found.low):
        return in_words(Interval(math.exp(found.mean), found.low, found.high), digits=2)
    return in_words(Interval(*map(math.exp, found)), digits=2)
