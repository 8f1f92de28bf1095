"""Which sweep is shown, and which of its trials is open."""

import streamlit as st

from controls.choices import OneOf, choose_newest
from controls.panel import say_refusal
from controls.services import sweeps
from controls.text import plain
from explorer.learning import trial_names
from explorer.learning.sweeps.directory import Directory

SWEEP = OneOf("sweep", "")
TRIAL = OneOf("trial", "")  # by the name of its run, which is of no other sweep
NONE = -1


def shown_sweep() -> Directory | None:
    """The link's, else the newest; None where there is none."""
    known = sweeps.known(SWEEP.in_link())
    return known[SWEEP.value(tuple(known), next(iter(known)))] if known else None


def choose_sweep() -> Directory | None:
    """As `shown_sweep`, with a box to choose another one."""
    named = SWEEP.in_link()
    known = sweeps.known(named)
    if named and named not in known and (why := sweeps.why_not(named)):
        say_refusal(why)
    if not known:
        return None
    return known[choose_newest(SWEEP, st, "Sweep", known)]


def opened_trial(one: Directory) -> int:
    """Its number, NONE where none of this sweep is."""
    name = TRIAL.in_link()
    number = trial_names.number_of(name)
    if number is None or number >= len(one.trials) or one.run_of(one.trials[number]).name != name:
        return NONE
    return number


def open_trial(one: Directory, number: int) -> None:
    """NONE closes the one that is open."""
    TRIAL.set(one.run_of(one.trials[number]).name if 0 <= number < len(one.trials) else "")


def offer_undo() -> None:
    title = sweeps.deleted()
    if title:
        box = st.container(horizontal=True, vertical_alignment="center")
        box.markdown(f"{plain(title)} is deleted.", width="content")
        box.button("Undo", icon=":material/undo:", key="sweep.undo", on_click=sweeps.undo_delete)
