"""Whose turn is it? Workers of one machine take turns by locks on files, which a process that dies gives back.

In the runs' folder `.line` has a lock for each worker that may train at once, and a ticket, locked while its worker
waits, for each that waits. Nobody manages it: who waits longest takes the next place that is free.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from explorer.learning.settings import made, most_workers, runs_folder

FOLDER = ".line"
LOOKS_EACH = 0.3  # seconds
NICE = 10


def give_way() -> None:
    """Let visitors' pages have the processor first, for the rest of this process."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    if hasattr(os, "SCHED_IDLE"):  # Linux: what is only nice is not put aside at once, and a pass of two threads waits
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # Linux weighs sessions against each other before it looks at what is in them, and a worker is one of its own
    if os.name == "posix" and os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


@contextmanager
def turn(name: str, waiting: Callable[[int], None]) -> Iterator[None]:
    """Waits until one of the machine's places is free, and holds it. `waiting(place)` is called all the while with how
    many are before this one; what it raises ends the waiting.
    """
    folder = made(runs_folder() / FOLDER)
    # the time first: the order of names is that in which they came
    ticket = FileLock(folder / f"{time.time_ns():020d}-{name[:40]}.ticket")
    with ticket:
        place = None
        try:
            while place is None:
                before = _before(folder, Path(ticket.lock_file))
                place = None if before else _free(folder)
                if place is None:
                    waiting(before)
                    time.sleep(LOOKS_EACH)
        finally:
            _remove(ticket)
    try:
        yield
    finally:
        place.release()


def _before(folder: Path, own: Path) -> int:
    """How many wait longer; tickets of those that died are taken away."""
    count = 0
    for path in sorted(folder.glob("*.ticket")):
        if path.name >= own.name:
            break
        other = FileLock(path)
        try:
            with other.acquire(blocking=False):
                _remove(other)
        except Timeout:
            count += 1
        except OSError:  # it has gone meanwhile
            continue
    return count


def _free(folder: Path) -> FileLock | None:
    """One of the places, held; None where all are taken."""
    for i in range(most_workers()):
        place = FileLock(folder / f"place-{i}.lock")
        with suppress(Timeout):
            place.acquire(blocking=False)
            return place
    return None


def _remove(lock: FileLock) -> None:
    with suppress(OSError):
        os.unlink(lock.lock_file)
