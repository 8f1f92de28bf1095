"""Which pixels decided the answer?"""

import streamlit as st

from controls import session
from controls.panels.answers import table
from controls.panels.attribution_choices import choose_methods, choose_options, choose_target
from controls.panels.attribution_localisation import ranking
from controls.panels.attribution_maps import choose_view, explain, side_by_side
from controls.panels.attribution_truth import truth
from controls.panels.contenders import choose_contenders
from controls.panels.network_input import network_input, say_doubt
from controls.panels.picture import chosen_picture
from controls.services import built, forwards
from controls.services.subject import Subject
from controls.text import plain
from explorer.analyses import activations
from explorer.counting import comparisons
from explorer.running import weights

MOST_OTHERS = 3  # networks beside this one
HERE = "this network"

config, plan, device = session.config(), session.current_plan(), session.device()

st.title("Attribution")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = chosen_picture()
used = built.current()
subject = Subject(config, used, picture, device)
names = weights.class_names(used, config.classes)
with middle:
    network_input(subject.seen, config, used)
with right:
    answers = activations.answers(forwards.forward(subject).logits)
    table(answers, names)
    st.caption(f"Weights: {plain(used.label)}")
say_doubt(config, used)
if not used.trained:
    st.warning(
        "**Untrained weights:** these maps are pictures of the architecture, not of knowledge. Load trained weights in "
        "the sidebar.",
        icon=":material/casino:",
    )

target = choose_target(plan, names, answers, session.operation())
methods = choose_methods()
options = choose_options(plan, session.operation())
view, across = choose_view(has_object=picture.mask is not None)
subjects = {HERE: subject}
if across:
    others = [comparisons.find(key, config) for key in choose_contenders(MOST_OTHERS)]
    subjects |= {one.title: Subject(one.config, built.fresh(one.config), picture, device) for one in others if one}

if methods:
    rows = explain(subjects, target, methods, options, names)
    side_by_side(rows, options, view)
    truth(subject, target, options, rows[0].maps)
    ranking(subject, methods, options)
else:
    st.info("Choose at least one method.")
