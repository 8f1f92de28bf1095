"""What has a finished run learned, and where is it wrong?"""

import streamlit as st

from controls.panel import panel
from controls.panels.picture import PICTURE, test_image
from controls.services import data, training
from controls.text import plain
from explorer.learning import datasets, results, runs
from explorer.learning.results import Confused, Mistake
from explorer.learning.runs import Run
from explorer.plots import mosaic
from explorer.plots import training as plots

MOST_MISTAKES = 12
EVERY = 5.0  # seconds between two looks at a run that is trained
SHOWN = 128  # pixels on the page
BARE = {"displayModeBar": False}
PAGES = {"Attribution": "pages/attribution.py", "Feature maps": "pages/feature_maps.py"}


@panel
def test_results(run: Run) -> None:
    """Its accuracy with an interval, which classes it takes for which, and its worst mistakes."""
    found = runs.predictions(run.path)
    if found.empty:
        return
    classes = datasets.find(run.job.data).classes
    accuracy = results.accuracy(found)
    counts = results.confusion(found, len(classes))
    st.subheader("What it has learned")
    left, right = st.columns([3, 4], gap="large")
    with left:
        st.metric(
            "Right on test images",
            f"{accuracy.share:.1%}",
            help="Wilson's interval: the accuracy on all images of this kind lies within in 95 of 100 such tests.",
        )
        between = f"{accuracy.low:.1%} to {accuracy.high:.1%}"
        st.caption(f"{between} by {accuracy.count:,} images that it did not learn from.")
        for one in results.most_confused(counts):
            st.markdown(f"- {_in_words(one, classes)}")
    with right:
        st.plotly_chart(
            plots.confusion_matrix(counts, list(classes)),
            key="training.confusion",
            alt="Confusion matrix: each row a true class, each column what it is taken for",
            config=BARE,
        )
    mistakes = results.worst_mistakes(found, MOST_MISTAKES)
    st.subheader("Its worst mistakes")
    if not mistakes:
        st.caption("It made none.")
        return
    st.caption("Test images on which it was surest of a wrong class. Each opens with this run's weights.")
    worst_mistakes(run, mistakes, classes)


def _in_words(one: Confused, classes: tuple[str, ...]) -> str:
    images = "image" if one.count == 1 else "images"
    return (
        f"**{plain(classes[one.true])}** is taken for **{plain(classes[one.said])}** in {one.count} {images} "
        f"({one.share:.0%} of its own)"
    )


def worst_mistakes(run: Run, mistakes: list[Mistake], classes: tuple[str, ...]) -> None:
    config = run.job.config
    shown = data.examples(run.job.data, config.input_size, config.channels, [one.number for one in mistakes])
    link = training.link(run)
    row = st.container(horizontal=True, gap="medium")  # which goes on in the next line where there is little room
    for one, of in zip(mistakes, shown, strict=True):
        with row.container(width=SHOWN):
            large, alt = mosaic.resize(of.picture.pixels[None], SHOWN)[0], f"A test image of {classes[one.label]}"
            st.image(mosaic.data_url(large), alt=alt, width="stretch")
            said, true = plain(classes[one.predicted]), plain(classes[one.label])
            st.caption(f"says **{said}** ({one.probability:.0%}), is **{true}**")
            picture = {PICTURE.name: test_image(run.job.data, one.number)}
            # a link, not a button: one step back in the browser leads here again
            for title, page in PAGES.items() if link else ():
                st.page_link(page, label=title, query_params=link | picture)


@panel
def while_it_learned(run: Run) -> None:
    """The gradient of each kernel, and how far each was moved, step by step."""

    @st.fragment(run_every=EVERY if training.status(run).active else None)
    def shown() -> None:
        _heat_maps(run)

    shown()


def _heat_maps(run: Run) -> None:
    norms, updates = runs.gradient_norms(run.path), runs.update_ratios(run.path)
    if norms.empty:
        return
    st.subheader("Gradient flow while it learns")
    left, right = st.columns(2, gap="medium")
    with left:
        alt = "Heat map: the gradient of each layer's weights, step by step"
        st.plotly_chart(plots.gradient_heat_map(norms), key="training.norms", alt=alt, config=BARE)
        st.caption("What would change each layer's weights. Pale first layers: the gradient fades on its way back.")
    with right:
        moved = plots.gradient_heat_map(updates, title=plots.UPDATES, reference=plots.USUAL_UPDATE)
        alt = "Heat map: how far each layer's weights were moved, step by step"
        st.plotly_chart(moved, key="training.updates", alt=alt, config=BARE)
        st.caption(plots.UPDATES_CAPTION)
