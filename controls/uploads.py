"""What visitors send: how much the server takes, and when it is gone again.

Streamlit holds every uploaded file in memory until its session ends, whether a page ever reads it or not, and has a
limit for a single file alone. `UploadLimits` refuses what would be too much for one session, or for all of them
together, in memory and on disk; a page that has read a file keeps it on disk (kept) and lets go of Streamlit's copy;
`free_closed_sessions` ends the sessions whose browser has gone. What is kept outlives them for a while, within the same
limit, and makes room for what is sent.
"""

import asyncio
import gc
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import Runtime, get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec

from controls import kept
from controls.kept import Kept
from controls.session import visitor
from explorer.counting import budget
from explorer.pictures.reading import MOST_BYTES
from explorer.running.card import Card
from explorer.running.checkpoints import OnDisk

MB = 2**20  # as Streamlit counts
MOST_PICTURES = 12  # of one visitor's own that are kept
EACH = kept.EACH  # bytes that a file is counted as at least
SHARE = 4  # all files together: one part in so many of the memory that is free when the server starts
LONGEST_NAP = 60.0  # seconds that a busy server may be late
PATIENCE = 30.0  # seconds that a session without a browser is kept: a short loss of the network
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?")

_told: dict[str, list[str]] = defaultdict(list)  # session -> sentences that its page has not shown yet


def largest_file() -> int:
    """MB that a single file may have: the server's own setting, which fits the largest checkpoint."""
    found: int = st.get_option("server.maxUploadSize")
    return found


