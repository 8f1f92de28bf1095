"""Has a file changed? By its state, under which what was read from it is remembered."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class FileState(NamedTuple):
    """It tells one content of a file from the next: one that is written anew is another file. Zeros where there is
    none.
    """

    number: int = 0
    changed: int = 0
    size: int = 0


def file_state(path: Path) -> FileState:
    with suppress(OSError):
        found = path.stat()
        return FileState(found.st_ino, found.st_mtime_ns, found.st_size)
    return FileState()
