"""What does the selected operation do, what does it cost and see, and where else is it?"""

from collections.abc import Sequence
from html import escape

import streamlit as st

from controls import session
from controls.panel import panel
from controls.panels.picture import current_picture
from controls.panels.strongest import strongest
from controls.services.subject import Subject
from explorer.counting import costs
from explorer.families import Config, plan
from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.receptive_field import Field, field_at
from explorer.plots import mosaic
from explorer.plots.positions import framed_picture
from explorer.wording import ending, shape

WIDTH, PICTURE = 250, 130  # pixels: of what is inside, and of the picture, beside which a sentence stands
BORDER = 34  # pixels on both sides
MOST_PILLS = 3  # of more names one is chosen in a box

STYLE = """<style>
.one h4 { font-size: 1rem; margin: 0; padding: 0; overflow-wrap: anywhere; }
.one table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.one td { border: none; padding: 0.1rem 0.8rem 0.1rem 0; vertical-align: top; }
.one td:first-child { white-space: nowrap; }
.one i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 0.15em; margin-right: 0.4em; }
</style>"""


@panel
def look_closer(config: Config, name: str) -> None:
    """All about one operation of the visitor's network, in a column that is 284 pixels wide, or narrower."""
    network = plan(config)
    op = network[name]
    with st.container(border=True, key="one_operation", gap="small", width=WIDTH + BORDER):
        _heading(op)
        _facts(network, op)
        _on_a_picture(config, network, op)
        with st.container(horizontal=True, gap="small"):
            _neighbours("Reads", name, op.inputs)
            _neighbours("Read by", name, network.readers[name])
        _elsewhere(op)


def _heading(op: Op) -> None:
    kind = KINDS[op.kind]
    said = ", ".join(filter(None, (kind.word, kind.settings(op))))
    name = escape(op.name).replace(".", ".<wbr>")
    swatch = f"<i style='background: {kind.colour}'></i>"
    with st.container(horizontal=True, vertical_alignment="top", wrap=False, gap="small"):
        st.html(f"{STYLE}<div class='one'><h4>{name}</h4>{swatch}{escape(said)}</div>", width="stretch")
        st.button(
            "Close",
            key="one_operation.close",
            icon=":material/close:",
            type="tertiary",
            on_click=session.unselect_operation,
        )


def _facts(network: Plan, op: Op) -> None:
    rows = [f"<tr><td>{title}<td>{escape(value)}" for title, value in facts(network, op).items()]
    st.html(f"<div class='one'><table>{''.join(rows)}</table></div>")


def facts(network: Plan, op: Op) -> dict[str, str]:
    """What the plan knows of an operation, by title."""
    row = costs.total(network, [op], op.name)
    found = {"C×H×W": f"{row.input} → {row.output}" if op.inputs else row.output}
    found |= {"Parameters": _of_all(row.params, row.params_share), "MACs": _of_all(row.macs, row.macs_share)}
    if max(op.shape[1:]) > 1:
        found["Stride"] = f"{op.stride} px of the picture"
    return found


def _of_all(count: int, share: float) -> str:
    if not count:
        return "none"
    return f"{count:,} ({share:.1%})" if share >= 0.001 else f"{count:,} (< 0.1%)"


@panel
def _on_a_picture(config: Config, network: Plan, op: Op) -> None:
    """The picture that is chosen, with what a position of the map sees of it; and what comes out."""
    subject = Subject(config, session.chosen_weights(), current_picture(), session.device())
    field = field_at(network, op.name, op.shape[1] // 2, op.shape[2] // 2)
    said = sees(op, field, config.input_size)
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="small"):
        st.image(
            mosaic.data_url(framed_picture(subject.seen, field)), width=PICTURE, alt=f"The picture, framed. {said}"
        )
        st.caption(said)
    strongest(op, op is network.ops[-1], subject, WIDTH)


def sees(op: Op, field: Field, side: int) -> str:
    """How much of a picture, of so many pixels along a side, a position in the middle of the output sees."""
    who = "It" if op.shape[1:] == (1, 1) else "The middle of a map"
    if field.size == (1, 1):
        return f"{who} sees one pixel."
    inside, size = field.within(side), f"{shape(field.size)} pixels"
    if inside.size == (side, side):
        return f"{who} sees all of the picture" + (f": {size}, and zeros beyond it." if inside != field else ".")
    return f"{who} sees {size}" + (", cut at the border." if inside != field else ".")


def _neighbours(title: str, of: str, names: Sequence[str]) -> None:
    """Operations to go to."""
    names, key = list(dict.fromkeys(names)), f"one_operation.{title}.{of}"
    if not names:
        return

    def go() -> None:
        if chosen := session.entered(key):
            session.select_operation(chosen)

    session.show(key, None)
    if len(names) <= MOST_PILLS:
        st.pills(title, names, format_func=ending, key=key, on_change=go, wrap=True)
    else:
        st.selectbox(f"{title} {len(names)}", names, None, key=key, on_change=go, placeholder="Go to one")


def _elsewhere(op: Op) -> None:
    """The other pages that show it, which open with it selected."""
    _, h, w = op.shape
    with st.container(gap=None):
        what = "its numbers" if h == w == 1 else f"all {op.shape[0]} of its maps"
        st.page_link("pages/feature_maps.py", label=f"Feature maps: {what}", icon=":material/grid_view:")
        if not op.inputs:
            return
        points = "it is marked" if KINDS[op.kind].weighted else "among all points"
        st.page_link("pages/gradient_flow.py", label=f"Gradient flow: {points}", icon=":material/trending_down:")
        where = "one of its channels" if h == w == 1 else "Grad-CAM at its maps"
        st.page_link("pages/attribution.py", label=f"Attribution: {where}", icon=":material/center_focus_strong:")
