"""How did the network come to one number? Its patch, its kernel, their product, and what becomes of the sum."""

from collections.abc import Mapping

import streamlit as st

from controls import session
from controls.choices import Whole
from controls.clicks import clickable
from controls.panel import panel
from controls.panels.channels import BARE, CHANNEL
from controls.services import forwards
from controls.services.subject import Subject
from controls.text import plain
from explorer.analyses import arithmetic
from explorer.analyses.activations import Maps
from explorer.analyses.arithmetic import OneNumber
from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.receptive_field import field_at
from explorer.plan.wiring import shortcut
from explorer.plots import mosaic, positions
from explorer.plots.arithmetic import html
from explorer.plots.plain import PlainFigure
from explorer.wording import decimal, shape

ROW, COLUMN = Whole("row", -1), Whole("column", -1)


@panel
def one_number(subject: Subject, plan: Plan, name: str, maps: Mapping[str, Maps]) -> None:
    """`maps` are those that `arithmetic.needed` names, each (C, H, W)."""
    channel, row, column = _chosen(maps[name])
    found = forwards.one_number(subject, maps, name, channel, row, column)
    picture, patch, number = st.columns(3, gap="medium")
    with picture:
        _what_it_sees(subject, plan, name, found)
    with patch:
        _what_it_reads(plan, found, maps)
    with number:
        _where_it_stands(name, maps[name], found)
    st.caption(f"{plain(found.steps[0].op.name)}: {found.made.does}{_by_shortcut(plan, found.steps[0].op)}")
    st.html(html(found))
    itself = decimal(found.steps[found.asked].computed, 6)
    st.caption(f"The network itself, in float32, has {itself} in {plain(name)}.")


def _chosen(maps: Maps) -> tuple[int, int, int]:
    """The strongest, until the visitor has chosen."""
    count, h, w = maps.shape
    box = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
    channel = CHANNEL.number(box[0], "Channel", 0, count - 1, arithmetic.strongest_channel(maps), disabled=count == 1)
    top, left = arithmetic.strongest_position(maps, channel)
    row = ROW.number(box[1], "Row", 0, h - 1, top, disabled=h == 1)
    column = COLUMN.number(box[2], "Column", 0, w - 1, left, disabled=w == 1)
    box[3].button(
        "The largest number",
        key="one_number.largest",
        on_click=_forget,
        help="Of the channel with the largest mean absolute value.",
    )
    return channel, row, column


def _forget() -> None:
    for choice in (CHANNEL, ROW, COLUMN):
        choice.forget()


def _what_it_sees(subject: Subject, plan: Plan, name: str, found: OneNumber) -> None:
    seen, field = subject.seen, field_at(plan, name, found.row, found.column)
    pixels = f"{shape(field.within(len(seen)).size)} pixels"
    framed = positions.framed_picture(seen, field)
    st.image(mosaic.data_url(framed), alt=f"The picture, with a frame around {pixels}", width="stretch")
    st.caption(f"What it sees of the picture: {pixels}; its receptive field is {shape(field.size)}.")


def _what_it_reads(plan: Plan, found: OneNumber, maps: Mapping[str, Maps]) -> None:
    """The map that contributes most, with the patch; and the ways back from there."""
    if not found.made.patches:
        return
    (part,) = arithmetic.parts(found.made, 1).largest
    source, number, read = part.patch.source, part.patch.channels[0], maps[part.patch.source]
    if len(read[number]) > 1:
        reach, signed = float(mosaic.reaches(read, each=False)[0]), mosaic.is_signed(read)
        framed = positions.framed_map(read[number], reach, signed, part.patch.rows, part.patch.columns)
        st.image(mosaic.data_url(framed), alt=f"Channel {number} of {source}, with a frame", width="stretch")
        st.caption(
            f"What it reads of channel {number} of {plain(source)}, which contributes most; "
            f"full colour {decimal(reach, 3)}."
        )
    for i, patch in enumerate(found.made.patches):
        if plan[patch.source].inputs:
            st.button(
                f"Go to {plain(patch.source)}",
                on_click=_go_to,
                args=(patch.source, *arithmetic.largest_input(patch)),
                key=f"one_number.to.{i}",
                help="To the number that contributes most there.",
            )


def _go_to(source: str, channel: int, row: int, column: int) -> None:
    session.select_operation(source)
    for choice, number in ((CHANNEL, channel), (ROW, row), (COLUMN, column)):
        choice.set(number)


def _where_it_stands(name: str, maps: Maps, found: OneNumber) -> None:
    _, h, w = maps.shape
    if h == w == 1:
        return
    reach, signed = float(mosaic.reaches(maps, each=False)[0]), mosaic.is_signed(maps)

    def clicked(position: int) -> None:
        ROW.set(position // w)
        COLUMN.set(position % w)

    figure = positions.clickable_map(maps[found.channel], reach, signed, found.row, found.column)
    clickable(PlainFigure(figure), f"one_number.{name}", f"Channel {found.channel} of {name}", clicked, BARE)
    st.caption(f"Where it stands in channel {found.channel} of {plain(name)}; click another.")


def _by_shortcut(plan: Plan, op: Op) -> str:
    """Which of two numbers that are added has come by the shortcut."""
    if KINDS[op.kind].join != "sum":
        return ""
    source, path, role = shortcut(plan, op)
    return f" By the shortcut ({role}) comes that of {plain(path[-1] if path else source)}."
