"""A network as a file with its weights, written where no page waits for it, and kept for whoever asks for the same.

Files lie on the disk, without a name once they are whole: their room is free again when nobody has them any more,
whatever becomes of this process.
"""

import atexit
import os
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import streamlit as st

from controls import session, work
from controls.services import built
from controls.work import Progress
from explorer.counting.budget import BudgetError
from explorer.families import Config, plan
from explorer.plan import Plan
from explorer.running import devices, export
from explorer.running.export import EXPORTS, ExportError
from explorer.running.weights import Weights
from explorer.wording import gigabytes

MOST_KEPT = 400_000_000  # bytes of files, for all visitors together, beside those that are on a page
COPIES = 2.5  # of the weights, that lie on the disk at once while a file is made
ON_A_PAGE = 32_000_000  # bytes that a page offers at once; more are read when they are asked for

_kept: "OrderedDict[Hashable, File]" = OrderedDict()  # what was asked for last stands last
_made: set[Path] = set()  # folders in which a file is being made
_changing = threading.Lock()


class File:
    """A file that whoever has this can read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._reading = threading.Lock()
        self.size = path.stat().st_size  # bytes
        if os.name == "posix":  # elsewhere it has its name until the server ends
            path.unlink()

    def read(self) -> bytes:
        with self._reading:
            self._file.seek(0)
            return self._file.read()


def exported(config: Config, used: Weights, form: str) -> File:
    """`form` is one of EXPORTS. Exports are made on the CPU. The visitor has the file until they ask for another.

    Raises BudgetError and ExportError.
    """
    key, known = (config, used, form), session.visitor()
    if known.export is None or known.export[0] != key:
        known.export = None
        file = _find(key) or _make(config, used, form)
        _keep(key, file)
        known.export = key, file
    found: File = known.export[1]
    return found


def _find(key: Hashable) -> File | None:
    with _changing:
        return _kept.get(key)


def _keep(key: Hashable, file: File) -> None:
    with _changing:
        _kept[key] = file
        _kept.move_to_end(key)
        while sum(one.size for one in _kept.values()) > MOST_KEPT:
            _kept.popitem(last=False)


def _make(config: Config, used: Weights, form: str) -> File:
    with st.spinner("Exporting the network ...", show_time=True), _folder() as folder:
        _check_disk(form, plan(config), folder)
        path = folder / "network"
        making = partial(_export, config, used, form, path)
        work.carry_out(making, network=built.identity(config, used, "cpu"))
        return File(path)


def _export(config: Config, used: Weights, form: str, path: Path, progress: Progress) -> None:
    network, its = built.network(config, used, "cpu"), plan(config)
    needed = EXPORTS[form].needed_bytes(its)
    _check_memory(form, needed)
    with devices.room("cpu", needed + EXPORTS[form].libraries):
        export.write(form, network, path, built.card(config, used), config, lambda: progress(0, 1))


def _check_memory(form: str, needed: int) -> None:
    """Raises BudgetError where it would exceed the limit, or there is not as much at all."""
    limit, together = devices.device_limits("cpu").memory, needed + EXPORTS[form].libraries
    free = devices.free("cpu")
    if needed > limit or together > free:
        most = f"the limit is {gigabytes(limit)}" if needed > limit else f"{gigabytes(free)} are free"
        way_out = "take a smaller network" if form == "safetensors" else "take the weights alone"
        raise BudgetError(f"To make {form} of this network takes about {gigabytes(together)}; {most}: {way_out}.")


def _check_disk(form: str, its: Plan, folder: Path) -> None:
    needed, free = int(COPIES * 4 * its.params), shutil.disk_usage(folder).free
    if needed > free:
        raise ExportError(
            f"To make {form} of this network takes about {gigabytes(needed)} of the server's disk, of which "
            f"{gigabytes(free)} are free: take a smaller network, or try again later."
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder to make a file in. Its process may still write there for a moment after it was stopped, so what
    others have left is taken away first.
    """
    try:
        root = _root()
        root.mkdir(mode=0o700, exist_ok=True)  # if something has tidied it away
        with _changing:
            for left in set(root.iterdir()) - _made:
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(dir=root))
            _made.add(folder)
    except OSError as error:
        raise ExportError(f"The server's disk takes no files ({error.strerror}); try again later.") from None
    try:
        yield folder
    finally:
        _made.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _root() -> Path:
    """This process's own, gone with it."""
    root = Path(tempfile.mkdtemp(prefix="explorer-exports-"))
    atexit.register(end)  # but for a process that a signal ends
    return root


def end() -> None:
    """Take away what is still being made."""
    if _root.cache_info().currsize:
        shutil.rmtree(_root(), ignore_errors=True)
