"""Does the learning signal reach the early layers?"""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from controls import session, work
from controls.choices import OneOf
from controls.panel import say_refusal
from controls.panels.gradient_choices import choose_networks, choose_run
from controls.panels.gradient_lines import gradient_lines, numbers_as_csv, output_lines
from controls.panels.gradient_routes import path_lengths, shortcut_share, who_feeds_whom
from controls.panels.gradient_verdicts import verdicts
from controls.services import gradient_runs
from controls.services.gradient_runs import Run
from controls.work import Task
from explorer.analyses.flow_reading import Gradient, Points
from explorer.analyses.flow_verdict import judge
from explorer.analyses.gradients import Flow
from explorer.counting.comparisons import side_by_side
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


def tasks_of(run: Run, keys: tuple[str, ...], view: str) -> Sequence[Task[Any]]:
    if view in ("gradient", "activations"):
        return flow_tasks(run, keys)
    if view == "paths" and residual_blocks(run.plan):
        return [gradient_runs.paths_task(run)]
    return [gradient_runs.routes_task(run)]


def flow_tasks(run: Run, keys: tuple[str, ...]) -> list[Task[Flow]]:
    every = POINTS.value() == "all"
    networks = side_by_side(run.config, keys)
    return [gradient_runs.flow_task(one.title, gradient_runs.beside(run, one.config), every) for one in networks]


def along_networks(run: Run, keys: tuple[str, ...], view: str, answer: DeltaGenerator) -> None:
    """The visitor's network and others, side by side; the verdict on each in the place for the `answer`."""
    networks = side_by_side(run.config, keys)
    outcomes = work.results("Measure", flow_tasks(run, keys))
    own, *others = outcomes
    if own.refusal:
        say_refusal(own.refusal)
    for outcome in others:
        if outcome.refusal:
            outcome.say()
    done = [(one, outcome.value) for one, outcome in zip(networks, outcomes, strict=True) if outcome.done]
    if not done:
        return
    flows = {one.title: flow for one, flow in done}
    with answer:
        runs = {one.title: gradient_runs.beside(run, one.config) for one, _ in done}
        verdicts({title: judge(flow, run.mode, runs[title].weights.trained) for title, flow in flows.items()})
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
answer = st.container()
keys = choose_networks()
view = VIEW.segments(st, "Look at", title=VIEWS.__getitem__, width="stretch")
run = choose_run(lambda run: tasks_of(run, keys, view))
if view in ("gradient", "activations"):
    along_networks(run, keys, view, answer)
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
