"""What number would others give for this network?"""

import streamlit as st

from controls.panel import panel
from explorer.counting.conventions import conventions
from explorer.plan import Plan


@panel
def conventions_table(plan: Plan) -> None:
    """The network's count as each tool and paper would give it."""
    st.caption(
        "Here one MAC is one multiply and one add in a convolution or a linear layer, and FLOPs are twice the MACs. "
        "Others count otherwise, often under the same word; each row is checked against the tool's own output."
    )
    rows = conventions(plan)
    st.dataframe(
        {
            "by": [row.by for row in rows],
            "word": [row.word for row in rows],
            "number": [row.number for row in rows],
            "ratio": [row.per_mac(plan) for row in rows],
            "counts": [row.counts for row in rows],
            "leaves_out": [row.leaves_out for row in rows],
            "source": [row.source for row in rows],
        },
        hide_index=True,
        column_config={
            "by": st.column_config.TextColumn("Who says", width=150, pinned=True),
            "word": st.column_config.TextColumn("of its", width=80),
            "number": st.column_config.NumberColumn("Number", format="localized", width=120),
            "ratio": st.column_config.NumberColumn("/ MACs", format="%.3f", width=65),
            "counts": st.column_config.TextColumn("What it counts", width=330),
            "leaves_out": st.column_config.TextColumn("What it leaves out", width=260),
            "source": st.column_config.LinkColumn("Source", display_text="source", width=70),
        },
        key="conventions",
    )
