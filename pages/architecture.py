"""What does this network look like, and what does it cost?"""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from controls import session
from controls.drawing import network_drawing
from controls.text import number, size
from explorer import budget, costs, devices
from explorer.families import PRESETS, TITLES, depth_label, family_of, known_as, plan
from explorer.plots import charts

MOST_BATCH = 1024

origin, config = session.choice()
family, here, there = family_of(config), plan(config), plan(PRESETS[origin])
known = known_as(config)

st.title(TITLES[known] if known else f"{family.title} of your own")
st.caption(
    f"For {config.channels}×{config.input_size}×{config.input_size} images and {config.classes:,} classes."
    + ("" if config == PRESETS[origin] else f" Arrows: the difference to {TITLES[origin]}, from which it started.")
)

st.session_state.setdefault("batch", 1)
batch = st.session_state.batch
now, before = costs.summary(here, batch), costs.summary(there, batch)


def cell(
    label: str, value: str, exact: str, change: float = 0, text: Callable[[float], str] = number, help: str = ""
) -> None:
    """One figure: short, its difference to the preset, and to the last digit."""
    with st.container(border=True, gap=None, height="stretch"):
        st.metric(
            label,
            value,
            f"{'+' if change > 0 else ''}{text(change)}" if change else None,
            delta_color="inverse",
            help=help or None,
        )
        st.caption(exact)


first, second = st.columns(4), st.columns(4)
with first[0]:
    cell("Parameters", number(now.params), f"{now.params:,}", now.params - before.params)
with first[1]:
    cell(
        "MACs", number(now.macs), f"{now.macs:,}", now.macs - before.macs,
        help="Multiply-accumulates of convolutions and linear layers for one image. torchvision calls them GFLOPS.",
    )  # fmt: skip
with first[2]:
    cell(
        "FLOPs", number(now.flops), f"{now.flops:,} = 2 × MACs", now.flops - before.flops,
        help="Each multiply and each add counted: twice the MACs.",
    )  # fmt: skip
with first[3]:
    cell(
        "Depth",
        depth_label(config),
        f"{now.operations:,} operations",
        help="Weighted layers, as the family's papers count.",
    )
with second[0]:
    cell(
        "Receptive field", f"{now.receptive_field:,} px", f"of {config.input_size} px of input",
        now.receptive_field - before.receptive_field, lambda change: f"{change:,} px",
        help="How many pixels along a side a position of the last feature map depends on, in theory.",
    )  # fmt: skip
with second[1]:
    cell(
        "Activations", size(now.activation_bytes), f"{now.activation_bytes:,} bytes",
        now.activation_bytes - before.activation_bytes, size, help="All outputs of all operations, float32.",
    )  # fmt: skip
with second[2]:
    cell(
        "Forward, peak", size(now.forward_bytes), f"batch of {batch}, estimated",
        now.forward_bytes - before.forward_bytes, size,
        help="The most memory alive at once, each tensor freed after its last use. Scratch space is not counted.",
    )  # fmt: skip
with second[3]:
    cell(
        "Training step, peak", size(now.training_bytes), f"batch of {batch}, estimated",
        now.training_bytes - before.training_bytes, size,
        help="Weights, gradients, momentum, and what autograd keeps for the backward pass. Estimated.",
    )  # fmt: skip
st.slider("Batch for the two peaks", 1, MOST_BATCH, key="batch", persist_state="session", help="Images in one step.")
try:
    budget.check(here, 1, devices.device_limits(session.device()))
except budget.BudgetError as error:
    st.warning(f"It can be counted here, not run: {error}", icon=":material/block:")

st.subheader("The network")
network_drawing()
if name := session.operation():
    st.page_link("pages/feature_maps.py", label=f"See what {name} sees", icon=":material/grid_view:")

st.subheader("Where it goes")
st.plotly_chart(charts.stage_bars(costs.table(here, "stage"), family.colour), key="stages")

st.subheader("Operations")
left, right = st.columns([1, 2], vertical_alignment="bottom")
level = left.segmented_control(
    "One row for each",
    ["stage", "block", "operation"],
    default="stage",
    required=True,
    key="level",
    persist_state="session",
)
wanted = right.text_input("Filter", placeholder="a name, a kind, or a shape: conv1, concat, 56×56", key="filter")
rows = pd.DataFrame(costs.table(here, level))
if wanted:
    hit = rows[["name", "kind", "input", "output"]].apply(lambda c: c.str.contains(wanted, case=False, regex=False))
    rows = rows[hit.any(axis=1)]
operations = level == "operation"
event = st.dataframe(
    rows.assign(
        shape=rows.input + " → " + rows.output,
        params_share=100 * rows.params_share,
        macs_share=100 * rows.macs_share,
    ),
    hide_index=True,
    height=min(560, 38 + 35 * max(1, len(rows))),
    column_order=["name", "kind", "shape", "params", "params_share", "macs", "macs_share", "receptive_field"],
    column_config={
        "name": st.column_config.TextColumn("Name", width=190 if operations else 105, pinned=True),
        "kind": st.column_config.TextColumn("Kind" if operations else "Inside", width=75 if operations else 130),
        "shape": st.column_config.TextColumn("In → out, C×H×W", width=175),
        "params": st.column_config.NumberColumn("Params", format="localized", width=88),
        "params_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=85),
        "macs": st.column_config.NumberColumn("MACs", format="localized", width=110),
        "macs_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=85),
        "receptive_field": st.column_config.NumberColumn("Sees", format="%d px", width=68, help="Receptive field."),
    },
    on_select="rerun" if operations else "ignore",
    selection_mode="single-row",
    key=f"rows.{level}",
)
if operations and (picked := event.selection.rows) and picked[0] < len(rows):
    session.look_at(rows.iloc[picked[0]]["name"])
    session.write_link()
foot = st.columns([1, 3], vertical_alignment="center")
foot[0].download_button(
    "All operations as CSV",
    pd.DataFrame(costs.table(here)).to_csv(index=False),
    f"{known or 'network'}.csv",
    "text/csv",
    icon=":material/download:",
    on_click="ignore",
)
if name:
    foot[1].page_link("pages/feature_maps.py", label=f"See what {name} sees", icon=":material/grid_view:")

with st.expander(f"How a {family.title} works", expanded=True):
    st.markdown(family.about)
    st.markdown("Papers: " + " · ".join(f"[{title}]({address})" for title, address in family.papers.items()))
    st.caption(
        "Counts are exact. One MAC is one multiply and one add in a convolution or a linear layer; biases, norms, "
        "activations, pools and joins count as none."
    )
