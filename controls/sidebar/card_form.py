"""How were pictures prepared for a checkpoint, and what are its classes called?"""

import streamlit as st

from controls import session, uploads
from controls.services import built, checkpoints
from explorer.errors import ExplorerError
from explorer.pictures.preparation import INTERPOLATIONS
from explorer.running import card
from explorer.running.card import Card
from explorer.running.weights import Weights

NOT_KNOWN = "not known"


def card_form(used: Weights) -> None:
    """What the file says of it, to be corrected; what it does not say, to be typed or sent as a file."""
    config = session.config()
    known = built.preparation(config, used)
    unknown = bool(built.doubt(config, used))
    # keys of this file alone, so that another begins with what it says itself
    keys = {name: f"card.{used.identity[:12]}.{name}" for name in ("mean", "std", "resize", "by", "names", "file")}
    with st.expander("Its pictures and classes", expanded=unknown), st.form(f"card.{used.identity[:12]}", border=False):
        st.text_input(
            "Mean",
            "" if unknown else _text(known.mean),
            key=keys["mean"],
            help="Of values 0..1: one number for each channel, or one for all. (x - 0.5) / 0.5 is mean 0.5, std 0.5.",
            placeholder=NOT_KNOWN,
        )
        st.text_input("Standard deviation", "" if unknown else _text(known.std), key=keys["std"], placeholder=NOT_KNOWN)
        st.number_input(
            "Shorter side, before the crop",
            config.input_size,
            card.MOST_RESIZE,
            config.input_size if unknown else known.resize,
            key=keys["resize"],
            help=f"In pixels; of what is resized so, the central {config.input_size}×{config.input_size} are taken.",
        )
        st.selectbox("Interpolation", INTERPOLATIONS, INTERPOLATIONS.index(known.interpolation), key=keys["by"])
        st.text_area("Class names, one a line", "\n".join(used.card.classes), key=keys["names"], placeholder=NOT_KNOWN)
        st.file_uploader(
            "Or as a file",
            type=["json", "txt"],
            key=keys["file"],
            max_upload_size=uploads.largest(card.MOST_BYTES),
            help='JSON: {"mean": [0.5], "std": [0.5], "size": 32, "resize": 32, "interpolation": "bilinear", '
            '"classes": [...]}. Text: class names, one a line. What is exported with weights carries all of it.',
        )
        st.form_submit_button("Use", on_click=_use, args=(keys, used.card), width="stretch")


def _text(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _use(keys: dict[str, str], before: Card) -> None:
    """A file that was sent says all; where it has class names alone, or none, the rest stays."""
    try:
        found = _sent(keys["file"], before) or _typed(keys)
        checkpoints.describe(found)
    except ExplorerError as error:
        session.problems().append(str(error))
        return
    if session.entered(keys["file"]) and found.preparation:
        session.show(keys["mean"], _text(found.preparation.mean))
        session.show(keys["std"], _text(found.preparation.std))
        session.show(keys["resize"], found.preparation.at(session.config().input_size).resize)
        session.show(keys["by"], found.preparation.interpolation)
    session.show(keys["names"], "\n".join(found.classes))


def _sent(key: str, before: Card) -> Card | None:
    file = session.entered(key)
    if file is None or not hasattr(file, "getvalue"):
        return None
    found = card.of_file(file.getvalue(), file.name, session.config().input_size)
    return Card(found.preparation or before.preparation, found.classes or before.classes)


def _typed(keys: dict[str, str]) -> Card:
    mean, std = (card.numbers(session.entered(keys[name], "")) for name in ("mean", "std"))
    names = card.class_names(session.entered(keys["names"], "").splitlines())
    if not mean and not std:
        return Card(classes=names)
    size, resize = session.config().input_size, session.entered(keys["resize"])
    return Card(card.prepared(mean, std, size, resize, session.entered(keys["by"])), names)
