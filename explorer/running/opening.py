"""What is in a file that somebody opens? A configuration, or weights, of which the network is found.

The network of weights is the one that their file names, as this project's exports do; else the one that is looked at,
if they are its own; else the one that has their names and shapes. Nothing but those is read of a tensor.
"""

import codecs
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from explorer import recognition
from explorer.errors import ExplorerError
from explorer.families import Config, ConfigError, parse, plan
from explorer.plan.tensors import Shapes
from explorer.plan.wiring import computes_otherwise
from explorer.running.card import NETWORK, CardError, of_metadata
from explorer.running.checkpoints import OnDisk, metadata
from explorer.running.weights import WeightsError, read_shapes
from explorer.wording import clean

MOST_TEXT = 2**20  # bytes of a configuration; one takes less than a thousand
MOST_TENSORS = 1_000  # bounds what a table of contents may weigh: 2 MB, where one of 7,000 tensors takes one

Data = bytes | OnDisk


class OpenError(ExplorerError):
    """A configuration that cannot be read, in one sentence."""


class Found(NamedTuple):
    """A file's network, and the sentence that says what was found."""

    config: Config
    said: str


def is_text(data: Data, name: str) -> bool:
    """Whether it begins as JSON does, or is only called so. What other files begin with has bytes that are zero."""
    head = bytes(data[:64])
    return name.endswith(".json") or (0 not in head and head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"["))


def read_configuration(data: Data, name: str) -> Found:
    """The network of a JSON file that the app or `export` wrote. Raises OpenError."""
    shown = clean(name)
    if len(data) > MOST_TEXT:
        raise OpenError(f"{shown} has {len(data) / 1e6:,.0f} MB, and a network's configuration at most 1.")
    try:
        found = json.loads(bytes(data).decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise OpenError(f"{shown} is not JSON.") from None
    config = _parsed(found, shown)
    return Found(config, f"{shown} is the configuration of {recognition.title(config)}.")


def _parsed(found: object, shown: str) -> Config:
    if not isinstance(found, Mapping) or "family" not in found:
        raise OpenError(f'{shown} holds no network: {{"family": "resnet", ...}} is what "Configuration, JSON" saves.')
    try:
        return parse(found)
    except ConfigError as error:
        raise OpenError(f"{shown} holds no network that can be: {error}.") from None


def find_network(data: Data, name: str, looked_at: Config | None = None) -> Found:
    """The network of a checkpoint, none of whose tensors has been looked into. Raises WeightsError.

    `looked_at` is taken, at its own size of images, where the file is of that network.
    """
    shapes, shown = read_shapes(data, name, MOST_TENSORS), clean(name)
    count = f"{len(shapes):,} tensors"
    fits = looked_at is not None and not recognition.misfits(looked_at, shapes)
    said = metadata(data, MOST_TENSORS)
    if (named := _named(said, shown)) is not None:
        if lines := recognition.misfits(named, shapes):
            raise WeightsError(
                f"{shown} says that it is {recognition.title(named)}, but {lines[0]}; export the weights again.", lines
            )
        if looked_at and fits and _same(named, looked_at):
            named = looked_at
        return Found(named, f"{shown} says that it is {recognition.title(named)}, and its {count} fit.")
    if looked_at and fits:
        title = recognition.title(looked_at)
        return Found(looked_at, f"{shown} fits the network chosen, {title}: {count} have its names and shapes.")
    config = _recognised(shapes, shown)
    with suppress(CardError, ConfigError):
        if prepared := of_metadata(said, config.input_size).preparation:
            config = config.adapt(input_size=prepared.size)
    return Found(config, f"{shown} is {recognition.title(config)}: {count} have its names and shapes.")


def names_network(data: Data, config: Config) -> bool:
    """Whether a sound file itself says that its weights are for this network, at whatever size of images."""
    named = _named(metadata(data, MOST_TENSORS), "the file")
    return named is not None and _same(named, config)


def _same(one: Config, other: Config) -> bool:
    return not computes_otherwise(plan(one), plan(other))


def _named(said: Mapping[str, object], shown: str) -> Config | None:
    """The configuration in the metadata, if there is one. Raises WeightsError where it is none that can be."""
    text = said.get(NETWORK)
    if text is None:
        return None
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        found = None
    try:
        return _parsed(found, f"The metadata of {shown}")
    except OpenError as error:
        raise WeightsError(str(error)) from None


def _recognised(shapes: Shapes, shown: str) -> Config:
    try:
        return recognition.recognise(shapes)
    except recognition.Unrecognised as error:
        raise WeightsError(f"{shown} {error}.", error.differences) from None
