"""What does an experiment claim, what was measured, and what does the rule make of it?"""

from functools import partial

import streamlit as st

from controls import session
from controls.panel import panel
from controls.panels.experiment_card import badge, origin
from controls.panels.training_live import WORDS, in_line
from controls.services import experiments
from controls.services.experiments import Shown
from controls.text import plain
from explorer.experiments import Experiment
from explorer.experiments.record import Record
from explorer.experiments.results import Results
from explorer.learning.runs import Status
from explorer.plots.plain import PlainFigure
from explorer.wording import duration

BARE = {"displayModeBar": False}
EVERY = 2.0  # seconds between two looks at one that is carried out
WIDE = 900  # pixels, beyond which a picture would only be stretched


@panel
def claim(experiment: Experiment) -> None:
    st.subheader(experiment.question)
    st.markdown(f"{plain(experiment.claim)} ([{plain(experiment.source)}]({experiment.url}))")


@panel
def measured(experiment: Experiment, found: Shown) -> None:
    """Verdicts, pictures and table; drawn anew while it is carried out."""
    active = found.record is not None and experiments.status(found.record).active

    @st.fragment(run_every=EVERY if active else None)
    def shown() -> None:
        now, goes_on = found, False
        if found.record:
            said = experiments.status(found.record)
            goes_on = said.active
            _head(found.record, said)
            now = Shown(experiments.results_of(found.record), found.record)
        st.caption(origin(now))
        if now.results.runs:
            _verdicts(experiment, now.results)
            _pictures(experiment, now.results)
            _compared(experiment, now.results)
        if active and not goes_on:
            st.rerun()  # to end the looking

    shown()


def _head(one: Record, now: Status) -> None:
    """In one line: what it does, how long yet; and the button that fits."""
    word, icon = WORDS[now.state]
    if now.state == "training":
        word = "Being carried out"
    box = st.container(horizontal=True, vertical_alignment="center")
    box.markdown(f"{icon} **{word}**  {plain(_said(now))}", width="stretch")
    if experiments.may_change(one):
        key = f"experiment.{one.name}"
        if now.active:
            box.button("Stop", icon=":material/stop:", key=f"{key}.stop", on_click=experiments.stop, args=(one,))
        else:
            if now.state in ("stopped", "died", "failed", "new"):
                go = partial(session.attempt, experiments.resume, one)
                box.button("Resume", icon=":material/play_arrow:", key=f"{key}.go", on_click=go)
            away = partial(session.attempt, experiments.delete, one)
            box.button(
                "Delete", icon=":material/delete:", key=f"{key}.delete", on_click=away, help="With its networks."
            )
    if now.steps and now.active:
        st.progress(min(1.0, now.step / now.steps))


def _said(now: Status) -> str:
    if now.state == "waiting":
        return in_line(now)
    if now.state == "training" and now.steps:
        left = f" · {duration(now.seconds_left)} left" if now.seconds_left else ""
        return f"{now.step} of {now.steps} networks are trained and measured{left}"
    return now.message


def _verdicts(experiment: Experiment, results: Results) -> None:
    """Each with its numbers, their uncertainty and its rule."""
    rules = {one.title: one.rule for one in experiment.claims}
    for title, verdict in experiment.verdicts(results).items():
        with st.container(border=True):
            st.markdown(f"{badge(verdict)} **{plain(title)}**")
            st.markdown(plain(verdict.because))
            st.caption(f"The rule: {plain(rules[title])}")


def _pictures(experiment: Experiment, results: Results) -> None:
    for picture in experiment.pictures:
        st.subheader(picture.title)
        figure, key = PlainFigure(picture.draw(results)), f"experiment.{experiment.name}.{picture.title}"
        with st.container(key=f"wide.{key}" if picture.wide else f"narrow.{key}", width=WIDE):
            st.plotly_chart(figure, key=key, alt=picture.alt, config=BARE)


def _compared(experiment: Experiment, results: Results) -> None:
    """The source's figures beside ours, and what is not the same."""
    st.subheader("The source, and here")
    whole = experiment.whole(results)
    if experiment.compared:
        st.table(
            {
                "": [one.what for one in experiment.compared],
                "in the source": [one.paper for one in experiment.compared],
                "here": [one.here(results) if whole else "not yet" for one in experiment.compared],
            },
            hide_index=True,
            width="content",
        )
        st.caption("In brackets: the 95 % interval over seeds (Student's t, and Welch's where two are compared).")
    st.markdown(f"**What differs here.** {plain(experiment.differs)}")
