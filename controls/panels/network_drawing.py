"""What does a network look like: what is open in it, what its colours mean, and what a click does."""

import json
from typing import Literal, get_args

import streamlit as st

from controls import components, session
from controls.choices import Names, OneOf, Place, Switch
from controls.panel import panel
from explorer import drawing
from explorer.drawing import Level
from explorer.families import PRESETS, TITLES, Config, plan
from explorer.plots import network
from explorer.plots.network import Colouring
from explorer.remembering import remembered

Opening = Level | Literal["clicked"]
OPENINGS: dict[Opening, str] = {
    "stage": "Stages",
    "block": "Blocks",
    "operation": "Operations",
    "clicked": "As clicked",  # once there was a click
}
OPEN: OneOf[Opening] = OneOf("open", "block")
COLOUR: OneOf[Colouring] = OneOf("colour", "kind", get_args(Colouring))
MOST_BYTES = 32_000_000  # of drawings that are remembered; one has up to 3 MB
OPENED = Names("opened")  # stages and blocks, by clicks
COMPARE = Switch("compare")


@panel
def network_drawing(config: Config, origin: str, selected: str | None) -> None:
    """The whole network as one picture, and beside it the preset that it started from, if that is another."""
    preset = PRESETS[origin]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        opened = _choose_opened(st, config)
        colouring = COLOUR.select(st, "Colour", help="What a node's colour says.", width=160)
        compared = config != preset and COMPARE.toggle(
            st, "Compare", help=f"Draws {TITLES[origin]} below, and marks what differs."
        )
    _draw(config, preset, preset if compared else None, opened, colouring, selected, "drawing.own")
    if compared:
        st.caption(f"Below: **{TITLES[origin]}**.")
        _draw(preset, preset, config, opened, colouring, None, "drawing.origin")


def _choose_opened(at: Place, config: Config) -> frozenset[str]:
    """What the level opens, or what clicks have opened."""
    clicked = OPENED.value(drawing.opened_to(plan(config), "operation"))
    opening = OPEN.segments(
        at,
        "Open to",
        [one for one in OPENINGS if one != "clicked" or clicked is not None],
        title=OPENINGS.__getitem__,
        help="A click on a stage or a block opens it; a click on its title ▾ closes it again.",
    )
    if opening == "clicked":
        return clicked or frozenset()
    return drawing.opened_to(plan(config), opening)


def _draw(
    config: Config,
    origin: Config,
    other: Config | None,
    opened: frozenset[str],
    colouring: Colouring,
    selected: str | None,
    key: str,
) -> None:
    """One network, as high as `origin` sets the scale, with what differs from the other marked. A click opens what is
    closed, closes what is open, and selects an operation of the visitor's network, or lets go of it.
    """
    drawn = plan(config)
    different = drawing.differences(drawn, plan(other)) if other else frozenset()

    def clicked() -> None:
        identity = session.entered(key, {}).get("clicked")
        if not isinstance(identity, str):
            return
        if identity == session.operation():
            session.unselect_operation()
        elif identity in session.current_plan():
            session.select_operation(identity)
        else:
            OPENED.set(opened ^ {identity}, drawing.opened_to(drawn, "operation"))
            OPEN.set("clicked")

    components.mount("network")(
        key=key,
        data={
            "scene": _scene(config, opened, network.widest(plan(origin)), colouring, different),
            "selected": selected,
            "network": config.model_dump_json(),
            "title": f"Drawing of the network, {len(drawn.ops) - 1} operations. "
            "Arrow keys go from node to node, Enter opens one.",
            "name": "network",
        },
        on_clicked_change=clicked,
    )


@remembered(MOST_BYTES)
def _scene(
    config: Config, opened: frozenset[str], reference: int, colouring: Colouring, different: frozenset[str]
) -> str:
    """As JSON, which is written once, whoever looks at the network."""
    drawn = plan(config)
    scene = network.scene(drawing.draw(drawn, opened), drawn, reference, colouring, different)
    return json.dumps(scene, separators=(",", ":"))
