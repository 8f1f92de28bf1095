"""Every family of networks, found by looking: a new family is a new file here with a `FAMILY` in it."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from explorer.families.config import Config, ConfigError, Knob, describe, knobs, shown
from explorer.families.family import Family, Preset
from explorer.plan import Op, Plan

_found = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in sorted((m.FAMILY for m in _found if hasattr(m, "FAMILY")), key=lambda family: family.year)
}
PRESETS: Mapping[str, Config] = {
    name: preset.config for family in FAMILIES.values() for name, preset in family.presets.items()
}
TITLES: Mapping[str, str] = {
    name: preset.title for family in FAMILIES.values() for name, preset in family.presets.items()
}


def family_of(config: Config) -> Family:
    return FAMILIES[config.family]


def parse(data: Mapping[str, Any]) -> Config:
    """A configuration from JSON, a link or a form: {"family": "densenet", "growth_rate": 24, ...}.

    Raises ConfigError, one sentence that names field, value and what would do.
    """
    name = data.get("family") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(f"family={shown(name)} is not known; there are {', '.join(FAMILIES)}")
    return FAMILIES[name].config.parse(data)


def write_plan(config: Config) -> Plan:
    """The network's operations, written anew."""
    net = config.recorder()
    family_of(config).write(net, config)
    return net.finish(config.init)


@lru_cache(maxsize=16)
def plan(config: Config) -> Plan:
    """The network's operations. Plans are frozen, so visitors share the recent ones.

    Few, since a garbage collection walks them all and writing one takes a millisecond.
    """
    return write_plan(config)


@cache
def _preset_ops() -> Mapping[tuple[Op, ...], str]:
    return {write_plan(config).ops: name for name, config in PRESETS.items()}


def known_as(config: Config) -> str | None:
    """The name of the published network that has exactly these operations, if there is one."""
    return _preset_ops().get(plan(config).ops)


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
    "Preset",
    "chosen_depth",
    "depth_label",
    "describe",
    "family_of",
    "knobs",
    "known_as",
    "parse",
    "plan",
    "write_plan",
]
