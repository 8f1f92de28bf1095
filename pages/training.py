"""Does it learn, and does depth help or hurt?"""

import streamlit as st

from controls import session
from controls.panels.training_choices import RUN, choose_job
from controls.panels.training_landscape import loss_shape
from controls.panels.training_live import live
from controls.panels.training_results import test_results, while_it_learned
from controls.panels.training_runs import choose_run, manage, offer_undo, runs_table
from controls.services import training

config = session.config()

st.title("Training")
st.caption("Does it learn, and does depth help or hurt? Train the network in the sidebar, watch, and look into it.")
choose_job(config)

offer_undo()
known = training.known(RUN.in_link())
if opened := choose_run(known):
    st.subheader("Runs")
    beside = runs_table(known, opened)
    live(opened, beside)
    manage(opened)
    test_results(opened)
    while_it_learned(opened)
    loss_shape(opened, beside)
