"""A part of a page that is folded, and drawn only once a visitor unfolds it: what nobody looks at costs nothing.

with unfolded("Why?", "why", icon=":material/help:") as is_open:
    if is_open:
        st.caption(answer)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st


def key_of(name: str) -> str:
    """Of the widget, of which tests make use too."""
    return f"unfolded.{name}"


@contextmanager
def unfolded(label: str, name: str, **style: Any) -> Iterator[bool]:
    """Where it is drawn; whether it is to be. `style` goes to Streamlit's expander."""
    part = st.expander(label, key=key_of(name), on_change="rerun", **style)
    with part:
        yield bool(part.open)
