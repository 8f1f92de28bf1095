"""The app as it is meant to be served: `streamlit run server.py`.

It imports what pages need before the first visitor comes, forbids browsers to ask any other host for anything, and
limits what visitors may send. `streamlit run app.py` shows the same pages without the three: its first visitor waits
for the imports, nothing but the escaping of each single text keeps a hostile file's name from naming a picture
elsewhere, and uploads may fill the memory.
"""

import asyncio
import hashlib
import re
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.file_util import get_static_dir
from streamlit.runtime.pages_manager import PagesManager

from controls import processes
from controls.start import warm_up
from controls.uploads import UploadLimits, free_closed_sessions
from explorer.counting.budget import SettingError
from explorer.learning import settings


def content_security_policy(page: str) -> str:
    """What a browser may load for the app, which is nothing from elsewhere; `page` is the HTML that starts it."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    rules = {
        "default-src": ["'self'"],  # the web socket included
        "script-src": ["'self'", *hashes],
        "style-src": ["'self'", "'unsafe-inline'"],  # Streamlit and Plotly write styles as they draw
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
    }
    return "; ".join(" ".join([name, *sources]) for name, sources in rules.items())


class Headers:
    """Every answer carries the policy, and is what its type says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        page = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
        self.headers = {
            "Content-Security-Policy": content_security_policy(page),
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    warm_up()
    # Streamlit learns from the first run of app.py that pages/ is not to be searched; until then a link to any
    # page but the first is answered with "Page not found"
    PagesManager.uses_pages_directory = False
    freeing = asyncio.create_task(free_closed_sessions())
    yield
    freeing.cancel()
    processes.end()
    from controls.services import exports  # not before the settings are known to make sense

    exports.end()


try:
    settings.check()
except SettingError as refusal:
    print(refusal, file=sys.stderr)
    sys.exit(1)

app = st.App("app.py", lifespan=lifespan, middleware=[Middleware(Headers), Middleware(UploadLimits)])
