"""Can what I see be given to someone else?"""

from urllib.parse import urlencode

import streamlit as st

from controls import session
from controls.components import mount

TEXTS = {
    "title": "Copy link",
    "help": "To this page as it is set: the network, its weights, and all that is chosen here.",
    "copied": "Copied",
    "by_hand": "Press Ctrl+C, or ⌘C",
}
# beside the menu at the top, where the page's own text never is
STYLE = "<style>.st-key-copy-link { position: fixed; top: 0.85rem; right: 4rem; width: auto; z-index: 999991; }</style>"


def copy_link() -> None:
    """A button, on every page, that copies the page's address with all that is chosen, defaults of today included."""
    with st.container(key="copy-link", width="content"):
        st.html(STYLE)
        mount("copy_link")(key="copy_link", data=TEXTS | {"link": urlencode(session.link())}, width="content")
