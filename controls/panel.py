"""A panel: a function that takes what it needs as arguments and draws one question."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from controls.text import plain
from explorer.errors import ExplorerError

P = ParamSpec("P")


def panel(draw: Callable[P, None]) -> Callable[P, None]:
    """Marks such a function. What the library refuses in it is said in its place, and the rest of the page stays.

        @panel
        def shortcut_share(network: GraphModule, batch: Batch) -> None:
            st.plotly_chart(plots.shortcut_shares(gradients.splits(...)))

    It reads no page's globals and no session_state. A choice that only it draws is declared beside it.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except ExplorerError as refusal:
            say_refusal(str(refusal))

    return drawn


def say_refusal(sentence: str) -> None:
    """Why something cannot be, in the one way in which pages say it."""
    st.error(plain(sentence), icon=":material/block:")
