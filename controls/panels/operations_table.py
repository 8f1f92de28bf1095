"""Which operations does a network have, and what does each cost?"""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from controls import session
from controls.choices import OneOf, Text
from controls.panel import panel
from explorer.counting import costs
from explorer.counting.costs import Level
from explorer.families import Config, plan
from explorer.remembering import remembered
from explorer.wording import ending

MOST_HEIGHT = 560  # pixels
MOST_BYTES = 16_000_000  # of tables that are remembered; one has up to 1.6 MB
LONGEST = 26  # letters of a name, of which the column shows no more
LEVEL: OneOf[Level] = OneOf("level", "stage", ("stage", "block", "operation"))
FILTER = Text("filter")


@panel
def operations_table(config: Config) -> None:
    """Folded by stage or block, and filtered; a click on the row of an operation selects it."""
    left, right = st.columns([1, 2])
    level = LEVEL.segments(left, "One row for each")
    wanted = FILTER.field(right, "Filter", placeholder="a name, a kind, or a shape: conv1, concat, 56×56")
    names, table = _table(config, level, wanted)
    single = level == "operation"
    key = f"rows.{level}"

    def chosen() -> None:
        picked = session.clicked_row(key)
        if picked is None:
            picked = next(iter(session.ticked(key)), None)
        if picked is not None:
            session.select_operation(names[picked])
        else:
            session.unselect_operation()

    if single:
        session.tick(key, [i for i, name in enumerate(names) if name == session.operation()])
    picking: Any = chosen if single else "ignore"
    st.dataframe(
        table,
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + 35 * max(1, len(names))),
        column_config={
            "name": st.column_config.TextColumn("Name", width=185 if single else 105, pinned=True),
            "kind": st.column_config.TextColumn("Kind" if single else "Inside", width=72 if single else 130),
            "shape": st.column_config.TextColumn("In → out, C×H×W", width=150),
            "params": st.column_config.NumberColumn("Params", format="localized", width=88),
            "params_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=60),
            "macs": st.column_config.NumberColumn("MACs", format="localized", width=108),
            "macs_share": st.column_config.ProgressColumn("of all", format="%.1f %%", max_value=100, width=60),
            "receptive_field": st.column_config.NumberColumn(
                "Receptive field",
                format="localized",
                width=98,
                help="How many pixels of the input, along a side, a position of its output depends on, in theory; of "
                "a block or stage, the most.",
            ),
        },
        on_select=picking,
        selection_mode=["single-row", "single-cell"],
        placeholder="all",
        key=key,
    )


@remembered(MOST_BYTES)
def _table(config: Config, level: Level, wanted: str) -> tuple[tuple[str, ...], pa.Table]:
    """The names, in full, and the table as it is sent, which is put together once, whoever looks at the network."""
    rows = costs.containing(costs.table(plan(config), level), wanted)
    columns = {
        "name": [ending(row.name, LONGEST) for row in rows],
        "kind": [row.kind for row in rows],
        "shape": [f"{row.input} → {row.output}" for row in rows],
        "params": [row.params for row in rows],
        "params_share": [row.params_percent for row in rows],
        "macs": [row.macs for row in rows],
        "macs_share": [row.macs_percent for row in rows],
        "receptive_field": [row.receptive_field for row in rows],
    }
    return tuple(row.name for row in rows), pa.table(columns)
