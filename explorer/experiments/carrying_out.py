"""Carries out the experiment of a record: trains each network and measures it, on all cores, and writes down what is
found. Stopped, or killed, it goes on where it was.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from explorer.errors import ExplorerError
from explorer.experiments import record as records
from explorer.experiments import results as found_results
from explorer.experiments.experiment import Measured
from explorer.experiments.record import RESULTS, ExperimentError, Record
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.learning import line, runs, worker
from explorer.learning.endings import Stopped
from explorer.learning.runs import LOCK, STOP, State
from explorer.learning.settings import most_workers
from explorer.learning.worker import Pulse

LOOKS_EACH = 0.3  # seconds between two looks at whether to stop
MEMORY = 1_500_000_000  # bytes that a process takes at most, of which torch takes a third
ON_A_CARD = 2  # networks that are trained there at once
ENDS_ITSELF = 1.0  # seconds between two looks of a process at whether the one that started it is still there

Say = Callable[[str], None]


def carry_out(path: Path, say: Say = print, in_line: bool = False, processes: int = 0) -> State:
    """How it ended; what went wrong is said in its status too. `processes`: 0 for one for each core.

    With `in_line` it waits for one of the machine's places. Raises ExperimentError where there is none, and where
    another process carries it out.
    """
    with _alone(records.read(path)) as record, Pulse(path) as pulse:
        state, message = _carry_out(record, pulse, in_line, processes or usual_processes(record.device, in_line), say)
        pulse.say(state=state, message=message, seconds_left=0.0)
        say(message or f"{record.experiment.name}: {state}.")
        return state


def usual_processes(device: str, in_line: bool) -> int:
    """How many networks are trained at once: one for each core, as far as there is memory. Where others may train
    beside it, whose turn it is by `line`, one for each core that is its share.
    """
    cores = os.cpu_count() or 1
    if device != "cpu":
        return min(ON_A_CARD, cores)
    share = max(1, cores // most_workers()) if in_line else cores
    return max(1, min(share, psutil.virtual_memory().available // MEMORY))


def _carry_out(record: Record, pulse: Pulse, in_line: bool, processes: int, say: Say) -> tuple[State, str]:
    def stop() -> None:
        if (record.path / STOP).exists():
            raise Stopped

    def waiting(place: int) -> None:
        stop()
        pulse.wait_in_line(place)

    try:
        with line.turn(record.name, waiting) if in_line else nullcontext():
            pulse.say(state="training", message="", steps=len(record.trials))
            _all_trials(record, pulse, stop, processes, say)
        return "finished", ""
    except Stopped:
        return "stopped", "What is measured stays, and Resume goes on from there."
    except KeyboardInterrupt:
        return "stopped", "Stopped by Ctrl-C; the same command with --resume goes on."
    except ExplorerError as error:
        return "failed", str(error)
    except OSError as error:
        return "failed", f"It cannot be written ({error.strerror or error})."


def _all_trials(record: Record, pulse: Pulse, stop: Callable[[], None], processes: int, say: Say) -> None:
    results, began = record.results, time.monotonic()
    before = results.seconds
    todo = [(arm, seed) for arm, seed in record.trials if seed not in results.seeds_of(arm)]
    done = len(record.trials) - len(todo)
    with _executor(min(processes, max(1, len(todo)))) as executor:
        with _deaf():
            pending = {executor.submit(trial, record.path, arm, seed): (arm, seed) for arm, seed in todo}
        try:
            while pending:
                stop()
                for future in wait(pending, LOOKS_EACH, FIRST_COMPLETED).done:
                    arm, seed = pending.pop(future)
                    seconds = before + time.monotonic() - began
                    results = replace(results.adding(arm, seed, future.result()), seconds=seconds)
                    _write(record, results)
                    done += 1
                    left = seconds / done * (len(record.trials) - done)
                    pulse.say(step=done, seconds=seconds, seconds_left=left)
                    say(f"{done} of {len(record.trials)}: {record.experiment.arm(arm).title}, seed {seed}")
        except BaseException:
            _end(record, pending)
            raise


def _end(record: Record, pending: dict[Future[Measured], tuple[str, int]]) -> None:
    """Stops the runs that are being trained, which keep their checkpoints, and lets no other begin."""
    runs.ask_to_stop(record.path)
    ahead = {future: trial for future, trial in pending.items() if not future.cancel()}
    while ahead:
        for arm, seed in ahead.values():
            with suppress(OSError):  # one that has not begun has no directory
                runs.ask_to_stop(record.run_of(arm, seed))
        for future in wait(ahead, LOOKS_EACH).done:  # again and again: a run that begins takes back what it finds
            del ahead[future]


def _write(record: Record, results: Results) -> None:
    experiment = record.experiment.name
    command = f"python -m explorer experiment {experiment} --seeds {record.seeds} --scale {record.scale:g}"
    found = found_results.now(results, command, os.cpu_count() or 1, date.today().isoformat())
    runs.write_whole(record.path / RESULTS, found.to_json().encode(), lasting=False)


def trial(path: Path, arm: str, seed: int) -> Measured:
    """Trains one network, or goes on with it, and measures it. Raises Stopped, ExperimentError, OSError."""
    record = records.read(path)
    run = record.run_of(arm, seed)
    if (path / STOP).exists():
        raise Stopped
    if not (run / runs.CONFIG).exists():
        job = record.experiment.arm(arm).trained(seed, record.scale)
        own = replace(job, device=record.device, most_seconds=record.most_seconds, owner=record.owner)
        runs.create(replace(own, experiment=record.name), run)
    state = worker.train(run, say=_nothing)
    if state == "stopped" and (path / STOP).exists():
        raise Stopped
    if state not in ("finished", "diverged"):
        raise ExperimentError(f"{record.experiment.arm(arm).title}, seed {seed}: {runs.status(run).message}")
    return record.experiment.measure(Trial(run, arm, seed))


def _nothing(text: str) -> None:
    """What a run says stands in its status."""


@contextmanager
def _executor(processes: int) -> Iterator[Executor]:
    """One process trains in this one, in a thread; several each in one of their own, with a core each."""
    if processes == 1:
        with ThreadPoolExecutor(1) as threads:
            yield threads
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (os.getpid(),)) as pool:
        yield pool


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile pay no heed to a Ctrl-C, which is for this one: it asks them to end. Only a
    run that is being trained listens for itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(parent: int) -> None:
    """In a new process: end with the one that started it, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ENDS_ITSELF)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _alone(record: Record) -> Iterator[Record]:
    lock = FileLock(record.path / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ExperimentError("It is being carried out already.") from None
    except OSError as error:
        raise ExperimentError(f"Its directory is not to be written ({error.strerror or error}).") from None
    try:
        yield record
    finally:
        lock.release()
