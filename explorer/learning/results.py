"""What do a run's tables say? How good it is and how sure that is, what it confuses, and where it broke.

Everything is read from the tables that `explorer.learning.runs` gives, `metrics` and `predictions`; tables of a run
that has just begun may lack rows or columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Z = NormalDist().inv_cdf(0.975)  # standard errors to each side of a 95 % interval


@dataclass(frozen=True)  # a tuple has a `count` of its own
class Accuracy:
    """The share of images that are right, 0..1, with its 95 % interval; `count` images were asked."""

    share: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Confused:
    """Images of class `true` that are taken for class `said`: how many, and which share of that class's images."""

    true: int
    said: int
    count: int
    share: float


class Mistake(NamedTuple):
    """Test image `number` (from 0); the probabilities are those of the class predicted and of the right one."""

    number: int
    label: int
    predicted: int
    probability: float
    of_label: float


class Best(NamedTuple):
    epoch: float
    test_accuracy: float


class Broke(NamedTuple):
    epoch: float
    step: int


class Seeds(NamedTuple):
    """Of several runs at each epoch of a grid (G,): their mean, the least and the most. NaN where there is no run."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column (rows,); NaN where the table lacks it, or where what stands there is no number."""
    if column not in table:
        return np.full(len(table), np.nan)
    found = table[column]
    if found.dtype.kind not in "fi":  # a word, where the last line was read while it was written
        found = pd.to_numeric(found, errors="coerce")
    return found.to_numpy(np.float64)


# ---- of the test images ----


def accuracy(predictions: pd.DataFrame) -> Accuracy:
    """With Wilson's interval (J. Am. Stat. Assoc. 22, 1927), which Brown, Cai and DasGupta (Statistical Science 16,
    2001) advise for counts small and large: it stays within 0..1 and has a width even where all are right.

    Without images the share is NaN, and the interval all of 0..1.
    """
    count = len(predictions)
    if not count:
        return Accuracy(math.nan, 0.0, 1.0, 0)
    right = int((predictions["label"] == predictions["predicted"]).sum())
    share = right / count
    centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    # the ends are 0 and 1 by the formula as well, but for rounding
    low = centre - half if right else 0.0
    high = centre + half if right < count else 1.0
    return Accuracy(share, low, high, count)


def confusion(predictions: pd.DataFrame, classes: int) -> NDArray[np.int64]:
    """How many images of each class (row) are taken for each class (column), (K, K).

    Raises ValueError for a class that is not among 0..K-1.
    """
    if predictions.empty:
        return np.zeros((classes, classes), np.int64)
    label, predicted = predictions["label"].to_numpy(np.int64), predictions["predicted"].to_numpy(np.int64)
    for found in (label, predicted):
        if found.min() < 0 or found.max() >= classes:
            raise ValueError(f"{classes=}: the predictions have classes from {found.min()} to {found.max()}")
    return np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def most_confused(confusion: NDArray[np.int64], most: int = 3) -> list[Confused]:
    """The largest shares of a class (row) that are taken for another; of equal ones that with more images first."""
    images = confusion.sum(1)
    found = [
        Confused(int(true), int(said), int(confusion[true, said]), float(confusion[true, said] / images[true]))
        for true, said in np.argwhere(confusion > 0)
        if true != said
    ]
    return sorted(found, key=lambda one: (-one.share, -one.count))[:most]


def worst_mistakes(predictions: pd.DataFrame, most: int = 12) -> list[Mistake]:
    """Wrong answers, the most confident first."""
    if predictions.empty:
        return []
    numbered = predictions.assign(number=np.arange(len(predictions)))
    wrong = numbered[numbered["label"] != numbered["predicted"]]
    worst = wrong.sort_values("probability", ascending=False, kind="stable").head(most)
    return [
        Mistake(int(number), int(label), int(predicted), float(probability), float(of_label))
        for number, label, predicted, probability, of_label in worst[list(Mistake._fields)].to_numpy()
    ]


# ---- of the time in which it learns ----


def best(metrics: pd.DataFrame) -> Best | None:
    """The highest test accuracy so far, and when it was reached first; None before the test images were looked at."""
    found = numbers(metrics, "test_accuracy")
    if not np.isfinite(found).any():
        return None
    at = int(np.nanargmax(found))
    return Best(float(numbers(metrics, "epoch")[at]), float(found[at]))


def broke(metrics: pd.DataFrame) -> Broke | None:
    """The first row whose training loss is infinite or not a number; None where there is none.

    A row that only tells of the test images has no training loss either, but no training accuracy beside it.
    """
    loss = numbers(metrics, "train_loss")
    bad = np.isinf(loss) | (np.isnan(loss) & ~np.isnan(numbers(metrics, "train_accuracy")))
    if not bad.any():
        return None
    at = int(bad.argmax())
    return Broke(float(numbers(metrics, "epoch")[at]), int(numbers(metrics, "step")[at]))


def over_seeds(tables: Sequence[pd.DataFrame], column: str, grid: NDArray[np.float64]) -> Seeds:
    """A column of several runs' metrics along a common grid of epochs (G,), by linear interpolation.

    A run counts between its first and its last finite value, and not beyond: where one has stopped the others go on.
    """
    values = np.full((len(tables), len(grid)), np.nan)
    for row, table in zip(values, tables, strict=True):
        epoch, found = numbers(table, "epoch"), numbers(table, column)
        some = np.isfinite(epoch) & np.isfinite(found)
        if some.any():
            row[:] = np.interp(grid, epoch[some], found[some], left=np.nan, right=np.nan)
    if len(tables) == 1:
        return Seeds(values[0], values[0], values[0])
    there = ~np.isnan(values)
    counts = there.sum(0)
    mean = np.where(there, values, 0).sum(0) / np.where(counts, counts, np.nan)
    low = np.where(counts, np.where(there, values, np.inf).min(0, initial=np.inf), np.nan)
    high = np.where(counts, np.where(there, values, -np.inf).max(0, initial=-np.inf), np.nan)
    return Seeds(mean, low, high)
