"""How does the loss look around what a run has learned? Planes through the weights of one run, and of others beside."""

import math
from collections.abc import Sequence

import streamlit as st

from controls import session, work
from controls.choices import OneOf, Switch, Whole
from controls.panel import panel
from controls.services import landscapes
from controls.services.landscapes import Asked
from controls.text import plain
from controls.work import Outcome
from explorer.analyses import landscape, landscape_reading
from explorer.analyses.landscape import Surface
from explorer.learning.runs import Run
from explorer.plots import landscape as plots
from explorer.plots.plain import PlainFigure

LOOK = Switch("shape")
SIDE = OneOf("shape_points", 13, (13, 25))
REACH = OneOf("shape_reach", 1.0, (0.25, 0.5, 1.0, 2.0))
SEED = Whole("shape_seed", 0, 0, 2**31 - 1)
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
    st.caption(
        "The weights are moved along two random directions, in which every filter is as long as the one that it moves; "
        "the loss is that of the first "
        f"{landscapes.IMAGES} training images. Norms and biases stay where they are. A smooth bowl is easy to descend."
    )
    box = st.columns(3)
    side = SIDE.segments(box[0], "Points", title="{0} x {0}".format)
    reach = REACH.segments(
        box[1], "Reach", title="{:g}".format, help="How far the weights are moved; at 1, by as much as they are."
    )
    seed = SEED.number(box[2], "Seed of the plane")
    shown: list[Run] = []
    for one in (run, *beside):
        if sentence := landscapes.refusal(one):
            st.info(plain(sentence), icon=":material/hourglass_top:")
        else:
            shown.append(one)
    if shown:
        surfaces(shown, [landscapes.asked(one, side, reach, seed, session.device()) for one in shown])


def surfaces(found: Sequence[Run], wanted: Sequence[Asked]) -> None:
    """Level by level: what is there is drawn while the next level is computed."""
    place = st.empty()
    of_each = [landscapes.tasks(run, asked) for run, asked in zip(found, wanted, strict=True)]
    in_turn = [task for level in zip(*of_each, strict=True) for task in level]
    seen: list[int] = []

    def draw(outcomes: Sequence[Outcome[Surface]]) -> None:
        """As soon as a level of all that are not refused is there."""
        each = [outcomes[n :: len(found)] for n in range(len(found))]
        kept = [n for n, own in enumerate(each) if not any(outcome.refusal for outcome in own)]
        levels = min((_done(each[n]) for n in kept), default=0)
        if levels and levels not in seen:
            seen.append(levels)
            joined = [landscape.joined(outcome.value for outcome in each[n][:levels]) for n in kept]
            with place.container():
                _pictures([found[n] for n in kept], joined, wanted[0].reach, levels)

    outcomes = work.results("Look at the loss's shape", in_turn, meanwhile=draw)
    draw(outcomes)
    for outcome in {one.refusal: one for one in outcomes}.values():
        outcome.say()


def _done(levels: Sequence[Outcome[Surface]]) -> int:
    """How many of the levels are, one after another."""
    return next((i for i, outcome in enumerate(levels) if not outcome.done), len(levels))


def _pictures(found: Sequence[Run], surfaces: Sequence[Surface], reach: float, levels: int) -> None:
    shapes = [
        plots.Shape(run.title, one.xs, one.ys, landscape_reading.logarithm(one.loss))
        for run, one in zip(found, surfaces, strict=True)
    ]
    classes = {run.job.config.classes for run in found}
    chance = math.log10(math.log(classes.pop())) if len(classes) == 1 else None
    alt = "Contours of the loss's power of ten in a plane through each network's weights"
    # a key for each level, since one run of the page draws several
    st.plotly_chart(PlainFigure(plots.contours(shapes, chance)), key=f"shape.flat.{levels}", alt=alt, config=BARE)
    if chance is not None:
        st.caption("The cross is the trained network. Inside of the dashed line it does better than guessing.")
    alt = "The same as surfaces, to be turned with the mouse"
    st.plotly_chart(PlainFigure(plots.surfaces(shapes)), key=f"shape.deep.{levels}", alt=alt, config=BARE)
    for run, one in zip(found, surfaces, strict=True):
        st.markdown(_in_words(run, one, min(1.0, reach)))


def _in_words(run: Run, found: Surface, radius: float) -> str:
    its = landscape_reading.roughness(found.xs, found.ys, found.loss, run.job.config.classes, radius)
    lines = [
        f"**{plain(run.title)}**: a loss of {found.base_loss:.3g} where training ended",
        f"about {10**its.ring:.3g} at distance {radius:g}",
        f"{its.below_chance:.0%} of the plane does better than guessing",
    ]
    if not math.isnan(its.negative):
        lines.append(
            f"{its.negative:.0%} of its points curve downwards some way (nonconvexity {its.nonconvexity:.2f}; 0 in a "
            "bowl)"
        )
    return "- " + "; ".join(lines) + "."
