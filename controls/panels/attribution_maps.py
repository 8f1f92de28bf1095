"""Which pixels decided the answer? Maps side by side: a row a network, a column a method."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls import work
from controls.choices import OneOf, Switch, Whole
from controls.panels.attribution_choices import SMOOTHINGS, STEPS
from controls.panels.attribution_localisation import beside, mask_of
from controls.services import attributions, forwards
from controls.services.subject import Subject
from controls.text import plain
from controls.work import Outcome
from explorer.analyses import activations
from explorer.analyses.attribution import reading
from explorer.analyses.attribution.attribute import Attribution
from explorer.analyses.attribution.baselines import TITLES
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Options, read_by
from explorer.analyses.attribution.score import Channel, Target
from explorer.plots import attribution as plots
from explorer.plots import charts, mosaic

IN_A_ROW = 3  # so that a map stays as large as a hand
BARE = {"displayModeBar": False}

OPACITY = Whole("opacity", 80, most=100)
SCALE = OneOf("map_scale", "each", ("each", "all"))
ACROSS = Switch("across")
OUTLINE = Switch("outline")


class View(NamedTuple):
    """How maps are shown: `opacity` over the image, 0..1; one scale for all maps of a network, or one for each; with
    a line around the object, where it is known.
    """

    opacity: float
    one_scale: bool
    outline: bool = False


class Explanations(NamedTuple):
    """What the methods have to say about one network's answer; `answer` is that in words."""

    title: str
    subject: Subject
    answer: str
    by_method: Mapping[str, Outcome[Attribution]]

    @property
    def maps(self) -> dict[str, Attribution]:
        """Of the image's pixels, those that there are."""
        done = {method: one.value for method, one in self.by_method.items() if one.done}
        return {method: one for method, one in done.items() if not METHODS[method].channels}


def choose_view(has_object: bool = False) -> tuple[View, bool]:
    """How maps are shown, and whether other networks stand beside. `has_object`: the picture's object is known."""
    box = st.columns([2, 2, 3], vertical_alignment="bottom")
    opacity = OPACITY.slider(box[0], "Opacity of the map over the image", step=10, format="%d %%")
    scale = SCALE.segments(
        box[1],
        "Scale",
        help="Each map's own, or one for all maps of a network. A scale is cut where 98 % of the sum of magnitudes "
        "lies within, as Captum does.",
    )
    across = ACROSS.toggle(
        box[2],
        "Across networks",
        help="The same picture and class on up to three other networks. They have fresh weights: the rows compare "
        "architectures.",
    )
    outline = has_object and OUTLINE.toggle(box[2], "Outline of the object")
    return View(opacity / 100, scale == "all", outline), across


def explain(
    subjects: Mapping[str, Subject], target: Target, methods: Sequence[str], options: Options, names: Sequence[str]
) -> list[Explanations]:
    """What becomes of every method on every network, by the networks' titles; asks first where it takes long."""
    cells = [(title, method) for title in subjects for method in methods]
    tasks = [attributions.explanation(subjects[title], target, method, options) for title, method in cells]
    if len(subjects) > 1:
        tasks = [replace(task, title=f"{title}: {task.title}") for (title, _), task in zip(cells, tasks, strict=True)]
    # the shortest first: what needs no click is there at once
    by_time = sorted(range(len(tasks)), key=lambda i: tasks[i].seconds)
    outcomes = work.results("Explain", [tasks[i] for i in by_time])
    found = {cells[i]: outcome for i, outcome in zip(by_time, outcomes, strict=True)}
    return [
        Explanations(
            title,
            subject,
            answer(target, forwards.forward(subject).logits, names),
            {method: found[title, method] for method in methods},
        )
        for title, subject in subjects.items()
    ]


def answer(target: Target, logits: NDArray[np.float32], names: Sequence[str]) -> str:
    """What the network says about the target, in words."""
    if isinstance(target, Channel):
        return f"{target.operation}, channel {target.number}"
    said = f"{names[target.number]} {activations.probabilities(logits)[target.number]:.1%}"
    return said if target.minus is None else f"{said} rather than {names[target.minus]}"


