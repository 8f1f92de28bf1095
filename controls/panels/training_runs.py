"""Which runs there are: one to open, others to draw beside it, and what can be done with them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from controls import session
from controls.choices import SeveralOf, choose_newest
from controls.panels.training_choices import RUN
from controls.services import training
from controls.services.training import Summary
from controls.text import plain
from explorer.learning.runs import Run

MOST_BESIDE = 6  # runs in one chart beside the open one
TICKED = SeveralOf[str]("ticked", (), most=MOST_BESIDE + 1)
TABLE, RENAME = "training.table", "training.rename"
ROW, MOST_HEIGHT = 35, 320  # pixels
EVERY = 3.0  # seconds


def choose_run(known: Mapping[str, Run]) -> Run | None:
    """The run that is open: the link's, else the newest; None where there is none."""
    if not known:
        return None
    return known[choose_newest(RUN, st, "Run", known)]


def runs_table(known: Mapping[str, Run], opened: Run) -> list[Run]:
    """All runs with what became of them, drawn anew while one is trained; those that are ticked, to be drawn beside
    the open one.
    """
    going_on = any(training.status(run).active for run in known.values())

    ticked = TICKED.value(tuple(known))

    @st.fragment(run_every=EVERY if going_on else None)
    def shown() -> None:
        _table(training.summaries(list(known.values())))
        if TICKED.value(tuple(known)) != ticked:
            st.rerun()  # the chart is outside of this fragment

    shown()
    return [known[name] for name in ticked if name != opened.name][:MOST_BESIDE]


def _table(found: Sequence[Summary]) -> None:
    names = [one.run.name for one in found]

    def chosen() -> None:
        ticked = {names[i] for i in session.ticked(TABLE) if i < len(names)}
        clicked = session.clicked_row(TABLE)
        if clicked is not None and clicked < len(names):  # on whatever cell, as on its box
            ticked ^= {names[clicked]}
        TICKED.set([name for name in names if name in ticked])

    wanted = TICKED.value(names)
    session.tick(TABLE, [i for i, name in enumerate(names) if name in wanted])
    st.dataframe(
        {
            "run": [one.run.title for one in found],
            "state": [one.state for one in found],
            "accuracy": [one.accuracy for one in found],
            "network": [one.network for one in found],
            "data": [one.data for one in found],
            "params": [one.params for one in found],
            "epochs": [one.run.job.recipe.epochs for one in found],
            "rate": [one.run.job.recipe.learning_rate for one in found],
            "seed": [one.run.job.recipe.seed for one in found],
            "minutes": [one.minutes for one in found],
        },
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + ROW * max(1, len(found))),
        column_config={
            "run": st.column_config.TextColumn("Run", width=185, pinned=True),
            "state": st.column_config.TextColumn("State", width=75),
            "accuracy": st.column_config.NumberColumn("Test", format="%.1f %%", width=62, help="The last accuracy."),
            "network": st.column_config.TextColumn("Network", width=135),
            "data": st.column_config.TextColumn("Data", width=68),
            "params": st.column_config.NumberColumn("Params", format="localized", width=75),
            "epochs": st.column_config.NumberColumn("Epochs", width=60),
            "rate": st.column_config.NumberColumn("Rate", format="%g", width=50, help="Learning rate at its highest."),
            "seed": st.column_config.NumberColumn("Seed", width=46),
            "minutes": st.column_config.NumberColumn("Min.", format="%.1f", width=50, help="Minutes of training."),
        },
        on_select=chosen,
        selection_mode=["multi-row", "single-cell"],
        key=TABLE,
    )


def manage(run: Run) -> None:
    """A name of one's own, its network, and putting it away."""
    box = st.container(horizontal=True, vertical_alignment="bottom")
    box.button(
        "Use its network and weights",
        icon=":material/input:",
        on_click=training.use,
        args=(run,),
        disabled=not training.has_weights(run),
        help="In the sidebar, and so on every page.",
    )
    if training.may_change(run):
        with box.popover("Rename", icon=":material/edit:", key=RENAME, on_change="rerun"):
            st.text_input(
                "Name", run.job.title, max_chars=80, key=f"training.{run.name}.title", on_change=_rename, args=(run,)
            )
        active = training.status(run).active
        about = "Stop it first." if active else "It can be brought back."
        about = "It is part of a sweep." if run.is_trial else about
        box.button(
            "Delete",
            icon=":material/delete:",
            on_click=session.attempt,
            args=(training.delete, run),
            disabled=active or run.is_trial,
            help=about,
        )


def offer_undo() -> None:
    name, title = session.visitor().deleted
    if name:
        box = st.container(horizontal=True, vertical_alignment="center")
        box.markdown(f"{plain(title)} is deleted.", width="content")
        box.button("Undo", icon=":material/undo:", on_click=training.undo_delete)


def _rename(run: Run) -> None:
    session.show(RENAME, False)  # its box closes
    session.attempt(training.rename, run, session.entered(f"training.{run.name}.title", ""))
