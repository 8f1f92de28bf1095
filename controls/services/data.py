"""Data sets, as visitors may have them: which there are for one, and single test images of them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from controls import session
from explorer.families import Config
from explorer.learning import datasets
from explorer.learning.datasets import SOURCES, DataError, Dataset, Example, Source, Split, imported
from explorer.pictures.reading import Picture
from explorer.remembering import remembered

MOST_LOADED = 100_000_000  # bytes of data sets, for all visitors together
MOST_PICTURES = 32_000_000  # bytes of test images as pictures, and as much again of those that stand for a set
GLIMPSED, LOOKED_THROUGH = 10, 100  # classes that are shown, and test images among which they are looked for


def visible() -> dict[str, Source]:
    """The data sets that a visitor may train on, by name: the project's, the owner's, and those they sent."""
    found = {one.name: one for one in (*SOURCES.values(), *imported.listed())}
    for name in session.visitor().data:
        with suppress(DataError):
            found[name] = datasets.find(name)
    return found


def know(name: str) -> None:
    """A set that the visitor has the link of is theirs to use."""
    if name not in SOURCES:
        with suppress(DataError):
            session.visitor().data.add(datasets.find(name).name)


def take_zip(file: UploadedFile) -> Source:
    """A zip of pictures, one folder a class, at the size of the network in the sidebar. Raises DataError."""
    config = session.config()
    bar = st.progress(0.0, "Reading the pictures ...")

    def show(done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), f"Reading picture {done:,} of {total:,}")

    try:
        source = imported.import_zip(
            file.getvalue(), file.name, config.input_size, config.channels, show, owner=session.whose()
        )
    finally:
        bar.empty()
    session.visitor().data.add(source.name)
    return source


def glimpse(source: Source, config: Config) -> tuple[Picture, ...]:
    """A test image of each of the first classes, named after it; () where there is none at hand."""
    if source.some is None:
        return ()
    size = min(max(config.input_size, source.sizes[0]), source.sizes[1])
    channels = config.channels if config.channels in source.channels else source.channels[0]
    with suppress(DataError):
        return _glimpse(source.name, size, channels)
    return ()


@remembered(MOST_PICTURES)
def _glimpse(name: str, size: int, channels: int) -> tuple[Picture, ...]:
    source = datasets.find(name)
    found: dict[int, Picture] = {}
    for picture, label in examples(name, size, channels, range(min(LOOKED_THROUGH, source.images[1]))):
        found.setdefault(label, replace(picture, name=source.classes[label]))
    return tuple(found[label] for label in range(GLIMPSED) if label in found)


def examples(name: str, size: int, channels: int, numbers: Sequence[int]) -> tuple[Example, ...]:
    """Test images of a data set, by their numbers. Raises DataError."""
    return _examples(name, size, channels, tuple(numbers))


@remembered(MOST_PICTURES)
def _examples(name: str, size: int, channels: int, numbers: tuple[int, ...]) -> tuple[Example, ...]:
    source = datasets.find(name)
    if source.some is not None:
        return source.examples(size, channels, numbers)
    source.check(size, channels, 0)
    return _loaded(name, size, channels).examples(numbers)


@remembered(MOST_LOADED)
def _loaded(name: str, size: int, channels: int) -> Dataset:
    """Without the images to train on, which nobody looks at here."""
    with st.spinner("Loading the data set ..."):
        whole = datasets.find(name).load(size, channels, 0, None)
    none = Split(whole.train.images[:0].copy(), whole.train.labels[:0].copy())
    return replace(whole, train=none)
