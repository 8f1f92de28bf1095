"""What becomes of a page whose server has died while another goes on."""

from datetime import timedelta

import streamlit as st


@st.fragment(run_every=timedelta(days=1))
def coming_back() -> None:
    """Nothing; but on a page that has something which runs by itself, however seldom, the browser also runs the script
    as soon as it has found a server again.

    A server that does not know the session reads the network from the link then, and the page goes on where it was.
    Without this the browser waits for the visitor's next turn of a knob, and that one would be lost: the link, which is
    read in a session's first run, is that of before.
    """
