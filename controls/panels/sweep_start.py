"""What would a sweep cost? How many trials, which cannot be, how long; the button that begins it, and a file."""

import json
import os
from functools import partial

import streamlit as st

from controls import session
from controls.folded import key_of, unfolded
from controls.panel import panel, say_refusal
from controls.panels.sweep_choice import SWEEP, shown_sweep
from controls.panels.sweep_form import choose_swept, choose_title, choose_where
from controls.services import speed, sweeps
from controls.services.sweeps import Counted
from controls.text import plain
from explorer.families import Config
from explorer.learning import runs
from explorer.learning.sweeps import engines, estimate, file
from explorer.learning.sweeps.directory import Directory
from explorer.learning.sweeps.engines import RAY, Where
from explorer.learning.sweeps.sweep import Sweep
from explorer.wording import duration

FORM = "sweep.form"
MOST_REASONS = 4
EVERY = 1.0  # seconds between two looks at whether the speed is measured


@panel
def new_sweep(config: Config) -> None:
    """Folded where a link leads to a sweep that is there."""
    session.begin(key_of(FORM), not SWEEP.in_link())
    with unfolded("A new sweep", FORM, icon=":material/add:") as is_open:
        if is_open:
            _form(config)


@panel
def _form(config: Config) -> None:
    sweep = choose_swept(config)
    if sweep is None:
        return
    choose_title(sweep)
    on = sweeps.where(choose_where())
    counted = sweeps.counted(sweep)
    _said(sweep, counted)
    _begin(sweep, counted, on)
    _as_file(sweep, on)


def _said(sweep: Sweep, counted: Counted) -> None:
    settings, seeds = counted.settings, len(sweep.seeds)
    many = f"**{len(counted.jobs):,} trial{'s' * (len(counted.jobs) > 1)}**"
    st.markdown(f"{many}: {settings:,} combination{'s' * (settings > 1)} × {seeds:,} seed{'s' * (seeds > 1)}.")
    reasons = list(counted.impossible.items())
    if reasons:
        lines = [
            f"- {count:,} combination{'s' * (count > 1)} cannot be, as {plain(first)}: {plain(why)}."
            for why, (count, first) in reasons[:MOST_REASONS]
        ]
        more = len(reasons) - MOST_REASONS
        st.caption("\n".join([*lines, *([f"- and {more} other reasons"] if more > 0 else [])]))


def _begin(sweep: Sweep, counted: Counted, on: Where) -> None:
    places = engines.processes(sweep, on, in_line=True)
    rated = speed.rate(counted.measured, places)
    cost = estimate.estimate(counted.jobs, rated.rate, places) if rated and rated.rate else None
    refusal = sweeps.refusal(counted.jobs, cost.total if cost and not sweep.early else 0.0)
    box = st.container(horizontal=True, vertical_alignment="center")
    box.button(
        "Start",
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(refusal),
        key="sweep.start",
        on_click=partial(session.attempt, _start, sweep, on),
    )
    if refusal:
        say_refusal(refusal)
        return
    with box:
        _offer_to_add(sweep)
        _cost(sweep, counted, on, places)


def _offer_to_add(sweep: Sweep) -> None:
    """To the sweep that is shown below, where it is the visitor's and nothing is done with it."""
    one = shown_sweep()
    if one and sweeps.may_change(one) and not sweeps.status(one).active:
        st.button(
            f"Add to {plain(one.title)}",
            icon=":material/playlist_add:",
            key="sweep.add",
            on_click=partial(session.attempt, _add, one, sweep),
            help="To the sweep below: what it has of these already is not trained again.",
        )


def _start(sweep: Sweep, on: Where) -> None:
    SWEEP.set(sweeps.start(sweep, on).name)
    session.show(key_of(FORM), False)  # what it finds stands below


def _add(one: Directory, sweep: Sweep) -> None:
    sweeps.add(one, sweep)
    SWEEP.set(one.name)
    session.show(key_of(FORM), False)


def _cost(sweep: Sweep, counted: Counted, on: Where, places: int) -> None:
    """As soon as it has been measured."""
    known = speed.rate(counted.measured, places) is not None

    @st.fragment(run_every=None if known else EVERY)
    def shown() -> None:
        found = speed.rate(counted.measured, places)
        if found is None:
            st.caption(":material/speed: Measuring how long it would take …")
            return
        if not known:
            st.rerun()  # to end the looking, and to hold it against the limits
        if found.rate:
            st.caption(f":material/speed: {_in_words(sweep, estimate.estimate(counted.jobs, found.rate, places), on)}")

    shown()


def _in_words(sweep: Sweep, cost: estimate.Estimate, on: Where) -> str:
    """About 12 min with 1 of 2 cores: 11 min of training, measured on its first steps."""
    training = duration(cost.total).removeprefix("about ")
    at_most = "at most " if sweep.early else ""
    if on.on == RAY:
        found = (
            f"{at_most}{training} of training by this machine's speed, on so many workers at once as the cluster has"
        )
    else:
        cores = f"{cost.places} of {os.cpu_count()} cores" if engines.device(sweep) == "cpu" else "its card"
        found = (
            f"{at_most or 'about '}{duration(cost.clock).removeprefix('about ')} with {cores}, {training} of training"
        )
    longest = duration(max(cost.each, default=0.0)).removeprefix("about ")
    found = f"{found}; the longest trial {longest}"
    if sweep.budget and cost.total > sweep.budget:
        found += f". The budget is used up after {sweep.budget / cost.total:.0%} of that; a larger one goes on"
    return f"{found[:1].upper()}{found[1:]}."


def _as_file(sweep: Sweep, on: Where) -> None:
    name = f"{runs.words_of(sweep.title)}.json"
    box = st.container(horizontal=True, vertical_alignment="center")
    box.download_button(
        "As a file",
        json.dumps(file.to_table(sweep), indent=1, ensure_ascii=False),
        name,
        "application/json",
        icon=":material/data_object:",
        on_click="ignore",
        key="sweep.file",
        help="The same sweep for the command line, on whatever machine.",
    )
    where = " --on ray" + f" --address {on.address}" * bool(on.address) if on.on == RAY else ""
    box.code(f"python -m explorer sweep {name}{where}", language=None)
