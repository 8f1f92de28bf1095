"""Does the learning signal reach the early layers?"""

from dataclasses import replace

import streamlit as st

from controls import session, work
from controls.choices import OneOf, Whole
from controls.panel import say_refusal
from controls.panels.contenders import choose_contenders
from controls.panels.gradient_lines import gradient_lines, numbers_as_csv, output_lines
from controls.panels.gradient_routes import path_lengths, shortcut_share, who_feeds_whom
from controls.panels.network_input import say_doubt
from controls.panels.picture import sets
from controls.services import built, gradient_runs
from controls.services.gradient_runs import Run
from controls.text import plain
from explorer.analyses.batches import RANDOM, Inputs
from explorer.analyses.flow_reading import Gradient, Points
from explorer.analyses.gradients import Mode
from explorer.counting.comparisons import CLASSICS, side_by_side
from explorer.families import Config
from explorer.plan.wiring import residual_blocks

VIEWS = {
    "gradient": "Gradient",
    "activations": "Activations",
    "shortcuts": "Shortcut share",
    "feeds": "Who feeds whom",
    "paths": "Paths",
}
GRADIENTS: dict[Gradient, str] = {"activation": "activations", "weight": "weights", "relative": "relative"}

VIEW = OneOf("view", "gradient", tuple(VIEWS))
GRADIENT: OneOf[Gradient] = OneOf("gradient", "activation", tuple(GRADIENTS))
POINTS: OneOf[Points] = OneOf("points", "weighted layers", ("weighted layers", "block ends", "all"))
IMAGES = OneOf("images", "noise")
LABEL = Whole("label", RANDOM, least=RANDOM)
BATCH = Whole("batch", 8, least=1, most=256)
SEEDS = Whole("seeds", 3, least=1, most=10)
MODE: OneOf[Mode] = OneOf("mode", "train", ("train", "eval"))


def choose_networks() -> tuple[str, ...]:
    box = st.columns([5, 2], vertical_alignment="bottom")
    with box[0]:
        keys = choose_contenders()
    with box[1].popover("Classical comparisons", icon=":material/menu_book:", width="stretch"):
        for title, (origin, others) in CLASSICS.items():
            st.button(title, on_click=_compare, args=(origin, others), width="stretch")
    return keys


def _compare(origin: str, others: tuple[str, ...]) -> None:
    session.choose(origin)
    session.compare(others)


def choose_run(config: Config) -> Run:
    """What goes through the visitor's network; others get the same."""
    offered = sets(IMAGES.in_link())
    box = st.columns([3, 3, 2, 2, 2])
    source = IMAGES.select(
        box[0],
        "Images",
        tuple(offered),
        title=lambda one: offered[one][0],
        help="Noise is standard normal. Pictures fill the batch over and over; upload your own on Feature maps.",
    )
    label = LABEL.number(
        box[1],
        "Label, -1: random",
        most=config.classes - 1,
        help="The class that the cross entropy asks for: one for all images, or a random one for each.",
    )
    count = BATCH.number(box[2], "Batch", help="Images that go through together.")
    seeds = SEEDS.number(box[3], "Seeds", help="Runs with weights and labels of their own; the band is their range.")
    mode = MODE.segments(
        box[4],
        "Mode",
        width="stretch",
        help="In train mode batch norm uses the batch's own statistics; in eval mode the running ones, which fresh "
        "networks have never updated.",
    )
    used = session.weights_asked_for()
    if used.trained:  # as long as they can be had, and fit
        used = built.current()[1]
    used = replace(used, calibrated=False)  # gradients are of the weights as they are drawn
    pictures = offered[source][1]
    preparation = built.preparation(config, used) if pictures else None
    if pictures:
        say_doubt(config, used)
    st.caption(f"Weights: {plain(used.label)}")
    inputs = Inputs(count, label, pictures, preparation)
    return Run(config, used, inputs, mode, seeds, session.device())


def along_networks(run: Run, keys: tuple[str, ...], view: str) -> None:
    """The visitor's network and others, side by side."""
    every = POINTS.value() == "all"
    networks = side_by_side(run.config, keys)
    tasks = [gradient_runs.flow_task(one.title, gradient_runs.beside(run, one.config), every) for one in networks]
    outcomes = work.results("Measure", tasks)
    own, *others = outcomes
    if own.refusal:
        say_refusal(own.refusal)
    for outcome in others:
        outcome.say()
    flows = {one.title: outcome.value for one, outcome in zip(networks, outcomes, strict=True) if outcome.done}
    if not flows:
        return
    box = st.columns([3, 3, 2], vertical_alignment="bottom")
    if view == "gradient":
        gradient = GRADIENT.segments(
            box[0],
            "Gradient of",
            title=GRADIENTS.__getitem__,
            help="Activations: what reaches an operation's output. Weights: what would change them. Relative: that "
            "over the weights' own size.",
        )
    points = POINTS.segments(
        box[1], "Points", help="Weighted layers are the convolutions and the classifier; all are all operations."
    )
    with box[2]:
        numbers_as_csv(flows)
    if view == "gradient":
        gradient_lines(flows, gradient, points, session.operation())
    else:
        output_lines(flows, points, session.operation())


st.title("Gradient flow")
st.caption("Does the learning signal reach the early layers? Each network runs forward and back once for each seed.")
keys = choose_networks()
view = VIEW.segments(st, "Look at", title=VIEWS.__getitem__, width="stretch")
run = choose_run(session.config())
if view in ("gradient", "activations"):
    along_networks(run, keys, view)
elif view == "paths":
    if not residual_blocks(run.plan):
        st.info("There is one path through this network: it has no residual blocks.")
    elif found := work.result("Follow paths", gradient_runs.paths_task(run)):
        path_lengths(found)
elif routes := work.result("Follow the gradient", gradient_runs.routes_task(run)):
    if view == "shortcuts":
        shortcut_share(routes)
    elif (reuse := work.result("Read the weights", gradient_runs.reuse_task(run))) is not None:
        who_feeds_whom(routes, reuse, run.weights.trained)
