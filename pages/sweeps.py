"""What do many networks have in common that differ in some knobs? Trained, all of them."""

import streamlit as st

from controls import session
from controls.panels.sweep_choice import choose_sweep, offer_undo
from controls.panels.sweep_results import results
from controls.panels.sweep_start import new_sweep

st.title("Sweeps")
st.caption("One network answers one question; hundreds that differ in some knobs show what the knobs do.")
new_sweep(session.config())
offer_undo()
if opened := choose_sweep():
    results(opened)
