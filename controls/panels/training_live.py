"""A run while it learns: how far it is, its curves, and Stop; drawn anew every second as long as it is trained."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from controls import session
from controls.file_states import FileState, file_state
from controls.panel import panel, say_refusal
from controls.services import training
from controls.text import plain
from explorer.families import describe, family_of, knobs
from explorer.learning import results, runs
from explorer.learning.recipe import Recipe
from explorer.learning.results import Broke
from explorer.learning.runs import Run, Status
from explorer.plots import training as plots
from explorer.plots.plain import PlainFigure
from explorer.plots.training import Curve
from explorer.wording import duration

EVERY = 1.0  # seconds
MOST_NAMED = 3  # knobs in a legend
MOST_DRAWN = 32  # charts that are remembered, of all visitors
BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
WORDS = {
    "new": ("Not started", ":material/hourglass_empty:"),
    "waiting": ("Waiting in line", ":material/hourglass_top:"),
    "preparing": ("Preparing", ":material/downloading:"),
    "training": ("Learning", ":material/model_training:"),
    "finished": ("Finished", ":material/check_circle:"),
    "stopped": ("Stopped", ":material/pause_circle:"),
    "diverged": ("Diverged", ":material/trending_up:"),
    "failed": ("Failed", ":material/error:"),
    "died": ("Died", ":material/heart_broken:"),
}


@panel
def live(run: Run, others: Sequence[Run]) -> None:
    """The run, with others drawn beside it."""
    first = training.status(run)

    @st.fragment(run_every=EVERY if first.active else None)
    def shown() -> None:
        now = training.status(run)
        _head(run, now)
        _curves(run, others)
        if first.active and not now.active:
            st.rerun()  # what a finished run has to show stands below

    shown()


def _head(run: Run, now: Status) -> None:
    """In one line: what it does, how fast, how long yet; and the button that fits."""
    word, icon = WORDS[now.state]
    box = st.container(horizontal=True, vertical_alignment="center")
    box.markdown(f"{icon} **{word}**  {plain(_said(now))}", width="stretch")
    if training.may_change(run):
        key = f"training.{run.name}"
        if now.active:
            box.button("Stop", icon=":material/stop:", key=f"{key}.stop", on_click=training.stop, args=(run,))
        elif not run.is_trial and now.state in ("stopped", "died", "failed", "new"):  # a trial goes on with its sweep
            box.button(
                "Resume",
                icon=":material/play_arrow:",
                key=f"{key}.go",
                on_click=partial(session.attempt, training.resume, run),
            )
    if now.steps:
        st.progress(min(1.0, now.step / now.steps))


def in_line(now: Status) -> str:
    """Of one that waits: how many come before it."""
    return f"{now.place} before this one" if now.place else "it is the next one"


def _said(now: Status) -> str:
    if now.state == "waiting":
        return in_line(now)
    if now.state == "training" and now.step:
        return (
            f"step {now.step:,} of {now.steps:,} · {now.images_per_second:,.0f} images/s · "
            f"{duration(now.seconds_left)} left"
        )
    if now.state == "stopped" and now.steps:
        return f"at step {now.step:,} of {now.steps:,}. {now.message}"
    return now.message


def _curves(run: Run, others: Sequence[Run]) -> None:
    every = [run, *(other for other in others if other.name != run.name)]
    colours = plots.colours_of([family_of(one.job.config).colour for one in every])
    found = _drawn(
        tuple(
            _Line(one.path, one.title + _difference(one, run), colour, file_state(one.path / runs.METRICS))
            for one, colour in zip(every, colours, strict=True)
        )
    )
    if found is None:
        if training.status(run).state in ("preparing", "training"):
            st.caption("The first loss comes in a few seconds.")
        return
    alt = "Curves: loss, accuracy and learning rate, step by step"
    st.plotly_chart(found.figure, key="training.curves", alt=alt, config=BARE)
    if found.broke and training.status(run).state != "diverged":  # which has said so above
        step = found.broke.step
        say_refusal(f"The loss is no number from step {step} on: a smaller learning rate, or a norm, would help.")


def _difference(one: Run, run: Run) -> str:
    """In which knobs of its recipe another run differs from the open one: " (learning rate 0.01)"."""
    turned = [
        f"{knob.in_sentence} {describe(getattr(one.job.recipe, knob.name))}"
        for knob in knobs(Recipe)
        if getattr(one.job.recipe, knob.name) != getattr(run.job.recipe, knob.name)
    ]
    return f" ({', '.join(turned[:MOST_NAMED])})" if turned else ""


class _Line(NamedTuple):
    """A run in the chart, as far as the chart depends on it; `written` tells one state of its table from the next."""

    path: Path
    title: str
    colour: str
    written: FileState


class _Drawn(NamedTuple):
    figure: PlainFigure
    broke: Broke | None


@lru_cache(maxsize=MOST_DRAWN)
def _drawn(lines: tuple[_Line, ...]) -> _Drawn | None:
    """The first one stands out. None where no table has a row yet. Remembered for the seconds without a new row."""
    tables = [runs.metrics(line.path) for line in lines]
    if all(table.empty for table in tables):
        return None
    curves = [
        Curve(line.title, line.colour, table, line is lines[0]) for line, table in zip(lines, tables, strict=True)
    ]
    return _Drawn(PlainFigure(plots.curves(curves)), results.broke(tables[0]))
