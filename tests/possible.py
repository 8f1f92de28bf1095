"""From any values of a family's knobs to a configuration that can be, for tests that draw them at random."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from explorer.families import FAMILIES, Config, ConfigError, Knob, knobs, plan

EXAMPLES = [
    pytest.param(example, id=f"{name}-{i}")
    for name, family in FAMILIES.items()
    for i, example in enumerate(family.examples)
]

# of each family the example with the most kinds of operations, where all of them would take too long
RICHEST = [
    pytest.param(max(family.examples, key=lambda one: len({op.kind for op in plan(one).ops})), id=name)
    for name, family in FAMILIES.items()
]

# how a refusal names the way out: the field at its beginning, and what to use
ADVICE = re.compile(r"(\w+)=.*?; (?:use (?:at least |at most )?(?:(\w+)=)?|leave it at )'?(\w+)")


def small(family: str, **fields: Any) -> Config:
    """The family's plainest example, with other fields."""
    return FAMILIES[family].examples[0].replace(**fields)


def on_tiny_images(config: Config) -> Config:
    """The same network on images as small as it allows."""
    for size in (8, 16, 32):
        with suppress(ConfigError):
            return config.replace(input_size=size)
    return config.replace(input_size=64)


def on_large_enough_images(config: Config, changes: Mapping[str, Any]) -> Config:
    """The network with these changes, on larger images if it then has more stages than fit."""
    for size in (config.input_size, 32, 64):
        with suppress(ConfigError):
            return config.adapt(**{"input_size": size, **changes})
    return config.adapt(**changes)


def advised(values: Mapping[str, Any], sentence: str) -> dict[str, Any]:
    """The values after the refusal's advice is taken. Fails where the sentence has none."""
    found = ADVICE.match(sentence)
    assert found, sentence
    return {**values, found[2] or found[1]: found[3]}


def possible(config: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration with these values, but for knobs that then do nothing, lists that must agree, and what a refusal
    advises; of an image that is too small, as many pixels more than the least as it had. Raises ConfigError.
    """
    lists = [knob.name for knob in knobs(config) if knob.kind == "list"]
    values = config.settle(dict(values), set(lists[:1]))
    for _ in range(4):
        values = {
            name: value for name, value in values.items() if name not in config.model_construct(**values).unused()
        }
        try:
            return config.parse(values)
        except ConfigError as error:
            refusal = error
            more = values.get("input_size", 8) - 8
            values = advised(values, str(error))
            if str(error).startswith("input_size="):
                values["input_size"] = int(values["input_size"]) + more
    raise refusal


def most(knob: Knob, example: Config) -> float:
    """As far as a knob is drawn: beyond, networks would only take longer."""
    if knob.kind == "list":
        return float(max(getattr(example, knob.name)))
    value: float = getattr(example, knob.name)
    return min(knob.most, max(value, knob.least + 12, knob.usual if knob.usual <= 32 else 0))


def applied(config: Config, knob: Knob) -> Config:
    """The configuration, if need be with another choice or number, so that the knob does something in it."""
    if knob.name not in config.unused():
        return config
    for other in knobs(type(config)):
        if other.name in config.unused():
            continue
        values: tuple[Any, ...] = (False, True) if other.kind == "switch" else other.choices
        if other.kind == "whole":
            values = int(other.least), int(most(other, config))
        for value in values:
            with suppress(ConfigError):
                changed = config.adapt(**{other.name: value})
                if knob.name not in changed.unused():
                    return changed
    raise AssertionError(f"{knob.name} does nothing in any network near {config}")


def ends(config: Config, knob: Knob) -> tuple[int, int]:
    """The least and the largest number, as far as is drawn, that a knob can be with the others as they are."""

    def can_be(value: int) -> bool:
        try:
            config.adapt(**{knob.name: value})
        except ConfigError:
            return False
        return True

    numbers = range(int(knob.least), int(most(knob, config)) + 1)
    return next(filter(can_be, numbers)), next(filter(can_be, reversed(numbers)))


def larger(config: Config, factor: int = 3) -> Config:
    """The same network with more of whatever its family counts."""
    changes: dict[str, Any] = {}
    for knob in knobs(type(config)):
        value = getattr(config, knob.name)
        if knob.name in config.MAIN and knob.name not in config.unused():
            if knob.kind == "list":
                changes[knob.name] = tuple(min(int(knob.most), factor * entry) for entry in value)
            elif knob.kind == "whole":
                changes[knob.name] = min(int(knob.most), factor * value)
    return config.adapt(**changes)


def with_chance(config: Config, p: float) -> Config:
    """The same network with this chance wherever it drops something in training."""
    chances = [knob.name for knob in knobs(type(config)) if knob.kind == "real" and not knob.changes_costs]
    return config.replace(**{name: p for name in chances if name not in config.unused()})
