"""Weights that come with the project: small networks that it has trained on a data set of its own.

Each lies in `trained/` as NETWORK-DATASET.safetensors. Its metadata have the network's configuration, the card by
which pictures are prepared for it, and what is worth knowing of its training.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from explorer.families import Config, parse, same_network
from explorer.running.card import NETWORK, Card, of_metadata
from explorer.running.checkpoints import OnDisk, metadata, on_disk
from explorer.running.weights import Weights, WeightsError

FOLDER = Path(__file__).with_name("trained")
ABOUT = "explorer.about"  # in the metadata
MOST_TENSORS = 2000  # bounds what a table of contents may weigh


class About(NamedTuple):
    """How the weights were made. `data` is the data set's name and `title` what it is called; `accuracy` is the share
    of `test_images` that they are right on; `recipe` is in words, and `command` makes them again.
    """

    data: str
    title: str
    accuracy: float
    test_images: int
    recipe: str
    command: str
    date: str
    versions: dict[str, str]


class Trained(NamedTuple):
    weights: Weights
    config: Config
    about: About


@cache
def all_trained() -> tuple[Trained, ...]:
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.safetensors")))


def offered(config: Config) -> tuple[Weights, ...]:
    """Those for this very network; () if there are none."""
    return tuple(one.weights for one in all_trained() if same_network(one.config, config))


def about(weights: Weights) -> Trained:
    """Raises WeightsError for weights that are not the project's."""
    found = next((one for one in all_trained() if one.weights == weights), None)
    if found is None:
        raise WeightsError(f"The project has no weights {weights.identity!r}; choose others.")
    return found


@contextmanager
def opened(weights: Weights) -> Iterator[OnDisk]:
    """The file. Raises WeightsError."""
    about(weights)
    with on_disk(FOLDER / f"{weights.identity}.safetensors") as data:
        yield data


def _read(path: Path) -> Trained:
    with on_disk(path) as data:
        found: dict[str, Any] = dict(metadata(data, MOST_TENSORS))
    config = parse(json.loads(found[NETWORK]))
    card: Card = of_metadata(found, config.input_size)
    said = About(**json.loads(found[ABOUT]))
    return Trained(Weights("project", path.stem, f"trained on {said.title}", card), config, said)