def side_by_side(rows: Sequence[Explanations], options: Options, view: View) -> None:
    """Every network's maps, with their stamps."""
    for row in rows:
        reach = plots.one_reach(row.maps.values(), row.subject.seen) if view.one_scale else 0.0
        if len(rows) > 1:
            st.markdown(f"**{plain(row.title)}**")
        cells = list(row.by_method.items())
        for start in range(0, len(cells), IN_A_ROW):
            for column, (method, outcome) in zip(st.columns(IN_A_ROW), cells[start : start + IN_A_ROW], strict=False):
                with column:
                    chosen = METHODS[method]
                    about = f"{chosen.paper}. {chosen.departs}" if chosen.departs else chosen.paper
                    st.markdown(f"**{chosen.title}**", help=about)
                    if outcome.done:
                        one_map(row, method, options, view, reach)
                    elif outcome.refusal:
                        outcome.say()
                    else:
                        st.caption("Takes longer: the button above starts it.")


def one_map(row: Explanations, method: str, options: Options, view: View, reach: float) -> None:
    """A map over its image, what it was computed with, its check, and its files."""
    found, chosen, key = row.by_method[method].value, METHODS[method], f"{row.title}.{method}"
    if not reading.is_finite(found):
        st.info("The map is not finite: values overflowed on the way. A norm, or trained weights, would help.")
        return
    mask = None if chosen.channels else mask_of(row.subject)
    if chosen.channels:
        painted = plots.channels(found)
    else:
        painted = plots.over_image(found, row.subject.seen, view.opacity, reach)
    if view.outline and mask is not None:
        painted = painted._replace(picture=plots.outlined(painted.picture, mask))
    st.image(mosaic.data_url(painted.picture), alt=f"{chosen.title} of {row.title}, as a map", width="stretch")
    scale = charts.colour_scale(painted.reach or 1.0, found.signed)
    st.plotly_chart(scale, key=f"scale.{key}", alt="The colour scale of the map", config=BARE)
    if reading.is_zero(found) and not found.note:
        st.caption(":material/info: The map is zero everywhere: nothing here changes the score.")
    elif reading.is_against(found):
        st.caption(":material/info: All of it is negative: everything speaks against the target.")
    if mask is not None:
        beside(found, mask)
    st.caption(plain(" · ".join(stamp(row, method, options, painted.share))))
    completeness(found, method, options, key)
    if found.note:
        st.caption(f":material/info: {plain(found.note)}")
    with st.container(horizontal=True):
        file = mosaic.png(painted.picture)
        st.download_button("PNG", file, f"{method}.png", "image/png", on_click="ignore", key=f"png.{key}")
        data = partial(reading.npz, found, method)
        st.download_button("NPZ", data, f"{method}.npz", "application/x-npz", on_click="ignore", key=f"npz.{key}")


def stamp(row: Explanations, method: str, options: Options, beyond: float) -> list[str]:
    """With what a map was computed, so that a picture of it says so."""
    found, chosen = row.by_method[method].value, METHODS[method]
    lines = [row.answer, row.subject.weights.label]
    if found.operation:
        lines.append(found.operation + (f", its {plots.MOST_CHANNELS} strongest channels" if chosen.channels else ""))
    if chosen.compares:
        lines.append(f"baseline: {TITLES[options.baseline.kind].lower()}")
    if chosen.noise and options.noise:
        lines.append(SMOOTHINGS[options.noise])
    precision = read_by(chosen, options).precision
    if precision != "float32":
        lines.append(precision)
    if beyond:
        lines.append(f"{beyond:.1%} of pixels beyond the scale")
    return [*lines, f"{found.seconds:.2f} s"]


def completeness(found: Attribution, method: str, options: Options, key: str) -> None:
    """Whether the map's values add up to what they explain, where the method promises it; and more steps if not."""
    sums = reading.completeness(found)
    if sums is None:
        return
    sentence = f"sums to {sums.total:.4g}, the score changes by {sums.change:.4g}: delta {sums.delta:.2g}"
    if sums.holds:
        st.caption(f":material/check_circle: Complete: {sentence}")
        return
    st.caption(f":material/warning: **Not complete**: {sentence} ({sums.share:.0%})")
    more = next((steps for steps in STEPS.options if steps > options.steps), None)
    if more and "steps" in METHODS[method].reads:
        st.button(f"More steps: {more}", key=f"more.{key}", on_click=STEPS.set, args=(more,))
