"""Against which networks is this one compared? Its siblings, which differ in one choice; its counterparts of other
families; and the comparisons that the literature made famous.

A contender has a short key, which a link carries: a sibling's, or the name of a published network.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from explorer.families import FAMILIES, PRESETS, TITLES, Config, ConfigError, family_of, plan

MOST = 7  # in one comparison: more lines cannot be told apart


class Contender(NamedTuple):
    title: str
    config: Config


# key -> what it is, and the one choice that makes it
SIBLINGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "plain": ("without shortcuts", {"shortcut": "none"}),
    "residual": ("with shortcuts", {"shortcut": "A"}),
    "no-norm": ("without norm", {"norm": "none"}),
    "batch-norm": ("with batch norm", {"norm": "batch"}),
    "default-init": ("PyTorch's default initialisation", {"init": "default"}),
    "kaiming-init": ("Kaiming initialisation", {"init": "kaiming"}),
    "zero-init": ("last norms at zero", {"zero_init": True}),
    "pre-activation": ("pre-activation", {"order": "pre"}),
    "post-activation": ("post-activation", {"order": "post"}),
}

# title -> the network to choose, and whom to compare it with
CLASSICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Plain against residual, 20 to 110 layers": (
        "resnet56_cifar",
        ("plain20_cifar", "plain56_cifar", "plain110_cifar", "resnet20_cifar", "resnet110_cifar"),
    ),
    "Four ways to join layers": ("resnet56_cifar", ("plain56_cifar", "densenet40_12_cifar", "cliquenet_k36_t12")),
}


def siblings(config: Config) -> dict[str, Contender]:
    """Key -> the network with one choice made otherwise, where the family has that choice and it can be."""
    found = {}
    for key, (title, change) in SIBLINGS.items():
        if all(hasattr(config, name) and getattr(config, name) != value for name, value in change.items()):
            # with shortcuts is news to a plain network alone
            if key == "residual" and getattr(config, "shortcut", "") != "none":
                continue
            try:
                found[key] = Contender(title, config.adapt(**change))
            except ConfigError:
                continue
    return found


def counterparts(config: Config) -> tuple[str, ...]:
    """For each other family, the published network that comes closest in parameters, and the one closest in depth."""
    ours = family_of(config)
    here, depth = plan(config).params, ours.depth(config)
    found: list[str] = []
    for family in FAMILIES.values():
        if family is ours:
            continue
        fitted = {name: fit(PRESETS[name], config) for name in family.presets}
        alike = {name: one for name, one in fitted.items() if one and one.stem == config.stem}
        if alike:
            found.append(min(alike, key=lambda name: abs(plan(alike[name]).params / here - 1)))
            found.append(min(alike, key=lambda name: abs(family.depth(alike[name]) - depth)))
    return tuple(dict.fromkeys(found))


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
