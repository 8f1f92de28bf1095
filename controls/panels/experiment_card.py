"""Which claims are put to the test, and what came of each: a card a claim, of which one is opened."""

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from controls.choices import OneOf
from controls.panel import panel
from controls.services import experiments
from controls.services.experiments import Shown
from controls.text import plain
from explorer.experiments import EXPERIMENTS, Experiment
from explorer.experiments.experiment import Figure
from explorer.experiments.verdict import FAILS, HOLDS, OPEN, Answer, Verdict
from explorer.plots.plain import PlainFigure

EXPERIMENT = OneOf[str | None]("claim", None, (None, *EXPERIMENTS))
IN_A_ROW = 2
HEIGHT = 240  # pixels of a card's picture
STILL = {"staticPlot": True}


class Sign(NamedTuple):
    icon: str
    colour: str


# told apart by words and icon, too
SIGNS: Mapping[Answer, Sign] = {
    HOLDS: Sign(":material/check_circle:", "blue"),
    FAILS: Sign(":material/cancel:", "orange"),
    OPEN: Sign(":material/help:", "gray"),
}


def choose_experiment() -> Experiment | None:
    """The one that is opened; None where there are only the cards, which are drawn then."""
    name = EXPERIMENT.value()
    if name is not None:
        st.button("All experiments", icon=":material/arrow_back:", on_click=EXPERIMENT.set, args=(None,))
        return EXPERIMENTS[name]
    st.caption(
        "Do the literature's claims hold here? Each is put to the test on this machine, in minutes: small networks, "
        "small pictures, several seeds, and a verdict by a rule that was fixed before. Open one to see how, and to "
        "run it yourself."
    )
    every = tuple(EXPERIMENTS.values())
    for row in (every[i : i + IN_A_ROW] for i in range(0, len(every), IN_A_ROW)):
        for box, experiment in zip(st.columns(IN_A_ROW), row, strict=False):
            with box.container(border=True, height="stretch"):
                _card(experiment)
    return None


@panel
def _card(experiment: Experiment) -> None:
    found = experiments.shown(experiment)
    st.markdown(f"#### {plain(experiment.question)}")
    for title, verdict in experiment.verdicts(found.results).items():
        st.markdown(f"{badge(verdict)} {plain(title)}")
    picture = experiment.pictures[0]
    figure = sized(picture.draw(found.results), HEIGHT)
    st.plotly_chart(PlainFigure(figure), key=f"experiment.card.{experiment.name}", alt=picture.alt, config=STILL)
    st.caption(f"{plain(experiment.source)}. {origin(found)}")
    st.button(
        "Open",
        icon=":material/science:",
        key=f"experiment.open.{experiment.name}",
        on_click=EXPERIMENT.set,
        args=(experiment.name,),
    )


def badge(verdict: Verdict) -> str:
    sign = SIGNS[verdict.answer]
    return f":{sign.colour}-badge[{sign.icon} {verdict.answer}]"


def sized(figure: Figure, height: int) -> Figure:
    return {**figure, "layout": {**figure["layout"], "height": height}}


def origin(found: Shown) -> str:
    """Whose results are shown, which is always said."""
    results = found.results
    networks = f"{counted(results.runs, 'network')}, {counted(len(results.seeds), 'seed')}"
    if found.record:
        begun = experiments.begun(found.record)
        return f"**Measured here**, begun {begun}: {networks if results.runs else 'nothing yet'}."
    return f"**The project's own run** of {results.date}: {networks}." if results.runs else "Nothing is measured yet."


def counted(number: int, what: str) -> str:
    """1 seed, 3 seeds."""
    return f"{number} {what}{'' if number == 1 else 's'}"
