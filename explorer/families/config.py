"""What all families share: their common knobs, how a knob is described, and how nonsense is refused."""

import typing
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, Self

from annotated_types import Ge, Le, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explorer.errors import ExplorerError
from explorer.plan import Functions, Inits, Norms, Op, Recorder
from explorer.plan.kinds.norm import of_single_values
from explorer.wording import shape


class ConfigError(ExplorerError):
    """A configuration that cannot be, in one sentence: field, value, and what would do."""


class Knob(NamedTuple):
    """One field of a configuration, as a form needs it. Bounds hold for each entry where `length` is given."""

    name: str
    title: str
    help: str
    default: Any
    kind: Literal["choice", "switch", "whole", "real", "list"]
    choices: tuple[Any, ...] = ()
    least: float = 0
    most: float = 0
    usual: float = 0  # as far as a slider reaches at first; the bound is further
    step: float = 1
    unit: str = ""
    length: tuple[int, int] | None = None  # how many entries a list may have
    changes_costs: bool = True  # False where no value of it changes parameters, MACs or the receptive field

    @property
    def in_sentence(self) -> str:
        """The title as it stands within a sentence: growth rate k, attentional transition (A)."""
        return self.title[:1].lower() + self.title[1:]

    @property
    def bounds(self) -> str:
        """In words: "1 to 128", "3 to 4 numbers, each 1 to 64"; empty for choices and switches."""
        reach = f"{self.least:g} to {self.most:g}"
        if self.kind == "list" and self.length:
            return f"{self.length[0]} to {self.length[1]} numbers, each {reach}"
        return reach if self.kind in ("whole", "real") else ""

    def read(self, text: str) -> Any:
        """The value that `describe` writes so, as the configuration will check it; what makes no sense stays text
        and is refused there.
        """
        if self.kind == "list":
            return tuple(text.split("-")[:100])
        return {describe(choice): choice for choice in self.choices}.get(text, text)


class Images(BaseModel):
    """The first knobs of every form: what a network is shown, and how many answers it has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    # fields that the form draws first; the rest go behind "More"
    MAIN: ClassVar[tuple[str, ...]] = ()
    # lists with an entry for each stage
    ALIGNED: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From JSON, a link, or a form. Raises ConfigError."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error)) from None

    def replace(self, **changes: Any) -> Self:
        """The same network but for `changes`, validated. Raises ConfigError."""
        return self.parse(self.model_dump() | changes)

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


def knobs(config: type[Config]) -> tuple[Knob, ...]:
    """The fields of a family as a form draws them: the family's main ones first."""
    names = [name for name in config.model_fields if name != "family"]
    order = [*config.MAIN, *(name for name in names if name not in config.MAIN)]
    return tuple(_knob(config, name) for name in order)


def _knob(config: type[Config], name: str) -> Knob:
    field = config.model_fields[name]
    extra: Any = field.json_schema_extra or {}
    annotation, metadata = field.annotation, list(field.metadata)
    length: tuple[int, int] | None = None
    kind: Literal["choice", "switch", "whole", "real", "list"] = "whole"
    choices: tuple[Any, ...] = ()
    if typing.get_origin(annotation) is tuple:
        kind = "list"
        length = (_bound(metadata, MinLen), _bound(metadata, MaxLen))
        entry = typing.get_args(annotation)[0]
        metadata = [part for item in typing.get_args(entry)[1:] for part in getattr(item, "metadata", [item])]
    elif typing.get_origin(annotation) is Literal:
        kind, choices = "choice", typing.get_args(annotation)
    elif annotation is bool:
        kind = "switch"
    elif annotation is float:
        kind = "real"
    bounded = kind in ("whole", "real", "list")
    most = _bound(metadata, Le) if bounded else 0
    return Knob(
        name=name,
        title=field.title or name,
        help=field.description or "",
        default=field.default,
        kind=kind,
        choices=choices,
        least=_bound(metadata, Ge) if bounded else 0,
        most=most,
        usual=extra.get("usual", most),
        step=extra.get("step", 1),
        unit=extra.get("unit", ""),
        length=length,
        changes_costs=extra.get("changes_costs", True),
    )


def _bound(metadata: list[Any], kind: type) -> Any:
    attribute = {Ge: "ge", Le: "le", MinLen: "min_length", MaxLen: "max_length", MultipleOf: "multiple_of"}[kind]
    return next(getattr(item, attribute) for item in metadata if isinstance(item, kind))


def _sentence(config: type[Config], error: ValidationError) -> str:
    """Pydantic's first complaint as one sentence with field, value and what would do."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    if name not in config.model_fields:
        return f"{name[:40]!r} is not a knob of this family; it has {', '.join(config.model_fields)}"
    return f"{name}={shown(first['input'])}: {message[0].lower()}{message[1:]}{_allowed(config, name)}"


def shown(value: Any) -> str:
    """What somebody gave, in at most 60 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # numbers of more than 4,300 digits; lists in lists in lists
        text = "something too long to write out"
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(config: type[Config], name: str) -> str:
    if name == "family":
        return ""
    knob = _knob(config, name)
    allowed = "true, false" if knob.kind == "switch" else knob.bounds
    return f" (allowed: {allowed})" if allowed else ""


def describe(value: Any) -> str:
    """A knob's value as a person or a link writes it: 6-12-24-16, on, 0.5."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "-".join(str(v) for v in value)
    return str(value)
