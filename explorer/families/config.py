"""What all families share: their common knobs, and how those must agree."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from explorer.families.knobs import Knobs, describe
from explorer.families.tensors import Tensors
from explorer.plan import Functions, Inits, Norms, Op, Recorder
from explorer.plan.kinds.norm import of_single_values
from explorer.wording import shape


class Images(Knobs):
    """The first knobs of every form: what a network is shown, and how many answers it has."""

    family: str
    # the defaults are those of an ImageNet network
    classes: int = Field(1000, ge=1, le=22000, title="Classes", description="answers the classifier chooses from")
    channels: Literal[3, 1] = Field(3, title="Image channels", description="3 for colour, 1 for grey")
    input_size: int = Field(
        224,
        ge=8,
        le=1024,
        title="Input size",
        description="side of the square image",
        json_schema_extra={"unit": "px", "usual": 320, "step": 8},
    )

    # how a network may be brought to fit a small input, beside a larger input
    SMALLER: ClassVar[str] = "or fewer of them"

    @property
    def form(self) -> Literal["imagenet", "cifar"]:
        """For which of the literature's two kinds of images the network is laid out; those of one form compare."""
        return "cifar" if self.input_size < 64 else "imagenet"


class Stem(Images):
    """A mix-in for configurations of families that have a stem: `class YourConfig(Config, Stem)`.

    In this order its knobs stand in the form between the first ones and those of `Config`.
    """

    stem: Literal["imagenet", "cifar", "deep", "tiered"] = Field(
        "imagenet",
        title="Stem",
        description="imagenet: 7x7, stride 2, then pool; cifar: one 3x3; deep: three 3x3, the first with stride 2, "
        "then pool (He et al., 1812.01187, ResNet-C); tiered: as deep, the first narrower (24, 32, 64 in timm's "
        "ResNet-T)",
    )
    stem_width: int = Field(
        64, ge=4, le=512, title="Stem width", description="channels after the stem", json_schema_extra={"usual": 128}
    )

    SMALLER: ClassVar[str] = "fewer of them, or stem='cifar'"

    @property
    def form(self) -> Literal["imagenet", "cifar"]:
        return "cifar" if self.stem == "cifar" else "imagenet"

    @property
    def stem_halvings(self) -> int:
        return 0 if self.stem == "cifar" else 2


