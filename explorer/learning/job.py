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
from explorer.families.knobs import Knobs
from explorer.learning.recipe import Recipe
from explorer.wording import clean

MOST_BYTES = 2**20  # of the file
LONGEST_TITLE = 80  # characters
NUMBERS = {"images": 0, "threads": 1, "most_seconds": 0}  # what of a job is a whole number, and the least
WORDS = ("data", "device", "title")
RECORDED = ("torch", "torchvision", "numpy", "scikit-learn", "skip-connection-explorer")


class JobError(ExplorerError):
    """A job that cannot be, in one sentence."""


@dataclass(frozen=True)
class Job:
    """`images` is how many of the training images are learned from, 0 for as many as is usual. `threads` are those of
    a CPU. After `most_seconds` of training the run is stopped; 0 is no limit. `owner` tells whose it is, on a server.
    """

    config: Config
    data: str
    recipe: Recipe
    images: int = 0
    device: str = "cpu"
    threads: int = 1
    most_seconds: int = 0
    tensorboard: bool = False
    title: str = field(default="", compare=False)
    owner: str = field(default="", compare=False)

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
                own[name] = _whole(name, text, NUMBERS[name])
            elif name in WORDS:
                own[name] = clean(text, LONGEST_TITLE)
            else:
                known = ", ".join([*Recipe.model_fields, *NUMBERS, *WORDS])
                raise JobError(f"{clean(name)!r} is not to be set; there are {known}, and the network's own knobs")
        config = self.config.adapt(**network) if network else self.config  # together: some need each other
        return replace(self, config=config, recipe=self.recipe.replace(**recipe), **own)

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
                "title": self.title,
                "owner": self.owner,
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
    try:
        data, machine = found["data"], found.get("machine", {})
        job = Job(
            config=parse(found["network"]),
            data=str(data["name"]),
            recipe=Recipe.parse(found["recipe"]),
            images=int(data.get("images", 0)),
            device=str(machine.get("device", "cpu")),
            threads=int(machine.get("threads", 1)),
            most_seconds=int(found.get("most_seconds", 0)),
            tensorboard=found.get("tensorboard") is True,
            title=clean(str(found.get("title", "")), LONGEST_TITLE) if found.get("title") else "",
            owner=str(found.get("owner", "")),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise JobError(f"config.json describes no run ({type(error).__name__}: {clean(str(error))})") from None
    if job.images < 0 or not 1 <= job.threads <= 4096 or job.most_seconds < 0:
        raise JobError("config.json has a number of images, threads or seconds that cannot be")
    return job


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


def _whole(name: str, text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise JobError(f"{name}={clean(text)!r}: a whole number from {least}")
    return int(text)


def _read(kind: type[Knobs], name: str, text: str) -> Any:
    (knob,) = (knob for knob in knobs(kind) if knob.name == name)
    return {"on": True, "off": False}.get(text, text) if knob.kind == "switch" else knob.read(text)
