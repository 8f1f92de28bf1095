"""What does this network look like, and what does it cost?"""

from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from controls import session
from controls.along import take_along
from controls.drawing import network_drawing
from controls.operations import conventions_table, operations_table
from controls.text import number, size
from explorer.counting import budget, costs
from explorer.families import PRESETS, TITLES, chosen_depth, family_of, known_as, plan
from explorer.plots import charts
from explorer.running import devices

MOST_BATCH = 1024

origin, config = session.choice()
family, here, there = family_of(config), plan(config), plan(PRESETS[origin])
known = known_as(config)
batch = st.session_state.setdefault("batch", 1)
now, before = costs.summary(here, batch), costs.summary(there, batch)


class Figure(NamedTuple):
    """One number: short, to the last digit, and its difference to the preset."""

    label: str
    value: str
    exact: str
    change: int = 0
    text: Callable[[float], str] = number
    help: str = ""


def show(figure: Figure) -> None:
    with st.container(border=True, gap=None, height="stretch"):
        change = f"{'+' if figure.change > 0 else ''}{figure.text(figure.change)}" if figure.change else None
        st.metric(figure.label, figure.value, change, delta_color="inverse", help=figure.help or None)
        st.caption(figure.exact)


FIGURES = (
    Figure("Parameters", number(now.params), f"{now.params:,}", now.params - before.params),
    Figure(
        "MACs",
        number(now.macs),
        f"{now.macs:,}",
        now.macs - before.macs,
        help="Multiply-accumulates of convolutions and linear layers for one image. torchvision calls them GFLOPS.",
    ),
    Figure(
        "FLOPs",
        number(now.flops),
        f"{now.flops:,} = 2 × MACs",
        now.flops - before.flops,
        help="Each multiply and each add counted: twice the MACs.",
    ),
    Figure(
        "Depth",
        chosen_depth(config) or str(family.depth(config)),
        f"{'' if chosen_depth(config) else 'custom, '}{now.operations:,} operations",
        help="Weighted layers, as the family's papers count.",
    ),
    Figure(
        "Receptive field",
        f"{now.receptive_field:,} px",
        f"of {config.input_size} px of input",
        now.receptive_field - before.receptive_field,
        lambda change: f"{change:,} px",
        "How many pixels along a side a position of the last feature map depends on, in theory.",
    ),
    Figure(
        "Activations",
        size(now.activation_bytes),
        f"{now.activation_bytes:,} bytes",
        now.activation_bytes - before.activation_bytes,
        size,
        "All outputs of all operations for one image, float32.",
    ),
    Figure(
        "Forward, peak",
        size(now.forward_bytes),
        f"batch of {batch}, estimated",
        now.forward_bytes - before.forward_bytes,
        size,
        "The most memory alive at once, each tensor freed after its last use. Scratch space is not counted.",
    ),
    Figure(
        "Training step, peak",
        size(now.training_bytes),
        f"batch of {batch}, estimated",
        now.training_bytes - before.training_bytes,
        size,
        "Weights, gradients, momentum, and what autograd keeps for the backward pass, with SGD.",
    ),
)

st.title(TITLES[known] if known else f"{family.title} of your own")
st.caption(
    f"For {config.channels}×{config.input_size}×{config.input_size} images and {config.classes:,} classes."
    + ("" if config == PRESETS[origin] else f" Arrows: the difference to {TITLES[origin]}, from which it started.")
)
for row in (FIGURES[:4], FIGURES[4:]):
    for column, figure in zip(st.columns(4), row, strict=True):
        with column:
            show(figure)
st.slider("Batch for the two peaks", 1, MOST_BATCH, key="batch", persist_state="session", help="Images in one step.")
try:
    budget.check(here, 1, devices.device_limits(session.device()))
except budget.BudgetError as error:
    st.warning(f"It can be counted here, not run: {error}", icon=":material/block:")

st.subheader("The network")
network_drawing()

st.subheader("Where it goes")
st.plotly_chart(charts.stage_bars(costs.table(here, "stage"), family.colour), key="stages")

st.subheader("Operations")
operations_table(here)
if name := session.operation():
    st.page_link("pages/feature_maps.py", label=f"See what {name} sees", icon=":material/grid_view:")

st.subheader(f"How a {family.title} works")
st.markdown(family.about)
st.markdown("Papers: " + " · ".join(f"[{title}]({address})" for title, address in family.papers.items()))

with st.expander("Why do others say a different number?", icon=":material/help:"):
    st.caption(
        "Here one MAC is one multiply and one add in a convolution or a linear layer, and FLOPs are twice the MACs. "
        "Others count otherwise, often under the same word; each row is checked against the tool's own output."
    )
    conventions_table(here)
with st.expander("Take this network along", icon=":material/download:"):
    take_along(known or "network")
