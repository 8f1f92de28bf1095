"""A sweep that is carried out is a directory in the runs' folder; each of its trials is an ordinary run in it.

    sweep.json      what is swept, as explorer.learning.sweeps.file writes it; where it is trained, and whose it is
    trials.jsonl    a line a trial: its number, network, turned knobs and seed; more are appended
    results.csv     a row for each trial that has ended, appended; of several rows of a trial the last one holds
    status.json     what the driver does, written anew every second; `step` of `steps` counts ended trials
    stop            asks the driver to stop; taken away when it goes on
    worker.lock     held by the driver
    log.txt         what it printed
    trials/004/t421-LETTERS    the runs, a hundred in a folder

What a sweep has found is read from results.csv alone: no run is opened for it.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import ExplorerError
from explorer.learning import runs, trial_names
from explorer.learning.runs import NAME, RunError
from explorer.learning.settings import made
from explorer.learning.sweeps import file
from explorer.learning.sweeps.engines import ON_PROCESSES, Where
from explorer.learning.sweeps.sweep import MOST_TRIALS, Sweep, SweepError, Trial, trials
from explorer.learning.trial_names import sweeps_folder
from explorer.wording import clean

if TYPE_CHECKING:
    import pandas as pd

SWEEP, TRIALS, RESULTS = "sweep.json", "trials.jsonl", "results.csv"
MOST_TABLE = 2**25  # bytes of trials.jsonl and results.csv

# of results.csv, before the turned knobs and behind them
HEAD = ("trial", "run", "network", "state")
TAIL = (
    "seed",
    "params",
    "macs",
    "epochs",
    "steps",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "best_test_accuracy",
    "seconds",
    "host",
    "message",
)
ENDED = ("finished", "diverged", "early")  # states in which there is nothing left to do
FAILED = ("failed", "died")


@dataclass(frozen=True)
class Directory:
    """`owner` tells whose it is, on a server."""

    path: Path
    sweep: Sweep
    where: Where = ON_PROCESSES
    owner: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def title(self) -> str:
        return self.sweep.title or self.name

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """In the order of their numbers. Raises SweepError."""
        found = tuple(_trials(self.path))
        if any(not 0 <= trial.part < len(self.sweep.parts) for trial in found):
            raise SweepError(f"{TRIALS} of {clean(self.path.name)} has trials of networks that the sweep lacks")
        return found

    def run_of(self, trial: Trial) -> Path:
        return trial_names.path_of(self.path, trial.number)

    @property
    def turned(self) -> tuple[str, ...]:
        """All knobs that any of the networks turns."""
        return turned(self.sweep)

    def results(self) -> "pd.DataFrame":
        """A row a trial that has ended, in the order of their numbers: HEAD, the turned knobs, TAIL. Knobs that a trial
        does not turn are empty. Empty where none has ended.
        """
        return read_results(self.path)


def turned(sweep: Sweep) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in sweep.parts for name in part.turned))


def create(sweep: Sweep, where: Where = ON_PROCESSES, owner: str = "") -> Directory:
    """A new one, with all its trials and none of their runs. Raises SweepError."""
    found = trials(sweep).trials
    folder = sweeps_folder() / runs.new_name(sweep.title)
    directory = Directory(folder, sweep, where, owner)
    try:
        made(folder)
        _write_sweep(directory)
        _write_trials(folder, found)
    except OSError as error:
        raise SweepError(f"There is no place for it ({clean(error.strerror or str(error))})") from None
    return directory


def extend(directory: Directory, wanted: Sweep) -> tuple[Directory, int]:
    """The sweep with the trials of another one that it does not have yet, and how many those are. Its budget, early
    stopping and title are the new one's. Raises SweepError; RunError while it is carried out.
    """
    if runs.status(directory.path).active:
        raise RunError(f"{directory.title} is being carried out: stop it first.")
    before, known = directory.sweep, directory.trials
    both = replace(
        wanted,
        parts=(*before.parts, *wanted.parts),
        seeds=tuple(dict.fromkeys((*before.seeds, *wanted.seeds))),
        sample=max(before.sample, wanted.sample),
    )
    there = {trial.job(before) for trial in known}
    new = [trial for trial in trials(wanted).trials if trial.job(wanted) not in there]
    new = [trial._replace(number=len(known) + i, part=len(before.parts) + trial.part) for i, trial in enumerate(new)]
    if len(known) + len(new) > MOST_TRIALS:
        raise SweepError(f"That would be {len(known) + len(new):,} trials; {MOST_TRIALS:,} are the limit")
    found = replace(directory, sweep=both)
    try:
        _widen_results(directory.path, turned(both))
        _write_sweep(found)
        _write_trials(directory.path, (*known, *new))
    except OSError as error:
        raise SweepError(f"It cannot be written ({clean(error.strerror or str(error))})") from None
    return found, len(new)


def read(path: Path) -> Directory:
    """Raises SweepError where there is none, or a damaged one."""
    try:
        with (path / SWEEP).open("rb") as opened:
            found = json.loads(opened.read(file.MOST_BYTES))
        owner, where = str(found.pop("owner", "")), Where(**found.pop("where", {}))
        return Directory(path, file.of_table(found), where, clean(owner))
    except FileNotFoundError:
        raise SweepError(f"{clean(path.name)} holds no sweep: it has no {SWEEP}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ExplorerError):
            raise SweepError(f"{clean(path.name)}: {error}") from None
        raise SweepError(f"{SWEEP} of {clean(path.name)} cannot be read ({type(error).__name__})") from None


def named(name: str) -> Directory:
    """By a name that may come from a link. Raises SweepError."""
    path = sweeps_folder() / name
    if not NAME.fullmatch(name) or path.is_symlink() or not path.is_dir():
        raise SweepError(f"There is no sweep {clean(name)!r} here")
    return read(path)


def listed() -> tuple[Path, ...]:
    """The newest first; none of their files is opened."""
    return runs.newest_in(sweeps_folder(), SWEEP)


def change(directory: Directory, where: Where | None = None, budget: float | None = None) -> Directory:
    """Have it trained somewhere else from now on, or for longer. Raises SweepError."""
    sweep = directory.sweep if budget is None else replace(directory.sweep, budget=budget)
    changed = replace(directory, sweep=sweep, where=where or directory.where)
    try:
        _write_sweep(changed)
    except OSError as error:
        raise SweepError(f"It cannot be written ({clean(error.strerror or str(error))})") from None
    return changed


def delete(directory: Directory) -> None:
    """Put it away with its runs, for a day. Raises RunError while it is carried out."""
    runs.delete(directory.path)


def restore(name: str) -> None:
    """Bring back one that was deleted. Raises RunError where it is gone, OSError."""
    runs.restore(name, sweeps_folder())


# ---- results ----


class Results:
    """The table of what came of the trials, open for the driver to add rows to."""

    def __init__(self, directory: Directory) -> None:
        """Raises OSError."""
        self._directory, self._knobs = directory, directory.turned
        self._path = directory.path / RESULTS
        self._columns = (*HEAD, *self._knobs, *TAIL)
        _mend(self._path, self._columns)

    def states(self) -> dict[int, str]:
        """Trial -> how it ended, of those that have."""
        table = read_results(self._directory.path)
        return dict(zip(table["trial"], table["state"], strict=True)) if len(table) else {}

    def seconds(self) -> float:
        """Of training, of all the trials that have ended."""
        table = read_results(self._directory.path)
        return float(table["seconds"].sum()) if len(table) else 0.0

    def add(self, trial: Trial, values: Mapping[str, Any]) -> None:
        """Raises OSError."""
        row = {**trial.turns, "trial": trial.number, "seed": trial.seed, **values}
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([_text(row.get(name, "")) for name in self._columns])
        with self._path.open("a", newline="", encoding="utf-8") as opened:
            opened.write(text.getvalue())  # at once: a driver that is killed leaves whole rows


def read_results(path: Path) -> "pd.DataFrame":
    """Of the sweep in that directory, as Directory.results gives them. A row that is half written is left out."""
    import pandas as pd

    try:
        with (path / RESULTS).open("rb") as opened:
            data = opened.read(MOST_TABLE)
        whole = data[: data.rfind(b"\n") + 1]
        table = pd.read_csv(io.BytesIO(whole), on_bad_lines="skip", low_memory=False, dtype=_types(whole))
    except (OSError, ValueError):
        return pd.DataFrame()
    if not {*HEAD, *TAIL} <= {*table.columns}:
        return pd.DataFrame()
    table = table.dropna(subset=["trial", "state"]).drop_duplicates("trial", keep="last")
    return table.sort_values("trial", ignore_index=True)


def _types(data: bytes) -> dict[str, type]:
    """What is text, whatever it looks like: 2-2-2 is, and 8 may be a knob's value among others."""
    names = data.partition(b"\n")[0].decode(errors="replace").split(",")
    numbers = {*TAIL} - {"host", "message"} | {"trial"}
    return {name: str for name in names if name not in numbers}


