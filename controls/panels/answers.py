"""What does the network answer for this picture?"""

import streamlit as st

from controls.panel import panel
from controls.services.forwards import Forward
from explorer.analyses import activations
from explorer.families import Config
from explorer.running import weights
from explorer.running.weights import Weights


@panel
def answers(config: Config, used: Weights, device: str, found: Forward) -> None:
    """The most probable classes, with what weights, how fast, and whether they mean anything."""
    names = weights.class_names(used, config.classes)
    top = activations.answers(found.logits)
    st.dataframe(
        {
            "answer": [names[answer.number] for answer in top],
            "probability": [answer.percent for answer in top],
        },
        hide_index=True,
        column_config={
            "answer": "Its top answers",
            "probability": st.column_config.ProgressColumn("Probability", format="%.1f %%", max_value=100),
        },
    )
    st.caption(f"Weights: {used.label} · {found.seconds:.2f} s on {device}")
    if not used.trained:
        st.caption(
            ":material/casino: **Untrained:** the answers are chance; the maps show what the architecture does by "
            "itself."
            + (" Its norms have seen no data yet, so values grow with depth." if config.norm == "batch" else "")
        )
