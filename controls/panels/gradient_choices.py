"""What goes through the networks whose gradients are looked at, and which networks these are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from controls import session, work
from controls.choices import OneOf, Whole
from controls.panels.contenders import choose_contenders
from controls.panels.network_input import say_doubt
from controls.panels.picture import sets
from controls.services import built
from controls.services.gradient_runs import Run
from controls.text import plain
from controls.work import Task
from explorer.analyses.batches import RANDOM, Inputs
from explorer.analyses.gradients import Mode
from explorer.counting import comparisons
from explorer.counting.comparisons import CLASSICS

# seeds and images of who has chosen none, the best first: large networks get by with fewer, so that they start at once
AMOUNTS = ((3, 8), (1, 8), (1, 2))
CLASSICAL = "classical"  # the menu's key, under which it keeps whether it is open

IMAGES = OneOf("images", "noise")
LABEL = Whole("label", RANDOM, least=RANDOM)
BATCH = Whole("batch", 0, least=1, most=256)
SEEDS = Whole("seeds", 0, least=1, most=10)
MODE: OneOf[Mode] = OneOf("mode", "train", ("train", "eval"))


def choose_networks() -> tuple[str, ...]:
    """Keys of those beside the visitor's own; where they have chosen none, of the most telling one."""
    box = st.columns([5, 2], vertical_alignment="bottom")
    with box[0]:
        keys = choose_contenders(otherwise=comparisons.beside(session.config()))
    menu = box[1].popover(
        "Classical comparisons", icon=":material/menu_book:", width="stretch", key=CLASSICAL, on_change="rerun"
    )
    with menu:
        for title, (origin, others) in CLASSICS.items():
            st.button(title, on_click=_compare, args=(origin, others), width="stretch")
    return keys


def _compare(origin: str, others: tuple[str, ...]) -> None:
    session.show(CLASSICAL, False)  # the menu closes
    session.choose(origin)
    session.compare(others)


def choose_run(tasks_of: Callable[[Run], Sequence[Task[Any]]]) -> Run:
    """What goes through the visitor's network; others get the same. `tasks_of` are what it takes."""
    config, offered = session.config(), sets(IMAGES.in_link())
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
    used = session.weights_asked_for()
    if used.trained:  # as long as they can be had, and fit
        used = built.current()
    used = replace(used, calibrated=False)  # gradients are of the weights as they are drawn
    pictures = offered[source][1]
    preparation = built.preparation(config, used) if pictures else None
    run = Run(config, used, Inputs(1, label, pictures, preparation), MODE.value(), 1, session.device())
    seeds, count = _enough(run, tasks_of)
    count = BATCH.number(box[2], "Batch", default=count, help="Images that go through together.")
    seeds = SEEDS.number(
        box[3], "Seeds", default=seeds, help="Runs with weights and labels of their own; the band is their range."
    )
    mode = MODE.segments(
        box[4],
        "Mode",
        width="stretch",
        help="In train mode batch norm uses the batch's own statistics; in eval mode the running ones, which fresh "
        "networks have never updated.",
    )
    if pictures:
        say_doubt(config, used)
    fewer = (seeds, count) != AMOUNTS[0] and session.entry("batch") is None and session.entry("seeds") is None
    few = " · few images and seeds, so that it starts at once: ask for more above" if fewer else ""
    st.caption(f"Weights: {plain(used.label)}{few}")
    return replace(run, inputs=replace(run.inputs, count=count), mode=mode, seeds=seeds)


def _enough(run: Run, tasks_of: Callable[[Run], Sequence[Task[Any]]]) -> tuple[int, int]:
    """Seeds and images that the work is short with on this machine, if it can be."""
    ways = []
    for seeds, count in AMOUNTS:
        inputs = replace(run.inputs, count=BATCH.value(default=count))
        ways.append(tasks_of(replace(run, inputs=inputs, seeds=SEEDS.value(default=seeds))))
    return AMOUNTS[work.affordable(ways)]
