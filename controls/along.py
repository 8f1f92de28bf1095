"""Taking a network along: as a link, as data, as Python, with its weights."""

import json
from functools import partial

import pandas as pd
import streamlit as st

from controls import session
from explorer import costs
from explorer.source import python_source


def take_along(name: str) -> None:
    config, plan = session.config(), session.current_plan()
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
            lambda: pd.DataFrame(costs.table(plan)).to_csv(index=False),
            f"{name}.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        st.download_button(
            "Python source",
            partial(python_source, config),
            f"{name}.py",
            "text/x-python",
            icon=":material/code:",
            on_click="ignore",
            help="One file that needs torch alone and builds the same network.",
        )
