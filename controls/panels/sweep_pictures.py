"""What has a sweep found? Accuracy over costs, over two knobs, and over all of them; a click opens a trial."""

from functools import lru_cache, partial
from pathlib import Path

import streamlit as st

from controls.choices import OneOf
from controls.clicks import clickable
from controls.panel import panel
from controls.panels.sweep_choice import open_trial
from controls.services import sweep_files
from controls.services.sweep_files import State
from explorer.learning.sweeps import cells
from explorer.learning.sweeps.directory import Directory
from explorer.learning.sweeps.reading import Findings
from explorer.plots.plain import PlainFigure
from explorer.plots.sweep_lines import parallel
from explorer.plots.sweep_maps import knob_map
from explorer.plots.sweeps import Measure, trade_off

MEASURE: OneOf[Measure] = OneOf("sweep_measure", "accuracy", ("accuracy", "error"))
ACROSS, UPWARD = OneOf("sweep_x", ""), OneOf("sweep_y", "")
MEASURES = {"accuracy": "Accuracy", "error": "Error"}
BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
STILL = {"displayModeBar": False}
MOST_DRAWN = 48  # figures that are remembered, of all visitors


def choose_measure() -> Measure:
    about = "Of test images, by the network as it was at its end. An error is drawn on a logarithmic scale."
    return MEASURE.segments(st, "Test images", title=MEASURES.__getitem__, help=about, label_visibility="collapsed")


@panel
def costs(one: Directory, now: State, measure: Measure, opened: int) -> None:
    """In a container that a phone scrolls sideways."""
    with st.container(key="wide.sweep.costs"):
        alt = f"Test {measure} of each trial over its parameters, and over its MACs, with the Pareto front"
        clickable(_trade_off(one.path, now, measure, opened), "sweep.costs", alt, partial(open_trial, one), BARE)


@panel
def over_two_knobs(one: Directory, now: State, found: Findings, measure: Measure) -> None:
    titles = cells.axes(found)
    if not titles:
        return
    st.subheader("Over its knobs")
    box = st.columns([3, 3, 5], vertical_alignment="bottom")
    across = ACROSS.select(box[0], "Across", list(titles), title=titles.__getitem__)
    others = [name for name in titles if name != across]
    upward = UPWARD.select(box[1], "Upward", others, title=titles.__getitem__) if others else ""
    with st.container(key="wide.sweep.map"):
        names = " and ".join(titles[name] for name in (across, upward) if name)
        alt = f"Map: mean test {measure} by {names}"
        clickable(_knob_map(one.path, now, across, upward, measure), "sweep.map", alt, partial(open_trial, one), STILL)
    st.caption(
        "The mean over everything else that is turned, and over the seeds. A click on a cell opens its best trial."
        + " A star: all of its trials were stopped early." * bool((found.trials["state"] == "early").any())
    )


@panel
def side_by_side(one: Directory, now: State, measure: Measure, opened: int) -> None:
    with st.container(key="wide.sweep.lines"):
        alt = f"Parallel coordinates: each trial a line over the knobs, its parameters and its test {measure}"
        clickable(_parallel(one.path, now, measure, opened), "sweep.lines", alt, partial(open_trial, one), STILL)


@lru_cache(maxsize=MOST_DRAWN)
def _trade_off(path: Path, now: State, measure: Measure, opened: int) -> PlainFigure:
    found = sweep_files.findings(path, now)
    return PlainFigure(trade_off(found, measure, opened, sweep_files.chance(path)))


@lru_cache(maxsize=MOST_DRAWN)
def _knob_map(path: Path, now: State, across: str, upward: str, measure: Measure) -> PlainFigure:
    found = sweep_files.findings(path, now)
    titles = cells.axes(found)
    return PlainFigure(
        knob_map(cells.cells(found, across, upward), titles[across], titles[upward] if upward else "", measure)
    )


@lru_cache(maxsize=MOST_DRAWN)
def _parallel(path: Path, now: State, measure: Measure, opened: int) -> PlainFigure:
    return PlainFigure(parallel(sweep_files.findings(path, now), measure, opened))
