"""A run is a directory: what lies in it, which runs there are, and what has become of them.

    config.json            what is trained (explorer.learning.job), with versions
    status.json            what the worker does, written anew every second
    metrics.csv            a row now and then: step, losses, accuracies, learning rate
    gradient_norms.csv     a row now and then, a column a kernel; update_ratios.csv likewise
    checkpoint.safetensors the weights, how pictures are prepared for them, and the step
    optimizer-STEP.safetensors   the optimizer's state at the checkpoint's step
    path/STEP.safetensors  weights on its way, where that is asked for
    predictions.csv        of a finished run: what it says of each test image
    stop                   asks the worker to stop; taken away when the run is resumed
    worker.lock            held by the worker
    log.txt                what the worker printed

The worker alone writes, beside `stop` and the first config.json. Nothing but JSON, CSV and safetensors is needed to
read it.
"""

import io
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import psutil
from filelock import FileLock, Timeout

from explorer.errors import ExplorerError
from explorer.learning import job as jobs
from explorer.learning import trial_names
from explorer.learning.job import Job
from explorer.learning.settings import runs_folder
from explorer.wording import clean

if TYPE_CHECKING:  # a worker that waits in line does without
    import pandas as pd

State = Literal["waiting", "preparing", "training", "finished", "stopped", "diverged", "failed", "died", "new"]
ACTIVE: tuple[State, ...] = ("waiting", "preparing", "training")

CONFIG, STATUS, METRICS = "config.json", "status.json", "metrics.csv"
NORMS, UPDATES, PREDICTIONS = "gradient_norms.csv", "update_ratios.csv", "predictions.csv"
CHECKPOINT, STOP, LOCK, LOG = "checkpoint.safetensors", "stop", "worker.lock", "log.txt"
OPTIMIZER = re.compile(r"optimizer-(\d{1,12})\.safetensors")

NAME = re.compile(r"[a-z0-9]{1,20}(?:-[a-z0-9]{1,20}){0,6}-[a-z2-7]{16}")
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
LETTERS = 16  # of the unguessable part: 80 bits
LONGEST_SILENCE = 15.0  # seconds without a sign of life, after which a worker counts as died
MOST_STATUS = 65_536  # bytes
MOST_TABLE = 2**24  # bytes
LONGEST_MESSAGE = 1000  # characters
MOST_NUMBER = 1e15  # of what a status counts
PARTIAL = ".partial"  # ends the names of files that are being written
DIED = "Its process ended without a word. Resume goes on from the last checkpoint."
DELETED = ".deleted"  # runs that may still be brought back
KEPT_DELETED = 24 * 3600.0  # seconds


class RunError(ExplorerError):
    """A run that is not there or cannot be read: one sentence."""


class Status(NamedTuple):
    """What a worker said last. `place` counts the runs that are before a waiting one; `message` is a sentence for the
    reader; `images_per_second` is of training alone. Times are in seconds, `heartbeat` since 1970.
    """

    state: State = "new"
    step: int = 0
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    seconds_left: float = 0.0
    message: str = ""
    place: int = 0
    heartbeat: float = 0.0
    pid: int = 0
    host: str = ""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class Run:
    path: Path
    job: Job

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def title(self) -> str:
        """The name that somebody gave it, or the first of its own."""
        name = self.path.name
        return self.job.title or (name[: -LETTERS - 1] if NAME.fullmatch(name) else clean(name))

    @property
    def is_trial(self) -> bool:
        """Whether it is part of a sweep."""
        return trial_names.number_of(self.path.name) is not None and self.path.parents[1].name == trial_names.TRIALS


# ---- which runs there are ----


def named(name: str) -> Path:
    """The directory of a run in the runs' folder, or of a sweep's trial, by a name that may come from a link.

    Raises RunError for any other name, and where there is no such run.
    """
    folder = runs_folder()
    path = folder / name
    if NAME.fullmatch(name):
        if not path.is_symlink() and path.is_dir() and path.resolve().parent == folder.resolve():
            return path
        if trial := trial_names.find(name):
            return trial
    raise RunError(f"There is no run {clean(name)!r} here.")


