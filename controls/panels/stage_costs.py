"""Where are a network's parameters, MACs and activations?"""

from functools import lru_cache

import streamlit as st

from controls.panel import panel
from explorer.counting import costs
from explorer.families import Config, family_of, plan
from explorer.plots import charts
from explorer.plots.plain import PlainFigure


@panel
def stage_costs(config: Config) -> None:
    """A bar for each stage."""
    with st.container(key="wide.stages"):  # which a phone scrolls
        st.plotly_chart(_bars(config), key="stages", alt="Bars: parameters, MACs and activation memory of each stage")


@lru_cache(maxsize=64)
def _bars(config: Config) -> PlainFigure:
    """Drawn once, whoever looks at the network."""
    return PlainFigure(charts.stage_bars(costs.table(plan(config), "stage"), family_of(config).colour))
