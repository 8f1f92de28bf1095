"""Is the map telling the truth? Infidelity and sensitivity, deletion and insertion, and the randomisation check."""

from collections.abc import Mapping, Sequence

import streamlit as st

from controls import work
from controls.choices import OneOf
from controls.panel import panel
from controls.services import attributions
from controls.services.subject import Subject
from explorer.analyses.attribution.attribute import Attribution
from explorer.analyses.attribution.checks import Curve, Randomised
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Options
from explorer.analyses.attribution.score import Class, Target
from explorer.plots import attribution as plots
from explorer.plots import mosaic

IN_A_ROW = 6
BARE = {"displayModeBar": False}

CHECKED = OneOf("check", "")  # the method whose map is put to the test


@panel
def truth(subject: Subject, target: Target, options: Options, maps: Mapping[str, Attribution]) -> None:
    """All checks of one of the maps, which are of the image's pixels."""
    st.subheader("Is the map telling the truth?")
    if not maps:
        st.caption("Compute a map of the image's pixels first.")
        return
    method = CHECKED.segments(st, "Map", list(maps), next(iter(maps)), lambda name: METHODS[name].title)
    tasks = attributions.truth(subject, target, method, options, maps[method])
    outcomes = work.results("Check it", tasks, asks=True)
    for outcome in outcomes:
        outcome.say()
    if not all(outcome.done for outcome in outcomes):
        return
    deleted, inserted, infidelity, sensitivity, *randomised = (outcome.value for outcome in outcomes)
    left, right = st.columns(2, gap="medium")
    with left:
        curves(deleted, inserted, "probability" if isinstance(target, Class) and target.minus is None else "score")
        numbers(infidelity, sensitivity)
    with right:
        st.markdown("**Randomisation**")
        if not randomised:
            st.info("Nothing was learned, so nothing can be unlearned: load trained weights.", icon=":material/casino:")
    for found in randomised:
        with right:
            randomisation(found)
        stages(subject, maps[method], found)


def curves(deleted: Curve, inserted: Curve, y_title: str) -> None:
    st.markdown("**Deletion and insertion**")
    st.caption(
        "The strongest pixels give way to the baseline, or come into the blurred image: a good map falls fast and "
        "rises fast (Petsiuk et al., 1806.07421)."
    )
    st.plotly_chart(
        plots.deletion_and_insertion(deleted, inserted, y_title),
        key="attribution.curves",
        alt=f"Lines: the {y_title} while pixels are deleted, and while they are inserted",
        config=BARE,
    )


def numbers(infidelity: float, sensitivity: float) -> None:
    box = st.columns(2)
    box[0].metric(
        "Infidelity",
        f"{infidelity:.3g}",
        help="Mean squared error of the score's change that the map foretells under small noise; 0 is best "
        "(Yeh et al., 1901.09392).",
    )
    box[1].metric(
        "Maximum sensitivity",
        f"{sensitivity:.3g}",
        help="How far the map moves when every pixel moves by 0.02: the change's norm over the map's; 0 is best.",
    )


def randomisation(found: Sequence[Randomised]) -> None:
    st.caption(
        "From the classifier down, stage by stage, weights are replaced by fresh ones. A map that stays the same "
        "shows the image and not what was learned (Adebayo et al., 1810.03292)."
    )
    alt = "Line: how alike the map stays while weights are replaced, stage by stage"
    st.plotly_chart(plots.randomisation(found), key="attribution.randomisation", alt=alt, config=BARE)


def stages(subject: Subject, original: Attribution, found: Sequence[Randomised]) -> None:
    """The maps as the weights go, stage by stage."""
    shown = [("original", original), *((one.stage, one.attribution) for one in found)]
    for start in range(0, len(shown), IN_A_ROW):
        for column, (stage, one) in zip(st.columns(IN_A_ROW), shown[start : start + IN_A_ROW], strict=False):
            picture, alt = plots.small(one, subject.seen), f"The map with fresh weights down to: {stage}"
            column.image(mosaic.data_url(picture), caption=stage, alt=alt, width="stretch")
