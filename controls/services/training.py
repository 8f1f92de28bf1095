"""Runs, as visitors may have them: who may train, which runs one sees; starting, stopping, putting away."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from controls import session
from controls.file_states import FileState, file_state
from controls.services import sweep_files
from explorer.families import TITLES, Config, family_of, known_as, plan
from explorer.learning import checkpoint, datasets, runs, starting, trained, trial_names, weight_path
from explorer.learning.datasets import DataError
from explorer.learning.job import Job
from explorer.learning.runs import Run, RunError, Status
from explorer.learning.settings import Allowed, allowed, made, runs_folder
from explorer.remembering import remembered
from explorer.running.weights import Weights
from explorer.wording import gigabytes

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_LISTED = 200  # runs, the newest
COPIES = 4  # of the weights, that a run keeps at its peak: weights, optimizer, and the next of both


def rules() -> Allowed:
    return allowed(st.get_option("server.address") in LOOPBACK)


def owner() -> str:
    """Whose a run is, as far as a server can tell: the address that the visitor comes from, not to be read off it.

    Not the session, which a reload makes anew: a limit for each session would be none.
    """
    address = session.address()
    return hashlib.sha256(f"{runs_folder()} {address}".encode()).hexdigest()[:16] if address else ""


def refusal(job: Job) -> str:
    """Why this visitor may not train that now, in a sentence; "" where they may."""
    may, own = rules(), _own()
    if not may.training:
        return "Training is switched off on this server."
    if may.runs and len(own) >= may.runs:
        return f"You have {len(own)} runs, and {may.runs} is the limit here: delete one first."
    try:
        weight_path.check(job, plan(job.config))
    except RunError as error:
        return str(error)
    return full_disk(needed_bytes(job))


def needed_bytes(job: Job) -> int:
    """That a run of it keeps at its peak."""
    return (COPIES + job.keep_path) * 4 * plan(job.config).params


def full_disk(needed: int) -> str:
    """Why there is no room for so many bytes of runs; "" where there is."""
    may = rules()
    used = sum(runs.size(run.path) for run in _all_own()) + sweep_files.size_of_all(owner()) if may.disk else 0
    if may.disk and used + needed > may.disk:
        return (
            f"Your runs take {gigabytes(used)}, and this would take up to {gigabytes(needed)} more; "
            f"{gigabytes(may.disk)} is the limit here: delete some first."
        )
    return ""


def start(job: Job) -> Run:
    """A new run of the visitor's, in line for a worker. Raises RunError."""
    if sentence := refusal(job):
        raise RunError(sentence)
    config = job.config
    known = known_as(config)
    title = f"{_title_of(config)} on {data_title(job.data)}"
    taken = {run.title for run in visible()}
    numbered = (f"{title}, {number}" for number in count(2))
    job = replace(job, title=title if title not in taken else next(one for one in numbered if one not in taken))
    name = runs.new_name(f"{known or config.family} {job.data}")
    try:
        folder = made(runs_folder())
    except OSError as error:
        raise RunError(f"There is no place for runs ({error.strerror or error}).") from None
    run = runs.create(job, folder / name)
    session.visitor().runs.add(name)
    session.visitor().started.add(name)
    starting.start(run.path)
    return run


def resume(run: Run) -> None:
    """Go on with a run that was stopped, or that died. Raises RunError."""
    if not rules().training:
        raise RunError("Training is switched off on this server.")
    starting.start(run.path)


def stop(run: Run) -> None:
    with suppress(OSError):
        runs.ask_to_stop(run.path)


def delete(run: Run) -> None:
    """Put it away; Raises RunError for one that is still trained."""
    runs.delete(run.path)
    session.visitor().deleted = run.name, run.title


def undo_delete() -> None:
    known = session.visitor()
    (name, _), known.deleted = known.deleted, ("", "")
    if name:
        with suppress(OSError, RunError):  # somebody else has brought it back, or its day is over
            runs.restore(name)


def visible() -> tuple[Run, ...]:
    """The runs that the visitor may see, the newest first: all, or on a shared server those known to them. Those of
    experiments and sweeps, of which there may be hundreds, only where a link has led to them.
    """
    known, shared = session.visitor().runs, rules().shared
    paths = [path for path in runs.listed() if not shared or path.name in known]
    seen = (run for run in _each_read(paths) if not run.job.experiment or run.name in known)
    trials = filter(None, (trial_names.find(name) for name in sorted(known)))
    return (*islice(seen, MOST_LISTED), *_each_read(trials))


