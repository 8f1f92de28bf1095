"""What does a sweep do now, how far is it, and what can be done with it?"""

from collections import Counter
from functools import partial

import streamlit as st

from controls import session
from controls.panels.sweep_choice import NONE, open_trial, opened_trial
from controls.panels.training_live import WORDS, in_line
from controls.services import sweeps
from controls.text import plain
from explorer.learning.runs import Status
from explorer.learning.sweeps.directory import FAILED, Directory
from explorer.learning.sweeps.engines import RAY
from explorer.learning.sweeps.reading import Findings, in_sentence
from explorer.learning.sweeps.sweep import Range
from explorer.wording import duration

MOST_NAMED = 6  # networks, or values of a knob, in a line
MOST_SHOWN = 4  # trials that are trained now
COLOURS = {"finished": "blue", "early": "gray", "stopped": "gray"}
WORD = {"early": "stopped early"}
LONGEST = 10**7  # minutes
AGAIN = ("stopped", *FAILED)


def swept(one: Directory, found: Findings) -> str:
    """DenseNet-BC on Digits: growth rate k 4, 8, 12; learning rate 0.05, 0.1; 2 seeds."""
    sweep = one.sweep
    of = _first(tuple(dict.fromkeys(network.title for network in found.networks)))
    knobs = [f"{in_sentence(title)} {_values(one, found, name)}" for name, title in found.titles.items()]
    sample = [f"{sweep.sample:,} drawn at random"] if sweep.sample else []
    seeds = f"{len(sweep.seeds)} seed{'s' * (len(sweep.seeds) > 1)}"
    early = ["stopped early by ASHA"] if sweep.early else []
    on = ["trained on Ray"] if one.where.on == RAY else []
    about = "; ".join([*knobs, *sample, seeds, *early, *on])
    return f"{of} on {sweeps.data_title(one)}: {about}. Begun {sweeps.begun(one)}."


def _values(one: Directory, found: Findings, name: str) -> str:
    """Of a turned knob, whichever of the networks turns it."""
    every = dict.fromkeys(part.turned[name] for part in one.sweep.parts if name in part.turned)
    ranges = [f"{a:g} to {b:g}{', log' * log}" for a, b, log in (each for each in every if isinstance(each, Range))]
    return " and ".join([*ranges, *([_first(found.order(name, ()))] if found.listed[name] else [])])


def _first(words: tuple[str, ...]) -> str:
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(words[:MOST_NAMED]) + more


def head(one: Directory, found: Findings, now: Status) -> None:
    """Its state in one line with the buttons that fit; how many trials have come to which end; those trained now."""
    word, icon = WORDS[now.state]
    word = "Being carried out" if now.state == "training" else word
    st.caption(plain(swept(one, found)))
    box = st.container(horizontal=True, vertical_alignment="center")
    box.markdown(f"{icon} **{word}**  {plain(_said(one, now))}", width="stretch")
    counts = Counter(found.trials["state"].tolist())
    if sweeps.may_change(one):
        with box:
            _buttons(one, now, int(sum(counts[state] for state in AGAIN)), len(found.trials))
    if now.active and now.steps:
        st.progress(min(1.0, now.step / now.steps))
    badges = [
        f":{COLOURS.get(state, 'orange')}-badge[{count:,} {plain(WORD.get(state, state))}]"
        for state, count in counts.most_common()
    ]
    if badges:
        st.markdown(" ".join(badges))
    if now.state == "training":
        _trained_now(one, found)


def _said(one: Directory, now: Status) -> str:
    if now.state == "waiting":
        return in_line(now)
    if now.state == "training" and now.steps:
        left = f" · {duration(now.seconds_left)} left" if now.seconds_left else ""
        left = " · it stops as soon as its trials have" if sweeps.is_asked_to_stop(one) else left
        return f"{now.step:,} of {now.steps:,} trials have ended{left} · {now.seconds:,.0f} s of training{_of(one)}"
    return "" if now.state == "finished" else now.message  # which says how many have


def _of(one: Directory) -> str:
    return f" of {one.sweep.budget:,.0f} s" if one.sweep.budget else ""


def _buttons(one: Directory, now: Status, failed: int, ended: int) -> None:
    key = f"sweep.{one.name}"
    if now.active:
        asked = sweeps.is_asked_to_stop(one)
        st.button("Stop", icon=":material/stop:", key=f"{key}.stop", on_click=sweeps.stop, args=(one,), disabled=asked)
        return
    seconds = _budget(one, now, key) if one.sweep.budget else None
    if ended < len(one.trials):
        go = partial(session.attempt, sweeps.go_on, one, seconds)
        st.button("Resume", icon=":material/play_arrow:", key=f"{key}.go", on_click=go)
    if failed:
        again = partial(session.attempt, sweeps.go_on, one, seconds, True)
        st.button(
            f"Run the failed again ({failed:,})",
            icon=":material/replay:",
            key=f"{key}.again",
            on_click=again,
            help="And those that were stopped each by itself, from their last checkpoints.",
        )
    away = partial(session.attempt, sweeps.delete, one)
    about = "With its trials. It can be brought back."
    st.button("Delete", icon=":material/delete:", key=f"{key}.delete", on_click=away, help=about)


def _budget(one: Directory, now: Status, key: str) -> float:
    """Seconds; twice as many are offered where they are used up."""
    budget = one.sweep.budget
    wanted = budget if now.seconds < budget else 2 * budget
    usual = round(sweeps.budget(wanted) / 60, 2)
    about = f"Of training, of all trials together; {now.seconds / 60:,.1f} min are used. 0: no limit."
    minutes = st.number_input(
        "Budget, min", 0.0, float(LONGEST), usual, key=f"{key}.budget", format="%g", width=140, help=about
    )
    return budget if minutes == round(budget / 60, 2) else 60 * float(minutes)


def _trained_now(one: Directory, found: Findings) -> None:
    """Each opens its curves."""
    every = sweeps.trained_now(one, found, MOST_SHOWN)
    if not every:
        return
    opened = opened_trial(one)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Learning now:", width="content")
        for trial, said in every:
            share = f" · {said.step / said.steps:.0%}" if said.steps else ""
            st.button(
                plain(f"{found.name(trial)}{share}"),
                key=f"sweep.now.{trial.number}",
                type="tertiary",
                icon=":material/radio_button_checked:" if trial.number == opened else ":material/show_chart:",
                on_click=open_trial,
                args=(one, NONE if trial.number == opened else trial.number),
            )
