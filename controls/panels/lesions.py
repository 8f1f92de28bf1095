"""What if a block were missing? Blocks and shortcuts switched off, and what that does to answers and costs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls import lesions, session, work
from controls.panel import panel
from controls.services import built, forwards
from controls.services import lesions as measuring
from controls.services.lesions import Examined
from controls.services.subject import Subject
from controls.text import plain
from controls.work import Task
from explorer.analyses import activations
from explorer.analyses.attribution.localisation import share_of
from explorer.analyses.lesions import Hits
from explorer.families import plan
from explorer.learning import datasets
from explorer.plan import Plan
from explorer.plan.lesions import Lesion, Lesions, Part, in_words, parts
from explorer.plots import lesions as plots
from explorer.plots.plain import PlainFigure
from explorer.running import weights
from explorer.running.source import python_source
from explorer.wording import number

BARE = {"displayModeBar": False}
MOST_ANSWERS = 3  # of each of the two
TITLES: Mapping[str, str] = {
    "residual": "blocks",
    "plain": "blocks",
    "layer": "layers",
}
EXPLAINED = (
    "A residual block that is off contributes zero: its shortcut goes on alone. With the shortcut cut the branch does. "
    "A plain network's block is skipped: what enters it goes on, made to fit as option A's shortcuts are. A layer that "
    "later ones read side by side gives zeros. Weights stay as they are."
)


@panel
def lesion_controls(whole: Plan, chosen: Lesions) -> None:
    """For each stage its blocks, and beside them their shortcuts."""
    found = parts(whole)
    if not found:
        st.caption("This network has no block that could be taken away.")
        return
    st.caption(
        "Veit et al. (1605.06431) took single blocks out of trained networks: a ResNet-110 hardly noticed, a VGG was "
        "destroyed. Does this one notice? Click on what is to be missing; maps, answers and costs follow at once.",
        help=EXPLAINED,
    )
    for stage, rows in _rows(found).items():
        for column, ((word, lesion), row) in zip(st.columns(len(rows), gap="medium"), rows.items(), strict=True):
            with column:
                _row(whole, stage, word, lesion, row, chosen)


def _rows(found: Sequence[Part]) -> dict[str, dict[tuple[str, Lesion], list[Part]]]:
    """Stage -> the word in a block's label, and what can be taken away -> the parts."""
    rows: dict[str, dict[tuple[str, Lesion], list[Part]]] = {}
    for part in found:
        word = part.block.rpartition(" ")[0]
        for lesion in part.lesions:
            rows.setdefault(part.stage, {}).setdefault((word, lesion), []).append(part)
    return rows


def _row(whole: Plan, stage: str, word: str, lesion: Lesion, row: Sequence[Part], chosen: Lesions) -> None:
    names = [part.name for part in row]
    numbers = {part.name: part.block.rpartition(" ")[2] or part.name for part in row}
    key = f"lesions.{stage}.{word}.{lesion}"
    off = chosen.branches if lesion == "branch" else chosen.shortcuts
    shown = [name for name in names if name in off]
    what = "shortcuts cut" if lesion == "shortcut" else f"{_plural(word, row[0])} off"

    def clicked() -> None:
        if not lesions.choose(whole, lesion, names, session.entered(key) or ()):
            session.problems().append("A link has no room for so many lesions; some were left out.")

    session.show(key, shown)
    st.pills(
        f"{stage.capitalize()}, {what}",
        names,
        selection_mode="multi",
        default=shown,
        format_func=numbers.__getitem__,
        key=key,
        on_change=clicked,
        wrap=True,
    )


def _plural(word: str, part: Part) -> str:
    """blocks, layers; of a clique's first pass: layers of the first pass."""
    return f"layers of the {word} pass" if word in ("first", "second") else TITLES[part.role]


@panel
def say_lesions(whole: Plan, chosen: Lesions) -> None:
    """That the page shows what is left, and the way back."""
    said = f"With lesions: maps and answers on this page are of what is left. {in_words(whole, *chosen)}"
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.info(plain(said), icon=":material/content_cut:")
    right.button("Whole again", key="lesions.forget", on_click=lesions.forget, width="stretch")


