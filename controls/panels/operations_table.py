"""The table of a network's operations: folded by stage or block, filtered, selected from, taken along."""

import pandas as pd
import streamlit as st

from controls import session
from explorer.counting import costs
from explorer.plan import Plan

MOST_HEIGHT = 560  # pixels


def operations_table(plan: Plan) -> None:
    left, right = st.columns([1, 2])
    level = left.segmented_control(
        "One row for each",
        ["stage", "block", "operation"],
        default="stage",
        required=True,
        key="level",
        persist_state="session",
    )
    wanted = right.text_input("Filter", placeholder="a name, a kind, or a shape: conv1, concat, 56×56", key="filter")
    rows = pd.DataFrame(costs.table(plan, level))
    if wanted:
        texts = rows[["name", "kind", "input", "output"]]
        rows = rows[texts.apply(lambda column: column.str.contains(wanted, case=False, regex=False)).any(axis=1)]
    single = level == "operation"
    event = st.dataframe(
        rows.assign(
            shape=rows.input + " → " + rows.output,
            params_share=100 * rows.params_share,
            macs_share=100 * rows.macs_share,
        ),
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + 35 * max(1, len(rows))),
        column_order=["name", "kind", "shape", "params", "params_share", "macs", "macs_share", "receptive_field"],
        column_config={
            "name": st.column_config.TextColumn("Name", width=190 if single else 105, pinned=True),
            "kind": st.column_config.TextColumn("Kind" if single else "Inside", width=75 if single else 130),
            "shape": st.column_config.TextColumn("In → out, C×H×W", width=175),
            "params": st.column_config.NumberColumn("Params", format="localized", width=88),
            "params_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=85),
            "macs": st.column_config.NumberColumn("MACs", format="localized", width=110),
            "macs_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=85),
            "receptive_field": st.column_config.NumberColumn(
                "Sees", format="localized", width=68, help="Receptive field in pixels."
            ),
        },
        on_select="rerun" if single else "ignore",
        selection_mode="single-row",
        key=f"rows.{level}",
    )
    if single and (picked := event.selection.rows) and picked[0] < len(rows):
        session.select_operation(rows.iloc[picked[0]]["name"])
        session.write_link()
