"""What is known of weights beside their numbers: how pictures were prepared when they were trained, and the classes.

A `Card` is written into the metadata of every safetensors file that is exported, and read from it again; it may also
stand in a file of its own, or be typed:

    {"mean": [0.5], "std": [0.5], "size": 32, "resize": 32, "interpolation": "bilinear", "classes": ["cat", "dog"]}

All of it may be left out but `mean` and `std`, which belong together; they are for values 0..1, one number for each
channel or one for all. A text file holds class names, one a line.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.errors import ExplorerError
from explorer.families import Config
from explorer.pictures.preparation import Preparation
from explorer.wording import clean

KEY, NETWORK = "explorer.card", "explorer.network"  # in the metadata of a safetensors file: a card, a configuration
MOST_BYTES = 2**20  # of a file
MOST_NAMES = 40_000  # characters of all class names together, so that a table of contents can hold them
MOST_RESIZE = 8192  # pixels
LONGEST_NAME = 80  # characters


class CardError(ExplorerError):
    """A card that cannot be read or does not belong to the network, in one sentence."""


@dataclass(frozen=True)
class Card:
    """`preparation` is None, and `classes` are (), where they are not known."""

    preparation: Preparation | None = None
    classes: tuple[str, ...] = ()

    def fit(self, size: int, channels: int, classes: int) -> "Card":
        """The card for a network with such images and so many classes. Raises CardError where it is another's."""
        prepared = self.preparation
        if prepared is not None and prepared.channels != channels:
            if prepared.channels != 1:
                raise CardError(
                    f"mean and std have {prepared.channels} values, and the network's images {channels} "
                    f"{'channel' if channels == 1 else 'channels'}: give one value, or one for each channel."
                )
            mean, std = prepared.mean * channels, prepared.std * channels
            prepared = Preparation(prepared.size, prepared.resize, mean, std, prepared.interpolation)
        if prepared is not None:
            prepared = prepared.at(size)
        if self.classes and len(self.classes) != classes:
            raise CardError(
                f"There are {len(self.classes)} class names, and the network has {classes} classes: give one for each."
            )
        return Card(prepared, self.classes)


UNKNOWN = Card()


def of_metadata(found: Mapping[str, object], size: int) -> Card:
    """The card in a safetensors file's metadata, an empty one where there is none; `size` as for `of_json`."""
    text = found.get(KEY)
    return of_json(text, size) if isinstance(text, str) else UNKNOWN


def to_metadata(card: Card, config: Config | None = None) -> dict[str, str]:
    """What a safetensors file carries of weights, and of the network that they are for."""
    network = {NETWORK: json.dumps(config.model_dump())} if config is not None else {}
    return network | ({KEY: to_json(card)} if card != UNKNOWN else {})


def to_json(card: Card) -> str:
    found: dict[str, Any] = {}
    if prepared := card.preparation:
        found = {
            "mean": prepared.mean,
            "std": prepared.std,
            "size": prepared.size,
            "resize": prepared.resize,
            "interpolation": prepared.interpolation,
        }
    if card.classes:
        found["classes"] = card.classes
    return json.dumps(found, ensure_ascii=False)


def of_file(data: bytes, name: str, size: int) -> Card:
    """A JSON file, or a text file of class names. Raises CardError."""
    if len(data) > MOST_BYTES:
        raise CardError(f"{clean(name)} has more than {MOST_BYTES // 2**20} MB, which no card needs.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CardError(f"{clean(name)} is not text in UTF-8.") from None
    return of_json(text, size) if text.lstrip()[:1] in ("{", "[") else Card(classes=class_names(text.splitlines()))


def of_json(text: str, size: int) -> Card:
    """`size` is the network's, for a card that says none. Raises CardError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise CardError("The card is not JSON.") from None
    if isinstance(found, list):
        return Card(classes=class_names(found))
    if not isinstance(found, dict):
        raise CardError('The card holds no table: {"mean": [0.5], "std": [0.5], "classes": [...]} is one.')
    classes = class_names(_list(found.get("classes", ())))
    if found.get("mean") is None and found.get("std") is None:
        return Card(classes=classes)
    size = _whole(found.get("size", size))
    return Card(
        prepared(
            _numbers(found.get("mean")),
            _numbers(found.get("std")),
            size,
            _whole(found.get("resize", size)),
            found.get("interpolation", "bilinear"),
        ),
        classes,
    )


def prepared(mean: Sequence[float], std: Sequence[float], size: int, resize: int, interpolation: Any) -> Preparation:
    """Raises CardError."""
    try:
        if resize > MOST_RESIZE:
            raise ValueError(f"resize={resize}: at most {MOST_RESIZE}")
        return Preparation(size, resize, tuple(mean), tuple(std), interpolation)
    except ValueError as error:
        raise CardError(f"The preparation cannot be: {clean(str(error), 200)}.") from None


def numbers(text: str) -> tuple[float, ...]:
    """Typed ones: "0.485, 0.456, 0.406". Raises CardError."""
    try:
        return tuple(float(word) for word in text.replace(",", " ").replace(";", " ").split())
    except ValueError:
        raise CardError(f"{clean(text)!r} is not a number, or several with commas between them.") from None


def class_names(lines: Sequence[Any]) -> tuple[str, ...]:
    """One name a line, cut to a printable line of some length; what is no text is refused. Raises CardError."""
    if not all(isinstance(line, str) for line in lines):
        raise CardError("Class names are text, one for each class in the network's order.")
    names = [clean(line.strip(), LONGEST_NAME) for line in lines]
    while names and not names[-1]:
        names.pop()
    if sum(map(len, names)) > MOST_NAMES:
        raise CardError(f"Class names have {MOST_NAMES:,} characters together at most: shorten them.")
    return tuple(names)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise CardError("Class names are a list, one for each class in the network's order.")
    return value


def _numbers(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values) or len(values) > 3:
        raise CardError("The card needs mean and std, each a number or one for each channel.")
    try:
        return tuple(map(float, values))
    except OverflowError:  # an integer of hundreds of digits
        raise CardError("The card's mean or std is out of range.") from None


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MOST_RESIZE:
        raise CardError(f"The card's sizes are whole numbers of pixels up to {MOST_RESIZE}.")
    return value
