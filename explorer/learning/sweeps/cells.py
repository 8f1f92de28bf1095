"""What has a sweep found over two of its knobs, whatever the others are?"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.learning.sweeps.reading import NETWORK, Findings, Values

MOST_CELLS = 12  # values of a knob in a map; more numbers than that are put into BINS of equal width
BINS = 8
DECADES = 1.5  # from which on they are of equal width in their logarithms


class Cells(NamedTuple):
    """Means (rows, columns), NaN where no trial has ended. `finished`: whether any of a cell's trials has; where none
    has, the mean is of those that were stopped early. `counts`: of how many trials; `best`: the best of them, -1 for
    none.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    means: Values
    counts: NDArray[np.int64]
    finished: NDArray[np.bool_]
    best: NDArray[np.int64]


def cells(found: Findings, across: str, upward: str = "") -> Cells:
    """The mean accuracy over all else, by two of `axes`; with one there is a single row."""
    trials = found.trials
    accuracy, done = trials["accuracy"].to_numpy(np.float64), (trials["state"] == "finished").to_numpy(bool)
    use = np.isfinite(accuracy) & (done | (trials["state"] == "early").to_numpy(bool))
    for name in {across, upward} & {*found.turned}:
        use &= (trials[name] != "").to_numpy(bool)  # of a network that does not turn it
    columns, column = _placed(found, use, across)
    rows, row = _placed(found, use, upward) if upward else (("",), np.zeros(int(use.sum()), int))
    accuracy, done, numbers = accuracy[use], done[use], trials.index.to_numpy()[use]
    shape = len(rows), len(columns)
    finished, counts, sums, best = np.zeros(shape, bool), np.zeros(shape, int), np.zeros(shape), np.full(shape, -1)
    np.logical_or.at(finished, (row, column), done)
    counted = done | ~finished[row, column]
    order = np.flatnonzero(counted)[np.argsort(accuracy[counted], kind="stable")]  # the best of a cell comes last
    row, column = row[order], column[order]
    np.add.at(counts, (row, column), 1)
    np.add.at(sums, (row, column), accuracy[order])
    best[row, column] = numbers[order]
    with np.errstate(invalid="ignore"):
        return Cells(columns, rows, np.where(counts, sums / counts, np.nan), counts, finished, best)


def axes(found: Findings) -> dict[str, str]:
    """What a map may have for an axis, with its title: the turned knobs, and the network where there are several."""
    several = {NETWORK: "Network"} if len(found.networks) > 1 else {}
    return {**{name: found.titles[name] for name in found.turned}, **several}


def _placed(found: Findings, use: NDArray[np.bool_], name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The axis's values, or bins of them, and which of them each of those trials has."""
    if name == NETWORK:
        titles = [network.title for network in found.networks]
        unique = [one if titles.count(one) == 1 else f"{one} ({i + 1})" for i, one in enumerate(titles)]
        return tuple(unique), found.trials[NETWORK].to_numpy(int)[use]
    values = found.trials[name].to_numpy()[use].tolist()
    listed = found.order(name, values)
    if len(listed) > MOST_CELLS and (numbers := numbers_of(values)) is not None and len(numbers):
        return _binned(numbers)
    at = {value: i for i, value in enumerate(listed)}
    return listed, np.array([at[value] for value in values], int)


def numbers_of(values: Sequence[str]) -> Values | None:
    """None where one of them is no number."""
    try:
        found = np.array([float(value) for value in values])
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _binned(numbers: Values) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    low, high = float(numbers.min()), float(numbers.max())
    log = low > 0 and math.log10(high / low) > DECADES
    scaled = np.log10(numbers) if log else numbers
    edges = np.linspace(scaled.min(), scaled.max(), BINS + 1)
    at = np.clip(np.searchsorted(edges, scaled, side="right") - 1, 0, BINS - 1)
    ends = 10**edges if log else edges
    return tuple(f"{a:.3g} – {b:.3g}" for a, b in pairwise(ends)), at
