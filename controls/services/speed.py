"""How long would a run take? Measured by its first steps in a process of its own, and remembered for all visitors."""

import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from explorer.learning.job import Job
from explorer.learning.starting import PACKAGES, environment

MOST_REMEMBERED = 256
LONGEST = 60.0  # seconds that measuring may take
WORTH = 60.0  # seconds for which a figure from a busy machine is kept


@dataclass(frozen=True)
class Speed:
    """`images_per_second` of training; 0.0 where it could not be measured. Measured while the machine was busy, it is
    worth a minute.
    """

    images_per_second: float
    until: float = inf  # of time.monotonic


_known: OrderedDict[Hashable, Speed | None] = OrderedDict()  # None: it is being measured
_changed = threading.Lock()


def speed(job: Job) -> Speed | None:
    """None while it is being measured, which the first question starts."""
    key = job.config, job.recipe.batch_size, job.recipe.precision, job.recipe.optimizer, job.device, job.threads
    with _changed:
        found = _known.get(key)
        if key in _known and (found is None or time.monotonic() < found.until):
            return found
        if None in _known.values():  # one after another: a visitor who drags a slider asks many
            return None
        _known[key] = None
        while len(_known) > MOST_REMEMBERED:
            _known.popitem(last=False)
    threading.Thread(target=_measure, args=(key, job), daemon=True).start()
    return None


def _measure(key: Hashable, job: Job) -> None:
    found, until = Speed(0.0), time.monotonic() + WORTH if _is_busy() else inf
    with suppress(OSError, subprocess.SubprocessError, ValueError, IndexError):  # the page does without
        done = subprocess.run(
            [sys.executable, "-m", "explorer.learning.measuring"],
            input=job.to_json(),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            cwd=PACKAGES,
            env=environment(),
        )
        found = Speed(float(done.stdout.split()[-1]), until)
    with _changed:
        _known[key] = found


def _is_busy() -> bool:
    """Whether another run, or somebody else, has taken a core."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= 1