def listed() -> tuple[Path, ...]:
    """The directories of the runs in the folder, the newest first; none of their files is opened."""
    return newest_in(runs_folder(), CONFIG)


def newest_in(folder: Path, file: str) -> tuple[Path, ...]:
    """The directories in a folder that have a run's name and such a file, by which they are in order; the newest first.
    None of their files is opened.
    """
    found: dict[Path, int] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    found[Path(entry.path)] = os.stat(os.path.join(entry.path, file)).st_mtime_ns
    return tuple(sorted(found, key=found.__getitem__, reverse=True))


def all_names() -> tuple[str, ...]:
    """The runs in the folder, the newest first."""
    return tuple(path.name for path in listed())


def new_name(words: str) -> str:
    """A name that nobody guesses, beginning with what it is."""
    return f"{words_of(words)}-{''.join(secrets.choice(ALPHABET) for _ in range(LETTERS))}"


def words_of(text: str) -> str:
    """A few of them as a file's name has them: growth-rate-k."""
    return "-".join(re.findall(r"[a-z0-9]{1,20}", text.lower())[:5]) or "run"


def create(job: Job, path: Path) -> Run:
    """A new run's directory, which may be there if it is empty. Raises RunError where it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(path.iterdir()):
            raise RunError(f"{clean(str(path), 200)} is there already, and not empty; name another directory.")
        write_whole(path / CONFIG, job.to_json().encode())
    except OSError as error:
        raise RunError(f"A run cannot be written there ({clean(error.strerror or str(error))}).") from None
    return Run(path, job)


def read(path: Path) -> Run:
    """Raises RunError where there is none, or a damaged one."""
    try:
        text = _text(path / CONFIG, jobs.MOST_BYTES)
    except FileNotFoundError:
        raise RunError(f"{clean(path.name)} holds no run: it has no {CONFIG}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{CONFIG} of {clean(path.name)} cannot be read ({type(error).__name__}).") from None
    try:
        return Run(path, jobs.of_json(text))
    except ExplorerError as error:
        raise RunError(f"{clean(path.name)}: {error}.") from None


def rename(run: Run, title: str) -> Run:
    """Give it a name of one's own; an empty one takes that away."""
    job = replace(run.job, title=clean(title.strip(), jobs.LONGEST_TITLE) if title.strip() else "")
    begun = (run.path / CONFIG).stat()
    write_whole(run.path / CONFIG, job.to_json().encode())
    os.utime(run.path / CONFIG, ns=(begun.st_atime_ns, begun.st_mtime_ns))  # by which runs are in order
    return Run(run.path, job)


# ---- what has become of one ----


def status(path: Path, now: float | None = None) -> Status:
    """What the worker said last; one that says it works, and gives no sign of life, has died."""
    try:
        said = _said(json.loads(_text(path / STATUS, MOST_STATUS)))
    except FileNotFoundError:
        return Status()
    except (OSError, ValueError, AttributeError, RecursionError):
        return Status("failed", message=f"{STATUS} cannot be read.")
    # a sign from the future is none either: a clock was set back, and a living worker gives the next one in a second
    silent = abs((time.time() if now is None else now) - said.heartbeat)
    if said.active and (silent > LONGEST_SILENCE or _is_gone(said)):
        return said._replace(state="died", message=DIED)
    return said


def _said(found: Any) -> Status:
    """Raises ValueError or AttributeError for what no worker writes."""
    values = {name: found.get(name, usual) for name, usual in Status._field_defaults.items()}
    for name, usual in Status._field_defaults.items():
        value, kind = values[name], (int, float) if isinstance(usual, float) else type(usual)
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is not str and not abs(value) < MOST_NUMBER):
            raise ValueError(name)
    if values["state"] not in get_args(State):
        raise ValueError("state")
    return Status(**values | {"message": clean(values["message"], LONGEST_MESSAGE)})


def _is_gone(said: Status) -> bool:
    """Whether the process has ended, as far as this machine can tell."""
    if said.host != platform.node():
        return False
    try:
        return psutil.Process(said.pid).status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return True
    except psutil.Error:
        return False


