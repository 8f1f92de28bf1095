"""What visitors have sent, as files of one folder that all server processes may share.

    SHA-256 of the bytes   a content, written once whoever sends it
    own-DIGITS.json        a name in links: which content, what its visitor calls it, and what they say of it
    *.partial              a file that is being written
    .lock                  held while names and contents come and go

When a name's file was touched last tells how long no page has had it. Only the server's account may read any of it.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from explorer.remembering import remembered
from explorer.running import card
from explorer.running.card import Card

NAME, DIGEST = re.compile(r"own-[0-9a-f]{20}"), re.compile(r"[0-9a-f]{64}")
BYTES = 10  # of chance in a name: 80 bits
EACH = 2**16  # bytes that a content is counted as at least, lest a million empty ones pass
FURTHER = 2**12  # bytes that a name is counted as, beside the first of its content
VERSION, MOST_TEXT = 1, 2**20  # of a name's file; bytes
ENDING, PARTIAL, LOCK = ".json", ".partial", ".lock"
LONGEST_WAIT = 20.0  # seconds for the lock


@dataclass(frozen=True)
class Kept:
    name: str  # as the visitor's computer has it
    digest: str  # SHA-256 of its bytes
    size: int  # bytes
    about: Card | None = None  # what the visitor has said of it, and it does not say itself
    sent_as: str = ""  # by which id the browser knows it that has sent it


class There(NamedTuple):
    """What lies in the folder, by names of files; of a name in links, by the name itself."""

    names: Mapping[str, Kept | None]  # None: broken, of another version, or without its content
    contents: Mapping[str, int]  # bytes
    partials: Mapping[str, int]
    touched: Mapping[str, float]  # seconds since 1970

    @property
    def digests(self) -> set[str]:
        """Contents that have a name."""
        return {one.digest for one in self.names.values() if one is not None}

    @property
    def bytes(self) -> int:
        sizes = (*self.contents.values(), *self.partials.values())
        return sum(max(EACH, size) for size in sizes) + FURTHER * max(0, len(self.names) - len(self.contents))

    def age(self, one: str) -> float:
        """Seconds without a sign; one from the future is none either, since a clock was set back."""
        now = time.time()
        return abs(now - self.touched.get(one, now))


def look_through(folder: Path) -> There:
    """Empty where there is no such folder."""
    names: dict[str, Kept | None] = {}
    contents: dict[str, int] = {}
    partials: dict[str, int] = {}
    touched: dict[str, float] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.removesuffix(ENDING)
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if NAME.fullmatch(name) and name != entry.name:
                    names[name] = read(folder, name)
                elif entry.name.endswith(PARTIAL):
                    partials[entry.name] = status.st_size
                elif DIGEST.fullmatch(entry.name):
                    contents[entry.name] = status.st_size
                else:
                    continue
                touched[name] = status.st_mtime
    return There(names, contents, partials, touched)


def read(folder: Path, link: str) -> Kept | None:
    """What a name in links names; None for what is no name, has no content, is broken, or from another version."""
    if not NAME.fullmatch(link):
        return None
    path = file_of(folder, link)
    try:
        status = path.stat()
        found = _parsed(path, status.st_ino, status.st_size)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if has(folder, found) else None


@remembered(32_000_000)  # a hundred thousand; with many class names a few
def _parsed(path: Path, _inode: int, length: int) -> Kept:
    """A name's file, which is never written anew. Raises OSError, ValueError, KeyError, TypeError, RecursionError."""
    found: Any = json.loads(path.read_bytes()) if length <= MOST_TEXT else {}
    name, digest, size, about, sent_as = (found[key] for key in ("name", "digest", "size", "about", "sent_as"))
    good = all(isinstance(one, str) for one in (name, digest, sent_as)) and type(size) is int
    if found["version"] != VERSION or not good or not DIGEST.fullmatch(digest):
        raise ValueError("not the file of a name")
    return Kept(name, digest, size, None if about is None else card.of_json(json.dumps(about), 1), sent_as)


def has(folder: Path, found: Kept) -> bool:
    """Whether its content is there."""
    with suppress(OSError):
        return (folder / found.digest).stat().st_size == found.size
    return False


def write_name(folder: Path, found: Kept) -> str:
    """A new name in links for a content that is there. Raises OSError."""
    link = f"own-{secrets.token_hex(BYTES)}"
    about = None if found.about is None else json.loads(card.to_json(found.about))
    values = {"name": found.name, "digest": found.digest, "size": found.size, "about": about, "sent_as": found.sent_as}
    partial = new(folder, f"{link}{ENDING}")
    try:
        partial.write_text(json.dumps({"version": VERSION, **values}))
        os.replace(partial, file_of(folder, link))
    finally:
        partial.unlink(missing_ok=True)
    return link


def reserve(folder: Path, found: Kept) -> Path:
    """An empty file of its content's size, which others count from now on. Raises OSError."""
    partial = new(folder, found.digest)
    try:
        os.truncate(partial, found.size)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return partial


def fill(partial: Path, data: bytes) -> None:
    """To last before it gets its name: after a power cut a content is whole, or not there. Raises OSError."""
    with partial.open("r+b") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def new(folder: Path, name: str) -> Path:
    """A file that is to be written and then renamed. Raises OSError."""
    path = folder / f"{name}.{secrets.token_hex(4)}{PARTIAL}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def touch(folder: Path, link: str, found: Kept) -> None:
    """Say that a page has it: of its content too, for versions of this program that cannot read the name."""
    for file in (file_of(folder, link), folder / found.digest):
        with suppress(OSError):  # removed at this moment
            os.utime(file)


def file_of(folder: Path, link: str) -> Path:
    return folder / f"{link}{ENDING}"


def locked(folder: Path) -> FileLock:
    """Held by one thread of one process. Raises OSError, also where it is held for long."""
    return FileLock(folder / LOCK, timeout=LONGEST_WAIT, mode=0o600, poll_interval=0.005)
