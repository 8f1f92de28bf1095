"""What does this network look like, and what does it cost?"""

import streamlit as st

from controls import session
from controls.choices import Whole
from controls.folded import unfolded
from controls.panels.conventions_table import conventions_table
from controls.panels.cost_figures import cost_figures
from controls.panels.costs_bar import costs_bar
from controls.panels.downloads import downloads
from controls.panels.network_drawing import network_drawing
from controls.panels.one_operation import look_closer
from controls.panels.operations_table import operations_table
from controls.panels.stage_costs import stage_costs
from controls.text import plain
from explorer.counting import budget
from explorer.families import PRESETS, TITLES, explanation, family_of, known_as, plan
from explorer.running import devices

BATCH = Whole("peak_batch", 1, least=1, most=1024)

origin, config = session.choice()
family, network = family_of(config), plan(config)
known = known_as(config)
batch, selected = BATCH.value(), session.operation()

st.title(TITLES[known] if known else f"{family.title} of your own")
costs_bar(config, session.before_turning())
try:
    budget.check(network, 1, devices.device_limits(session.device()))
except budget.BudgetError as error:
    st.warning(f"It can be counted here, not run: {error}", icon=":material/block:")
with st.container(horizontal=True, gap="small"):
    with st.container(width="stretch"):
        network_drawing(config, origin, selected)
    beside = st.container(width="content") if selected else None
used = session.chosen_weights()
if used.trained:
    label = f"Weights: {plain(used.label)}. See what it sees"
    st.page_link("pages/feature_maps.py", label=label, icon=":material/school:")

st.subheader("What it costs")
st.caption(
    f"For {config.channels}×{config.input_size}×{config.input_size} images and {config.classes:,} classes."
    + ("" if config == PRESETS[origin] else f" Arrows: the difference to {TITLES[origin]}, from which it started.")
)
cost_figures(config, PRESETS[origin], batch)
BATCH.slider(st, "Batch for the two peaks", help="Images in one step.")

st.subheader("Where it goes")
stage_costs(config)

st.subheader("Operations")
operations_table(config)

how = explanation(config)
st.subheader(f"How {how.of} works")
st.markdown(how.text)
st.markdown("Papers: " + " · ".join(f"[{title}]({address})" for title, address in family.papers.items()))

with unfolded("Why do others say a different number?", "conventions", icon=":material/help:") as is_open:
    if is_open:
        conventions_table(network)
with unfolded("Take this network along", "downloads", icon=":material/download:") as is_open:
    if is_open:
        downloads(config, known or "network")
# last, since it runs the network: drawing and costs are there by then
if selected and beside:
    with beside:
        look_closer(config, selected)
