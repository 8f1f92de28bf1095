"""Which sweep is shown, and which of its trials is open."""

import streamlit as st

from controls.choices import OneOf, Whole
from controls.panel import say_refusal
from controls.services import sweeps
from controls.text import plain
from explorer.learning.sweeps.directory import Directory

SWEEP = OneOf("sweep", "")
NOBODY = -1
TRIAL = Whole("trial", NOBODY, least=NOBODY)


def choose_sweep() -> Directory | None:
    """The link's, else the newest; None where there is none."""
    named = SWEEP.in_link()
    known = sweeps.known(named)
    if named and named not in known and (why := sweeps.why_not(named)):
        say_refusal(why)
    if not known:
        return None
    newest = next(iter(known))
    name = SWEEP.select(
        st,
        "Sweep",
        tuple(known),
        newest,
        title=lambda one: known[one].title,
        help="Its name in the link opens it.",
    )
    return known[name]


def open_trial(number: int) -> None:
    TRIAL.set(int(number))


def offer_undo() -> None:
    title = sweeps.deleted()
    if title:
        box = st.container(horizontal=True, vertical_alignment="center")
        box.markdown(f"{plain(title)} is deleted.", width="content")
        box.button("Undo", icon=":material/undo:", key="sweep.undo", on_click=sweeps.undo_delete)
