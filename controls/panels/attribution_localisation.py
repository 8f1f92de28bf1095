"""Does the map lie on the object, where the object is known; and which method finds it best?"""

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls import work
from controls.choices import OneOf
from controls.panel import panel
from controls.services import localisations
from controls.services.subject import Subject
from explorer.analyses.attribution import localisation
from explorer.analyses.attribution.attribute import Attribution
from explorer.analyses.attribution.localisation import EDGES, Located, Ranking, title_of
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Options
from explorer.pictures.preparation import mask_as_seen
from explorer.plots import localisation as plots

BARE = {"displayModeBar": False}
EXPLAINED = (
    "Evidence is what is positive in a map; its share on the object is the energy-based pointing game (Wang et al., "
    "1910.01279), with pixels for boxes. The strongest pixel is the pointing game (Zhang et al., 1608.00507), without "
    "its tolerance of 15 pixels; equal pixels share the hit. A shape ends where the background begins, so a true map "
    "may well reach over the outline."
)

COUNT = OneOf("objects", 64, (16, 64, 256))


def mask_of(subject: Subject) -> NDArray[np.bool_] | None:
    """Which pixels of the network's input are the object's, (H, W); None where that is not known."""
    return mask_as_seen(subject.picture, subject.preparation)


# ---- under one map ----


def beside(found: Attribution, mask: NDArray[np.bool_]) -> None:
    """How much of a map lies on the object. Of a map of the image, not of channels."""
    st.caption(f":material/target: {of_one(found, mask)}")


def of_one(found: Attribution, mask: NDArray[np.bool_]) -> str:
    energy, points = localisation.energy_inside(found.map, mask), localisation.points_at(found.map, mask)
    if np.isnan(energy):
        return "No evidence for the target, so none lies on the object."
    said = f"{energy:.0%} of the evidence lies on the object (chance {mask.mean():.0%}); "
    if points in (0, 1):
        return said + f"its strongest pixel lies {'on' if points else 'off'} it."
    return said + f"of its equally strong pixels {points:.0%} lie on it."


# ---- over many images ----


@panel
def ranking(subject: Subject, methods: Sequence[str], options: Options) -> None:
    """The chosen methods on test images of Shapes, for a network that was trained on it."""
    if not localisations.offered(subject.config, subject.weights):
        return
    st.subheader("Which method finds the object?")
    st.caption(
        "The objects of Shapes are known to the pixel: here is how much of each method's evidence for the true class "
        "lies on them, on images that the network was not trained on.",
        help=EXPLAINED,
    )
    taking = [method for method in methods if not METHODS[method].channels]
    if not taking:
        st.caption("Choose a method whose map is of the image.")
        return
    count = COUNT.segments(st, "Test images")
    outcomes = work.results(
        f"Compare on {count} images", localisations.tasks(subject, taking, options, count), asks=True
    )
    *measured, needing_nothing = outcomes
    if not needing_nothing.done or not all(one.done or one.refusal for one in measured):
        return
    found: dict[str, Located | str] = {
        method: one.value if one.done else one.refusal for method, one in zip(taking, measured, strict=True)
    }
    compared = Ranking(found | needing_nothing.value)
    alt = "Points: how often each method's maps meet the object, with their ranges"
    st.plotly_chart(plots.ranking(compared.table()), key="attribution.ranking", alt=alt, config=BARE)
    st.markdown(in_words(compared))
    table(compared)


def in_words(found: Ranking) -> str:
    """Which method is best, from which others it can be told, and which show no more than an edge detector does."""
    if not found.methods:
        return "No map has any evidence for the true class."
    best, *others = found.methods
    share = {name: f"{localisation.mean_of(one.energy).mean:.0%}" for name, one in found.located.items()}
    comparisons = len(others) + len(found.methods)
    apart = [name for name in others if found.above(best, name, comparisons)]
    alike = [name for name in others if name not in apart]
    weak = [name for name in found.methods if not found.above(name, EDGES, comparisons)]
    most = ", the most of these" if others else ""
    said = [f"{_listed([best])} puts {share[best]} of its evidence on the object{most}."]
    if apart:
        said.append(f"It is above {_listed(apart)} by more than luck.")
    if alike:
        said.append(f"It cannot be told apart from {_listed(alike)}.")
    if others:
        hits = {name: localisation.mean_of(found.located[name].pointing).mean for name in found.methods}
        surest = max(hits, key=hits.__getitem__)
        said.append(f"The strongest pixel lies on the object most often for {_listed([surest])}, {hits[surest]:.0%}.")
    edge = f"An edge detector, which knows no network, reaches {share[EDGES]}"
    if weak:
        said.append(f"{edge}: it cannot be said that {_listed(weak)} {'do' if len(weak) > 1 else 'does'} better.")
    else:
        said.append(f"{edge}: less than {'each of them' if others else 'it'} by more than luck.")
    return " ".join(said)


def _listed(names: Sequence[str]) -> str:
    """A, B and C."""
    *first, last = [f"**{title_of(name)}**" for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def table(found: Ranking) -> None:
    rows = found.table()
    notes = [
        refusal or (f"no evidence on {blank} images, which do not count" if blank else "")
        for refusal, blank in zip(rows["refusal"], rows["blank"], strict=True)
    ]
    shares = ("energy", "energy_low", "energy_high", "pointing", "pointing_low", "pointing_high")
    percent = st.column_config.NumberColumn
    st.dataframe(
        {
            "title": rows["title"],
            **{name: 100 * rows[name] for name in shares},
            "seconds": rows["seconds"],
            "note": notes,
        },
        hide_index=True,
        column_config={
            "title": st.column_config.TextColumn("Method", pinned=True),
            "energy": percent("Evidence on the object", format="%.1f %%"),
            "energy_low": percent("from", format="%.1f %%", help="95 % interval, by Student's t."),
            "energy_high": percent("to", format="%.1f %%"),
            "pointing": percent("Strongest pixel on it", format="%.1f %%"),
            "pointing_low": percent("from", format="%.1f %%", help="95 % interval, by Wilson's score."),
            "pointing_high": percent("to", format="%.1f %%"),
            "seconds": st.column_config.NumberColumn("s an image", format="%.2f"),
            "note": "Note",
        },
    )
    st.caption(
        "Lines are 95 % intervals over images. Methods are compared image by image, and all comparisons hold together "
        "at 95 % (Student's t of the differences, Bonferroni)."
    )
