"""The network in the sidebar: family, preset, depth, and one form that draws the knobs of any family."""

from functools import lru_cache
from typing import Any, Literal

import streamlit as st

from controls import session
from controls.choices import OneOf
from controls.folded import unfolded
from explorer.counting import design_space
from explorer.counting.design_space import Axis, Measure
from explorer.families import (
    FAMILIES,
    PRESETS,
    TITLES,
    Config,
    Knob,
    PlanError,
    chosen_depth,
    depth_label,
    family_of,
    knobs,
    known_as,
    turned,
)
from explorer.plots.design_space import sparkline

CURVES: OneOf[Measure | Literal["none"]] = OneOf("curves", "params", ("params", "MACs", "memory", "none"))
TALLEST = 4  # times the present cost: as high as a curve goes, the same for all so that they compare


def network_form() -> None:
    """Every control shows the session's network and changes it; nothing else holds its state.

    Each is also given what it shows as its default: a browser that draws it late, once a closed sidebar is opened,
    would show the first of its options, and send that.
    """
    family = family_of(session.config())
    *some, last = (f"{one.joins} ({one.title})" for one in FAMILIES.values())
    session.show("family", family.name)
    st.pills(
        "Family",
        list(FAMILIES),
        default=family.name,
        format_func=lambda name: FAMILIES[name].title,
        key="family",
        required=True,
        on_change=_choose_family,
        help=f"What joins the layers: {', '.join(some)}, or {last}.",
    )
    session.show("preset", session.choice().origin)
    st.selectbox(
        "Start from",
        list(family.presets),
        list(family.presets).index(session.choice().origin),
        format_func=TITLES.__getitem__,
        key="preset",
        on_change=lambda: session.choose(session.entered("preset")),
        help="A published network. The knobs below change it; figures are compared with it.",
    )
    _identity()
    _depth()
    CURVES.select(
        st,
        "Curves under the sliders",
        help="What each slider's other values would cost, all on one scale from zero to four times the present cost.",
    )
    config = session.config()
    unused = config.unused()
    for knob in knobs(type(config)):
        if knob.name in config.MAIN and knob.name not in unused:
            _draw(knob, config)
    with unfolded("More knobs", "knobs") as is_open:
        if is_open:
            _more(config)


def _more(config: Config) -> None:
    """The knobs that are less often turned; of those that do nothing, why."""
    drawn, unused = knobs(type(config)), config.unused()
    for knob in drawn:
        if knob.name not in config.MAIN and knob.name not in unused:
            _draw(knob, config)
    for why in dict.fromkeys(unused.values()):
        titles = [knob.title for knob in drawn if unused.get(knob.name) == why]
        st.caption(f"{', '.join(titles)}: hidden, since {why}.")


def _choose_family() -> None:
    if session.entered("family") not in FAMILIES:  # a browser that draws the sidebar late may send nothing
        return
    session.choose(next(iter(FAMILIES[session.entered("family")].presets)))


def _identity() -> None:
    """Say which published network this is, or how it differs from the one it started from."""
    origin, config = session.choice()
    known = known_as(config)
    if known:
        st.caption(f":material/check_circle: This is **{TITLES[known]}**.")
    else:
        st.caption(f":material/tune: {TITLES[origin]} with {turned(config, PRESETS[origin])}.")
    # always there: what comes and goes moves the sliders under the finger that turns them
    st.button(
        "Reset",
        icon=":material/undo:",
        on_click=session.choose,
        args=(origin,),
        disabled=config == PRESETS[origin],
        width="stretch",
    )


def _depth() -> None:
    config = session.config()
    depths = dict(family_of(config).depths(config))
    label = depth_label(config)
    session.show("depth", label)
    options = [*depths, *([label] if chosen_depth(config) is None else [])]
    st.selectbox(
        "Depth",
        options,
        options.index(label),
        key="depth",
        on_change=lambda: session.change(**depths.get(session.entered("depth"), {})),
        help="Weighted layers as the family's papers count them; choosing one sets the blocks.",
    )


def _draw(knob: Knob, config: Config) -> None:
    lists = [name for name in config.MAIN if isinstance(getattr(config, name), tuple)]
    value = getattr(config, knob.name)
    key = f"{config.family}.{knob.name}"

    def changed() -> None:
        session.change(**{knob.name: session.entered(key)})

    if knob.kind == "list":
        _draw_list(knob, value, key, counted=knob.name == lists[0])
        return
    session.show(key, value)
    shared: dict[str, Any] = {"key": key, "on_change": changed, "help": _sentence(knob.help)}
    label = f"{knob.title} ({knob.unit})" if knob.unit else knob.title
    if knob.kind == "switch":
        st.toggle(label, value, **shared)
    elif knob.kind == "choice" and len(knob.choices) <= 4:
        st.segmented_control(label, knob.choices, default=value, required=True, width="stretch", **shared)
    elif knob.kind == "choice":
        st.selectbox(label, knob.choices, knob.choices.index(value), **shared)
    elif knob.kind == "whole" and knob.usual > 1000:
        st.number_input(label, int(knob.least), int(knob.most), value, **shared)
    else:
        _slider(label, knob, value, shared)


def _draw_list(knob: Knob, values: tuple[int, ...], key: str, counted: bool) -> None:
    """One slider an entry; with `counted`, also how many entries there are, in this list and its companions."""

    def changed() -> None:
        session.change(**{knob.name: tuple(session.entered(f"{key}.{i}") for i in range(len(values)))})

    def resized() -> None:
        count = session.entered(f"{key}.count") or len(values)  # a browser that draws it late may send nothing
        session.change(**{knob.name: (values + values[-1:] * count)[:count]})

    if counted and knob.length:
        session.show(f"{key}.count", len(values))
        st.segmented_control(
            "Stages",
            range(knob.length[0], knob.length[1] + 1),
            default=len(values),
            key=f"{key}.count",
            required=True,
            on_change=resized,
            width="stretch",
            help="Between two of them the image is halved.",
        )
    for i, value in enumerate(values):
        session.show(f"{key}.{i}", value)
        shared = {"key": f"{key}.{i}", "on_change": changed, "help": _sentence(knob.help) if i == 0 else None}
        _slider(f"{knob.title}, stage {i + 1}", knob, value, shared, i)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _slider(label: str, knob: Knob, value: float, shared: dict[str, Any], entry: int = -1) -> None:
    """As far as is usual; further where the network already is. Over it, what the other values would cost."""
    number = float if knob.kind == "real" else int
    low, high = design_space.reach(knob, value)
    on_grid = (value - knob.least) % knob.step == 0 or knob.kind == "real"
    curve = _curve(session.config(), knob, entry, CURVES.value())
    with st.container(gap=None, key=f"knob.{shared['key']}"):
        st.slider(label, number(low), number(high), number(value), step=number(knob.step if on_grid else 1), **shared)
        if curve:
            st.html(curve)


@lru_cache(maxsize=1024)
def _curve(config: Config, knob: Knob, entry: int, measure: Measure | Literal["none"]) -> str:
    """As HTML; "" where there is none."""
    if measure == "none" or not knob.changes_costs:
        return ""
    try:
        curve = design_space.sketch(config, Axis(knob, entry, knob.title), measure)
    except PlanError:
        return ""
    low, high = design_space.reach(knob, curve.present)
    return sparkline(curve, low, high, family_of(config).colour, TALLEST * max(1, curve.cost))
