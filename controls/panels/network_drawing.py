"""The drawing of the network: what is open in it, what its colours mean, and what a click does."""

from typing import get_args

import streamlit as st

from controls import session
from explorer import drawing
from explorer.families import PRESETS, TITLES, Config, plan
from explorer.plots import network
from explorer.plots.network import Colouring

LEVELS = {"Stages": "stage", "Blocks": "block", "Operations": "operation"}


def network_drawing() -> None:
    """The whole network as one figure; a click opens, closes, or selects an operation."""
    origin, config = session.choice()
    session.begin("level.drawn", "Blocks")
    box = st.columns([5, 3, 2, 2])
    box[0].segmented_control(
        "Open to",
        list(LEVELS),
        key="level.drawn",
        persist_state="session",
        help="A click on a stage or a block opens it; a click on its title ▾ closes it again.",
        width="stretch",
    )
    opened = _opened()
    colouring: Colouring = box[1].selectbox(
        "Colour", get_args(Colouring), key="colouring", persist_state="session", help="What a node's colour says."
    )
    form = box[2].segmented_control(
        "Camera saves", ["SVG", "PNG"], default="SVG", required=True, key="image.format",
        help="What the camera button at the figure's upper right saves.",
    )  # fmt: skip
    beside = config != PRESETS[origin] and box[3].toggle(
        "Compare", key="compare", help=f"Draws {TITLES[origin]} below, and marks what differs."
    )
    _draw(config, opened, colouring, form, "here", PRESETS[origin] if beside else None)
    if beside:
        st.caption(f"Below: **{TITLES[origin]}**.")
        _draw(PRESETS[origin], opened, colouring, form, "origin", config)


def _draw(
    config: Config, opened: frozenset[str], colouring: Colouring, form: str, which: str, other: Config | None
) -> None:
    here = plan(config)
    figure = network.figure(
        drawing.draw(here, opened),
        here,
        colouring,
        session.operation() if which == "here" else None,
        drawing.differences(here, plan(other)) if other else (),
    )
    # a new key after each click: the selection belongs to the figure that was clicked
    key = f"drawing.{which}.{session.visitor().clicks}"
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: _clicked(key),
        selection_mode="points",
        config={
            "displaylogo": False,
            "scrollZoom": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
            "toImageButtonOptions": {"format": form.lower(), "filename": "network"},
        },
    )


def _opened() -> frozenset[str]:
    """What the level opens; with no level chosen, what clicks have opened."""
    level = session.entered("level.drawn")
    if level:
        session.visitor().opened = drawing.opened_to(session.current_plan(), LEVELS[level])
    return session.visitor().opened


def _clicked(key: str) -> None:
    """Open what is closed, close what is open, select an operation."""
    points = session.entered(key)["selection"]["points"]
    if not points or "customdata" not in points[0]:
        return
    session.visitor().clicks += 1
    identity: str = points[0]["customdata"]
    here = session.current_plan()
    if identity in here:
        session.select_operation(identity)
        return
    session.visitor().opened ^= {identity}
    session.show("level.drawn", None)
