"""The entry: page setup, navigation, and the sidebar in which the network is chosen."""

import streamlit as st

from controls import lesions, session, uploads
from controls.coming_back import coming_back
from controls.panels.copy_link import copy_link
from controls.panels.guide import ICON, guide
from controls.services import checkpoints
from controls.sidebar.device_form import device_form
from controls.sidebar.network_form import network_form
from controls.sidebar.open_form import open_form
from controls.sidebar.weights_form import weights_form
from controls.start import warm_up
from controls.text import plain
from explorer.errors import ExplorerError

st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state="auto")
# the default margins leave a third of a laptop's screen blank
st.html(
    "<style>.stMainBlockContainer { padding: 3rem 3rem 4rem; }"
    ".stMainBlockContainer h1 { padding: 0.25rem 0 0.5rem; }"
    "@media (max-width: 640px) { .stMainBlockContainer { padding: 3rem 1rem; }"
    " [class*=st-key-wide] { overflow-x: auto; } [class*=st-key-wide] > * { min-width: 640px; } }"
    # white letters on the dark theme's light blue could not be read
    ".stApp [data-tag], .stApp button[kind=primary]:not(:disabled) { background: #00629B; border-color: #00629B; }"
    "[data-testid=stSidebar][data-collapsed=false] { min-width: 330px; }</style>"
)
warm_up()

pages = [
    st.Page("pages/architecture.py", title="Architecture", icon=":material/account_tree:", default=True),
    st.Page("pages/design_space.py", title="Design space", icon=":material/tune:", url_path="design-space"),
    st.Page("pages/feature_maps.py", title="Feature maps", icon=":material/grid_view:", url_path="feature-maps"),
    st.Page("pages/gradient_flow.py", title="Gradient flow", icon=":material/trending_down:", url_path="gradient-flow"),
    st.Page("pages/training.py", title="Training", icon=":material/model_training:", url_path="training"),
    st.Page("pages/sweeps.py", title="Sweeps", icon=":material/grid_on:", url_path="sweeps"),
    st.Page("pages/experiments.py", title="Experiments", icon=":material/science:", url_path="experiments"),
    st.Page("pages/attribution.py", title="Attribution", icon=":material/center_focus_strong:", url_path="attribution"),
]

refused = None
try:
    session.read_link(checkpoints.take_linked)
    with st.sidebar:
        open_form()
        network_form()
        weights_form()
        device_form()
    lesions.keep_to(session.current_plan())
    session.write_link()
except ExplorerError as refusal:
    refused = refusal
page = st.navigation(pages)  # after the link is written, so that a turn of the page is one step back in the browser
session.arrived()
coming_back()

try:
    if refused:
        raise refused
    copy_link()
    guide(page, pages)
    session.problems().extend(uploads.told())
    while session.problems():
        st.warning(plain(session.problems().pop(0)), icon=":material/warning:")
    page.run()
except ExplorerError as refusal:
    st.error(plain(str(refusal)), icon=":material/block:")
