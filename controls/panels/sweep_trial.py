"""One of a sweep's trials, opened: how it learns, the command that trains it anew, and where to look into it."""

import streamlit as st

from controls.panel import panel
from controls.panels.opens_on import opens_on
from controls.panels.sweep_choice import NONE, open_trial
from controls.panels.training_live import live
from controls.services import sweeps
from controls.text import plain
from explorer.learning.command import train_command
from explorer.learning.sweeps.directory import Directory
from explorer.learning.sweeps.reading import Findings


@panel
def one_trial(one: Directory, found: Findings, number: int) -> None:
    if not 0 <= number < len(one.trials):
        return
    trial = one.trials[number]
    with st.container(border=True):
        box = st.container(horizontal=True, vertical_alignment="center")
        box.markdown(f"#### Trial {number}: {plain(found.name(trial))}", width="stretch")
        box.button("Close", icon=":material/close:", key="sweep.close", on_click=open_trial, args=(one, NONE))
        run = sweeps.run_of(one, trial)
        if run is None:
            st.caption("It has not begun.")
        else:
            live(run, ())
            opens_on(run, "Its network")
        st.caption("The command that trains it anew, wherever this program is:")
        st.code(train_command(trial.job(one.sweep), f"runs/trial-{number}"), language=None, wrap_lines=True)
