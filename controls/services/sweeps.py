"""Sweeps, as visitors may have them: which one sees, what they may begin, stopping and going on, putting away."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import count, islice
from typing import NamedTuple

from controls import session
from controls.services import sweep_files, training
from explorer.learning import runs, settings, starting
from explorer.learning.job import LONGEST_TITLE, Job
from explorer.learning.runs import Run, Status
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import estimate, file
from explorer.learning.sweeps.directory import SWEEP, TRIALS, Directory
from explorer.learning.sweeps.engines import HERE, RAY, Where
from explorer.learning.sweeps.reading import Findings
from explorer.learning.sweeps.sweep import MOST_TRIALS, Sweep, SweepError, Trial, trials
from explorer.wording import duration, many

MOST_LISTED = 50
MOST_SHARED = 200  # trials of one sweep, on a server that others share
MOST_WATCHED = 32  # trials that have not ended, among which those that are trained now are looked for
LOCAL = "local"  # of EXPLORER_RAY: a cluster that is started on this machine
OFF = "Training is switched off on this server."


def known(name: str = "") -> dict[str, Directory]:
    """The sweeps that a visitor may see, by name, the newest first: all, or on a shared server their own and the one
    whose `name` their link has.
    """
    seen, shared, own = session.visitor().runs, training.rules().shared, training.owner()
    if name:
        with suppress(SweepError):
            seen.add(directories.named(name).name)
    found: dict[str, Directory] = {}
    for path in directories.listed():
        if len(found) < MOST_LISTED or path.name == name:
            with suppress(SweepError):
                one = sweep_files.read(path)
                if not shared or path.name in seen or (own and one.owner == own):
                    found[path.name] = one
    return found


def why_not(name: str) -> str:
    """Why there is no such sweep to be seen, in a sentence; "" where there is one."""
    try:
        directories.named(name)
    except SweepError as error:
        return f"{error}."
    return ""


def deleted() -> str:
    """The title of the sweep that was deleted last, which may be brought back; "" where there is none."""
    return session.visitor().deleted_sweep[1]


def data_title(one: Directory) -> str:
    return " and ".join(dict.fromkeys(training.data_title(part.job.data) for part in one.sweep.parts))


def begun(one: Directory) -> str:
    """When, or when trials were added to it last: 28 Nov, 14:05."""
    return training.begun(one.path / TRIALS)


def is_there(one: Directory) -> bool:
    """Whether nobody has deleted it meanwhile."""
    return (one.path / SWEEP).exists()


def status(one: Directory) -> Status:
    return runs.status(one.path)


class Counted(NamedTuple):
    """A sweep's trials as jobs, and those that its speed is measured on; `settings`: the trials of one seed;
    `impossible`: see `explorer.learning.sweeps.sweep.trials`.
    """

    jobs: tuple[Job, ...]
    measured: tuple[Job, ...]
    settings: int
    impossible: Mapping[str, tuple[int, str]]


def counted(sweep: Sweep) -> Counted:
    """Raises SweepError where none of its trials can be, or they are too many."""
    if sweep.most > most_trials():
        raise SweepError(f"That would be {many(sweep.most)} trials; {most_trials():,} are the limit: turn fewer knobs")
    return _counted(json.dumps(file.to_table(sweep)))


@lru_cache(maxsize=8)
def _counted(text: str) -> Counted:
    sweep = file.of_table(json.loads(text))
    found = trials(sweep)
    jobs = tuple(trial.job(sweep) for trial in found.trials)
    return Counted(jobs, tuple(estimate.to_measure(jobs)), len(jobs) // len(sweep.seeds), found.impossible)


class Training(NamedTuple):
    """A trial that is trained now."""

    trial: Trial
    status: Status


def trained_now(one: Directory, found: Findings, most: int) -> list[Training]:
    """So many at most; without opening the run of any trial that has ended."""
    ended = set(found.trials.index.tolist())
    waiting = islice((trial for trial in one.trials if trial.number not in ended), MOST_WATCHED)
    every = (Training(trial, runs.status(one.run_of(trial))) for trial in waiting)
    return list(islice((each for each in every if each.status.active), most))


def run_of(one: Directory, trial: Trial) -> Run | None:
    """None before it is begun, and where it is damaged."""
    return training.read(one.run_of(trial))


# ---- beginning ----


def on_ray() -> bool:
    """Whether sweeps may be trained on a cluster too."""
    return bool(settings.ray()) and has_ray()


def has_ray() -> bool:
    return find_spec("ray") is not None


def where(on: str) -> Where:
    if on != RAY or not on_ray():
        return Where(HERE)
    return Where(RAY, address="" if settings.ray() == LOCAL else settings.ray())


def most_trials() -> int:
    return MOST_SHARED if training.rules().shared else MOST_TRIALS


def budget(wanted: float) -> float:
    """Seconds of training that a visitor may have for that."""
    most = training.rules().seconds
    return min(wanted or most, most) if most else wanted


def refusal(jobs: Sequence[Job], seconds: float = 0.0) -> str:
    """Why this visitor may not have these trained now, which take so long together as far as that is known; "" where
    they may.
    """
    may = training.rules()
    if not may.training:
        return OFF
    if _active():
        return "One of your sweeps is being carried out: wait for its end, or stop it."
    if may.seconds and seconds > may.seconds:
        return f"That is {duration(seconds)} of training, and {duration(may.seconds)} is the limit here: train fewer."
    return training.full_disk(sum(training.needed_bytes(job) for job in jobs)) if may.disk else ""


def _active() -> bool:
    own = training.owner()
    for path in directories.listed():
        with suppress(SweepError):
            if runs.status(path).active and sweep_files.read(path).owner == own:
                return True
    return False


def free_title(wanted: str) -> str:
    """That none of the visitor's sweeps has."""
    taken = {one.title for one in known().values()}
    numbered = (f"{wanted[: LONGEST_TITLE - 6]}, {number}" for number in count(2))
    return wanted if wanted not in taken else next(one for one in numbered if one not in taken)


