"""Uploads by the names that links give them, so that a page that is loaded anew, or a copied link, finds them.

A name is drawn at random: none can be guessed, and it tells nothing of the file. Who has the link may look at the file
until an hour after the last page that had it was closed, or until it is removed where it was sent; nobody can change
it. They lie on disk (controls.kept_files), by content: what two visitors send is one content, which goes with its last
name. Several server processes may share the folder: each touches the names that its own pages have, so that no other
takes them for left. Nothing here needs Streamlit: any process opens a content by its digest.
"""

import hashlib
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from controls import kept_files
from controls.kept_files import DIGEST, EACH, FURTHER, NAME, Kept, file_of, locked, look_through, read
from explorer.errors import DISK_FULL, ExplorerError
from explorer.learning.settings import made, uploads_folder
from explorer.running.card import Card
from explorer.running.checkpoints import OnDisk, on_disk
from explorer.wording import clean

__all__ = ["EACH", "KEEP", "NAME", "Kept", "KeptError"]

KEEP = 3600.0  # seconds after the last page that had it was closed
BEAT = 5.0  # seconds, at least, between two signs that this process has it
OPEN = 30.0  # seconds after such a sign, for which some process counts as having it
ABANDONED = 600.0  # seconds after which what is still being written was left by a process that died
COUNTED = 1.0  # seconds for which the sum of all of them is worth something
LONGEST = 200  # characters of a file's name that are kept, the last ones


class KeptError(ExplorerError):
    """A file that cannot be kept, or is no longer there: one sentence."""


@dataclass
class _Use:
    """Of a name, by this process."""

    sessions: set[str] = field(default_factory=set)  # which have it, as long as they are open
    touched: float = -math.inf  # when the others were told last


_lock = threading.Lock()  # of the two below; taken after the folder's, never before
_uses: dict[str, _Use] = {}
_sent: dict[str, dict[str, Kept]] = {}  # session -> what it has sent, by name
_counted: tuple[float, Path, int] | None = None  # when, where, and the sum


# ---- what pages ask for ----


def keep(name: str, data: bytes, session: str, sent_as: str = "", most: int | None = None) -> str:
    """Write what a session has sent, and give it a name in links. `sent_as`: as the browser knows the file; `most`
    bytes may all visitors' contents have together.

    Raises KeptError where there is no room, or the folder cannot be written.
    """
    found = Kept(name[-LONGEST:], hashlib.sha256(data).hexdigest(), len(data), sent_as=sent_as)
    with _refusing(name):
        folder = made(uploads_folder())
        expire()
        with locked(folder):
            if kept_files.has(folder, found):
                return _named(folder, found, session, own=True)
            _find_room(folder, found, most)
            partial = kept_files.reserve(folder, found)
        try:
            kept_files.fill(partial, data)
            with locked(folder):
                os.replace(partial, folder / found.digest)
                return _named(folder, found, session, own=True)
        finally:
            partial.unlink(missing_ok=True)


def say(link: str, about: Card, session: str, own: bool) -> str:
    """Another name for the same content, with something that is said of it; `link` stays what it was. `own`: the
    session has sent it. Raises KeptError.
    """
    found = find(link, session)
    if found is None:
        raise gone()
    folder = uploads_folder()
    with _refusing(found.name), locked(folder):
        return _named(folder, replace(found, about=about), session, own)


def find(link: str, session: str) -> Kept | None:
    """None where there is none of this name, or none any more."""
    folder = uploads_folder()
    found = read(folder, link)
    with _lock:
        if found is None:
            _uses.pop(link, None)
            return None
        use = _uses.setdefault(link, _Use())
        use.sessions.add(session)
        _touch(folder, link, found, use)
    return found


def sender(link: str, session: str) -> None:
    """It is this session that has sent it, to another server process or before this one was started."""
    found = find(link, session)
    if found is not None:
        with _lock:
            _sent.setdefault(session, {})[link] = found


@contextmanager
def opened(digest: str) -> Iterator[OnDisk]:
    """A content, to be read in parts, by whatever process. Raises KeptError where it is gone."""
    with ExitStack() as until_read:
        try:
            if not DIGEST.fullmatch(digest):
                raise FileNotFoundError
            data = until_read.enter_context(on_disk(uploads_folder() / digest))
        except OSError:
            raise gone() from None
        yield data


def gone() -> KeptError:
    return KeptError("The file is no longer on the server; upload it again.")


def forget(link: str) -> None:
    """Its content goes too where it has no other name."""
    folder = uploads_folder()
    if NAME.fullmatch(link) and folder.is_dir():
        with suppress(OSError), locked(folder):
            _drop(folder, {link})


def remove(sent_as: str) -> None:
    """A visitor has removed the file that their browser, and no other, knows by this: under whatever names, whoever
    has said something of it, and whichever process has kept it.
    """
    folder = uploads_folder()
    names = {link for link, one in look_through(folder).names.items() if one and one.sent_as == sent_as}
    if sent_as and names:
        with suppress(OSError), locked(folder):
            _drop(folder, names)


