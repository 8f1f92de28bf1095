"""What would other settings cost?"""

import streamlit as st

from controls import session
from controls.panels.budget_search import budget_search
from controls.panels.knob_map import knob_map
from explorer.plots import design_space as plots
from explorer.running.published import RECIPE, published_networks

config, plan = session.config(), session.current_plan()

st.title("Design space")
st.caption("Every figure here is counted from plans of networks; none is built or run.")

st.subheader("Two knobs")
knob_map(config)

st.subheader("Under a budget")
st.caption("Which network is the best one within some limits? The chosen knobs are turned, all others stay.")
budget_search(config)

st.subheader("Among the published")
st.caption(
    f"ImageNet networks with the top-1 error of torchvision's {RECIPE} weights. They were trained alike, but for "
    "ResNeXt-101 64x4d, which had a newer recipe. The dashed lines are this network's costs."
)
field = plots.published_field(published_networks(), plan.params, plan.macs)
st.plotly_chart(field, key="published", alt="Points: published networks by their costs and their top-1 error")
