"""An experiment made by a sweep: its networks and seeds as one, on a cluster say; and its measurements, read off the
runs of one.
"""

import os
from collections.abc import Callable
from datetime import date
from typing import Any

from explorer.experiments import results as found_results
from explorer.experiments.experiment import Experiment
from explorer.experiments.record import ExperimentError
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.learning import runs
from explorer.learning.sweeps import file
from explorer.learning.sweeps.directory import Directory
from explorer.learning.sweeps.sweep import Part, Sweep
from explorer.wording import clean

COMMAND = "python -m explorer experiment {0} --as-sweep {0}.json; sweep {0}.json; experiment {0} --of-sweep DIR"


def as_sweep(experiment: Experiment, seeds: int, scale: float, device: str = "cpu") -> dict[str, Any]:
    """What the file of the sweep that trains it says."""
    parts = tuple(Part(arm.title, arm.trained(0, scale).on(device), {}) for arm in experiment.arms)
    return file.to_table(Sweep(experiment.name, parts, tuple(range(seeds))))


def of_sweep(experiment: Experiment, directory: Directory, scale: float, say: Callable[[str], None]) -> Results:
    """What the trials that have ended say; other networks' trials are passed over, and where they ran does not matter.
    `seconds` are those of training, shared out among the cores.

    Raises ExperimentError where none is the experiment's.
    """
    wanted = {
        arm.trained(seed, scale).on("cpu"): (arm.name, seed)
        for arm in experiment.arms
        for seed in directory.sweep.seeds
    }
    table, cores = directory.results(), os.cpu_count() or 1
    ended = set(table["trial"][table["state"].isin(["finished", "diverged"])]) if len(table) else set()
    results, seconds = Results(experiment.name, scale), 0.0
    for trial in directory.trials:
        known = wanted.get(trial.job(directory.sweep).on("cpu"))
        if known and trial.number in ended:
            run = directory.run_of(trial)
            results = results.adding(*known, experiment.measure(Trial(run, *known)))
            seconds += runs.status(run).seconds
            say(f"{trial.title(directory.sweep)} is measured.")
    if not results.runs:
        raise ExperimentError(f"No trial of {clean(directory.title)} that has ended is one of {experiment.name}.")
    found = Results(experiment.name, scale, results.measured, seconds / cores)
    return found_results.now(found, COMMAND.format(experiment.name), cores, date.today().isoformat())
