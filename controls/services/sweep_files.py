"""Sweeps as they lie on the disk, read once and remembered until their files change."""

import time
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from controls.file_states import FileState, file_state
from explorer.learning import runs
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import reading
from explorer.learning.sweeps.directory import RESULTS, SWEEP, TRIALS, Directory
from explorer.learning.sweeps.reading import Findings
from explorer.learning.sweeps.sweep import SweepError

MOST_HELD = 256
DRAWN = 40_000  # bytes of results a second, on the average, of which pictures are drawn


State = tuple[FileState, ...]  # of some files

_held: OrderedDict[Path, tuple[State, float]] = OrderedDict()  # what is shown of each, and since when


def read(path: Path) -> Directory:
    """Raises SweepError."""
    return _read(path, _state(path, SWEEP, TRIALS))


def state(path: Path) -> State:
    """Of all that a sweep has found; to be asked for before it is read."""
    return _state(path, SWEEP, TRIALS, RESULTS)


def state_to_show(path: Path, goes_on: bool) -> State:
    """While a sweep goes on it stays the same for the longer, the more trials have ended: some seconds with a thousand.
    All of them are drawn and sent anew for each one that ends, and are hardly different.
    """
    now = state(path)
    held, since = _held.get(path, (now, 0.0))
    if goes_on and held != now and time.monotonic() - since < held[-1].size / DRAWN:
        return held
    if path not in _held or held != now:
        _held[path] = now, time.monotonic()
        while len(_held) > MOST_HELD:
            _held.popitem(last=False)
    return now


@lru_cache(maxsize=16)
def findings(path: Path, _now: State) -> Findings:
    """Raises SweepError."""
    directory = read(path)
    return reading.findings(directory, directory.results())


def chance(path: Path) -> float:
    """The accuracy of guessing, where all of a sweep's networks have as many answers; else 0."""
    found = {part.job.config.classes for part in read(path).sweep.parts}
    return 1 / found.pop() if len(found) == 1 else 0.0


def size_of_all(owner: str) -> int:
    """Bytes of all the sweeps of a visitor."""
    total = 0
    for path in directories.listed():
        with suppress(SweepError):
            if read(path).owner == owner:
                total += _size(path, _state(path, RESULTS))
    return total


@lru_cache(maxsize=256)
def _read(path: Path, _now: State) -> Directory:
    return directories.read(path)


@lru_cache(maxsize=256)
def _size(path: Path, _now: State) -> int:
    return runs.size(path)


def _state(path: Path, *names: str) -> State:
    return tuple(file_state(path / name) for name in names)