# ---- how much there is, and for how long ----


def size() -> int:
    """Bytes of all of them, as of a second ago where another process has changed them."""
    global _counted
    folder, now, last = uploads_folder(), time.monotonic(), _counted
    if last is None or last[1] != folder or now - last[0] >= COUNTED:
        _counted = last = now, folder, look_through(folder).bytes
    return last[2]


def sent_by(session: str) -> int:
    """Bytes of what a session of this process has sent and not removed."""
    with _lock:
        contents = {one.digest: max(EACH, one.size) for one in _sent.get(session, {}).values()}
    return sum(contents.values())


def hold(open_sessions: Collection[str]) -> None:
    """Tell other processes what the pages of this one have; to be called every few seconds."""
    folder = uploads_folder()
    with _lock:
        for session in _sent.keys() - set(open_sessions):
            del _sent[session]
        for link, use in list(_uses.items()):
            use.sessions.intersection_update(open_sessions)
            found = read(folder, link) if use.sessions else None
            if found is None:
                del _uses[link]
            else:
                _touch(folder, link, found, use)


def expire(patience: float = KEEP) -> None:
    """Let go of what no page of any process has had for so many seconds, and of what a process left that died.

    Of what pages of this process have nothing goes, as far as `hold` was told of them.
    """
    folder = uploads_folder()
    if any(_left(folder, patience)):
        with suppress(OSError), locked(folder):
            names, files = _left(folder, patience)  # again, since a page may have come for one
            _drop(folder, names)
            for file in files:
                (folder / file).unlink(missing_ok=True)
        _count_anew()


def make_room(wanted: int, open_sessions: Collection[str]) -> None:
    """Let go of about so many bytes that no page has, those first that were left first."""
    hold(open_sessions)
    expire()
    folder = uploads_folder()
    if folder.is_dir():
        with suppress(OSError), locked(folder):
            _make_room(folder, wanted)


def _left(folder: Path, patience: float) -> tuple[set[str], set[str]]:
    """Names that no page has had for so long; and files that are nothing to anybody."""
    there = look_through(folder)
    names = {link for link in there.names if there.age(link) >= patience and link not in _uses}
    orphans = {one for one in there.contents.keys() - there.digests if there.age(one) >= patience}
    return names, orphans | {one for one in there.partials if there.age(one) >= ABANDONED}


# ---- with the folder's lock held ----


def _named(folder: Path, found: Kept, session: str, own: bool) -> str:
    link = kept_files.write_name(folder, found)
    with _lock:
        _uses[link] = _Use({session})
        _touch(folder, link, found, _uses[link])
        if own:
            _sent.setdefault(session, {})[link] = found
    _count_anew()
    return link


def _find_room(folder: Path, found: Kept, most: int | None) -> None:
    """Raises KeptError where there is none."""
    if most is None:
        return
    free = most - max(EACH, found.size)
    _make_room(folder, look_through(folder).bytes - free)
    if look_through(folder).bytes > free:
        raise KeptError(
            f"{clean(found.name)} was not taken: the files of all visitors may have {most // 2**20} MB together, and "
            "others have sent theirs. Try again later."
        )


def _make_room(folder: Path, wanted: int) -> None:
    there, dropped = look_through(folder), set()
    names_of = Counter(found.digest for found in there.names.values() if found)
    left = (link for link in there.names if link not in _uses and there.age(link) >= OPEN)
    for link in sorted(left, key=there.age, reverse=True):
        if wanted <= 0:
            break
        dropped.add(link)
        if found := there.names[link]:
            names_of[found.digest] -= 1
            wanted -= FURTHER if names_of[found.digest] else max(EACH, found.size)
    _drop(folder, dropped)


def _drop(folder: Path, links: Collection[str]) -> None:
    """Names, and the contents that have no other. Raises OSError."""
    if not links:
        return
    contents = {found.digest for link in links if (found := read(folder, link))}
    for link in links:
        file_of(folder, link).unlink(missing_ok=True)
    for digest in contents - look_through(folder).digests:
        (folder / digest).unlink(missing_ok=True)
    with _lock:
        for link in links:
            _uses.pop(link, None)
            for sent in _sent.values():
                sent.pop(link, None)
    _count_anew()


def _touch(folder: Path, link: str, found: Kept, use: _Use) -> None:
    if time.monotonic() - use.touched >= BEAT:
        kept_files.touch(folder, link, found)
        use.touched = time.monotonic()


def _count_anew() -> None:
    global _counted
    _counted = None


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Says in a sentence what the disk refuses."""
    try:
        yield
    except OSError as error:
        why = "the server cannot write its folder of uploads"
        if error.errno in DISK_FULL:
            raise KeptError(f"{clean(name)} was not taken, since the server's disk is full; try again later.") from None
        reason = clean(error.strerror or type(error).__name__)
        raise KeptError(f"{clean(name)} was not taken, since {why} ({reason}).") from None
