"""A run that is trained on one machine and looked at on another, with a storage between them.

A node takes the run from there into a folder of its own, trains it, and sends what changes; the driver fetches it
(explorer.learning.sweeps.fetching). In the storage a run has the files that it has in a directory, and `attempt`: which
node may write, where one was believed dead and is not. What is there is always enough to go on from: a table's rows
come before the checkpoint that they lead up to, and the optimizer's state comes before the weights of the same step, as
in explorer.learning.checkpoint.
"""

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from explorer.learning import runs
from explorer.learning.runs import CHECKPOINT, CONFIG, LOG, METRICS, OPTIMIZER, PARTIAL, STATUS, STOP, RunError
from explorer.learning.sweeps.storage import Storage, StorageError

ATTEMPT = "attempt"
EACH = 2.0  # seconds between two looks of a node at what has changed
TRIES = 5  # to read what is being written, or to send the last of a run
PAUSE = 2.0  # seconds between two of those
# of a run beside its config.json, its status and its checkpoint
TABLES = (METRICS, runs.NORMS, runs.UPDATES, runs.PREDICTIONS, LOG)
FILE = re.compile(
    "|".join(map(re.escape, TABLES)) + r"|path/\d{1,12}\.safetensors|tensorboard/\w[\w.-]{0,200}", re.ASCII
)

Stamp = tuple[int, int]  # when a file was written, in ns, and its bytes
Sent = dict[str, Stamp]  # by name


def send(run: Path, storage: Storage, place: str, sent: Sent) -> None:
    """What has changed in a run's directory since what was `sent`, which is brought up to date. Raises StorageError,
    OSError.
    """
    with _held_checkpoint(run) as checkpoint:  # first, so that the tables have the rows of its steps
        for name in _files(run):
            _send(run / name, storage, f"{place}/{name}", name, sent)
        for file in checkpoint:
            _send(file, storage, f"{place}/{file.name}", file.name, sent)
        for name in [name for name in sent if OPTIMIZER.fullmatch(name) and checkpoint and name != checkpoint[0].name]:
            storage.remove(f"{place}/{name}")
            del sent[name]
    _send(run / STATUS, storage, f"{place}/{STATUS}", STATUS, sent)


def take(run: Path, storage: Storage, place: str) -> None:
    """All that the storage has of a run but its config.json, into its directory. Raises StorageError, OSError."""
    for left in reversed(range(TRIES)):
        names = [name for name in storage.names(place) if FILE.fullmatch(name) or name in (CHECKPOINT, STATUS)]
        names.sort(key=lambda name: (name == STATUS, name == CHECKPOINT))
        try:
            if CHECKPOINT in names:
                _take_state(run, storage, place)
            for name in names:
                _take(run / name, storage, f"{place}/{name}")
            return
        except FileNotFoundError:  # a newer checkpoint is there by now
            if left:
                time.sleep(PAUSE)
    raise StorageError(f"What {storage.url} has of the run is not whole.")


def _send(file: Path, storage: Storage, place: str, name: str, sent: Sent) -> None:
    with suppress(FileNotFoundError):  # nothing was written yet
        stamp = _stamp(file)
        if sent.get(name) != stamp:
            storage.put(file, place)
            sent[name] = stamp


