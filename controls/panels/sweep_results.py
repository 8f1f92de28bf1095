"""A sweep, and what it has found; drawn anew while it is carried out."""

import streamlit as st

from controls import session
from controls.panel import panel
from controls.panels.sweep_choice import opened_trial
from controls.panels.sweep_head import head
from controls.panels.sweep_pictures import choose_measure, costs, over_two_knobs, side_by_side
from controls.panels.sweep_trial import one_trial
from controls.panels.sweep_trials import failed, trials
from controls.services import sweep_files, sweeps
from explorer.learning.sweeps.directory import Directory

EVERY = 2.0  # seconds between two looks at one that is carried out
SELDOM = 10.0  # and at one that has died: on a busy machine it may only have been silent for long


def results(one: Directory) -> None:
    first, before = sweeps.status(one), session.entries()

    @st.fragment(run_every=EVERY if first.active else SELDOM if first.state == "died" else None)
    @panel
    def shown() -> None:
        if session.entries() != before or not sweeps.is_there(one):
            st.rerun()  # the link is written outside of this fragment, and so is the list of sweeps
        active = sweeps.status(one).active
        _draw(one, active)
        if active != first.active:
            st.rerun()  # to end the looking, or to begin

    shown()


def _draw(one: Directory, active: bool) -> None:
    state = sweep_files.state_to_show(one.path, active)
    found = sweep_files.findings(one.path, state)
    head(one, found, sweeps.status(one))
    opened = opened_trial(one)
    failed(found)
    if len(found.trials):
        measure = choose_measure()
        costs(one, state, measure, opened)
        one_trial(one, found, opened)
        over_two_knobs(one, state, found, measure)
        if found.turned:
            side_by_side(one, state, measure, opened)
        trials(one, state, found)
    else:
        one_trial(one, found, opened)
        st.caption("The first trials have not ended yet." if active else "No trial has ended.")
