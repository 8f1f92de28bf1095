"""How does the loss look around what a run has learned? Planes through the weights of one run, and of others beside."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from controls import session, work
from controls.choices import OneOf, Switch, Whole
from controls.panel import panel
from controls.services import landscapes
from controls.services.landscapes import Asked, Way
from controls.text import plain
from controls.work import Outcome
from explorer.analyses import landscape
from explorer.analyses import landscape_reading as reading
from explorer.analyses.landscape import Surface
from explorer.learning.runs import Run
from explorer.plots import landscape as plots
from explorer.plots.plain import PlainFigure

LOOK = Switch("shape")
SIDE = OneOf("shape_points", 13, (13, 25))
REACH = OneOf("shape_reach", 1.0, (0.25, 0.5, 1.0, 2.0))
SEED = Whole("shape_seed", 0, 0, 2**31 - 1)
PLANE = OneOf("shape_plane", "random", ("random", "path"))
PLANES = {"random": "Random", "path": "The path's"}
ABOUT_PLANES = "Random directions say how the loss looks around the network; of the way there they show nearly nothing."
ABOUT_RANDOM = (
    "The weights are moved along two random directions, in which every filter is as long as the one that it moves; the "
    f"loss is that of the first {landscapes.IMAGES} training images. Norms and biases stay where they are. A smooth "
    "bowl is easy to descend."
)
ABOUT_PATH = (
    "The weights are moved along the two directions in which they went furthest while the network learned; the loss is "
    f"that of the first {landscapes.IMAGES} training images. Norms and biases are those of the trained network "
    "everywhere, so at a point of the path the loss is not quite the one that it had there."
)
BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


@panel
def loss_shape(run: Run, beside: Sequence[Run]) -> None:
    """Its loss on a plane through its weights; those of other runs on the same scales."""
    on = LOOK.toggle(
        st,
        "The loss's shape",
        help="The loss of its training images, in a plane of its weights (Li et al., 1712.09913).",
    )
    if not on:
        return
    st.subheader("The loss's shape")
    paths = landscapes.has_path(run)
    box = st.columns([4, 3, 4, 3] if paths else [3, 4, 3])
    path = paths and PLANE.segments(box[0], "Plane", title=PLANES.__getitem__, help=ABOUT_PLANES) == "path"
    side = SIDE.segments(box[-3], "Points", title="{0} x {0}".format)
    about = "How far the weights are moved; at 1, by as much as they are. A path's plane reaches around the path."
    reach = REACH.segments(box[-2], "Reach", title="{:g}".format, help=about, disabled=path)
    seed = SEED.number(box[-1], "Seed of the plane", disabled=path)
    st.caption(ABOUT_PATH if path else ABOUT_RANDOM)
    shown: list[Looked] = []
    for one in (run, *beside):
        sentence = landscapes.refusal(one)
        if path and not sentence and not landscapes.has_path(one):
            sentence = f"{one.title} kept no path of its weights."
        if sentence:
            st.info(plain(sentence), icon=":material/hourglass_top:")
        else:
            shown.append(Looked(one, landscapes.asked(one, side, reach, seed, path, session.device())))
    if path:
        shown = with_ways(shown)
    if shown:
        surfaces(shown)


class Looked(NamedTuple):
    run: Run
    asked: Asked
    way: Way | None = None  # of a path's plane


def with_ways(shown: Sequence[Looked]) -> list[Looked]:
    """Those whose path has a plane."""
    outcomes = work.results("Find the path's plane", [landscapes.way_task(one.run, one.asked) for one in shown])
    for outcome in outcomes:
        outcome.say()
    pairs = zip(shown, outcomes, strict=True)
    return [one._replace(way=outcome.value) for one, outcome in pairs if outcome.done]


def surfaces(shown: Sequence[Looked]) -> None:
    """Level by level: what is there is drawn while the next level is computed."""
    place, drawn = st.empty(), set[int]()
    of_each = [landscapes.tasks(one.run, one.asked) for one in shown]
    in_turn = [task for level in zip(*of_each, strict=True) for task in level]

    def draw(outcomes: Sequence[Outcome[Surface]]) -> None:
        """As soon as a level of all that are not refused is there."""
        each = [outcomes[n :: len(shown)] for n in range(len(shown))]
        kept = [n for n, own in enumerate(each) if not any(outcome.refusal for outcome in own)]
        levels = min((_done(each[n]) for n in kept), default=0)
        if levels and levels not in drawn:
            drawn.add(levels)
            joined = [landscape.joined(outcome.value for outcome in each[n][:levels]) for n in kept]
            with place.container():
                _pictures([shown[n] for n in kept], joined, levels)

    outcomes = work.results("Look at the loss's shape", in_turn, meanwhile=draw)
    draw(outcomes)
    for outcome in {one.refusal: one for one in outcomes}.values():
        outcome.say()


def _done(levels: Sequence[Outcome[Surface]]) -> int:
    """How many of the levels are, one after another."""
    return next((i for i, outcome in enumerate(levels) if not outcome.done), len(levels))


def _pictures(shown: Sequence[Looked], surfaces: Sequence[Surface], levels: int) -> None:
    pairs = list(zip(shown, surfaces, strict=True))
    shapes = [
        plots.Shape(one.run.title, found.xs, found.ys, reading.logarithm(found.loss), one.way and one.way.points)
        for one, found in pairs
    ]
    classes = {one.run.job.config.classes for one in shown}
    chance = math.log10(math.log(classes.pop())) if len(classes) == 1 else None
    alt = "Contours of the loss's power of ten in a plane through each network's weights"
    left, right = st.columns(2, gap="medium") if len(shown) == 1 else (st.container(), st.container())
    # a key for each level, since one run of the page draws several
    left.plotly_chart(PlainFigure(plots.contours(shapes, chance)), key=f"shape.flat.{levels}", alt=alt, config=BARE)
    dashed = " Inside of the dashed line it does better than guessing." if chance is not None else ""
    left.caption(f"The cross is the trained network.{dashed}")
    alt = "The same as surfaces, to be turned with the mouse"
    right.plotly_chart(PlainFigure(plots.surfaces(shapes)), key=f"shape.deep.{levels}", alt=alt, config=BARE)
    for one, found in pairs:
        st.markdown(_in_words(one, found))


def _in_words(one: Looked, found: Surface) -> str:
    lines = [f"**{plain(one.run.title)}**: a loss of {found.base_loss:.3g} where training ended"]
    radius = min(1.0, one.asked.reach)
    if not found.complete:
        return f"- {lines[0]}. What else there is to say takes all points."
    its = reading.roughness(found.xs, found.ys, found.loss, one.run.job.config.classes, radius)
    if one.way is None:
        lines.append(f"about {_power(its.ring)} at distance {radius:g}")
    lines.append(f"{its.below_chance:.0%} of the plane does better than guessing")
    if not math.isnan(its.negative):
        curved = f"{its.negative:.0%} of its points curve downwards some way"
        lines.append(f"{curved} (nonconvexity {its.nonconvexity:.2f}; 0 in a bowl)")
    if one.way is not None:
        first, second = one.way.shares
        lines.append(
            f"the two directions hold {first:.0%} and {second:.0%} of the path's variance, and a random plane would "
            f"show {one.way.by_chance:.2%} of its squared length"
        )
    return "- " + "; ".join(lines) + "."


def _power(exponent: float) -> str:
    return f"{10**exponent:,.3g}" if exponent < 4 else f"10^{exponent:.1f}"
