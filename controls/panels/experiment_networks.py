"""Which networks did an experiment train, and where are they to be looked into?"""

from collections.abc import Sequence

import streamlit as st

from controls import session
from controls.panel import panel
from controls.panels.opens_on import opens_on
from controls.panels.training_live import WORDS
from controls.services import experiments
from controls.services.experiments import Shown, Trained
from controls.text import plain

TABLE = "experiment.networks"
EVERY = 2.0  # seconds
ROW, MOST_HEIGHT = 35, 320  # pixels


@panel
def trained_networks(found: Shown) -> None:
    """Of one that was carried out here; else how the project has made its own."""
    results = found.results
    if found.record is None:
        if results.runs:
            versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
            st.caption(
                f"The project has made these results on {results.date} by `{results.command}`, on {results.cores} "
                f"cores in {results.seconds:.0f} s ({plain(versions)}). Its networks do not come along: run it here "
                "to have them."
            )
        return
    record = found.record
    active = experiments.status(record).active

    @st.fragment(run_every=EVERY if active else None)
    def shown() -> None:
        _table(experiments.trials(record))

    st.subheader("Its networks")
    shown()


def _table(every: Sequence[Trained]) -> None:
    """A row a network; one that is clicked opens on the other pages."""
    st.dataframe(
        {
            "network": [one.title for one in every],
            "seed": [one.seed for one in every],
            "state": [WORDS[one.state][0] for one in every],
        },
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + ROW * len(every)),
        column_config={
            "network": st.column_config.TextColumn("Network"),
            "seed": st.column_config.NumberColumn("Seed", width="small"),
            "state": st.column_config.TextColumn("State", width="small"),
        },
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key=TABLE,
    )
    clicked = session.clicked_row(TABLE)
    row = clicked if clicked is not None else next(iter(session.ticked(TABLE)), 0)
    run = every[min(row, len(every) - 1)].run
    if run is None:
        return
    opens_on(run, run.title)
