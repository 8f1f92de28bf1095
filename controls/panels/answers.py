"""What does the network answer for this picture?"""

from collections.abc import Sequence

import streamlit as st

from controls.panel import panel
from controls.services.forwards import Forward
from controls.text import plain
from explorer.analyses import activations
from explorer.analyses.activations import Answer
from explorer.families import Config
from explorer.running import weights
from explorer.running.weights import Weights


@panel
def answers(config: Config, used: Weights, device: str, found: Forward) -> None:
    """The most probable classes, with what weights, how fast, and whether they mean anything."""
    table(activations.answers(found.logits), weights.class_names(used, config.classes))
    st.caption(f"Weights: {plain(used.label)} · {found.seconds:.2f} s on {device}")
    if not used.trained:
        raw = config.norm == "batch" and not used.calibrated
        st.caption(
            ":material/casino: **Untrained:** the answers are chance; the maps show what the architecture does by "
            "itself." + (" Its norms have seen no data yet, so values grow with depth." if raw else "")
        )


def table(answers: Sequence[Answer], names: Sequence[str]) -> None:
    """Classes and their probabilities; `names` are of all classes."""
    st.dataframe(
        {
            "answer": [names[answer.number] for answer in answers],
            "probability": [answer.percent for answer in answers],
        },
        hide_index=True,
        column_config={
            "answer": "Its top answers",
            "probability": st.column_config.ProgressColumn("Probability", format="%.1f %%", max_value=100),
        },
    )
