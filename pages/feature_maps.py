"""What does each layer see in my image?"""

import streamlit as st

from controls import lesions, session
from controls.choices import OneOf
from controls.panels.answers import answers
from controls.panels.channels import channels
from controls.panels.lesions import lesion_controls, say_lesions, what_it_does
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

config, whole = session.config(), session.current_plan()
family, taken_away = family_of(config), lesions.chosen(whole)

st.title("Feature maps")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = chosen_picture()
used = built.current()
subject = Subject(config, used, picture, session.device(), taken_away)
plan = subject.plan
ends = stage_ends(plan)
last = next(reversed(ends.values())).name
found = forwards.forward(
    subject, list(dict.fromkeys([*(op.name for op in ends.values()), *arithmetic.needed(plan, last)]))
)
with middle:
    network_input(subject.seen, config, used)
with right:
    answers(config, used, subject.device, found)
say_doubt(config, used)
if taken_away:
    say_lesions(whole, taken_away)

st.subheader("First glance")
stages(ends, found.maps)

st.subheader("Lesions")
lesion_controls(whole, taken_away)
what_it_does(subject)

st.subheader("One operation")
name = session.operation() or last
if name not in plan:  # a lesion took it away
    name = last
choose_operation(st, plan, [op.name for op in plan.ops], name, "Any operation, in the order in which they run.")
needed = arithmetic.needed(plan, name)
if not found.maps.keys() >= {*needed}:
    found = forwards.forward(subject, needed)
channels(name, found.maps[name], subject.seen, used.label, family.colour)

st.subheader("Down to one number")
one_number(subject, plan, name, found.maps)

layers = {layer: pair for layer, pair in refined_layers(whole).items() if pair in plan.refinements}
if layers:
    st.subheader("First pass, second pass")
    st.caption(
        "The second pass computes each layer anew from all the others. One scale; the channels that it changed most "
        "come first."
    )
    pair = layers[LAYER.select(st, "Layer", list(layers), help="A layer of a clique.")]
    kept = forwards.forward(subject, pair).maps
    two_passes(*(kept[name] for name in pair))
