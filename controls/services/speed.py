"""How long would a run take, or a sweep? Measured by first steps in processes of their own, and remembered for all
visitors.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeVar

from explorer.learning import rates
from explorer.learning.job import Job
from explorer.learning.sweeps import estimate
from explorer.learning.sweeps.estimate import Rate

MOST_REMEMBERED = 256
WORTH = 60.0  # seconds for which a figure from a busy machine is kept
WORTH_OF_SEVERAL = 600.0  # likewise: measuring them makes a machine busy


@dataclass(frozen=True)
class Speed:
    """`images_per_second` of training; 0.0 where it could not be measured. Measured while the machine was busy, it is
    worth a minute.
    """

    images_per_second: float
    until: float = inf  # of time.monotonic


@dataclass(frozen=True)
class Rated:
    """How fast a sweep's networks learn; None where that could not be measured."""

    rate: Rate | None
    until: float = inf


Found = TypeVar("Found", Speed, Rated)

_known: OrderedDict[Hashable, Speed | Rated | None] = OrderedDict()  # None: it is being measured
_changed = threading.Lock()


def speed(job: Job) -> Speed | None:
    """None while it is being measured, which the first question starts."""
    return _asked(_key(job), Speed, partial(_speed, job))


def rate(jobs: Sequence[Job], places: int) -> Rated | None:
    """Of jobs that are trained side by side in so many places, by a few of them: see
    `explorer.learning.sweeps.estimate`. None while it is being measured.
    """
    chosen = estimate.to_measure(jobs)
    return _asked((places, *map(_key, chosen)), Rated, partial(_rate, chosen, places))


def _key(job: Job) -> Hashable:
    return job.config, job.recipe.batch_size, job.recipe.precision, job.recipe.optimizer, job.device, job.threads


def _asked(key: Hashable, kind: type[Found], measure: Callable[[], Found]) -> Found | None:
    with _changed:
        found = _known.get(key)
        if key in _known and (found is None or time.monotonic() < found.until):
            return found if isinstance(found, kind) else None
        if None in _known.values():  # one after another: a visitor who drags a slider asks many
            return None
        _known[key] = None
        while len(_known) > MOST_REMEMBERED:
            _known.popitem(last=False)
    threading.Thread(target=_measure, args=(key, measure), daemon=True).start()
    return None


def _measure(key: Hashable, measure: Callable[[], Speed | Rated]) -> None:
    found = None
    try:
        found = measure()
    finally:
        with _changed:
            _known.pop(key)
            if found:
                _known[key] = found


def _speed(job: Job) -> Speed:
    until = time.monotonic() + WORTH if _is_busy() else inf
    found: list[float] = []
    with suppress(OSError):  # the page does without
        found = rates.images_per_second([job])
    return Speed(found[0] if found else 0.0, until)


def _rate(jobs: Sequence[Job], places: int) -> Rated:
    busy = _is_busy()
    found = None
    with suppress(OSError):
        found = estimate.measure(jobs, places)
    return Rated(found, time.monotonic() + WORTH_OF_SEVERAL if busy or found is None else inf)


def _is_busy() -> bool:
    """Whether another run, or somebody else, has taken a core."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= 1
