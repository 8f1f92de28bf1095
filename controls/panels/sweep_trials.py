"""All trials of a sweep that have ended: which failed and why, a table in which a click opens one, and files of it."""

import io
import math
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd
import streamlit as st

from controls import session
from controls.panel import panel
from controls.panels.sweep_choice import open_trial, opened_trial
from controls.services import sweep_files
from controls.services.sweep_files import State
from controls.text import plain
from explorer.learning.sweeps.directory import FAILED, Directory
from explorer.learning.sweeps.reading import NETWORK, Findings

TABLE = "sweep.trials"
ROW, MOST_HEIGHT = 35, 390  # pixels
MOST_ROWS = 2000  # of the table on the page; files have all
MOST_REASONS, MOST_NAMED = 8, 3


@panel
def failed(found: Findings) -> None:
    """Each reason once, with the first of its trials."""
    table = found.trials[found.trials["state"].isin(FAILED)]
    if not len(table):
        return
    reasons = table.groupby("message", sort=False)
    lines = []
    for reason, rows in list(reasons)[:MOST_REASONS]:
        titles = [f"trial {trial} ({found.labels[trial]})" for trial in rows.index[:MOST_NAMED]]
        more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
        lines.append(f"- {plain(str(reason) or 'No reason is known.')} {plain('; '.join(titles))}{more}")
    if len(reasons) > MOST_REASONS:
        lines.append(f"- {len(reasons) - MOST_REASONS:,} other reasons, in the table")
    count = f"{len(table):,} trial{'s' * (len(table) > 1)} failed"
    st.error("\n".join([f"**{count}**", "", *lines]), icon=":material/error:")


@panel
def trials(one: Directory, now: State, found: Findings) -> None:
    if not len(found.trials):
        return
    box = st.container(horizontal=True, vertical_alignment="center")
    box.subheader("Its trials", width="stretch")
    name = one.title.replace("/", "-")
    for label, ending, kind, make in (("CSV", "csv", "text/csv", as_csv), ("Parquet", "parquet", None, as_parquet)):
        data, icon = partial(make, one), ":material/table:"
        key = f"sweep.as.{ending}"
        box.download_button(label, data, f"{name}.{ending}", kind, icon=icon, on_click="ignore", key=key)
    table = _shown(one.path, now)
    numbers = table.index.tolist()

    def chosen() -> None:
        clicked = session.clicked_row(TABLE)
        rows = [clicked] if clicked is not None else session.ticked(TABLE)
        # none is ticked any more where new rows have come in, too: that closes nothing
        if rows and rows[0] < len(numbers):
            open_trial(one, numbers[rows[0]])

    opened = opened_trial(one)
    session.tick(TABLE, [numbers.index(opened)] if opened in numbers else [])
    st.dataframe(
        table,
        height=min(MOST_HEIGHT, 38 + ROW * len(table)),
        column_config={
            "_index": st.column_config.NumberColumn("Trial", width=60),
            "accuracy": st.column_config.NumberColumn("Test", format="%.2f %%", width=75, help="The last accuracy."),
            "params": st.column_config.NumberColumn("Params", format="localized", width=90),
            "macs": st.column_config.NumberColumn("MACs", format="compact", width=75),
            "seed": st.column_config.NumberColumn("Seed", width=55),
            "epochs": st.column_config.NumberColumn("Epochs", width=65),
            "seconds": st.column_config.NumberColumn("Seconds", format="%.0f", width=75, help="Of training."),
            "state": st.column_config.TextColumn("State", width=80),
            "message": st.column_config.TextColumn("What it said", width=240),
            NETWORK: st.column_config.TextColumn("Network", width=130),
            **{knob: st.column_config.Column(title, width=100) for knob, title in found.titles.items()},
        },
        on_select=chosen,
        selection_mode=["single-row", "single-cell"],
        key=TABLE,
    )
    if len(found.trials) > len(table):
        st.caption(f"The best {len(table):,} of {len(found.trials):,}; the files have all.")


@lru_cache(maxsize=16)
def _shown(path: Path, now: State) -> pd.DataFrame:
    """The best first."""
    found = sweep_files.findings(path, now)
    table = found.trials.sort_values("accuracy", ascending=False, kind="stable").head(MOST_ROWS)
    numbers = {name: _as_numbers(table[name]) for name in found.turned}
    several = {NETWORK: [found.networks[i].title for i in table[NETWORK]]} if len(found.networks) > 1 else {}
    plain = ["seed", "params", "macs", "epochs", "seconds", "state"]
    plain += [] if (table["state"] == "finished").all() else ["message"]
    columns = {"accuracy": 100 * table["accuracy"], **several, **numbers, **{name: table[name] for name in plain}}
    return pd.DataFrame(columns, index=table.index)


def _as_numbers(values: pd.Series) -> Sequence[float | str]:
    """So that a click on the column's head orders 4, 8, 12; text where any is none."""
    texts = values.tolist()
    try:
        return [float(text) if text else math.nan for text in texts]
    except ValueError:
        return texts


def as_csv(one: Directory) -> bytes:
    return one.results().to_csv(index=False).encode()


def as_parquet(one: Directory) -> bytes:
    file = io.BytesIO()
    one.results().to_parquet(file, index=False)
    return file.getvalue()
