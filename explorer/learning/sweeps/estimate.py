"""What would a sweep cost? Its plans say how much there is to compute, and how fast this machine does it is measured on
a few of its networks.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from explorer.counting.effort import slowness
from explorer.families import Config, plan
from explorer.learning import datasets, rates
from explorer.learning.job import Job
from explorer.learning.recipe import evaluated_each

MEASURED = 4  # of a sweep's networks
PASSES = 3  # a training step takes as long as so many forward passes: back is twice as far (Kaplan et al., 2001.08361)


class Rate(NamedTuple):
    """What was measured: `works` of networks, ascending, and the seconds in which each learns from an image."""

    works: tuple[float, ...]
    seconds: tuple[float, ...]

    def of(self, work: float) -> float:
        """Seconds an image: between two that were measured a straight line, logarithm over logarithm; beyond them in
        proportion.
        """
        at = min(max(work, self.works[0]), self.works[-1])
        found = float(np.exp(np.interp(math.log(at), np.log(self.works), np.log(self.seconds))))
        return found * work / at


class Estimate(NamedTuple):
    """Seconds of training: of each job, of all of them, and the clock's where `places` are trained side by side."""

    each: tuple[float, ...]
    total: float
    clock: float
    places: int


@lru_cache(maxsize=4096)
def work(config: Config) -> float:
    """Multiply-accumulates that take as long as learning from one image."""
    network = plan(config)
    return PASSES * network.macs * slowness(network)


def to_measure(jobs: Sequence[Job]) -> list[Job]:
    """The cheapest, the dearest, and some between."""
    ordered = sorted({work(job.config): job for job in jobs}.items())
    chosen = {round(i) for i in np.linspace(0, len(ordered) - 1, min(MEASURED, len(ordered)))}
    return [ordered[i][1] for i in sorted(chosen)]


def measure(jobs: Sequence[Job], places: int) -> Rate | None:
    """On this machine, as many at once as `places`, since they slow each other down. None where none could be."""
    chosen = to_measure(jobs)
    shares = [chosen[i::places] for i in range(min(places, len(chosen)))]
    with ThreadPoolExecutor(len(shares)) as threads:
        found = list(threads.map(_rates, shares))
    points = sorted(
        (work(job.config), 1 / rate)
        for share, each in zip(shares, found, strict=True)
        for job, rate in zip(share, each, strict=False)
    )
    return Rate(tuple(at for at, _ in points), tuple(seconds for _, seconds in points)) if points else None


def _rates(jobs: Sequence[Job]) -> list[float]:
    with suppress(OSError, ValueError):
        return rates.images_per_second(jobs)
    return []


def estimate(jobs: Sequence[Job], rate: Rate, places: int) -> Estimate:
    """With evaluations, without what a process takes to begin."""
    each = tuple(seconds(job, rate) for job in jobs)
    total = sum(each)
    # the last ones leave places empty
    clock = max(total / places, max(each, default=0.0))
    return Estimate(each, total, clock, places)


def seconds(job: Job, rate: Rate) -> float:
    """Of training, at most as many as the job may take."""
    source = datasets.find(job.data)
    epochs = job.recipe.epochs
    learned = epochs * (job.images or source.images[0])
    evaluated = math.ceil(epochs / evaluated_each(epochs)) * source.images[1] / PASSES
    found = rate.of(work(job.config)) * (learned + evaluated)
    return min(found, job.most_seconds) if job.most_seconds else found
