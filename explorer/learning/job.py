"""What is to be trained: a network on a data set by a recipe, on some of a machine. As a value, and as JSON."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from explorer.errors import ExplorerError
from explorer.families import Config, knobs, parse
from explorer.families.knobs import Knobs, shown
from explorer.learning.recipe import Recipe
from explorer.wording import clean

MOST_BYTES = 2**20  # of the file
LONGEST_TITLE = 80  # characters
MOST_KEPT = 40  # times that a run keeps its weights on its way
# what of a job is a whole number: the least and the most
NUMBERS = {"images": (0, 10**9), "threads": (1, 4096), "most_seconds": (0, 10**9), "keep_path": (0, MOST_KEPT)}
WORDS = ("data", "device", "title")
RECORDED = ("torch", "torchvision", "numpy", "scikit-learn", "skip-connection-explorer")


class JobError(ExplorerError):
    """A job that cannot be, in one sentence."""


@dataclass(frozen=True)
class Job:
    """`images` is how many of the training images are learned from, 0 for as many as is usual. `threads` are those of
    a CPU. After `most_seconds` of training the run is stopped; 0 is no limit. Its weights are kept `keep_path` times on
    the way, 0 for never. `owner` tells whose it is, on a server, and `experiment` names the one that it is part of.
    """

    config: Config
    data: str
    recipe: Recipe
    images: int = 0
    device: str = "cpu"
    threads: int = 1
    most_seconds: int = 0
    tensorboard: bool = False
    keep_path: int = 0
    title: str = field(default="", compare=False)
    owner: str = field(default="", compare=False)
    experiment: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Raises JobError for a number that cannot be."""
        for name, (least, most) in NUMBERS.items():
            if not least <= getattr(self, name) <= most:
                raise JobError(f"{name}={shown(getattr(self, name))}: a whole number from {least} to {most}")

    def turned(self, changes: Mapping[str, str]) -> "Job":
        """The same job with knobs of the network, of the recipe, or of itself set as a command line says it.

        Raises JobError for a name that there is not, ConfigError for a value that cannot be.
        """
        network: dict[str, Any] = {}
        recipe: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for given, text in changes.items():
            name = given.replace("-", "_")
            if name in Recipe.model_fields:  # `seed`, and whatever else both have, is the recipe's
                recipe[name] = _read(Recipe, name, text)
            elif name in type(self.config).model_fields and name != "family":
                network[name] = _read(type(self.config), name, text)
            elif name in NUMBERS:
                own[name] = _whole(name, text)
            elif name in WORDS:
                own[name] = clean(text, LONGEST_TITLE)
            else:
                known = ", ".join([*Recipe.model_fields, *NUMBERS, *WORDS])
                raise JobError(f"{clean(name)!r} is not to be set; there are {known}, and the network's own knobs")
        config = self.config.adapt(**network) if network else self.config  # together: some need each other
        return replace(self, config=config, recipe=self.recipe.replace(**recipe), **own)

    def on(self, device: str) -> "Job":
        """The same, trained somewhere else."""
        return replace(self, device=device)

    def to_json(self) -> str:
        """Readable by hand, with the versions of what will train it."""
        return json.dumps(
            {
                "network": self.config.model_dump(),
                "data": {"name": self.data, "images": self.images},
                "recipe": self.recipe.model_dump(),
                "machine": {"device": self.device, "threads": self.threads},
                "most_seconds": self.most_seconds,
                "tensorboard": self.tensorboard,
                "keep_path": self.keep_path,
                "title": self.title,
                "owner": self.owner,
                "experiment": self.experiment,
                "versions": versions(),
            },
            indent=2,
            ensure_ascii=False,
        )


def of_json(text: str) -> Job:
    """Raises JobError, or ConfigError for a knob out of bounds."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise JobError("config.json is not JSON") from None
    if not isinstance(found, dict):
        raise JobError("config.json describes no run: it holds no table")
    data, machine = _part(found, "data"), _part(found | {"machine": found.get("machine", {})}, "machine")
    return Job(
        config=parse(_part(found, "network")),
        data=_word(data, "name", None),
        recipe=Recipe.parse(_part(found, "recipe")),
        images=_number(data, "images", 0),
        device=_word(machine, "device", "cpu"),
        threads=_number(machine, "threads", 1),
        most_seconds=_number(found, "most_seconds", 0),
        tensorboard=found.get("tensorboard") is True,
        keep_path=_number(found, "keep_path", 0),
        title=_word(found, "title", ""),
        owner=_word(found, "owner", ""),
        experiment=_word(found, "experiment", ""),
    )


def fitting_threads() -> int:
    """Threads of a run that leave the server a core."""
    return max(1, (os.cpu_count() or 1) - 1)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the project itself, where it is not installed
            continue
    return found


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    if not isinstance(part, dict):
        raise JobError(f"config.json describes no run: its {name} is no table")
    return part


def _word(found: Mapping[str, Any], name: str, usual: str | None) -> str:
    word = found.get(name, usual)
    if not isinstance(word, str):
        raise JobError(f"config.json describes no run: {name}={shown(word)} is no text")
    return clean(word, LONGEST_TITLE)


def _number(found: Mapping[str, Any], name: str, usual: int) -> int:
    number = found.get(name, usual)
    if type(number) is not int:
        raise JobError(f"config.json describes no run: {name}={shown(number)} is no whole number")
    return number


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        least, most = NUMBERS[name]
        raise JobError(f"{name}={clean(text)!r}: a whole number from {least} to {most}")
    return int(text)


def _read(kind: type[Knobs], name: str, text: str) -> Any:
    (knob,) = (knob for knob in knobs(kind) if knob.name == name)
    return {"on": True, "off": False}.get(text, text) if knob.kind == "switch" else knob.read(text)