def _take(file: Path, storage: Storage, place: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        storage.get(place, partial)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _take_state(run: Path, storage: Storage, place: str) -> None:
    """The optimizer's, of the same step as the weights that are there now. Raises FileNotFoundError where those have
    been replaced meanwhile.
    """
    with TemporaryDirectory(prefix=".taken-", dir=run) as folder:
        storage.get(f"{place}/{CHECKPOINT}", weights := Path(folder, CHECKPOINT))
        name = _state_of(weights)
        _take(run / name, storage, f"{place}/{name}")
    for file in run.iterdir():
        if OPTIMIZER.fullmatch(file.name) and file.name != name:
            file.unlink(missing_ok=True)


@contextmanager
def _held_checkpoint(run: Path) -> Iterator[list[Path]]:
    """The optimizer's state and the weights of one and the same step, under names that the worker does not take away;
    empty where there is no checkpoint.
    """
    with TemporaryDirectory(prefix=".held-", dir=run) as folder:
        weights, found = Path(folder, CHECKPOINT), []
        for _ in range(TRIES):
            try:
                _give_other_name(run / CHECKPOINT, weights)
                state = Path(folder, _state_of(weights))
                _give_other_name(run / state.name, state)
                found = [state, weights]
                break
            except FileNotFoundError:  # there is none; or the next one has come meanwhile
                weights.unlink(missing_ok=True)
        yield found


def _give_other_name(file: Path, other: Path) -> None:
    try:
        os.link(file, other)
    except FileNotFoundError:
        raise
    except OSError:  # where files have one name only
        shutil.copy2(file, other)


def _state_of(weights: Path) -> str:
    """The name of the optimizer's state that belongs to them. Raises FileNotFoundError; RunError for damaged ones."""
    from safetensors import SafetensorError, safe_open

    from explorer.learning.checkpoint import STEP

    try:
        with safe_open(weights, "numpy") as file:
            return f"optimizer-{int(file.metadata()[STEP])}.safetensors"
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"Its checkpoint cannot be read ({type(error).__name__}): delete it.") from None


def _files(run: Path) -> list[str]:
    found = (Path(folder, file).relative_to(run).as_posix() for folder, _, files in os.walk(run) for file in files)
    return sorted(name for name in found if FILE.fullmatch(name))


def _stamp(file: Path) -> Stamp:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


# ---- the node's side ----


@contextmanager
def brought(url: str, place: str) -> Iterator[Path]:
    """The run that lies at that place of the storage, in a folder of this machine. What changes is sent all the while,
    and the rest in the end. Raises StorageError, RunError, OSError.
    """
    with TemporaryDirectory(prefix="explorer-trial-") as folder:
        run = Path(folder, place.rpartition("/")[2])
        run.mkdir()
        with _Sending(run, Storage(url), place):
            yield run


class _Sending:
    def __init__(self, run: Path, storage: Storage, place: str) -> None:
        self._run, self._storage, self._place = run, storage, place
        self._attempt = secrets.token_hex(8).encode()
        self._sent: Sent = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> None:
        run, storage, place = self._run, self._storage, self._place
        try:
            _take(run / CONFIG, storage, f"{place}/{CONFIG}")
        except FileNotFoundError:
            raise StorageError(f"{storage.url} does not have the run: the node sees another place.") from None
        storage.write(f"{place}/{ATTEMPT}", self._attempt)  # from now on no other node writes
        take(run, storage, place)
        self._sent = {name: _stamp(run / name) for name in (*_files(run), *_checkpoint(run))}
        self._look_for_stop()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for _again in range(TRIES - 1):
            with suppress(StorageError, OSError):
                self._send()
                return
            time.sleep(PAUSE)
        self._send()

    def _go_on(self) -> None:
        while not self._ended.wait(EACH):
            try:
                self._look_for_stop()
                self._send()
            except RunError:
                runs.ask_to_stop(self._run)
                return
            except (StorageError, OSError):
                continue  # it is tried again, and said in the end

    def _send(self) -> None:
        """Raises RunError where another node has the run now."""
        name = f"{self._place}/{ATTEMPT}"
        if self._storage.read([name]).get(name, self._attempt) != self._attempt:
            raise RunError("Another node trains it, since this one was believed dead.")
        send(self._run, self._storage, self._place, self._sent)

    def _look_for_stop(self) -> None:
        if self._storage.has(f"{self._place}/{STOP}"):
            runs.ask_to_stop(self._run)


def _checkpoint(run: Path) -> list[str]:
    return [file.name for file in run.iterdir() if file.name == CHECKPOINT or OPTIMIZER.fullmatch(file.name)]