def start(sweep: Sweep, on: Where) -> Directory:
    """Raises SweepError, RunError."""
    one = directories.create(sweep, on, training.owner())
    session.visitor().runs.add(one.name)
    session.visitor().started.add(one.name)
    starting.start(one.path, ("sweep", str(one.path)))
    return one


def add(one: Directory, sweep: Sweep) -> None:
    """Its trials to those of one that is there, and train them; the name stays. Raises SweepError, RunError."""
    if len(one.trials) + len(counted(sweep).jobs) > most_trials():
        raise SweepError(f"It would have more than {most_trials():,} trials, which is the limit here.")
    longer, count = directories.extend(one, replace(sweep, title=one.sweep.title))
    if not count:
        raise SweepError(f"{one.title} has all of these trials already.")
    go_on(longer)


def go_on(one: Directory, seconds: float | None = None, again: bool = False) -> None:
    """With another budget; with `again` also those trials that have failed. Raises SweepError, RunError."""
    if not training.rules().training:
        raise SweepError(OFF)
    if _active():
        raise SweepError("One of your sweeps is being carried out: wait for its end, or stop it.")
    wanted = budget(one.sweep.budget if seconds is None else seconds)
    if wanted != one.sweep.budget:
        directories.change(one, budget=wanted)
    starting.start(one.path, ("sweep", str(one.path), *(["--again"] if again else [])))


def stop(one: Directory) -> None:
    with suppress(OSError):
        runs.ask_to_stop(one.path)


def is_asked_to_stop(one: Directory) -> bool:
    return (one.path / runs.STOP).exists()


def may_change(one: Directory) -> bool:
    """Whoever started it."""
    return training.is_own(one.name, one.owner)


def delete(one: Directory) -> None:
    """With its runs. Raises RunError while it is carried out."""
    directories.delete(one)
    session.visitor().deleted_sweep = one.name, one.title


def undo_delete() -> None:
    visitor = session.visitor()
    (name, _), visitor.deleted_sweep = visitor.deleted_sweep, ("", "")
    if name:
        with suppress(OSError, runs.RunError):  # its day is over
            directories.restore(name)