@panel
def what_it_does(subject: Subject) -> None:
    """`subject` has lesions, or none: then only what each block is worth is offered."""
    whole = subject._replace(lesions=Lesions())
    asked = measuring.examined(subject)
    if subject.lesions:
        left, right = st.columns(2, gap="medium")
        with left:
            _answers(whole, subject)
        with right:
            _costs(plan(subject.config), subject.plan)
            if asked:
                _accuracy(asked, subject.lesions)
        _source(subject)
    if asked:
        _each(asked)
    else:
        trained = subject.weights.trained
        why = "what these weights have learned from is not known here" if trained else "nothing was learned"
        st.caption(f"No accuracy: {why}. The weights that come with the project have one.")


def _answers(whole: Subject, left: Subject) -> None:
    names = weights.class_names(whole.weights, whole.config.classes)
    before, after = (forwards.forward(one).logits for one in (whole, left))
    likely = [answer.number for logits in (before, after) for answer in activations.answers(logits, MOST_ANSWERS)]
    classes = list(dict.fromkeys(likely))
    st.dataframe(
        {
            "answer": [names[one] for one in classes],
            "whole": _percent(before, classes),
            "left": _percent(after, classes),
        },
        hide_index=True,
        key="lesions.answers",
        column_config={
            "answer": "Answers",
            "whole": st.column_config.ProgressColumn("Whole", format="%.1f %%", max_value=100),
            "left": st.column_config.ProgressColumn("With lesions", format="%.1f %%", max_value=100),
        },
    )


def _percent(logits: NDArray[np.float32], classes: Sequence[int]) -> list[float]:
    probable = activations.probabilities(logits)
    return [float(100 * probable[one]) for one in classes]


def _costs(whole: Plan, left: Plan) -> None:
    counts = (("Parameters", whole.params, left.params), ("MACs", whole.macs, left.macs))
    for column, (label, before, now) in zip(st.columns(2), counts, strict=True):
        change = f"{now - before:,}" if now != before else None
        with column.container(border=True, gap=None, height="stretch"):
            st.metric(f"{label}, with lesions", number(now), change, delta_color="inverse")
            st.caption(f"{now:,}  \nwhole: {before:,}")


def _accuracy(asked: Examined, without: Lesions) -> None:
    # one after the other, so that each click starts by itself what the last one did
    whole = work.result("Measure the accuracy of the whole", measuring.right(asked, Lesions()))
    left = None if whole is None else work.result("Measure the accuracy with lesions", measuring.right(asked, without))
    if whole is None or left is None:
        return
    before, now = share_of(_shares(whole)), share_of(_shares(left))
    with st.container(border=True, gap=None):
        change = 100 * (now.mean - before.mean)
        st.metric(
            "Accuracy, with lesions",
            f"{now.mean:.1%}",
            f"{change:+.1f} points" if change else None,
            help="95 % interval by Wilson's score.",
        )
        st.caption(
            f"{now.low:.1%} to {now.high:.1%}; whole: {before.mean:.1%} · "
            f"{asked.images} test images of {plain(datasets.find(asked.data).title)}"
        )


def _shares(hits: Hits) -> NDArray[np.float64]:
    return hits.astype(np.float64)


def _each(asked: Examined) -> None:
    """Figure 3 of Veit et al., for this network."""
    whole = plan(asked.config)
    if not (found := parts(whole)):
        return
    tasks: list[Task[Any]] = [measuring.right(asked, Lesions()), measuring.each(asked)]
    before, removed = work.results("Accuracy with each block removed in turn", tasks, asks=True)
    for outcome in (before, removed):
        outcome.say()
    if not (before.done and removed.done):
        return
    shares = [float(one.hits.mean()) for one in removed.value]
    figure = plots.each_removed(found, shares, float(before.value.mean()), 1 / asked.config.classes)
    alt = "Bars: the accuracy without each block; a line for the whole network, and one for chance"
    st.plotly_chart(PlainFigure(figure), key="lesions.each", alt=alt, config=BARE)
    worst = min(removed.value, key=lambda one: one.hits.mean())
    st.caption(
        f"Each bar: {asked.images} test images of {plain(datasets.find(asked.data).title)}, one block missing. "
        f"Without {plain(worst.name)} it is right least often, {worst.hits.mean():.1%}."
    )


def _source(left: Subject) -> None:
    st.download_button(
        "Python source with lesions",
        partial(python_source, left.config, built.card(left.config, left.weights), left.lesions),
        "with_lesions.py",
        "text/x-python",
        icon=":material/code:",
        on_click="ignore",
        help="One file that needs torch alone and builds what is left of the network.",
    )
