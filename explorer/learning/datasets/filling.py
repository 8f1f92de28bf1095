"""A folder that is there when all of it is."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from explorer.learning.settings import made

ABANDONED = 24 * 3600  # seconds after which what a killed process was filling is cleared away


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place at the end of the block; nothing stays of a broken one.

    Several processes may do so at once: the first that ends has filled it, for all of them. Raises OSError.
    """
    partial = folder.with_name(f"{folder.name}.{uuid4().hex}.partial")
    try:
        made(partial)
        _clear_abandoned(folder)
        yield partial
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _clear_abandoned(folder: Path) -> None:
    for place in folder.parent.glob("*.partial"):
        with suppress(OSError):
            if place.stat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(place, ignore_errors=True)