def _mend(path: Path, columns: tuple[str, ...]) -> None:
    """A table with these columns, whose last row is whole. Raises OSError."""
    rows = _rows(path)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    runs.write_whole(path, text.getvalue().encode())


def _widen_results(path: Path, knobs: tuple[str, ...]) -> None:
    if (path / RESULTS).exists():
        _mend(path / RESULTS, (*HEAD, *knobs, *TAIL))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = data[: data.rfind(b"\n") + 1].decode(errors="replace")
    return [row for row in csv.DictReader(io.StringIO(whole)) if None not in row and None not in row.values()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.7g}"
    return str(value)


# ---- writing ----


def _write_sweep(directory: Directory) -> None:
    table = {"owner": directory.owner, "where": asdict(directory.where), **file.to_table(directory.sweep)}
    runs.write_whole(directory.path / SWEEP, json.dumps(table, indent=1, ensure_ascii=False).encode())


def _write_trials(path: Path, found: Iterable[Trial]) -> None:
    lines = [
        json.dumps({"trial": trial.number, "part": trial.part, "turn": dict(trial.turns), "seed": trial.seed})
        for trial in found
    ]
    runs.write_whole(path / TRIALS, "".join(f"{line}\n" for line in lines).encode())


def _trials(path: Path) -> Iterator[Trial]:
    try:
        with (path / TRIALS).open("rb") as opened:
            lines = opened.read(MOST_TABLE).decode().splitlines()
        for number, line in enumerate(lines):
            found = json.loads(line)
            turns = {str(name): str(value) for name, value in found["turn"].items()}
            yield Trial(number, int(found["part"]), turns, int(found["seed"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SweepError(f"{TRIALS} of {clean(path.name)} cannot be read ({type(error).__name__})") from None
