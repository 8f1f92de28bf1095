"""What would other settings cost?"""

import pandas as pd
import streamlit as st

from controls import session
from explorer.counting import design_space
from explorer.counting.design_space import MEASURES, axes
from explorer.families import describe, knobs
from explorer.plots import design_space as plots
from explorer.running.published import RECIPE, published_networks

config, here = session.config(), session.current_plan()
state = st.session_state

st.title("Design space")
st.caption("Every figure here is counted from plans of networks; none is built or run.")

st.subheader("Two knobs")
turnable = {axis.title: axis for axis in axes(config)}
box = st.columns([3, 3, 5])
titles = list(turnable)
across = box[0].selectbox("Across", titles, key=f"map.x.{config.family}", help="The knob on the horizontal axis.")
rest = [title for title in titles if title != across]
upward = box[1].selectbox("Upward", rest, key=f"map.y.{config.family}", help="The knob on the vertical axis.")
measure = box[2].segmented_control("Colour", list(MEASURES), default="params", required=True, key="map.measure")
x, y = turnable[across], turnable[upward]
grid = design_space.grid(config, x, y, measure)
factor, unit = {"params": (1e6, "M params"), "MACs": (1e9, "G MACs"), "memory": (1e6, "MB, forward peak")}.get(
    measure, (1.0, "px")
)


def go_there() -> None:
    """Move the network to the cell of the map that was clicked."""
    points = state["map"]["selection"]["points"]
    if points and "customdata" in points[0]:
        to_x, to_y = points[0]["customdata"]
        session.change(**design_space.at(config, x, to_x, y, to_y))


st.plotly_chart(
    plots.knob_map(grid, (x.value(config), y.value(config)), design_space.marks(config, grid), unit, factor),
    key="map",
    on_select=go_there,
    selection_mode="points",
    config={"displayModeBar": False},
)

st.subheader("Under a budget")
st.caption(
    "Which networks come closest to the limits without passing one? The ticked knobs are turned, all others stay."
)
box = st.columns([3, 2, 2], vertical_alignment="bottom")
wanted = [knob for knob in knobs(type(config)) if knob.name in config.MAIN and knob.name not in config.unused()]
title_of = {knob.name: knob.title for knob in wanted}
ticked = box[0].multiselect(
    "Knobs to turn",
    list(title_of),
    default=list(title_of)[:2],
    format_func=title_of.__getitem__,
    key=f"search.knobs.{config.family}",
    help="Lists are turned as a whole: in their present proportions, and all entries alike.",
)
most_params = box[1].number_input(
    "At most, M params", 0.001, 10_000.0, 1.0 if here.params < 5e6 else 25.0, key="search.params"
)
most_macs = box[2].number_input("At most, M MACs", 0.1, 1e6, 300.0 if here.macs < 1e9 else 4000.0, key="search.macs")
if ticked and st.button("Search", type="primary", icon=":material/search:"):
    with st.spinner("Counting networks ...", show_time=True):
        found = design_space.search(config, ticked, round(most_params * 1e6), round(most_macs * 1e6))
    state["search.found"] = tuple(ticked), found


def take() -> None:
    """Make the network of the clicked row the present one."""
    if rows := state["search.rows"]["selection"]["rows"]:
        session.change(**{name: getattr(result.found[rows[0]].config, name) for name in result_knobs})


if "search.found" in state:
    result_knobs, result = state["search.found"]
    share = "all" if result.tried == result.combinations else f"{result.tried:,} of"
    st.caption(
        f"Tried {share} {result.combinations:,} combinations in {result.seconds:.1f} s. "
        + ("Click a row to go there." if result.found else "None of them stays under the limits.")
    )
    st.dataframe(
        pd.DataFrame(
            {title_of.get(name, name): describe(getattr(one.config, name)) for name in result_knobs}
            | {"params": one.params, "MACs": one.macs, "used": 100 * one.used}
            for one in result.found
        ),
        hide_index=True,
        column_config={
            "params": st.column_config.NumberColumn("Params", format="localized"),
            "MACs": st.column_config.NumberColumn("MACs", format="localized"),
            "used": st.column_config.ProgressColumn("Used of the limits", format="%.1f %%", max_value=100),
        },
        on_select=take,
        selection_mode="single-row",
        key="search.rows",
    )

st.subheader("Among the published")
st.caption(
    f"ImageNet networks with the top-1 error of torchvision's {RECIPE} weights. They were trained alike, but for "
    "ResNeXt-101 64x4d, which had a newer recipe. The dashed lines are this network's costs."
)
st.plotly_chart(plots.published_field(published_networks(), here.params, here.macs), key="published")
