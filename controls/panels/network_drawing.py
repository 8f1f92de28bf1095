"""What does a network look like: what is open in it, what its colours mean, and what a click does."""

from typing import Literal, get_args

import streamlit as st

from controls import session
from controls.choices import OneOf, Place, Switch
from controls.clicks import clickable
from controls.panel import panel
from explorer import drawing
from explorer.drawing import Level
from explorer.families import PRESETS, TITLES, Config, plan
from explorer.plots import network
from explorer.plots.network import Colouring

Opening = Level | Literal["clicked"]
OPENINGS: dict[Opening, str] = {
    "stage": "Stages",
    "block": "Blocks",
    "operation": "Operations",
    "clicked": "As clicked",  # once there was a click
}
OPEN: OneOf[Opening] = OneOf("open", "block")
COLOUR: OneOf[Colouring] = OneOf("colour", "kind", get_args(Colouring))
COMPARE = Switch("compare")


@panel
def network_drawing(config: Config, origin: str, selected: str | None) -> None:
    """The whole network as one figure, and beside it the preset that it started from, if that is another."""
    box = st.columns([5, 3, 2, 2])
    opened = _choose_opened(box[0], config)
    colouring = COLOUR.select(box[1], "Colour", help="What a node's colour says.")
    form = box[2].segmented_control(
        "Camera saves",
        ["SVG", "PNG"],
        default="SVG",
        required=True,
        key="image.format",
        help="What the camera button at the figure's upper right saves.",
    )
    preset = PRESETS[origin]
    compared = config != preset and COMPARE.toggle(
        box[3], "Compare", help=f"Draws {TITLES[origin]} below, and marks what differs."
    )
    _draw(config, preset if compared else None, opened, colouring, selected, form, "drawing.own")
    if compared:
        st.caption(f"Below: **{TITLES[origin]}**.")
        _draw(preset, config, opened, colouring, None, form, "drawing.origin")


def _choose_opened(at: Place, config: Config) -> frozenset[str]:
    """What the level opens, or what clicks have opened."""
    clicked = session.visitor().opened
    opening = OPEN.segments(
        at,
        "Open to",
        [one for one in OPENINGS if one != "clicked" or clicked is not None],
        title=OPENINGS.__getitem__,
        help="A click on a stage or a block opens it; a click on its title ▾ closes it again.",
        width="stretch",
    )
    if opening == "clicked":
        return clicked or frozenset()
    return drawing.opened_to(plan(config), opening)


def _draw(
    config: Config,
    other: Config | None,
    opened: frozenset[str],
    colouring: Colouring,
    selected: str | None,
    form: str,
    name: str,
) -> None:
    """One network, with what differs from the other marked. A click opens what is closed, closes what is open, and
    selects an operation of the visitor's network."""
    drawn = plan(config)
    different = drawing.differences(drawn, plan(other)) if other else ()

    def clicked(identity: str) -> None:
        if identity in session.current_plan():
            session.select_operation(identity)
        else:
            session.visitor().opened = opened ^ {identity}
            OPEN.set("clicked")

    clickable(
        network.figure(drawing.draw(drawn, opened), drawn, colouring, selected, different),
        name,
        clicked,
        {
            "displaylogo": False,
            "scrollZoom": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
            "toImageButtonOptions": {"format": form.lower(), "filename": "network"},
        },
    )
