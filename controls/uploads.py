"""What visitors send: how much the server takes, and when it is gone again.

Streamlit holds every uploaded file in memory until its session ends, whether a page ever reads it or not, and has a
limit for a single file alone. `UploadLimits` refuses what would be too much for one session, or for all of them
together, in memory and on disk; `free_closed_sessions` ends the sessions whose browser has gone. What a page has read
is kept on disk instead (controls.sent); it outlives them for a while, within the same limit, and makes room for what is
sent.
"""

import asyncio
import gc
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import Runtime, get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from controls import kept
from explorer.counting import budget
from explorer.learning import settings
from explorer.pictures.reading import MOST_BYTES

MB = 2**20  # as Streamlit counts
MOST_PICTURES = 12  # of one visitor's own that are kept
EACH = kept.EACH  # bytes that a file is counted as at least
SHARE = 4  # all files together: one part in so many of the memory that is free when the server starts
LONGEST_NAP = 60.0  # seconds that a busy server may be late
COLLECTS_EACH = 30.0  # seconds between two looks for garbage
PATIENCE = 30.0  # seconds that a session without a browser is kept: a short loss of the network
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/([^/]+)/?")

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
    return budget.setting(settings.MOST_UPLOADS) or max(budget.free_memory() // SHARE, largest_file() * MB)


class UploadLimits:
    """Middleware that refuses an upload by the length that it declares, and again as its bytes arrive; and that lets go
    of what a visitor removes, whichever process it was sent to.
    """

    def __init__(self, app: ASGIApp, session: int | None = None, server: int | None = None) -> None:
        self.app = app
        self.session, self.server = session or session_limit(), server or server_limit()
        self.arriving: Counter[str] = Counter()  # session -> bytes of uploads that are under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = UPLOAD.search(scope["path"]) if scope["type"] == "http" else None
        if found and scope["method"] == "PUT":
            await self._take(found[1], scope, receive, send)
        elif found and scope["method"] == "DELETE":
            await self._remove(found[2], scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _take(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = 0
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

    async def _remove(self, file_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 204:
                await asyncio.to_thread(kept.remove, file_id)
            await send(message)

        await self.app(scope, receive, answer)

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
    sessions = list(in_memory(runtime.uploaded_file_mgr).file_storage.items())
    return {session: sum(max(EACH, len(file.data)) for file in list(files.values())) for session, files in sessions}


def in_memory(manager: Any) -> MemoryUploadedFileManager:
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


# ---- sessions whose browser has gone ----


async def free_closed_sessions(patience: float = PATIENCE, pause: float = 5.0) -> None:
    """Ends each session that has been without a browser for `patience` seconds, and collects garbage now and then,
    which Streamlit would do after each run of a page, among all visitors' objects; goes on until it is cancelled.

    Streamlit lets go of sessions when the next visitor comes, and so of nothing on a server that nobody visits.
    """
    since: Mapping[str, float] = {}
    collected = time.monotonic()
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
        if over or now - collected >= COLLECTS_EACH:
            gc.collect()
            collected = time.monotonic()
        if over:
            budget.give_back_freed_memory()
