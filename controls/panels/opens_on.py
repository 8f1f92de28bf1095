"""From a run to the pages on which its network, with its weights, is looked into."""

import streamlit as st

from controls.services import training
from controls.text import plain
from explorer.learning.runs import Run

PAGES = {
    "Training": "pages/training.py",
    "Feature maps": "pages/feature_maps.py",
    "Gradient flow": "pages/gradient_flow.py",
    "Attribution": "pages/attribution.py",
}


def opens_on(run: Run, title: str) -> None:
    """In a line; before it has weights, the Training page alone."""
    link = training.link(run)
    box = st.container(horizontal=True, vertical_alignment="center")
    box.markdown(f"**{plain(title)}** opens on", width="content")
    for name, page in PAGES.items():
        if name == "Training" or link:
            box.page_link(page, label=name, query_params=link | {"run": run.name})
