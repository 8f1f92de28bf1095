"""From measurements over seeds to an answer: how sure is a difference, and what does a rule make of it?"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from explorer.wording import MINUS

Answer = Literal["holds here", "does not hold here", "cannot be told with so few runs"]
HOLDS: Answer = "holds here"
FAILS: Answer = "does not hold here"
OPEN: Answer = "cannot be told with so few runs"

CONFIDENCE = 0.95


class Verdict(NamedTuple):
    """`because` is one sentence with the numbers that decide."""

    answer: Answer
    because: str


class Interval(NamedTuple):
    """A mean and its 95 % interval; infinite where a single run says nothing of the spread."""

    mean: float
    low: float
    high: float


def mean(values: Sequence[float]) -> Interval:
    """Student's t interval of a mean (n values, each of a seed). Values that are not finite leave it open."""
    return difference(values, None)


def difference(one: Sequence[float], other: Sequence[float] | None) -> Interval:
    """mean(one) - mean(other) with Welch's t interval (Biometrika 34, 1947), which lets both spreads differ: a network
    that sometimes fails to learn scatters more than one that never does.
    """
    samples = [np.asarray(values, np.float64) for values in (one, other) if values is not None]
    if not all(len(sample) and np.isfinite(sample).all() for sample in samples):
        return Interval(math.nan, -math.inf, math.inf)
    middle = float(samples[0].mean() - (samples[1].mean() if other is not None else 0.0))
    if min(map(len, samples)) < 2:
        return Interval(middle, -math.inf, math.inf)
    errors = [float(sample.var(ddof=1)) / len(sample) for sample in samples]
    error = sum(errors)
    if error == 0:  # every seed gave the same
        return Interval(middle, middle, middle)
    freedom = error**2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(errors, samples, strict=True))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(error)
    return Interval(middle, middle - half, middle + half)


def above(found: Interval, least: float) -> Answer:
    """Whether a quantity is more than `least`: the whole interval has to be on one side of it."""
    if found.low > least:
        return HOLDS
    return FAILS if found.high < least else OPEN


def below(found: Interval, most: float) -> Answer:
    return above(Interval(-found.mean, -found.high, -found.low), -most)


def every(answers: Sequence[Answer]) -> Answer:
    """Of a claim in several parts: it holds where all do, and fails with the first that fails."""
    if FAILS in answers:
        return FAILS
    return OPEN if OPEN in answers else HOLDS


def share(values: Sequence[float]) -> Interval:
    """As `mean`, of shares of a whole: the interval ends at 0 and 1."""
    found = mean(values)
    return Interval(found.mean, max(0.0, found.low), min(1.0, found.high)) if len(values) > 1 else found


def in_words(found: Interval, scale: float = 1.0, digits: int = 1, unit: str = "") -> str:
    """12.3 (11.9 to 12.7), or 12.3 (one run)."""
    if math.isnan(found.mean):
        return "no number"
    middle, low, high = (_number(scale * value, digits) for value in found)
    if math.isinf(found.low):
        return f"{middle}{unit} (one run)"
    return f"{middle}{unit} ({low} to {high})"


def percent(found: Interval, digits: int = 1) -> str:
    """Of a share: 97.2 % (96.0 to 98.4)."""
    return in_words(found, 100, digits, " %")


def wrong(right: Sequence[float]) -> str:
    """The error of shares that are right, as `percent` writes it."""
    return percent(share([1 - value for value in right]))


def points(found: Interval, digits: int = 1) -> str:
    """Of a difference of shares: 3.1 points (1.0 to 5.2)."""
    return in_words(found, 100, digits, " points")


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    return text.replace("-", MINUS)
