"""Sweeps as they lie on the disk, read once and remembered until their files change."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from explorer.learning import runs
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import reading
from explorer.learning.sweeps.directory import RESULTS, SWEEP, TRIALS, Directory
from explorer.learning.sweeps.reading import Findings
from explorer.learning.sweeps.sweep import SweepError

State = tuple[tuple[int, int, int], ...]  # of some files: it tells one content from the next


def read(path: Path) -> Directory:
    """Raises SweepError."""
    return _read(path, _state(path, SWEEP, TRIALS))


def state(path: Path) -> State:
    """Of all that a sweep has found; to be asked for before it is read."""
    return _state(path, SWEEP, TRIALS, RESULTS)


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
    found = []
    for name in names:
        with suppress(OSError):
            one = (path / name).stat()
            found.append((one.st_ino, one.st_mtime_ns, one.st_size))
            continue
        found.append((0, 0, 0))
    return tuple(found)
