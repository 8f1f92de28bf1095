"""Experiments, as visitors may have them: the results that come with the project, and those carried out here."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from controls import session
from controls.file_states import FileState, file_state
from controls.services import training
from explorer.experiments import Experiment, record
from explorer.experiments.record import RESULTS, ExperimentError, Record
from explorer.experiments.results import Results, ResultsError, read, shipped
from explorer.learning import runs, starting
from explorer.learning.runs import CONFIG, Run, RunError, Status
from explorer.learning.side_by_side import usual_processes
from explorer.wording import duration

MOST_LISTED = 50


class Shown(NamedTuple):
    """Results, and where they are from: a record of this server, or None for those that come with the project."""

    results: Results
    record: Record | None


class Trained(NamedTuple):
    """One of a record's networks; `run` is None before it is begun."""

    title: str
    seed: int
    run: Run | None
    state: str


def carried_out(experiment: Experiment, name: str = "") -> tuple[Record, ...]:
    """Those of an experiment that the visitor may see, the newest first: all, or on a shared server their own and the
    one whose `name` their link has.
    """
    known, shared, own = session.visitor().runs, training.rules().shared, training.owner()
    found = []
    for path in record.listed():
        with suppress(ExperimentError):
            one = _read(path, file_state(path / CONFIG))
            seen = not shared or path.name in known or path.name == name or (own and one.owner == own)
            if one.experiment.name == experiment.name and seen:
                found.append(one)
        if len(found) >= MOST_LISTED:
            break
    return tuple(found)


def shown(experiment: Experiment, name: str = "") -> Shown:
    """The record of that name; without a name, what a card shows: see `usual`."""
    found = carried_out(experiment, name)
    wanted = name or usual(found)
    for one in found:
        if one.name == wanted:
            return Shown(results_of(one), one)
    return of_project(experiment)


def usual(found: Sequence[Record]) -> str:
    """The newest that is being carried out or has measured every network; "" where there is none."""
    return next((one.name for one in found if status(one).active or one.experiment.whole(results_of(one))), "")


def of_project(experiment: Experiment) -> Shown:
    return Shown(shipped(experiment.name) or Results(experiment.name), None)


def results_of(one: Record) -> Results:
    """What is measured so far."""
    with suppress(ResultsError):
        return _results(one.path / RESULTS, file_state(one.path / RESULTS))
    return Results(one.experiment.name, one.scale)


@lru_cache(maxsize=64)
def _results(path: Path, _state: FileState) -> Results:
    return read(path)


@lru_cache(maxsize=256)
def _read(path: Path, _state: FileState) -> Record:
    return record.read(path)


def begun(one: Record) -> str:
    """When: 28 Nov, 14:05."""
    return training.begun(one.path / CONFIG)


def status(one: Record) -> Status:
    return runs.status(one.path)


def trials(one: Record) -> tuple[Trained, ...]:
    """In the order in which they are trained."""
    found = []
    for arm, seed in one.trials:
        path = one.run_of(arm, seed)
        run = None
        with suppress(RunError):
            run = runs.read(path)
        said = runs.status(path).state if run else "new"
        found.append(Trained(one.experiment.arm(arm).title, seed, run, said))
    return tuple(found)


# ---- carrying out ----


def seconds(experiment: Experiment, seeds: int, scale: float) -> float:
    """How long it would take here, by what the project's own run took; 0 where that is not known."""
    known = shipped(experiment.name)
    if known is None or not known.runs:
        return 0.0
    each = known.seconds * known.cores / known.runs / known.scale
    return each * seeds * len(experiment.arms) * scale / usual_processes(session.device(), in_line=True)


def refusal(experiment: Experiment, seeds: int, scale: float) -> str:
    """Why this visitor may not carry that out now, in a sentence; "" where they may."""
    may = training.rules()
    if not may.training:
        return "Training is switched off on this server."
    own = training.owner()
    for path in record.listed():
        with suppress(ExperimentError):
            one = _read(path, file_state(path / CONFIG))
            if one.owner == own and status(one).active:
                return "One of your experiments is being carried out: wait for its end, or stop it."
    long = seconds(experiment, seeds, scale)
    if may.seconds and long > may.seconds:
        return f"That takes {duration(long)}, and {duration(may.seconds)} are the limit here: take fewer seeds."
    return training.full_disk(sum(training.needed_bytes(arm.job) for arm in experiment.arms) * seeds)


def start(experiment: Experiment, seeds: int, scale: float) -> Record:
    """Raises ExperimentError."""
    if sentence := refusal(experiment, seeds, scale):
        raise ExperimentError(sentence)
    one = record.create(experiment, seeds, scale, session.device(), training.rules().seconds, training.owner())
    session.visitor().runs.add(one.name)
    session.visitor().started.add(one.name)
    _go(one)
    return one


def resume(one: Record) -> None:
    """Raises ExperimentError."""
    if not training.rules().training:
        raise ExperimentError("Training is switched off on this server.")
    _go(one)


def _go(one: Record) -> None:
    starting.start(one.path, ("experiment", "--resume", str(one.path)))


def stop(one: Record) -> None:
    with suppress(OSError):
        runs.ask_to_stop(one.path)


def may_change(one: Record) -> bool:
    """Whoever started it."""
    return training.is_own(one.name, one.owner)


def delete(one: Record) -> None:
    """With its runs. Raises RunError while it is carried out."""
    runs.delete(one.path)
    for trained in trials(one):
        if trained.run:
            with suppress(RunError):
                runs.delete(trained.run.path)
