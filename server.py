"""The app with its imports done before the first visitor: `streamlit run server.py`.

`streamlit run app.py` serves the same pages; its first visitor waits for the imports.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from controls.start import warm_up


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    warm_up()
    yield


app = st.App("app.py", lifespan=lifespan)
