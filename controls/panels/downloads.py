"""How does a visitor take the network along: as a link, as data, as Python, with its weights?"""

import json
from functools import partial

import streamlit as st

from controls import session
from controls.panel import panel
from controls.services import built, exports
from controls.text import plain
from explorer.counting import costs
from explorer.families import Config, plan
from explorer.running.export import EXPORTS
from explorer.running.source import python_source


@panel
def downloads(config: Config, name: str) -> None:
    """Files are called by the network's name."""
    st.caption("The link in the address bar opens this network on any page. As files:")
    with st.container(horizontal=True):
        st.download_button(
            "Configuration, JSON",
            json.dumps(config.model_dump(), indent=2),
            f"{name}.json",
            "application/json",
            icon=":material/data_object:",
            on_click="ignore",
            help="python -m explorer reads it too.",
        )
        st.download_button(
            "Operations, CSV",
            partial(costs.as_csv, plan(config)),
            f"{name}.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        st.download_button(
            "Python source",
            partial(python_source, config, built.card(config, session.chosen_weights())),
            f"{name}.py",
            "text/x-python",
            icon=":material/code:",
            on_click="ignore",
            help="One file that needs torch alone and builds the same network; with trained weights chosen, also how "
            "pictures are prepared for them and what the classes are called.",
        )
    form = st.segmented_control(
        "With its weights",
        list(EXPORTS),
        format_func={"safetensors": "safetensors", "pt2": "torch.export (.pt2)", "onnx": "ONNX"}.__getitem__,
        key="along.form",
        help="safetensors: the weights alone. The other two: a program that runs without this explorer.",
    )
    if form:
        used = built.current(asks=False)
        file = exports.exported(config, used, form)
        st.download_button(
            plain(f"{name}.{form}, {used.label}"),
            file.read() if file.size <= exports.ON_A_PAGE else file.read,
            f"{name}.{form}",
            icon=":material/download:",
        )
