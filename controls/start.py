"""What a server does once, before or with its first visitor."""

import gc

import streamlit as st

from controls import processes

SELDOM = 20_000  # new objects after which Python looks among the newest for garbage; 700 unless told, 30 times a rerun


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Import what every page needs, and take it out of the garbage collector's sight; start a process for heavy work.

    With torch imported each full collection walks half a million objects that never die: 168 ms, against 4 ms once they
    are frozen. (Collection stays on: cycles must still be freed.)

    pandas, since Plotly looks whether it is there, and takes it for whole while another visitor's thread imports it.
    """
    processes.warm_up()
    import pandas  # noqa: F401
    import plotly.graph_objects  # noqa: F401
    import torchvision  # noqa: F401

    import explorer.running.network  # noqa: F401

    gc.collect()
    gc.freeze()
    # in between, plans are written of thousands of tuples, none of them in a cycle
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
