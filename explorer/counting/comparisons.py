"""Against which networks is this one compared? Its siblings, which differ in one choice; its counterparts of other
families; and the comparisons that the literature made famous.

A contender has a short key, which a link carries: a sibling's, or the name of a published network.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from explorer.families import FAMILIES, PRESETS, TITLES, Config, ConfigError, PlanError, family_of, plan
from explorer.families.family import Comparison

MOST = 7  # in one comparison: more lines cannot be told apart


class Contender(NamedTuple):
    title: str
    config: Config


# title -> the comparison, from the families' own files
CLASSICS: Mapping[str, Comparison] = {
    title: comparison for family in FAMILIES.values() for title, comparison in family.comparisons.items()
}


def siblings(config: Config) -> dict[str, Contender]:
    """Key -> the network with one choice made otherwise, where that is a change and can be."""
    found = {}
    for key, sibling in family_of(config).siblings.items():
        changed = all(getattr(config, name) != value for name, value in sibling.changes.items())
        if changed and all(getattr(config, name) == value for name, value in sibling.where.items()):
            with suppress(ConfigError):
                found[key] = Contender(sibling.title, config.adapt(**sibling.changes))
    return found


def counterparts(config: Config) -> tuple[str, ...]:
    """For each other family, the published network that comes closest in parameters, and the one closest in depth."""
    ours = family_of(config)
    params, depth = plan(config).params, ours.depth(config)
    found: list[str] = []
    for family in FAMILIES.values():
        if family is ours:
            continue
        alike: dict[str, tuple[float, int]] = {}
        for name, preset in family.presets.items():
            fitted = fit(preset.config, config)
            if fitted and preset.config.form == config.form:
                with suppress(PlanError):
                    alike[name] = abs(plan(fitted).params / params - 1), abs(family.depth(fitted) - depth)
        if alike:
            found += [min(alike, key=lambda name: alike[name][i]) for i in (0, 1)]
    return tuple(dict.fromkeys(found))


def beside(config: Config) -> tuple[str, ...]:
    """The key of the one contender that tells most about this network; none where its family knows of none."""
    own = siblings(config)
    telling = (key for key in family_of(config).beside if key in own or _alike(key, config))
    return tuple(telling)[:1]


def _alike(key: str, config: Config) -> bool:
    return key in PRESETS and PRESETS[key].form == config.form and fit(PRESETS[key], config) is not None


def fit(config: Config, to: Config) -> Config | None:
    """A network for the same images and classes as another, if it can be."""
    try:
        return config.adapt(input_size=to.input_size, channels=to.channels, classes=to.classes)
    except ConfigError:
        return None


def find(key: str, config: Config) -> Contender | None:
    """The contender of this key, if this network has it."""
    if key in PRESETS:
        fitted = fit(PRESETS[key], config)
        return Contender(TITLES[key], fitted) if fitted else None
    return siblings(config).get(key)


def side_by_side(config: Config, keys: Sequence[str]) -> tuple[Contender, ...]:
    """This network and its contenders of these keys, those that it has."""
    found = (find(key, config) for key in keys)
    return Contender("this network", config), *(one for one in found if one)
