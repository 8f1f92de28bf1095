"""How long would a run take? Measured by its first steps in a process of its own, and remembered for all visitors."""

import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

from explorer.learning.job import Job
from explorer.learning.starting import PACKAGES, environment

MOST_REMEMBERED = 256
LONGEST = 60.0  # seconds that measuring may take


@dataclass(frozen=True)
class Speed:
    """`images_per_second` of training; 0.0 where it could not be measured."""

    images_per_second: float


_known: OrderedDict[Hashable, Speed | None] = OrderedDict()  # None: it is being measured
_changed = threading.Lock()


def speed(job: Job) -> Speed | None:
    """None while it is being measured, which the first question starts."""
    key = job.config, job.recipe.batch_size, job.recipe.precision, job.recipe.optimizer, job.device, job.threads
    with _changed:
        if key in _known:
            return _known[key]
        if None in _known.values():  # one after another: a visitor who drags a slider asks many
            return None
        _known[key] = None
        while len(_known) > MOST_REMEMBERED:
            _known.popitem(last=False)
    threading.Thread(target=_measure, args=(key, job), daemon=True).start()
    return None


def _measure(key: Hashable, job: Job) -> None:
    found = Speed(0.0)
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
        found = Speed(float(done.stdout.split()[-1]))
    with _changed:
        _known[key] = found
