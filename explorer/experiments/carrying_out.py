"""Carries out the experiment of a record: trains each network and measures it, on all cores, and writes down what is
found. Stopped, or killed, it goes on where it was.
"""

import os
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

from explorer.experiments import record as records
from explorer.experiments import results as found_results
from explorer.experiments.experiment import Measured
from explorer.experiments.record import RESULTS, ExperimentError, Record
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.learning import runs, worker
from explorer.learning.driving import Say, Stop, drive
from explorer.learning.endings import Stopped
from explorer.learning.runs import STOP, State
from explorer.learning.side_by_side import Processes, usual_processes
from explorer.learning.worker import Pulse

LOOKS_EACH = 0.3  # seconds between two looks at whether to stop


def carry_out(path: Path, say: Say = print, in_line: bool = False, processes: int = 0) -> State:
    """How it ended; what went wrong is said in its status too. `processes`: 0 for one for each core.

    With `in_line` it waits for one of the machine's places. Raises ExperimentError where there is none, RunError where
    another process carries it out.
    """
    record = records.read(path)

    def work(pulse: Pulse, stop: Stop) -> str:
        pulse.say(steps=len(record.trials))
        _all_trials(record, pulse, stop, processes or usual_processes(record.device, in_line), say)
        return ""

    return drive(path, work, say, in_line, "the same command with --resume")


def _all_trials(record: Record, pulse: Pulse, stop: Stop, processes: int, say: Say) -> None:
    results, began = record.results, time.monotonic()
    before = results.seconds
    todo = [(arm, seed) for arm, seed in record.trials if seed not in results.seeds_of(arm)]
    done = len(record.trials) - len(todo)
    pending: dict[Future[Measured], tuple[str, int]] = {}
    with closing(Processes(min(processes, max(1, len(todo))))) as places:
        try:
            while todo or pending:
                stop()
                while todo and places.free:
                    arm, seed = todo.pop(0)
                    pending[places.submit(trial, record.path, arm, seed)] = arm, seed
                for future in places.ended(LOOKS_EACH):
                    arm, seed = pending.pop(future)
                    seconds = before + time.monotonic() - began
                    results = replace(results.adding(arm, seed, _measured(future, record, arm, seed)), seconds=seconds)
                    _write(record, results)
                    done += 1
                    left = seconds / done * (len(record.trials) - done)
                    pulse.say(step=done, seconds=seconds, seconds_left=left)
                    say(f"{done} of {len(record.trials)}: {record.experiment.arm(arm).title}, seed {seed}")
        except BaseException:
            _end(record, places, pending)
            raise


def _measured(future: Future[Measured], record: Record, arm: str, seed: int) -> Measured:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ExperimentError(f"{record.experiment.arm(arm).title}, seed {seed}: its process died.") from None


def _end(record: Record, places: Processes, pending: dict[Future[Measured], tuple[str, int]]) -> None:
    """Stops the runs that are being trained, which keep their checkpoints."""
    runs.ask_to_stop(record.path)
    while pending:
        for arm, seed in pending.values():
            with suppress(OSError):  # one that has not begun has no directory
                runs.ask_to_stop(record.run_of(arm, seed))
        for future in places.ended(LOOKS_EACH):  # again and again: a run that begins takes back what it finds
            del pending[future]


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
