"""With which other networks is the visitor's compared? One choice, the same on every page that compares."""

import streamlit as st

from controls import session
from explorer.counting import comparisons as contenders
from explorer.families import PRESETS, TITLES


def choose_contenders(most: int = contenders.MOST, otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A control for the keys of the networks, and the first `most` of them; `otherwise` where none were chosen."""
    config, found = session.config(), session.against()
    chosen = otherwise if found is None else found
    siblings, near = contenders.siblings(config), contenders.counterparts(config)
    options = [*siblings, *near, *(name for name in PRESETS if name not in near)]
    session.show("against.box", list(chosen))
    st.multiselect(
        "Compare with",
        options,
        list(chosen),
        format_func=lambda key: siblings[key].title if key in siblings else TITLES[key],
        max_selections=contenders.MOST,
        key="against.box",
        on_change=lambda: session.compare(tuple(session.entered("against.box"))),
        help="First this network with one choice made otherwise, then other families' networks of about the same "
        "parameters or depth, then all published ones. All get the same images and classes.",
    )
    return chosen[:most]
