"""Carry an experiment out here: with how many seeds, for how long; and choose whose results are shown."""

from functools import partial

import streamlit as st

from controls import session
from controls.choices import OneOf, Place, Whole
from controls.services import experiments
from controls.services.experiments import Shown
from controls.text import plain
from explorer.experiments import Experiment
from explorer.experiments.experiment import MOST_SEEDS
from explorer.wording import duration

PROJECT = "project"
RESULTS = OneOf("results", "")
SEEDS = Whole("trial_seeds", 0, least=0, most=MOST_SEEDS)
SCALE = OneOf("longer", 1.0, (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0))


def carry_out_here(experiment: Experiment) -> Shown:
    """Whose results are shown; and seeds, how long each network learns, and the button."""
    box = st.container(horizontal=True, vertical_alignment="bottom")
    found = _choose_results(box, experiment)
    seeds = SEEDS.number(
        box,
        "Seeds",
        least=1,
        default=experiment.seeds,
        width=130,
        help="Each network is trained with each of them. With one there is no telling how much is luck.",
    )
    scale = SCALE.select(
        box, "Training", title=_times, width=150, help="How long each network learns, beside what is usual here."
    )
    refusal = experiments.refusal(experiment, seeds, scale)
    long = experiments.seconds(experiment, seeds, scale)
    box.button(
        "Run it here" + (f" ({duration(long)})" if long else ""),
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(refusal),
        key="experiment.start",
        on_click=partial(session.attempt, _start, experiment, seeds, scale),
        help=f"{seeds * len(experiment.arms)} networks are trained and measured.",
    )
    if refusal:
        st.caption(f":material/block: {plain(refusal)}")
    return found


def _times(scale: float) -> str:
    return "as usual" if scale == 1 else f"{scale:g} times as long"


def _start(experiment: Experiment, seeds: int, scale: float) -> None:
    RESULTS.set(experiments.start(experiment, seeds, scale).name)


def _choose_results(at: Place, experiment: Experiment) -> Shown:
    """Those measured here, or those of the project; the newest measured here and whole, unless the link says others."""
    found = {one.name: one for one in experiments.carried_out(experiment, RESULTS.in_link())}
    titles = {name: f"measured here, {experiments.begun(one)}" for name, one in found.items()}
    chosen = RESULTS.select(
        at,
        "Results",
        (*found, PROJECT),
        experiments.usual(tuple(found.values())) or PROJECT,
        title=lambda name: titles.get(name, "the project's own run"),
        width=260,
        help="What the project has measured, or what was measured on this machine.",
    )
    return experiments.of_project(experiment) if chosen == PROJECT else experiments.shown(experiment, chosen)
