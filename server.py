"""The app with its imports done before the first visitor: `streamlit run server.py`.

`streamlit run app.py` serves the same pages; its first visitor waits for the imports.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from controls.start import warm_up


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    warm_up()
    # Streamlit learns from the first run of app.py that pages/ is not to be searched; until then a link to any
    # page but the first is answered with "Page not found"
    PagesManager.uses_pages_directory = False
    yield


app = st.App("app.py", lifespan=lifespan)
