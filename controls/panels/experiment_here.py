"""Carry an experiment out here: with how many seeds, for how long; and choose whose results are shown."""

from functools import partial

import streamlit as st

from controls import session
from controls.choices import OneOf, Whole
from controls.panel import panel, say_refusal
from controls.services import experiments
from controls.services.experiments import Shown
from explorer.errors import ExplorerError
from explorer.experiments import Experiment
from explorer.experiments.experiment import MOST_SEEDS
from explorer.wording import duration

PROJECT = "project"
RESULTS = OneOf("results", "")
SEEDS = Whole("trial_seeds", 0, least=0, most=MOST_SEEDS)
SCALE = OneOf("longer", 1.0, (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0))


@panel
def carry_out_here(experiment: Experiment) -> None:
    """Seeds, how long each network learns, and the button."""
    box = st.container(horizontal=True, vertical_alignment="bottom")
    seeds = SEEDS.number(
        box,
        "Seeds",
        least=1,
        default=experiment.seeds,
        width=130,
        help="Each network is trained with each of them. With one there is no telling how much is luck.",
    )
    scale = SCALE.select(
        box, "Training", title="{:g} times as long".format, width=190, help="How long each network learns."
    )
    refusal = experiments.refusal(experiment, seeds, scale)
    long = experiments.seconds(experiment, seeds, scale)
    box.button(
        "Run it here" + (f" ({duration(long)})" if long else ""),
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(refusal),
        key="experiment.start",
        on_click=partial(_start, experiment, seeds, scale),
        help=f"{seeds * len(experiment.arms)} networks are trained and measured.",
    )
    if refusal:
        say_refusal(refusal)


def _start(experiment: Experiment, seeds: int, scale: float) -> None:
    try:
        one = experiments.start(experiment, seeds, scale)
    except ExplorerError as error:
        session.problems().append(str(error))
    else:
        RESULTS.set(one.name)


def choose_results(experiment: Experiment) -> Shown:
    """Those that were measured here, or those of the project; the newest measured here, unless the link says others."""
    found = {one.name: one for one in experiments.carried_out(experiment, RESULTS.in_link())}
    if not found:
        return experiments.of_project(experiment)
    titles = {name: f"measured here, begun {experiments.begun(one)}, {one.seeds} seeds" for name, one in found.items()}
    chosen = RESULTS.select(
        st,
        "Results",
        (*found, PROJECT),
        next(iter(found)),
        title=lambda name: titles.get(name, "the project's own run"),
        width=420,
    )
    return experiments.of_project(experiment) if chosen == PROJECT else experiments.shown(experiment, chosen)
