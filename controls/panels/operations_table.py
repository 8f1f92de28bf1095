"""Which operations does a network have, and what does each cost?"""

import streamlit as st

from controls import session
from controls.choices import OneOf, Text
from controls.panel import panel
from explorer.counting import costs
from explorer.counting.costs import Level
from explorer.plan import Plan

MOST_HEIGHT = 560  # pixels
LEVEL: OneOf[Level] = OneOf("level", "stage", ("stage", "block", "operation"))
FILTER = Text("filter")


@panel
def operations_table(plan: Plan) -> None:
    """Folded by stage or block, and filtered; a click on the row of an operation selects it."""
    left, right = st.columns([1, 2])
    level = LEVEL.segments(left, "One row for each")
    wanted = FILTER.field(right, "Filter", placeholder="a name, a kind, or a shape: conv1, concat, 56×56")
    rows = costs.containing(costs.table(plan, level), wanted)
    single = level == "operation"
    key = f"rows.{level}"

    def chosen() -> None:
        if picked := session.ticked(key):
            session.select_operation(rows[picked[0]].name)
        else:
            session.unselect_operation()

    if single:
        session.tick(key, [i for i, row in enumerate(rows) if row.name == session.operation()])
    st.dataframe(
        {
            "name": [row.name for row in rows],
            "kind": [row.kind for row in rows],
            "shape": [f"{row.input} → {row.output}" for row in rows],
            "params": [row.params for row in rows],
            "params_share": [row.params_percent for row in rows],
            "macs": [row.macs for row in rows],
            "macs_share": [row.macs_percent for row in rows],
            "receptive_field": [row.receptive_field for row in rows],
        },
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + 35 * max(1, len(rows))),
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
        on_select=chosen if single else "ignore",
        selection_mode="single-row",
        key=key,
    )
