"""An experiment that is carried out here is a directory, as a run is; its networks are ordinary runs beside it.

config.json     which experiment, with how many seeds, how long each network learns, and the names of its runs
status.json     what its process does, written anew every second; `step` of `steps` counts trained networks
results.json    what is measured so far, written anew after each network
stop            asks the process to stop; taken away when it goes on
worker.lock     held by the process
log.txt         what it printed
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from explorer.experiments import EXPERIMENTS
from explorer.experiments import results as found_results
from explorer.experiments.experiment import MOST_SEEDS, SCALES, Experiment
from explorer.experiments.results import Results, ResultsError
from explorer.families.knobs import shown
from explorer.learning import runs
from explorer.learning.runs import CONFIG, NAME, RunError
from explorer.learning.settings import made, runs_folder
from explorer.wording import clean

FOLDER = ".experiments"  # in the runs' folder
RESULTS = "results.json"
MOST_BYTES = 2**18


class ExperimentError(RunError):
    """An experiment that is not there or cannot be carried out: one sentence."""


@dataclass(frozen=True)
class Record:
    """`runs`: "arm seed" -> the name of that run. `most_seconds` is a limit for each run, 0 for none. `owner` tells
    whose it is, on a server.
    """

    path: Path
    experiment: Experiment
    seeds: int
    scale: float
    runs: Mapping[str, str]
    device: str = "cpu"
    most_seconds: int = 0
    owner: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    def run_of(self, arm: str, seed: int) -> Path:
        return runs_folder() / self.runs[f"{arm} {seed}"]

    @property
    def trials(self) -> tuple[tuple[str, int], ...]:
        """Arm and seed of each run, in the order in which they are trained: every arm once, then the next seed."""
        return tuple((arm.name, seed) for seed in range(self.seeds) for arm in self.experiment.arms)

    @property
    def results(self) -> Results:
        """What is measured so far."""
        with suppress(ResultsError):
            return found_results.read(self.path / RESULTS)
        return Results(self.experiment.name, self.scale)


def check(seeds: int, scale: float) -> None:
    """Raises ExperimentError for what cannot be."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise ExperimentError(f"{seeds} seeds: choose 1 to {MOST_SEEDS}.")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ExperimentError(f"{scale:g} times as long: choose {SCALES[0]:g} to {SCALES[1]:g}.")


def find(name: str) -> Experiment:
    """Raises ExperimentError where there is no such experiment."""
    if name not in EXPERIMENTS:
        raise ExperimentError(f"There is no experiment {clean(name)!r}; there are {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[name]


def create(
    experiment: Experiment, seeds: int, scale: float, device: str = "cpu", most_seconds: int = 0, owner: str = ""
) -> Record:
    """A new record, whose runs have names and are not there yet. Raises ExperimentError."""
    check(seeds, scale)
    path = runs_folder() / FOLDER / runs.new_name(experiment.name)
    names = {
        f"{arm.name} {seed}": runs.new_name(f"{arm.name} {seed}") for seed in range(seeds) for arm in experiment.arms
    }
    config = {
        "experiment": experiment.name,
        "seeds": seeds,
        "scale": scale,
        "device": device,
        "most_seconds": most_seconds,
        "owner": owner,
        "runs": names,
    }
    try:
        made(path)
        runs.write_whole(path / CONFIG, json.dumps(config, indent=1).encode())
    except OSError as error:
        raise ExperimentError(f"There is no place for it ({clean(error.strerror or str(error))}).") from None
    return Record(path, experiment, seeds, scale, names, device, most_seconds, owner)


def read(path: Path) -> Record:
    """Raises ExperimentError where there is none, or a damaged one."""
    try:
        with (path / CONFIG).open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
        names = {str(trial): str(name) for trial, name in found["runs"].items()}
        if not all(NAME.fullmatch(name) for name in names.values()):
            raise ValueError("not the name of a run")
        record = Record(
            path,
            find(str(found["experiment"])),
            int(found["seeds"]),
            float(found["scale"]),
            names,
            str(found["device"]),
            int(found["most_seconds"]),
            str(found["owner"]),
        )
        check(record.seeds, record.scale)
        if {f"{arm} {seed}" for arm, seed in record.trials} != names.keys():
            raise ExperimentError(f"{clean(path.name)} was begun with other networks than the experiment has now.")
    except FileNotFoundError:
        raise ExperimentError(f"There is no experiment {clean(path.name)!r} here.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ExperimentError):
            raise
        raise ExperimentError(f"{clean(path.name)} cannot be read ({shown(type(error).__name__)}).") from None
    return record


def named(name: str) -> Record:
    """By a name that may come from a link. Raises ExperimentError."""
    folder = runs_folder() / FOLDER
    path = folder / name
    if not NAME.fullmatch(name) or path.is_symlink() or not path.is_dir():
        raise ExperimentError(f"There is no experiment {clean(name)!r} here.")
    return read(path)


def listed() -> tuple[Path, ...]:
    """The newest first; none of their files is opened."""
    return runs.newest_in(runs_folder() / FOLDER, CONFIG)