def metrics(path: Path) -> "pd.DataFrame":
    """A row now and then: step, epoch, seconds, learning_rate, train_loss, train_accuracy; and after some epochs
    test_loss and test_accuracy, NaN elsewhere. Accuracies are shares. Empty where nothing was written yet.
    """
    return _table(path / METRICS)


def gradient_norms(path: Path) -> "pd.DataFrame":
    """The norm of the loss's gradient by each kernel: a row now and then, `step` and a column a kernel."""
    return _table(path / NORMS)


def update_ratios(path: Path) -> "pd.DataFrame":
    """The norm of a step's change over that of the kernel itself; as `gradient_norms`."""
    return _table(path / UPDATES)


def predictions(path: Path) -> "pd.DataFrame":
    """Of each test image: label, predicted, probability (of the class predicted), of_label (of its own)."""
    return _table(path / PREDICTIONS)


def _table(path: Path) -> "pd.DataFrame":
    """Of numbers alone; empty where there is no such file, or something else in it."""
    import pandas as pd

    try:
        data = _bytes(path, MOST_TABLE)
        whole = data[: data.rfind(b"\n") + 1]  # the last line may be half written
        found = pd.read_csv(io.BytesIO(whole), on_bad_lines="skip", low_memory=False)
    except (OSError, ValueError):  # pandas' own errors are ValueErrors
        return pd.DataFrame()
    if not isinstance(found.index, pd.RangeIndex):  # longer lines than the first
        return pd.DataFrame()
    for name in found:
        if not pd.api.types.is_numeric_dtype(found[name]):
            found[name] = pd.to_numeric(found[name], errors="coerce")
    return found.dropna(subset=["step"], ignore_index=True) if "step" in found and found["step"].hasnans else found


def size(path: Path) -> int:
    """Bytes on disk."""
    total = 0
    for place, _, files in os.walk(path):
        for file in files:
            with suppress(OSError):
                total += os.lstat(Path(place, file)).st_size
    return total


def _text(path: Path, most: int) -> str:
    return _bytes(path, most).decode()


def _bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"{path.name} has more than {most} bytes")
    return data


# ---- asking the worker, and putting runs away ----


def ask_to_stop(path: Path) -> None:
    (path / STOP).touch()


def take_back_stop(path: Path) -> None:
    (path / STOP).unlink(missing_ok=True)


def delete(path: Path) -> None:
    """Put a run away, from where `restore` brings it back for a day. Raises RunError for one that is still trained."""
    if status(path).active or _is_held(path):
        raise RunError("It is still being trained: stop it first.")
    if path.parents[1].name == trial_names.TRIALS:
        raise RunError("It is part of a sweep: delete that one instead.")
    folder = path.parent / DELETED
    target = folder / path.name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _forget_old(folder)
        os.replace(path, target)
        os.utime(target)
    except OSError as error:
        raise RunError(f"The run cannot be put away ({clean(error.strerror or str(error))}).") from None


def restore(name: str, folder: Path | None = None) -> Path:
    """Bring back a run that was deleted, or whatever else was in that folder. Raises RunError where it is gone."""
    folder = folder or runs_folder()
    if not NAME.fullmatch(name) or not (folder / DELETED / name).is_dir() or (folder / name).exists():
        raise RunError(f"{clean(name)!r} is gone.")
    os.replace(folder / DELETED / name, folder / name)
    return folder / name


def _is_held(path: Path) -> bool:
    """Whether a worker has it, also one that has not written for long: stopped by a debugger, or on a full disk."""
    try:
        with FileLock(path / LOCK).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _forget_old(folder: Path) -> None:
    for path in _directories(folder):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_DELETED:
                shutil.rmtree(path)


def _directories(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


# ---- writing so that a crash leaves the old or the new ----


def write_whole(path: Path, data: bytes, lasting: bool = True) -> None:
    """Write a file so that whoever reads it finds the old content or the new; with `lasting` a power cut too.

    Where it fails nothing of it stays. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    if lasting and os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def clear_partial(path: Path) -> None:
    """Take away what a killed worker was writing; for the next one, once no other has the run."""
    for file in path.glob(f"*{PARTIAL}"):
        if not file.name.startswith(CONFIG):  # which a page may be writing now
            with suppress(OSError):
                file.unlink()
