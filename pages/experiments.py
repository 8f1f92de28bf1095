"""Do the literature's claims hold here?"""

import streamlit as st

from controls.panels.experiment_card import choose_experiment
from controls.panels.experiment_here import carry_out_here
from controls.panels.experiment_networks import trained_networks
from controls.panels.experiment_results import claim, measured

st.title("Experiments")
if experiment := choose_experiment():
    claim(experiment)
    found = carry_out_here(experiment)
    measured(experiment, found)
    trained_networks(found)
