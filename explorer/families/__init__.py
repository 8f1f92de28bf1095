"""Every family of networks, found by looking: a new family is a new file here with a `FAMILY` in it."""

import importlib
import pkgutil
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from explorer.families.config import Config
from explorer.families.family import Explanation, Family, PlanError, Preset
from explorer.families.knobs import ConfigError, Knob, Knobs, describe, knobs, shown
from explorer.plan import Op, Plan


def _discover() -> dict[str, Family]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    families: list[Family] = sorted(
        (module.FAMILY for module in modules if hasattr(module, "FAMILY")), key=lambda family: family.year
    )
    _refuse_twins([family.name for family in families], "families")
    _refuse_twins([name for family in families for name in family.presets], "published networks")
    return {family.name: family for family in families}


def _refuse_twins(names: list[str], what: str) -> None:
    """One of two that share a name would vanish in silence."""
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ImportError(f"two {what} are named {', '.join(twins)}; a name must be one network's or one family's own")


FAMILIES: Mapping[str, Family] = _discover()
PRESETS: Mapping[str, Config] = {
    name: preset.config for family in FAMILIES.values() for name, preset in family.presets.items()
}
TITLES: Mapping[str, str] = {
    name: preset.title for family in FAMILIES.values() for name, preset in family.presets.items()
}


def family_of(config: Config) -> Family:
    return FAMILIES[config.family]


def explanation(config: Config) -> Explanation:
    """How this network works: as its family does, unless that says otherwise."""
    family = family_of(config)
    return family.otherwise(config) or Explanation(f"a {family.title}", family.about)


def parse(data: Mapping[str, Any]) -> Config:
    """A configuration from JSON, a link or a form: {"family": "densenet", "growth_rate": 24, ...}.

    Raises ConfigError, one sentence that names field, value and what would do.
    """
    name = data.get("family") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(f"family={shown(name)} is not known; there are {', '.join(FAMILIES)}")
    return FAMILIES[name].config.parse(data)


def write_plan(config: Config) -> Plan:
    """The network's operations, written anew. Raises PlanError where the family's file fails to."""
    family, net = family_of(config), config.recorder()
    try:
        family.write(net, config)
    except Exception as error:
        raise PlanError(
            f"The family {family.title} cannot write this network ({type(error).__name__}: {error}). "
            "That is a fault in its file; choose another family, or other settings"
        ) from error
    return net.finish(config.init)


@lru_cache(maxsize=16)
def plan(config: Config) -> Plan:
    """The network's operations. Plans are frozen, so visitors share the recent ones.

    Few, since a garbage collection walks them all and writing one takes a millisecond.
    """
    return write_plan(config)


@cache
def _preset_ops(family: Family) -> Mapping[tuple[Op, ...], str]:
    """The family's published networks by their operations, without those that its file fails to write."""
    found = {}
    for name, preset in family.presets.items():
        with suppress(PlanError):
            found[write_plan(preset.config).ops] = name
    return found


@lru_cache(maxsize=1024)
def known_as(config: Config) -> str | None:
    """The name of the family's published network that has exactly these operations, if there is one."""
    with suppress(PlanError):
        return _preset_ops(family_of(config)).get(plan(config).ops)
    return None


@lru_cache(maxsize=4096)
def same_network(one: Config, other: Config) -> bool:
    """Whether two configurations give the very same operations, however their weights are drawn."""
    return one == other or (one.family == other.family and plan(one).ops == plan(other).ops)


def torchvision_model(config: Config) -> str | None:
    """The model of torchvision.models that this network is, at whatever input size, if its family declares one."""
    presets = family_of(config).presets
    # the sizes at which those networks are written down
    for size in {preset.config.input_size for preset in presets.values() if preset.torchvision}:
        with suppress(ConfigError):
            known = known_as(config.adapt(input_size=size))
            if known and presets[known].torchvision:
                return presets[known].torchvision
    return None


def turned(config: Config, before: Config) -> str:
    """What has been changed of a network of the same family, in words: growth rate k 12 → 48, dropout 0.0 → 0.2."""
    titles = {knob.name: knob.in_sentence for knob in knobs(type(config))}
    changes = config.changes(before).items()
    return ", ".join(f"{titles[name]} {describe(was)} → {describe(now)}" for name, (was, now) in changes)


def depth_label(config: Config) -> str:
    """The depth as the family's papers would count it, or as they would and "custom" where none names it."""
    family = family_of(config)
    named = chosen_depth(config)
    return named or f"custom ({family.depth(config)})"


def chosen_depth(config: Config) -> str | None:
    """Which of the family's named depths this configuration has, if any."""
    for label, fields in family_of(config).depths(config).items():
        if all(getattr(config, name) == value for name, value in fields.items()):
            return label
    return None


__all__ = [
    "FAMILIES",
    "PRESETS",
    "TITLES",
    "Config",
    "ConfigError",
    "Family",
    "Knob",
    "Knobs",
    "PlanError",
    "Preset",
    "chosen_depth",
    "depth_label",
    "describe",
    "family_of",
    "knobs",
    "known_as",
    "parse",
    "plan",
    "same_network",
    "torchvision_model",
    "turned",
    "write_plan",
]
