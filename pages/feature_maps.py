"""What does each layer see in my image?"""

from functools import partial

import pandas as pd
import streamlit as st

from controls import session
from controls.panels import picture as pictures
from controls.services import built, forwards
from controls.text import number, shape
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.families import family_of
from explorer.plan.wiring import refined_layers, stage_ends
from explorer.plots import charts, mosaic
from explorer.plots.colours import paint
from explorer.running import weights

GLANCE = 9  # strongest channels of a stage
# two quick clicks are two choices: plotly would take the second back, and zoom
BARE = {"displayModeBar": False, "doubleClick": False, "doubleClickDelay": 1}

config, plan = session.config(), session.current_plan()
state = st.session_state


def answers(logits: Maps, used: weights.Weights, seconds: float) -> None:
    names = weights.categories(used) or [f"class {i}" for i in range(config.classes)]
    top = activations.answers(logits)
    st.dataframe(
        pd.DataFrame({"answer": [names[a.number] for a in top], "probability": [100 * a.probability for a in top]}),
        hide_index=True,
        column_config={
            "answer": "Its top answers",
            "probability": st.column_config.ProgressColumn("Probability", format="%.1f %%", max_value=100),
        },
    )
    st.caption(f"Weights: {used.label} · {seconds:.2f} s on {session.device()}")
    if not used.trained:
        st.caption(
            ":material/casino: **Untrained:** the answers are chance; the maps show what the architecture does by "
            "itself."
            + (" Its norms have seen no data yet, so values grow with depth." if config.norm == "batch" else "")
        )


def first_glance(maps_of: dict[str, Maps]) -> None:
    st.subheader("First glance")
    st.caption(
        "The end of each stage, from input to classifier. Left its first three principal components as red, green "
        "and blue, grey being the mean; then its strongest channels, white being zero, on one scale a stage."
    )
    for stage, op in ends.items():
        maps = maps_of[op.name]
        text, colours, strip = st.columns([2, 1, GLANCE], vertical_alignment="center")
        best = activations.strongest(maps, GLANCE)
        reach = mosaic.reaches(maps, each=False)[best]
        signed = mosaic.is_signed(maps)
        text.markdown(f"**{stage}**  \n:small[{shape(op.shape)}]  \n:small[{'±' if signed else '0 to '}{reach[0]:.3g}]")
        components = mosaic.components_picture(activations.principal_components(maps), 112)
        colours.image(mosaic.data_url(components), width="stretch")
        strip.image(mosaic.data_url(mosaic.mosaic(maps[best], reach, signed, 1008, GLANCE).picture), width="stretch")


def choose_operation() -> str:
    name = session.operation() or next(reversed(ends.values())).name
    if state.get("operation.box") != name:
        state["operation.box"] = name
    st.selectbox(
        "Operation",
        [op.name for op in plan.ops[1:]],
        format_func=lambda name: f"{name}  ({plan[name].kind}, {shape(plan[name].shape)})",
        key="operation.box",
        on_change=lambda: session.select_operation(state["operation.box"]),
        help="Any operation, in the order in which they run. Type to search.",
    )
    return name


def one_operation(name: str, maps: Maps, used: weights.Weights) -> None:
    stats = activations.channels(maps)
    box = st.columns([4, 2, 2])
    by = box[0].segmented_control(
        "Order of channels", ["index", "mean", "variance", "maximum"], default="index", required=True, key="order"
    )
    each = box[1].segmented_control(
        "Scale", ["layer", "channel"], default="layer", required=True, key="scale",
        help="One for the layer lets channels be compared; one for each makes weak ones visible, and look strong.",
    ) == "channel"  # fmt: skip
    ranked = activations.order(maps, by)
    pages = activations.pages(len(ranked), mosaic.MOST_TILES)
    page = box[2].number_input(f"Page, of {pages}", 1, pages, key=f"page.{name}") if pages > 1 else 1
    shown = ranked[(page - 1) * mosaic.MOST_TILES : page * mosaic.MOST_TILES]
    signed, reach = mosaic.is_signed(maps), mosaic.reaches(maps, each)
    sheet = mosaic.mosaic(maps[shown], reach[shown], signed)
    st.caption(
        f"{len(maps)} channels of {shape(maps.shape[1:])} · values {number(maps.min())} to {number(maps.max())} · "
        f"{stats.zeros.mean():.1%} exact zeros · {int(stats.dead.sum())} channels dead on this image · {used.label}"
    )
    chart, detail = st.columns([5, 3], gap="medium")
    with chart:
        if each:
            st.caption("Each channel's full colour is its own largest absolute value: hover for the numbers.")
        else:
            st.plotly_chart(charts.colour_scale(float(reach.max()), signed), key="scale.bar", config=BARE)
        event = st.plotly_chart(
            charts.clickable(sheet, charts.channel_labels(stats, shown), shown.tolist()),
            on_select="rerun", selection_mode="points", key=f"mosaic.{name}.{by}.{page}", config=BARE,
        )  # fmt: skip
    points = event["selection"]["points"]
    channel = int(points[0]["customdata"]) if points else int(activations.strongest(maps, 1)[0])
    with detail:
        st.markdown(f"**Channel {channel}**" + ("" if points else ", the strongest; click another"))
        opacity = st.slider("Opacity of the map over the image", 0.0, 1.0, 0.7, 0.1, key="opacity")
        painted = paint(maps[channel], reach[channel], signed)
        st.image(mosaic.data_url(mosaic.overlay(view, painted, opacity)), width="stretch")
        st.plotly_chart(charts.histogram(maps[channel], family_of(config).colour), key="histogram", config=BARE)
    with st.container(horizontal=True):
        st.download_button("Mosaic as PNG", mosaic.png(sheet.picture), f"{name}.png", "image/png", on_click="ignore")
        st.download_button(
            "Maps as NPZ", partial(activations.npz, name, maps), f"{name}.npz", "application/x-npz", on_click="ignore"
        )


def passes(first_name: str, second_name: str) -> None:
    """A layer's channels after the first pass, after the second, and what the second changed."""
    kept = forwards.forward(network, config, used, picture, (first_name, second_name)).maps
    three, reach = activations.refinement(kept[first_name], kept[second_name], mosaic.MOST_TILES)
    titles = ("After the first pass", "After the second pass", "What the second changed")
    for column, title, maps in zip(st.columns(3), titles, three, strict=True):
        sheet = mosaic.mosaic(maps, reach, signed=True, width=500)
        column.image(mosaic.data_url(sheet.picture), caption=title, width="stretch")
    st.plotly_chart(charts.colour_scale(reach, signed=True), key="passes.bar", config=BARE)


st.title("Feature maps")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = pictures.chosen_picture()
network, used = built.current()
view = forwards.seen(picture, config, used)
ends = stage_ends(plan)
glance = forwards.forward(network, config, used, picture, tuple(op.name for op in ends.values()))
with middle:
    caption = f"What the network gets, {config.input_size}×{config.input_size}"
    st.image(mosaic.data_url(view), caption=caption, width="stretch")
with right:
    answers(glance.logits, used, glance.seconds)
first_glance(glance.maps)
st.subheader("One operation")
name = choose_operation()
if name not in glance.maps:
    glance = forwards.forward(network, config, used, picture, (name,))
one_operation(name, glance.maps[name], used)
if pairs := refined_layers(plan):
    st.subheader("First pass, second pass")
    st.caption(
        "The second pass computes each layer anew from all the others. One scale; the channels that it changed most "
        "come first."
    )
    passes(*pairs[st.selectbox("Layer", list(pairs), key="pair", help="A layer of a clique.")])
