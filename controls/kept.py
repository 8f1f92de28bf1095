"""Uploads by the names that links give them, so that a page that is loaded anew, or a copied link, finds them.

A name is drawn at random: none can be guessed, and it tells nothing of the file. Who has the link may look at the file
until an hour after the last page that had it was closed, or until it is removed where it was sent; nobody can change
it. Streamlit's own copy goes with the session that sent it; these are the same bytes, not a second copy.
"""

import re
import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

KEEP = 3600.0  # seconds after the last page that had it was closed
NAME = re.compile(r"own-[0-9a-f]{20}")
BYTES = 10  # of chance in a name: 80 bits
EACH = 2**16  # bytes that a file is counted as at least, lest a million empty ones pass


@dataclass(frozen=True)
class Kept:
    name: str  # as the visitor's computer has it
    data: bytes = field(repr=False)
    about: Any = None  # what the visitor has said of it, and it does not say itself


@dataclass
class _Use:
    """Of one of them."""

    sessions: set[str]  # which have it, as long as they are open
    last: float  # when one had


_lock = threading.Lock()
_kept: dict[str, Kept] = {}
_uses: dict[str, _Use] = {}


def keep(found: Kept, session: str) -> str:
    """Its name in links."""
    name = f"own-{secrets.token_hex(BYTES)}"
    with _lock:
        _kept[name], _uses[name] = found, _Use({session}, time.monotonic())
    return name


def find(name: str, session: str) -> Kept | None:
    """None where there is none of this name, or none any more."""
    with _lock:
        found = _kept.get(name)
        if found is not None:
            _uses[name].sessions.add(session)
            _uses[name].last = time.monotonic()
        return found


def forget(name: str) -> None:
    with _lock:
        _drop(name)


def size(but: Collection[int] = ()) -> int:
    """Bytes of all of them; without those bytes objects, by their identity, that are counted elsewhere."""
    with _lock:
        return sum(
            {id(one.data): max(EACH, len(one.data)) for one in _kept.values() if id(one.data) not in but}.values()
        )


def expire(open_sessions: Collection[str], patience: float = KEEP) -> None:
    """Let go of what no open session has had for so many seconds."""
    now = time.monotonic()
    with _lock:
        for name, use in list(_uses.items()):
            use.sessions.intersection_update(open_sessions)
            if use.sessions:
                use.last = now
            elif now - use.last >= patience:
                _drop(name)


def make_room(wanted: int, open_sessions: Collection[str]) -> None:
    """Let go of about so many bytes that no open session has, those first that were left first."""
    expire(open_sessions)
    with _lock:
        for name in sorted((name for name, use in _uses.items() if not use.sessions), key=lambda one: _uses[one].last):
            if wanted <= 0:
                return
            wanted -= max(EACH, len(_kept[name].data))
            _drop(name)


def _drop(name: str) -> None:
    _kept.pop(name, None)
    _uses.pop(name, None)