class Config(Images):
    """The knobs that all families have. Frozen; equal configurations are equal values and can be cache keys."""

    activation: Functions = Field("relu", title="Activation", description="the nonlinearity, everywhere in the network")
    norm: Norms = Field(
        "batch", title="Norm", description="batch, group (32 groups), or none (convolutions then carry a bias)"
    )
    dropout: float = Field(
        0.0,
        ge=0,
        le=0.9,
        title="Dropout",
        description="share of activations dropped in training",
        json_schema_extra={"step": 0.05, "changes_costs": False},
    )
    init: Inits = Field(
        "kaiming",
        title="Initialisation",
        description="kaiming: normal, fan-out, which keeps the gradient's size through ReLUs (1502.01852); "
        "default: what PyTorch does unless told",
        json_schema_extra={"changes_costs": False},
    )

    # lists with an entry for each stage
    ALIGNED: ClassVar[tuple[str, ...]] = ()

    def adapt(self, **changes: Any) -> Self:
        """As `replace`, but other knobs that the changes make meaningless go back to their defaults, as a form
        wants it.

        Raises ConfigError.
        """
        data = self.settle(self.model_dump() | changes, set(changes))
        for name in type(self).model_construct(**data).unused().keys() - changes.keys():
            data[name] = type(self).model_fields[name].default
        return self.parse(data)

    @classmethod
    def settle(cls, data: dict[str, Any], changed: set[str]) -> dict[str, Any]:
        """Bring fields that must agree with the `changed` ones into agreement: a list of `ALIGNED` is cut, or goes on
        with its last entry.
        """
        for name in changed.intersection(cls.ALIGNED):
            for other in set(cls.ALIGNED) - changed:
                if isinstance(data[name], tuple):
                    count, values = len(data[name]), data[other]
                    data = data | {other: (values + values[-1:] * count)[:count]}
        return data

    def unused(self) -> dict[str, str]:
        """Knobs that do nothing in this configuration, and why. They must stand at their defaults."""
        return {}

    def changes(self, other: "Config") -> dict[str, tuple[Any, Any]]:
        """Fields in which this differs from another of the same family: name -> (there, here)."""
        return {
            name: (getattr(other, name), getattr(self, name))
            for name in type(self).model_fields
            if getattr(other, name, None) != getattr(self, name)
        }

    def refuse_unused(self) -> None:
        for name, why in self.unused().items():
            default, value = type(self).model_fields[name].default, getattr(self, name)
            if value != default:
                raise ValueError(f"{name}={value!r} does nothing here: {why}; leave it at {default!r}")

    def refuse_unaligned(self, what: str) -> None:
        """Lists with an entry for each stage, or whatever the family calls it, have as many of them."""
        values = {name: getattr(self, name) for name in self.ALIGNED}
        for (one, first), (other, second) in pairwise(values.items()):
            if len(first) != len(second):
                raise ValueError(
                    f"{one}={describe(first)} is for {len(first)} {what} and {other}={describe(second)} for "
                    f"{len(second)}; give as many of the one as of the other"
                )

    def refuse_too_small(self, halvings: int, what: str) -> None:
        """Every stage must have a pixel: each halving needs a factor of two in the input."""
        least = 2**halvings
        if self.input_size < least:
            raise ValueError(
                f"input_size={self.input_size}: {what} halve the image {halvings} times; "
                f"use at least {least}, {self.SMALLER}"
            )

    def refuse_single_values(self, write: Callable[[Recorder, Self], None]) -> None:
        """Every group of a norm must have two values. Not fewer groups instead: how many there are is a choice, which
        the size of the image must not make.
        """
        if self.norm == "group":
            net = self.recorder()
            write(net, self)
            if found := of_single_values(net.finish()):
                raise ValueError(
                    f"norm='group': each group of {found.name} ({shape(found.shape)}) would be a single number, which "
                    f"less its own mean is zero whatever the image; "
                    f"use norm='batch', or input_size={2 * found.stride} and more"
                )

    def recorder(self) -> Recorder:
        return Recorder(self.channels, self.input_size, self.norm, self.activation)


def write_stem(net: Recorder, cfg: Stem, names: tuple[str, str, str, str], activate: bool) -> Op:
    """From the image to the first features; `names` are those of convolution, norm, activation and pool.

    imagenet, deep, tiered: (channels, S, S) -> (stem width, S/4, S/4); cifar: -> (stem width, S, S).
    """
    conv, norm, activation, pool = names
    width = cfg.stem_width
    if cfg.stem == "cifar":
        x = net.conv(conv, net.input, width, kernel=3)
    elif cfg.stem == "imagenet":
        x = net.conv(conv, net.input, width, kernel=7, stride=2)
    else:
        # submodules 0, 1, .. as in timm's resnet50c and resnet26t, so that their weights fit
        first = width // 2 if cfg.stem == "deep" else max(1, 3 * (width // 8))
        x = net.conv(f"{conv}.0", net.input, first, kernel=3, stride=2)
        x = net.activation(f"{conv}.2", net.norm(f"{conv}.1", x))
        x = net.conv(f"{conv}.3", x, width // 2, kernel=3)
        x = net.activation(f"{conv}.5", net.norm(f"{conv}.4", x))
        x = net.conv(f"{conv}.6", x, width, kernel=3)
    if activate:
        x = net.activation(activation, net.norm(norm, x))
    return x if cfg.stem == "cifar" else net.max_pool(pool, x, kernel=3, stride=2, padding=1)


def read_stem(tensors: Tensors, conv: str) -> dict[str, Any]:
    """The fields of a stem that `write_stem` has written: the kind, its channels and the image's, and how large images
    are for it in the literature. Raises Unlike.
    """
    if f"{conv}.0.weight" not in tensors:
        width, channels, size, _ = tensors.sizes(f"{conv}.weight")
        stem = "imagenet" if size == 7 else "cifar"
    else:
        first, channels, _, _ = tensors.sizes(f"{conv}.0.weight")
        width = tensors.out(f"{conv}.6.weight")
        stem = "deep" if first == width // 2 else "tiered"
    return {"stem": stem, "stem_width": width, "channels": channels, "input_size": 32 if stem == "cifar" else 224}
