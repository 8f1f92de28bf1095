"""Sweeps whose trials nobody has trained: their results are written down as a driver does."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

from explorer.families import PRESETS
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.runs import State
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps.directory import Directory, Results
from explorer.learning.sweeps.sweep import Part, Sweep, Trial, Values

Outcome = Callable[[Trial], Mapping[str, Any]]  # of a trial: what its row says
CONFIG = PRESETS["resnet20_cifar"].replace(input_size=16, channels=1, blocks=(1, 1, 1), width=8, stem_width=4)
JOB = Job(CONFIG, "digits", Recipe(epochs=3, batch_size=50))


def part(name: str = "", job: Job = JOB, **turned: Values) -> Part:
    return Part(name, job, turned)


def sweep(*parts: Part, seeds: int = 2, title: str = "widths", **more: Any) -> Sweep:
    return Sweep(title, parts or (part(width=("4", "8")),), tuple(range(seeds)), **more)


def begun(of: Sweep | None = None, owner: str = "") -> Directory:
    return directories.create(of or sweep(), owner=owner)


def ended(directory: Directory, outcome: Outcome, most: int = 10**9) -> Directory:
    """With a row for each of the first trials; an outcome without a state is that of one that finished."""
    table = Results(directory)
    for trial in directory.trials[:most]:
        row = {"run": directory.run_of(trial).name, "state": "finished", "seconds": 1, "message": "", **outcome(trial)}
        table.add(trial, row)
    return directory


def by_width(trial: Trial) -> dict[str, Any]:
    """Wider networks are better, and so is the first seed."""
    width = int(trial.turns.get("width", "8"))
    return {"params": 100 * width, "macs": 1000 * width, "test_accuracy": 0.4 + 0.05 * width - 0.1 * trial.seed}


def says(directory: Directory, state: State, **more: Any) -> None:
    """The driver's status."""
    alive: dict[str, Any] = {"heartbeat": time.time(), "pid": os.getpid(), "host": platform.node()}
    said = runs.Status(state, **alive | more)._asdict()
    (directory.path / runs.STATUS).write_text(json.dumps(said))