def known(name: str) -> dict[str, Run]:
    """Those by name, and the run of a link, which whoever has its name may see."""
    if name and name not in session.visitor().runs and _read(name) is not None:
        session.visitor().runs.add(name)
    return {run.name: run for run in visible()}


def may_change(run: Run) -> bool:
    """Whether the visitor may stop, rename or delete it; the link alone lets one look.

    Whoever started it, also after the tab was closed: by the address then, as long as it is the same.
    """
    return is_own(run.name, run.job.owner)


def is_own(name: str, its_owner: str) -> bool:
    """Whether the visitor has started what has this name and owner; on a server of one's own all is."""
    return not rules().shared or name in session.visitor().started or its_owner == owner()


def begun(file: Path) -> str:
    """When it was written, as 28 Nov, 14:05."""
    with suppress(OSError):
        return f"{datetime.fromtimestamp(file.stat().st_mtime):%-d %b, %H:%M}"
    return "gone"


def weights() -> dict[str, Weights]:
    """Those of the visitor's runs of the network in the sidebar, by the runs' names."""
    config, found = session.config(), {}
    for run in visible():
        if trained.fits(run, config):
            with suppress(RunError):
                found[run.name] = _weights_at(run, file_state(run.path / runs.CHECKPOINT))
    return found


@remembered(16_000_000)  # class names are among it
def _weights_at(run: Run, _state: FileState) -> Weights:
    return checkpoint.weights_of(run)


def said_of(used: Weights) -> str:
    """What has become of the run whose weights are used."""
    run = trained.run_of(used)
    return status(run).message or f"The run is {status(run).state}."


def status(run: Run) -> Status:
    return runs.status(run.path)


def _own() -> list[Run]:
    """Those that count against the visitor's number of runs: an experiment's do not."""
    return [run for run in _all_own() if not run.job.experiment]


def _all_own() -> list[Run]:
    own = owner()
    return [run for run in _read_all(runs.listed()) if run.job.owner == own]


def _read_all(paths: Iterable[Path]) -> tuple[Run, ...]:
    return tuple(_each_read(paths))


def _each_read(paths: Iterable[Path]) -> Iterator[Run]:
    for path in paths:
        with suppress(RunError):
            yield _read_at(path, file_state(path / runs.CONFIG))


def _read(name: str) -> Run | None:
    with suppress(RunError):
        return read(runs.named(name))
    return None


def read(path: Path) -> Run | None:
    """None where there is no run, or a damaged one."""
    with suppress(RunError):
        return _read_at(path, file_state(path / runs.CONFIG))
    return None


@lru_cache(maxsize=4096)
def _read_at(path: Path, _state: FileState) -> Run:
    return runs.read(path)


class Summary(NamedTuple):
    """A run in a row; `accuracy` in percent, of the test images, None before the first."""

    run: Run
    network: str
    data: str
    params: int
    state: str
    accuracy: float | None
    minutes: float


def data_title(name: str) -> str:
    """Of a data set, also of one that is gone by now."""
    with suppress(DataError):
        return datasets.find(name).title
    return "gone"


def _title_of(config: Config) -> str:
    known = known_as(config)
    if known:
        return TITLES[known]
    family = family_of(config)
    return f"{family.title}-{family.depth(config)} (changed)"


def summaries(found: Sequence[Run]) -> list[Summary]:
    return [_summary(run) for run in found]


def _summary(run: Run) -> Summary:
    now, config = status(run), run.job.config
    tested = _last_test(run.path, file_state(run.path / runs.METRICS))
    return Summary(
        run, _title_of(config), data_title(run.job.data), plan(config).params, now.state, tested, now.seconds / 60
    )


@lru_cache(maxsize=1024)
def _last_test(path: Path, _state: FileState) -> float | None:
    table = runs.metrics(path)
    if not len(table):
        return None
    tested = table["test_accuracy"].dropna()
    return 100 * float(tested.iloc[-1]) if len(tested) else None


def has_weights(run: Run) -> bool:
    return (run.path / runs.CHECKPOINT).exists()


def use(run: Run) -> None:
    """Have the run's network, with its weights, in the sidebar."""
    with suppress(RunError):
        found = checkpoint.weights_of(run)
        session.choose_config(run.job.config)
        session.use(found)


def link(run: Run) -> dict[str, str]:
    """A link to the run's network with its weights; {} where there are none yet."""
    with suppress(RunError):
        return session.link_to(run.job.config, checkpoint.weights_of(run))
    return {}


def rename(run: Run, title: str) -> None:
    try:
        runs.rename(run, title)
    except OSError as error:
        raise RunError(f"The name cannot be kept ({error.strerror or error}).") from None
