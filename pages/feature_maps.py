"""What does each layer see in my image?"""

import streamlit as st

from controls import session
from controls.choices import OneOf
from controls.panels.answers import answers
from controls.panels.channels import channels
from controls.panels.network_input import network_input, say_doubt
from controls.panels.one_number import one_number
from controls.panels.operation import choose_operation
from controls.panels.picture import chosen_picture
from controls.panels.stages import stages
from controls.panels.two_passes import two_passes
from controls.services import built, forwards
from controls.services.subject import Subject
from explorer.analyses import arithmetic
from explorer.families import family_of
from explorer.plan.wiring import refined_layers, stage_ends

LAYER = OneOf("layer", "")

config, plan = session.config(), session.current_plan()
family, ends = family_of(config), stage_ends(plan)

st.title("Feature maps")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = chosen_picture()
_, used = built.current()
subject = Subject(config, used, picture, session.device())
last = next(reversed(ends.values())).name
found = forwards.forward(
    subject, list(dict.fromkeys([*(op.name for op in ends.values()), *arithmetic.needed(plan, last)]))
)
with middle:
    network_input(subject.seen, config, used)
with right:
    answers(config, used, subject.device, found)
say_doubt(config, used)

st.subheader("First glance")
stages(ends, found.maps)

st.subheader("One operation")
name = session.operation() or last
choose_operation(st, plan, [op.name for op in plan.ops], name, "Any operation, in the order in which they run.")
needed = arithmetic.needed(plan, name)
if not found.maps.keys() >= {*needed}:
    found = forwards.forward(subject, needed)
channels(name, found.maps[name], subject.seen, used.label, family.colour)

st.subheader("Down to one number")
one_number(subject, plan, name, found.maps)

if layers := refined_layers(plan):
    st.subheader("First pass, second pass")
    st.caption(
        "The second pass computes each layer anew from all the others. One scale; the channels that it changed most "
        "come first."
    )
    pair = layers[LAYER.select(st, "Layer", list(layers), help="A layer of a clique.")]
    kept = forwards.forward(subject, pair).maps
    two_passes(*(kept[name] for name in pair))
