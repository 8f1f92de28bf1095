"""What does each layer see in my image?"""

import streamlit as st

from controls import session
from controls.choices import OneOf
from controls.panels.answers import answers
from controls.panels.channels import channels
from controls.panels.picture import chosen_picture
from controls.panels.stages import stages
from controls.panels.two_passes import two_passes
from controls.services import built, forwards
from controls.text import shape
from explorer.families import family_of
from explorer.plan import Plan
from explorer.plan.wiring import refined_layers, stage_ends
from explorer.plots import mosaic

LAYER = OneOf("layer", "")


def choose_operation(plan: Plan, default: str) -> str:
    name = session.operation() or default
    session.show("operation.box", name)
    st.selectbox(
        "Operation",
        [op.name for op in plan.ops[1:]],
        format_func=lambda name: f"{name}  ({plan[name].kind}, {shape(plan[name].shape)})",
        key="operation.box",
        on_change=lambda: session.select_operation(session.entered("operation.box")),
        help="Any operation, in the order in which they run. Type to search.",
    )
    return name


config, plan = session.config(), session.current_plan()
family, ends = family_of(config), stage_ends(plan)

st.title("Feature maps")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = chosen_picture()
network, used = built.current()
seen = forwards.seen(picture, config, used)
found = forwards.forward(network, config, used, picture, tuple(op.name for op in ends.values()))
with middle:
    caption = f"What the network gets, {config.input_size}×{config.input_size}"
    st.image(mosaic.data_url(seen), caption=caption, width="stretch")
with right:
    answers(config, used, session.device(), found)

st.subheader("First glance")
stages(ends, found.maps)

st.subheader("One operation")
name = choose_operation(plan, next(reversed(ends.values())).name)
if name not in found.maps:
    found = forwards.forward(network, config, used, picture, (name,))
channels(name, found.maps[name], seen, used.label, family.colour)

if layers := refined_layers(plan):
    st.subheader("First pass, second pass")
    st.caption(
        "The second pass computes each layer anew from all the others. One scale; the channels that it changed most "
        "come first."
    )
    pair = layers[LAYER.select(st, "Layer", list(layers), help="A layer of a clique.")]
    kept = forwards.forward(network, config, used, picture, pair).maps
    two_passes(*(kept[name] for name in pair))
