"""A run while it learns: how far it is, its curves, and Stop; drawn anew every second as long as it is trained."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from controls import session
from controls.panel import panel, say_refusal
from controls.services import training
from controls.text import plain
from explorer.errors import ExplorerError
from explorer.families import family_of
from explorer.learning import results, runs
from explorer.learning.runs import Run, Status
from explorer.plots import training as plots
from explorer.plots.training import Curve
from explorer.wording import duration

EVERY = 1.0  # seconds
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
        elif now.state in ("stopped", "died", "failed", "new"):
            box.button("Resume", icon=":material/play_arrow:", key=f"{key}.go", on_click=partial(_resume, run))
    if now.steps:
        st.progress(min(1.0, now.step / now.steps))


def _said(now: Status) -> str:
    if now.state == "waiting":
        runs_before = f"{now.place} before this one" if now.place else "next"
        return f"{runs_before}; this machine trains a few at a time."
    if now.state == "training" and now.step:
        return (
            f"step {now.step:,} of {now.steps:,} · {now.images_per_second:,.0f} images/s · "
            f"{duration(now.seconds_left)} left"
        )
    return now.message


def _resume(run: Run) -> None:
    try:
        training.resume(run)
    except ExplorerError as error:
        session.problems().append(str(error))


def _curves(run: Run, others: Sequence[Run]) -> None:
    every = [run, *(other for other in others if other.name != run.name)]
    colours = plots.colours_of([family_of(one.job.config).colour for one in every])
    tables = [runs.metrics(one.path) for one in every]
    if all(table.empty for table in tables):
        st.caption("The first loss comes in a few seconds.")
        return
    lines = [
        Curve(one.title, colour, table, one is run) for one, colour, table in zip(every, colours, tables, strict=True)
    ]
    st.plotly_chart(plots.curves(lines), key="training.curves", config=BARE)
    if broke := results.broke(tables[0]):
        say_refusal(f"The loss is no number from step {broke[1]} on: a smaller learning rate, or a norm, would help.")
