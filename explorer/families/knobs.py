"""A knob: one field of a frozen value that a form, a link or a command turns. How nonsense is refused."""

import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple, Self

from annotated_types import Ge, Le, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel, ConfigDict, ValidationError

from explorer.errors import ExplorerError


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
    grows: bool = False  # True where neither costs nor depth nor width ever fall as it rises, `off` aside
    off: float | None = None  # the value that switches off what the knob sets, and stands apart from the others

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


class Knobs(BaseModel):
    """Frozen; equal ones are equal values and can be cache keys. Every field has a title and a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # fields that the form draws first; the rest go behind "More"
    MAIN: ClassVar[tuple[str, ...]] = ()
    OF: ClassVar[str] = "this family"  # whose knobs they are, in a refusal

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


@lru_cache(maxsize=64)
def knobs(config: type[Knobs]) -> tuple[Knob, ...]:
    """The fields as a form draws them, the main ones first."""
    names = [name for name in config.model_fields if name != "family"]
    order = [*config.MAIN, *(name for name in names if name not in config.MAIN)]
    return tuple(_knob(config, name) for name in order)


def _knob(config: type[Knobs], name: str) -> Knob:
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
        grows=extra.get("grows", False),
        off=extra.get("off"),
    )


def _bound(metadata: list[Any], kind: type) -> Any:
    attribute = {Ge: "ge", Le: "le", MinLen: "min_length", MaxLen: "max_length", MultipleOf: "multiple_of"}[kind]
    return next(getattr(item, attribute) for item in metadata if isinstance(item, kind))


def _sentence(config: type[Knobs], error: ValidationError) -> str:
    """Pydantic's first complaint as one sentence with field, value and what would do."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    if name not in config.model_fields:
        return f"{name[:40]!r} is not a knob of {config.OF}; it has {', '.join(config.model_fields)}"
    return f"{name}={shown(first['input'])}: {message[0].lower()}{message[1:]}{_allowed(config, name)}"


def shown(value: Any) -> str:
    """What somebody gave, in at most 60 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # numbers of more than 4,300 digits; lists in lists in lists
        text = "something too long to write out"
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(config: type[Knobs], name: str) -> str:
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
