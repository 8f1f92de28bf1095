"""A chart that answers clicks: the one way in which pages learn which point was clicked."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from controls import session


def clickable(
    figure: Any, name: str, alt: str, clicked: Callable[[Any], None], config: Mapping[str, Any] | None = None
) -> None:
    """A Plotly figure; `clicked` gets the `customdata` of the point that the visitor clicks, before the page is drawn
    anew.

    `name` is unique on the page; `alt` says what the figure shows to who cannot see it. The chart's selection is gone
    afterwards, so that the same point can be clicked again.
    """
    # a new key after each click: the selection belongs to the figure that was clicked
    key = f"{name}.{session.visitor().clicks}"

    def selected() -> None:
        points = session.entered(key)["selection"]["points"]
        if points and "customdata" in points[0]:
            session.visitor().clicks += 1
            clicked(points[0]["customdata"])

    st.plotly_chart(figure, key=key, alt=alt, on_select=selected, selection_mode="points", config=dict(config or {}))
