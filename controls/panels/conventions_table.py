"""What number would others give for this network?"""

import pandas as pd
import streamlit as st

from explorer.counting.conventions import conventions
from explorer.plan import Plan


def conventions_table(plan: Plan) -> None:
    """The network's count as each tool and paper would give it."""
    rows = pd.DataFrame(conventions(plan))
    st.dataframe(
        rows.assign(ratio=rows.number / plan.macs),
        hide_index=True,
        column_order=["by", "word", "number", "ratio", "counts", "leaves_out", "source"],
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
