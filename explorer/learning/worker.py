"""Trains the run of a directory, from its start or from its last checkpoint: what `explorer train DIR` does.

What is heavy to import is imported once it is this worker's turn, so that many may wait.
"""

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from explorer.errors import ExplorerError
from explorer.learning import line, runs
from explorer.learning.endings import Stopped
from explorer.learning.job import Job
from explorer.learning.runs import CHECKPOINT, CONFIG, LOCK, STATUS, STOP, Run, RunError, State, Status
from explorer.wording import clean

if TYPE_CHECKING:
    from explorer.learning.session import Session

HEARTBEAT = 1.0  # seconds between two of them
NONE: Mapping[str, str] = MappingProxyType({})

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

    def wait_in_line(self, place: int) -> None:
        """Say how many are before this one, where that has changed."""
        if (self.said.state, self.said.place) != ("waiting", place):
            self.say(state="waiting", place=place)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with self._changed:
                self._write()

    def _write(self) -> None:
        self.said = self.said._replace(heartbeat=time.time())
        data = json.dumps(self.said._asdict()).encode()
        try:
            runs.write_whole(self.path, data, lasting=False)
        except OSError:  # a full disk, which has room for it where the last one lies
            with suppress(OSError), self.path.open("r+b") as file:
                file.write(data.ljust(os.fstat(file.fileno()).st_size))


def train(
    path: Path, in_line: bool = False, say: Say = print, changes: Mapping[str, str] = NONE, keep_stop: bool = False
) -> State:
    """Train a run to its end, or until it is stopped; how it ended. What goes wrong is said in its status too.

    With `in_line` it waits for one of the machine's places. `changes` are knobs that are turned before, and for good.
    A stop that was asked for before it began is taken back, as by somebody who resumes it; with `in_line` and with
    `keep_stop`, where others have it begin whenever there is a place, it counts.
    Raises RunError where there is no run, where another worker trains it, and where nothing can be written;
    JobError and ConfigError for changes that cannot be.
    """
    with _alone(runs.read(path)):
        run = _turned(runs.read(path), changes, in_line or keep_stop)  # read anew: now nobody else turns its knobs
        before = runs.status(path)
        further = before.epochs < run.job.recipe.epochs or (before.state == "diverged" and changes)
        if before.state in ("finished", "diverged") and not further:
            say(f"{run.title} has {before.state} already.")
            return before.state
        with Pulse(path) as pulse, _signals() as asked:
            state, message = _train(run, pulse, in_line, asked, say)
            pulse.say(state=state, message=message, seconds_left=0.0)
            say(message or f"{run.title}: {state}.")
        return state


def _train(run: Run, pulse: Pulse, in_line: bool, asked: threading.Event, say: Say) -> tuple[State, str]:
    """How it ended, and a sentence about it."""

    def stop() -> None:
        if asked.is_set() or (run.path / STOP).exists():
            raise Stopped

    def waiting(place: int) -> None:
        stop()
        pulse.wait_in_line(place)

    try:
        with line.turn(run.name, waiting) if in_line else nullcontext():
            stop()
            pulse.say(state="preparing", message="")
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
        if "out of memory" in str(error) or "can't allocate memory" in str(error):  # CUDA says it so, and the CPU so
            return "failed", "The device's memory is full: take a smaller batch, fewer images or a smaller network."
        return "failed", f"It broke off ({type(error).__name__}: {clean(str(error), 200)})."


def _session(run: Run, pulse: Pulse, stop: Callable[[], None]) -> "Session":
    os.environ.setdefault("OMP_NUM_THREADS", str(run.job.threads))
    from explorer.learning.session import Session

    return Session(run, pulse.say, stop)


def _turned(run: Run, changes: Mapping[str, str], keep_stop: bool) -> Run:
    """The run with other knobs, as `--set` says them, and ready to go on."""
    job = run.job.turned(changes)
    begun = (run.path / CHECKPOINT).exists()
    if begun and _what_is_learned(job) != _what_is_learned(run.job):
        raise RunError(
            f"{run.title} has begun to learn: another network, other images or another batch size need a run of "
            "their own, in another directory."
        )
    try:
        runs.clear_partial(run.path)
        if not keep_stop:  # whoever put it in line has done so before, and may have asked for a stop since
            runs.take_back_stop(run.path)
        if changes:
            runs.write_whole(run.path / CONFIG, job.to_json().encode())
    except OSError as error:
        raise _unwritable(run, error) from None
    return replace(run, job=job)


def _what_is_learned(job: Job) -> tuple[object, ...]:
    """By which the steps that a checkpoint has behind it are counted."""
    return job.config, job.data, job.images, job.recipe.batch_size


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    lock = FileLock(run.path / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        said = runs.status(run.path)
        by = f", by process {said.pid} on {clean(said.host)}" if said.pid else ""
        raise RunError(f"{run.title} is being trained already{by}.") from None
    except OSError as error:
        raise _unwritable(run, error) from None
    try:
        yield
    finally:
        lock.release()


def _unwritable(run: Run, error: OSError) -> RunError:
    return RunError(f"{run.title} cannot be trained: its directory is not to be written ({error.strerror or error}).")


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
