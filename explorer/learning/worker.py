"""Trains the run of a directory, from its start or from its last checkpoint: what `explorer train DIR` does.

What is heavy to import is imported once it is this worker's turn, so that many may wait.
"""

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from explorer.errors import ExplorerError
from explorer.learning import line, runs
from explorer.learning.endings import Stopped
from explorer.learning.runs import LOCK, STATUS, STOP, Run, RunError, State, Status

if TYPE_CHECKING:
    from explorer.learning.session import Session

HEARTBEAT = 1.0  # seconds between two of them

Say = Callable[[str], None]


class Pulse:
    """Writes the status: at once where something happens, and every second as a sign of life."""

    def __init__(self, path: Path) -> None:
        self.path = path / STATUS
        self.said = Status(pid=os.getpid(), host=platform.node())
        self._changed = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def say(self, at_once: bool = True, **changes: Any) -> None:
        with self._changed:
            self.said = self.said._replace(**changes)
            if at_once:
                self._write()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with self._changed:
                self._write()

    def _write(self) -> None:
        import json

        self.said = self.said._replace(heartbeat=time.time())
        with suppress(OSError):  # on a full disk the next one may find room
            runs.write_whole(self.path, json.dumps(self.said._asdict()).encode(), lasting=False)


def train(path: Path, in_line: bool = False, say: Say = print) -> State:
    """Train a run to its end, or until it is stopped; how it ended. What goes wrong is said in its status too.

    With `in_line` it waits for one of the machine's places. Raises RunError where there is no run, or where another
    worker trains it.
    """
    run = runs.read(path)
    with _alone(run):
        before = runs.status(path).state
        if before in ("finished", "diverged") and not _goes_further(run):
            say(f"{run.title} has {before} already.")
            return before
        runs.take_back_stop(path)
        with Pulse(path) as pulse, _signals() as asked:
            state, message = _train(run, pulse, in_line, asked, say)
            pulse.say(state=state, message=message, seconds_left=0.0)
            say(message or f"{run.title}: {state}.")
        return state


def _train(run: Run, pulse: Pulse, in_line: bool, asked: threading.Event, say: Say) -> tuple[State, str]:
    """How it ended, and a sentence about it."""

    def stop() -> None:
        if asked.is_set() or (run.path / STOP).exists():
            raise Stopped("Stopped.")

    def waiting(place: int) -> None:
        stop()
        if pulse.said.state != "waiting" or pulse.said.place != place:
            pulse.say(state="waiting", place=place)

    try:
        with line.turn(run.name, waiting) if in_line else nullcontext():
            pulse.say(state="preparing", message="Starting")
            return _session(run, pulse, stop).run()
    except Stopped as reason:
        return "stopped", str(reason)
    except ExplorerError as error:
        return "failed", str(error)
    except OSError as error:
        return "failed", f"It cannot be written ({error.strerror or error}); the last checkpoint stays."
    except MemoryError:
        return "failed", "The memory is full: take a smaller batch, fewer images or a smaller network."
    except Exception as error:
        import traceback

        say(traceback.format_exc())
        if "out of memory" in str(error):
            return "failed", "The device's memory is full: take a smaller batch, fewer images or a smaller network."
        return "failed", f"It broke off ({type(error).__name__}: {str(error)[:200]})."


def _session(run: Run, pulse: Pulse, stop: Callable[[], None]) -> "Session":
    os.environ.setdefault("OMP_NUM_THREADS", str(run.job.threads))
    from explorer.learning.session import Session

    return Session(run, pulse.say, stop)


def _goes_further(run: Run) -> bool:
    """Whether a run that has ended is to learn for longer than it did: somebody has set more epochs since."""
    return runs.status(run.path).epochs < run.job.recipe.epochs


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    lock = FileLock(run.path / LOCK)
    try:
        with lock.acquire(blocking=False):
            yield
    except Timeout:
        said = runs.status(run.path)
        raise RunError(f"{run.title} is being trained already, by process {said.pid} on {said.host}.") from None


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set once the system or a Ctrl-C asks this process to end; a second Ctrl-C ends it where it stands."""
    asked = threading.Event()

    def ask(number: int, _: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