def largest(most: int) -> int:
    """MB, of a kind of file that has so many bytes at most; what its uploader shows is never more than holds."""
    return min(most // MB, largest_file())


def session_limit() -> int:
    """Bytes: a checkpoint and all pictures of the largest size."""
    return largest_file() * MB + MOST_PICTURES * MOST_BYTES


@cache
def server_limit() -> int:
    """Bytes, by EXPLORER_MAX_UPLOADS or by the memory that is free when it is first asked for; at least one largest
    file fits.
    """
    return budget.setting("EXPLORER_MAX_UPLOADS") or max(budget.free_memory() // SHARE, largest_file() * MB)


class UploadLimits:
    """Middleware that refuses an upload by the length that it declares, and again as its bytes arrive."""

    def __init__(self, app: ASGIApp, session: int | None = None, server: int | None = None) -> None:
        self.app = app
        self.session, self.server = session or session_limit(), server or server_limit()
        self.arriving: Counter[str] = Counter()  # session -> bytes of uploads that are under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = UPLOAD.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if found is None:
            await self.app(scope, receive, send)
            return
        session, arrived = found[1], 0
        if sentence := self._refusal(session, _declared(scope)):
            tell(session, sentence)
            await PlainTextResponse(sentence, 413)(scope, receive, send)
            return

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            size = len(message.get("body", b""))
            if size and (sentence := self._refusal(session, size)):
                tell(session, sentence)
                raise HTTPException(413, sentence)
            arrived += size
            self.arriving[session] += size
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.arriving[session] -= arrived
            if not self.arriving[session]:
                del self.arriving[session]

    def _refusal(self, session: str, size: int) -> str:
        """Why this many bytes more are too many; "" where they are not."""
        held = _held(get_instance())
        if held.get(session, 0) + kept.sent_by(session) + self.arriving[session] + size > self.session:
            return (
                f"A file was not taken: all files of one visitor may have {self.session // MB} MB together. Remove "
                "some, or open the page anew."
            )
        room = self.server - sum(held.values()) - self.arriving.total() - size
        if 0 <= room < (on_disk := kept.size()):
            kept.make_room(on_disk - room, _open_sessions())
        if kept.size() > room:
            return (
                f"A file was not taken: the files of all visitors may have {self.server // MB} MB together, and others "
                "have sent theirs. Try again later."
            )
        return ""


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _held(runtime: Runtime) -> dict[str, int]:
    """Bytes in memory, by session."""
    sessions = list(_in_memory(runtime.uploaded_file_mgr).file_storage.items())
    return {session: sum(max(EACH, len(file.data)) for file in list(files.values())) for session, files in sessions}


def _in_memory(manager: Any) -> MemoryUploadedFileManager:
    assert isinstance(manager, MemoryUploadedFileManager)
    return manager


def _open_sessions() -> set[str]:
    return {one.session.id for one in get_instance()._session_mgr.list_sessions()}


# ---- what the page says of it ----


def tell(session: str, sentence: str) -> None:
    """Have the visitor's page say it, now: the uploader itself shows no more than a number."""
    runtime = get_instance()
    if not runtime.is_active_session(session) or sentence in _told[session]:
        return
    _told[session].append(sentence)
    info = runtime._session_mgr.get_active_session_info(session)
    if info:
        info.session.request_rerun(info.session._client_state)  # as Streamlit itself does when a script has changed


def told() -> list[str]:
    """Sentences about this visitor's uploads, once."""
    context = get_script_run_ctx()
    return _told.pop(context.session_id, []) if context else []


# ---- files, as a script gets them ----


def arrived(value: Any) -> tuple[list[UploadedFile], bool]:
    """The files in an uploader's value, and whether there are others of which the server has no bytes."""
    files = value if isinstance(value, list) else [] if value is None else [value]
    found = [file for file in files if isinstance(file, UploadedFile)]
    lost = [file for file in files if isinstance(file, DeletedFile) and not _taken_over(file.file_id)]
    return found, bool(lost)


def _taken_over(file_id: str) -> bool:
    """Whether a file was kept by a process before this one, under a name that the page still has; from now on it goes
    where it is removed here. Only the browser that has sent it knows its id.
    """
    known, context = visitor(), get_script_run_ctx()
    links = {*known.pictures, *([known.checkpoint.place] if known.checkpoint else ())}
    found = {name: one for name in links if (one := kept.find(name, _session())) and one.sent_as == file_id}
    for name, one in found.items():
        if context is not None:
            record = UploadedFileRec(file_id, one.name, "application/octet-stream", b"")
            _in_memory(context.uploaded_file_mgr).add_file(context.session_id, record)
        known.sent[name] = file_id
        kept.sender(name, _session())
    return bool(found)


def known(file: UploadedFile) -> str:
    """The name by which links know a file that this visitor has sent; "" where none does."""
    names = [name for name, file_id in visitor().sent.items() if file_id == file.file_id]
    return names[-1] if names else ""  # with what was said of it last


def name_of(file: UploadedFile) -> str:
    """The name by which links know a file that this visitor has sent, from now on if not before. Raises KeptError."""
    for name, file_id in list(visitor().sent.items()):
        if file_id and not _there(file_id):
            forget(name)
    if name := known(file):
        return name
    name = kept.keep(file.name, file.getvalue(), _session(), file.file_id, server_limit())
    visitor().sent[name] = file.file_id
    return name


@contextmanager
def opened(file: UploadedFile) -> Iterator[bytes | OnDisk]:
    """Its bytes, wherever they are by now. Raises KeptError."""
    found = find(known(file))
    if found is None:
        yield file.getvalue()
    else:
        with kept.opened(found.digest) as data:
            yield data


def let_go(file: UploadedFile) -> None:
    """Free the memory that a file takes which is kept, or will not be read again; its uploader goes on showing it."""
    context = get_script_run_ctx()
    if context is not None:
        manager = _in_memory(context.uploaded_file_mgr)
        with manager._lock:  # or a file that is removed at this moment would be there again
            files = manager.file_storage.get(context.session_id, {})
            if record := files.get(file.file_id):
                files[file.file_id] = record._replace(data=b"")
                manager._total_bytes -= len(record.data)
    file.truncate(0)  # the session's own copy, which Python shares with Streamlit's until then


def forget(name: str) -> None:
    """No link shall know it any more."""
    visitor().sent.pop(name, None)
    kept.forget(name)


def say(name: str, about: Card) -> str:
    """Another name for the same file, with something that its visitor says of it; `name` stays what it was.

    Raises KeptError.
    """
    file_id = visitor().sent.get(name, "")
    other = kept.say(name, about, _session(), own=bool(file_id))
    visitor().sent[other] = file_id
    return other


def find(name: str) -> Kept | None:
    """What a link names; None where the server does not have it any more. It goes where its visitor removes it."""
    file_id = visitor().sent.get(name)
    if file_id and not _there(file_id):
        forget(name)
    return kept.find(name, _session())


def _there(file_id: str) -> bool:
    """Whether the visitor has not removed it."""
    context = get_script_run_ctx()
    return bool(context and context.uploaded_file_mgr.get_files(context.session_id, [file_id]))


def _session() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


# ---- sessions whose browser has gone ----


async def free_closed_sessions(patience: float = PATIENCE, pause: float = 5.0) -> None:
    """Ends each session that has been without a browser for `patience` seconds; goes on until it is cancelled.

    Streamlit lets go of them when the next visitor comes, and so of nothing on a server that nobody visits.
    """
    since: Mapping[str, float] = {}
    while True:
        slept_from = time.time()
        await asyncio.sleep(pause)
        woken = time.time() - slept_from > pause + LONGEST_NAP
        runtime, now = get_instance(), time.monotonic()
        open_sessions = _open_sessions()
        idle = {one for one in open_sessions if not runtime.is_active_session(one)}
        since = {one: since.get(one, now) for one in idle}
        over = [one for one, began in since.items() if now - began >= patience]
        for closed in over:
            runtime.close_session(closed)
        for closed in _told.keys() - open_sessions:
            del _told[closed]
        kept.hold(open_sessions.difference(over))
        if not woken:  # the machine: other processes have had no chance either to say what their pages have
            await asyncio.to_thread(kept.expire)
        if over:
            gc.collect()  # Streamlit does so after a run of the script, of which there may be none
            _trim()


def _trim() -> None:
    """Gives freed memory back to the system where the C library keeps it."""
    if os.name == "posix":
        import ctypes

        library = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):
            library.malloc_trim(0)
