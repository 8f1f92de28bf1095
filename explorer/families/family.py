"""What a family of networks offers, as one value: everything else discovers and asks it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from explorer.errors import ExplorerError
from explorer.families.config import Config
from explorer.families.tensors import Tensors


class PlanError(ExplorerError):
    """A family's file fails to write a network that its configuration allows: a bug, in one sentence."""


class Preset(NamedTuple):
    """A published network: its title as the field writes it, and its configuration.

    `torchvision` names the model of torchvision.models that is this very network, weights and all; "" for none.
    """

    title: str
    config: Config
    torchvision: str = ""


class Sibling(NamedTuple):
    """The same network but for one choice: `changes` made to the fields, offered where the fields are as in `where`."""

    title: str
    changes: Mapping[str, Any]
    where: Mapping[str, Any] = MappingProxyType({})


class Comparison(NamedTuple):
    """A preset to start from, and the presets, of any family, to compare it with."""

    origin: str
    others: tuple[str, ...]


class Explanation(NamedTuple):
    """How networks work: `of` as in "How a ResNet works"; the text is markdown with formulas."""

    of: str
    text: str


# of the knobs that all families have; short key, which a link carries -> the choice
COMMON_SIBLINGS: Mapping[str, Sibling] = {
    "no-norm": Sibling("without norm", {"norm": "none"}),
    "batch-norm": Sibling("with batch norm", {"norm": "batch"}),
    "default-init": Sibling("PyTorch's default initialisation", {"init": "default"}),
    "kaiming-init": Sibling("Kaiming initialisation", {"init": "kaiming"}),
}


def published_alone(tensors: Tensors) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Family:
    name: str
    title: str
    year: int  # of its first paper; families are listed in this order
    colour: str  # the same in every picture; from Okabe and Ito's palette, which colour-blind people can tell apart
    joins: str  # what joins its layers, in a few words
    config: type[Config]
    write: Callable[..., None]  # (Recorder, config): writes the network's operations
    depth: Callable[[Any], int]  # as the family's papers count it
    depths: Callable[[Any], Mapping[str, dict[str, Any]]]  # label -> the fields that choose this depth
    presets: Mapping[str, Preset]
    # tiny networks with every stage, for tests: the first is the plainest, together they have every kind of block
    examples: tuple[Config, ...]
    about: str  # markdown with formulas
    papers: Mapping[str, str]  # title -> address
    # channels of the narrowest convolution larger than 1x1 behind the stem; None: it is read off the plan
    width: Callable[[Any], int] | None = None
    width_is: str = "channels of the narrowest convolution larger than 1x1 behind the stem"
    siblings: Mapping[str, Sibling] = field(default_factory=lambda: COMMON_SIBLINGS)
    # keys of siblings and names of published networks: the first that the network has, and that is for such images, is
    # its most telling contender
    beside: tuple[str, ...] = ()
    # title -> the literature's comparison; one that spans families stands with the youngest of them
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    # of networks for which `about` does not hold, though they are its own
    otherwise: Callable[[Any], Explanation | None] = lambda config: None
    # what its tensors were called in older files: regular expression -> replacement with the present name
    old_names: Mapping[str, str] = field(default_factory=dict)
    # a checkpoint's names and shapes -> the fields of the network that would have them, or None where they are not the
    # family's; may raise Unlike. What comes of it is held against every name and shape. Presets are found without it.
    recognise: Callable[[Tensors], Mapping[str, Any] | None] = published_alone
