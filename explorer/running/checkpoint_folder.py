"""Checkpoints on the server: files in the one folder that its owner has opened to visitors.

EXPLORER_CHECKPOINTS names the folder. Visitors choose from what is listed, read from it and write nothing; whatever
they send as a name, no other file is ever opened.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from explorer.running.checkpoints import OnDisk, on_disk
from explorer.running.weights import Weights, WeightsError
from explorer.wording import clean

SETTING = "EXPLORER_CHECKPOINTS"
ENDINGS = (".safetensors", ".pt", ".pth")
MOST_FILES = 500  # that are listed
MOST_SEEN = 20_000  # files and folders that are looked through for them


def folder() -> Path | None:
    """The folder that is open to visitors; None where there is none."""
    text = os.environ.get(SETTING, "").strip()
    path = Path(text).expanduser() if text else None
    return path.resolve() if path is not None and path.is_dir() else None


def names() -> tuple[str, ...]:
    """The checkpoints there, with the folders that they are in: "digits/resnet20.safetensors"."""
    root, found, seen = folder(), [], 0
    if root is None:
        return ()
    for place, folders, files in os.walk(root):
        folders.sort()
        seen += len(folders) + len(files)
        for file in sorted(files):
            name = Path(place, file).relative_to(root).as_posix()
            if file.endswith(ENDINGS) and name.isprintable() and _inside(root, name):
                found.append(name)
        if seen > MOST_SEEN or len(found) >= MOST_FILES:
            break
    return tuple(found[:MOST_FILES])


def weights_of(name: str) -> Weights:
    """A file there, known by its path and when it was written: its bytes may be too many to read them each time.

    Raises WeightsError.
    """
    path = _path(name)
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(name, error) from None
    told_by = f"{path}\0{status.st_ino}\0{status.st_size}\0{status.st_mtime_ns}"
    return Weights("folder", hashlib.sha256(told_by.encode(errors="surrogateescape")).hexdigest(), clean(name))


def name_of(wanted: Weights) -> str:
    """Where weights of this folder lie by now. Raises WeightsError where they are gone, or written anew."""
    for name in (wanted.name, *names()):  # what is shown is the name, or the beginning of a long one
        with suppress(WeightsError):
            if weights_of(name) == wanted.numbers:
                return name
    weights_of(wanted.name)
    raise WeightsError(f"{wanted.name} was written anew since it was chosen; choose it again.")


@contextmanager
def opened(name: str) -> Iterator[OnDisk]:
    """A file there, to be read in parts. Raises WeightsError."""
    path = _path(name)
    try:
        with on_disk(path) as data:
            yield data
    except OSError as error:
        raise _unreadable(name, error) from None


def _path(name: str) -> Path:
    """Where the file really is. Raises WeightsError for any that is not in the folder, links followed."""
    root = folder()
    path = _inside(root, name) if root is not None else None
    if path is None:
        raise WeightsError(f"There is no checkpoint {clean(name)!r} on this server; choose one that is listed.")
    return path


def _inside(root: Path, name: str) -> Path | None:
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # not there, no name of a file, a circle of links
        return None
    good = path.is_relative_to(root) and path.is_file() and name.endswith(ENDINGS)
    return path if good else None


def _unreadable(name: str, error: OSError) -> WeightsError:
    return WeightsError(f"{clean(name)} cannot be read ({clean(error.strerror or str(error))}); choose another.")
