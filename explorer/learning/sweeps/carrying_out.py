"""Carries out a sweep: has its trials trained, writes down what came of each, stops those that do not pay, and keeps
the budget. Stopped, or killed, it goes on where it was.

It holds the list of trials, how each of them ended, and those that are being trained; nothing of a trial that has
ended or has not begun.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from explorer.families import plan
from explorer.learning import results, runs, trial_names
from explorer.learning.driving import Say, Stop, drive
from explorer.learning.endings import Stopped
from explorer.learning.runs import State, Status
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import engines
from explorer.learning.sweeps.directory import ENDED, FAILED, Directory, Results
from explorer.learning.sweeps.early import EarlyStopping, evaluations
from explorer.learning.sweeps.engine import Engine
from explorer.learning.sweeps.engines import Where
from explorer.learning.sweeps.on_this_machine import DIED
from explorer.learning.sweeps.sweep import Sweep, Trial, longest
from explorer.learning.worker import Pulse
from explorer.wording import duration

LOOKS_EACH = 0.3  # seconds between two looks at whether to stop
READS_EACH = 1.0  # seconds between two looks at what is being trained
WORSE = "Others did better after as many epochs."
MOST_DEATHS = 3  # of a trial's process, after which it is not started again


def carry_out(
    path: Path,
    say: Say = print,
    in_line: bool = False,
    again: bool = False,
    start: Callable[[Sweep, Where, bool], Engine] = engines.start,
) -> State:
    """How it ended. With `again` trials that have failed, or were stopped each by itself, are trained once more.

    `start` is called once it is this sweep's turn. Raises SweepError where there is no sweep, RunError where another
    process carries it out.
    """
    directory = directories.read(path)

    def work(pulse: Pulse, stop: Stop) -> str:
        pulse.say(message="Preparing")
        driving = Driving(directory, pulse, stop, say, again)
        with closing(start(directory.sweep, directory.where, in_line)) as engine:
            driving.run(engine)
        return driving.summary()

    return drive(path, work, say, in_line, "`sweep DIR` with its directory")


class Driving:
    """One driver's work on a sweep."""

    def __init__(self, directory: Directory, pulse: Pulse, stop: Stop, say: Say, again: bool) -> None:
        self._directory, self._pulse, self._stop, self._say = directory, pulse, stop, say
        self._table = Results(directory)
        self._states = self._table.states()
        retried = ("stopped", *FAILED) if again else ()
        todo = [trial for trial in directory.trials if self._states.get(trial.number, "") in ("", *retried)]
        self._todo = deque(todo)
        self._running: dict[int, Trial] = {}
        self._stopped_early: set[int] = set()
        self._deaths: dict[int, int] = {}
        # seconds of training: of those that have ended, and of each that has begun and not ended
        begun = trial_names.begun(directory.path)
        self._partly = {trial.number: self._status(trial).seconds for trial in todo if trial.number in begun}
        counted = sum(seconds for number, seconds in self._partly.items() if number in self._states)
        self._seconds = self._table.seconds() - counted  # those that are trained once more have rows
        self._early = self._early_stopping(begun)
        self._began, self._ended_since, self._read_at = time.monotonic(), 0, 0.0

    def _early_stopping(self, begun: Iterable[int]) -> EarlyStopping | None:
        """Which knows how those did that have begun before; None where it is not asked for. Raises SweepError."""
        sweep = self._directory.sweep
        if not sweep.early:
            return None
        found = EarlyStopping(sweep.early, longest(sweep))
        for number in begun:
            found.replay(number, evaluations(trial_names.path_of(self._directory.path, number)))
        return found

    def run(self, engine: Engine) -> None:
        """Raises Stopped, OSError."""
        self._progress()
        try:
            while self._todo or self._running:
                self._stop()
                while self._todo and engine.free > 0:
                    self._start(engine, self._todo.popleft())
                for number, why in engine.ended(LOOKS_EACH):
                    self._end(number, why)
                if time.monotonic() - self._read_at > READS_EACH:
                    self._look()
        except BaseException:
            self._stop_all(engine)
            raise

    def summary(self) -> str:
        """98 finished, 2 failed."""
        states = list(self._states.values())
        words = {"early": "stopped early"}
        return ", ".join(f"{states.count(one):,} {words.get(one, one)}" for one in dict.fromkeys(states)) + "."

    def _start(self, engine: Engine, trial: Trial) -> None:
        path = self._directory.run_of(trial)
        if not (path / runs.CONFIG).exists():
            runs.create(replace(trial.job(self._directory.sweep), owner=self._directory.owner), path)
        self._running[trial.number] = trial
        engine.start(trial.number, path)

    def _end(self, number: int, why: str) -> None:
        trial = self._running.pop(number)
        said = self._status(trial)
        self._partly[number] = said.seconds
        if self._early:
            self._early.replay(number, evaluations(self._directory.run_of(trial)))
        if why == DIED and self._deaths.get(number, 0) < MOST_DEATHS:
            self._deaths[number] = self._deaths.get(number, 0) + 1
            self._todo.appendleft(trial)  # which goes on from its checkpoint
            return
        state: str = said.state
        if why:
            state, said = "failed", said._replace(message=why)
        elif state == "stopped" and number in self._stopped_early:
            state, said = "early", said._replace(message=WORSE)
        self._write(trial, state, said)

    def _write(self, trial: Trial, state: str, said: Status) -> None:
        path = self._directory.run_of(trial)
        self._table.add(trial, {"state": state, **self._values(trial, path, said)})
        self._states[trial.number] = state
        self._seconds += self._partly.pop(trial.number, 0.0)
        self._ended_since += 1
        self._progress()
        self._say(
            f"{len(self._states):,} of {len(self._directory.trials):,}: {trial.title(self._directory.sweep)}: "
            f"{state}. {said.message}"
        )

    def _values(self, trial: Trial, path: Path, said: Status) -> dict[str, Any]:
        """Of a run that has ended, for its row."""
        table = runs.metrics(path)
        network = plan(trial.job(self._directory.sweep).config)
        found = {name: _last(table, name) for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")}
        best = results.best(table)
        return {
            **found,
            "run": path.name,
            "network": self._directory.sweep.parts[trial.part].name,
            "params": network.params,
            "macs": network.macs,
            "epochs": _last(table, "epoch"),
            "steps": said.step,
            "best_test_accuracy": best.test_accuracy if best else "",
            "seconds": said.seconds,
            "host": said.host,
            "message": said.message,
        }

    def _look(self) -> None:
        """At what is being trained: what it has cost so far, and whether it pays. Raises Stopped."""
        for number, trial in self._running.items():
            path = self._directory.run_of(trial)
            self._partly[number] = runs.status(path).seconds
            if self._early and self._early.tell(number, evaluations(path)):
                self._stopped_early.add(number)
            if number in self._stopped_early:
                _ask_to_stop(path)
        self._read_at = time.monotonic()
        self._progress()
        budget, spent = self._directory.sweep.budget, self._spent
        if budget and spent >= budget:
            raise Stopped(
                f"The budget of {duration(budget).removeprefix('about ')} of training is used up ({spent:,.0f} s): "
                f"{len(self._states):,} of {len(self._directory.trials):,} trials have ended; a larger one goes on."
            )

    @property
    def _spent(self) -> float:
        return self._seconds + sum(self._partly.values())

    def _progress(self) -> None:
        done, count = len(self._states), len(self._directory.trials)
        each = (time.monotonic() - self._began) / self._ended_since if self._ended_since else 0.0
        self._pulse.say(
            step=done,
            steps=count,
            seconds=self._spent,
            seconds_left=each * (len(self._todo) + len(self._running)),
            message=f"{len(self._running):,} being trained" if self._running else "",
        )

    def _stop_all(self, engine: Engine) -> None:
        """Stops what is being trained, which keeps its checkpoints."""
        for trial in self._running.values():
            _ask_to_stop(self._directory.run_of(trial))
        while self._running:
            for number, _ in engine.ended(LOOKS_EACH):
                trial = self._running.pop(number)
                said = self._status(trial)
                self._partly[number] = said.seconds
                if said.state in ENDED:
                    self._write(trial, said.state, said)

    def _status(self, trial: Trial) -> Status:
        return runs.status(self._directory.run_of(trial))


def _ask_to_stop(path: Path) -> None:
    with suppress(OSError):
        runs.ask_to_stop(path)


def _last(table: pd.DataFrame, column: str) -> float | str:
    """The last number in a column; "" where there is none."""
    found = results.numbers(table, column)
    found = found[np.isfinite(found)]
    return float(found[-1]) if len(found) else ""
