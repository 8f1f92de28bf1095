"""A network as a few words of text: what a link, a bookmark or a command line carries.

Only what differs from the published network that it started from is written, so that people can read it:
`network=densenet121&growth_rate=24`.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from explorer.families import PRESETS, Config, ConfigError, describe, knobs

DEFAULT = "resnet20_cifar"


class Choice(NamedTuple):
    """The network chosen, and the name of the preset that it started from."""

    origin: str
    config: Config


def start(name: str = DEFAULT) -> Choice:
    return Choice(name, PRESETS[name])


def write(choice: Choice) -> dict[str, str]:
    changes = choice.config.changes(PRESETS[choice.origin])
    return {"network": choice.origin} | {name: describe(value) for name, (_, value) in changes.items()}


def read(params: Mapping[str, str]) -> tuple[Choice, list[str]]:
    """The network of a link, and one sentence for each part of it that could not be used.

    What cannot be is left at the preset's value; names that no knob has are passed over, since pages keep
    their own things in the link.
    """
    problems = []
    origin = params.get("network", DEFAULT)
    if origin not in PRESETS:
        problems.append(f"The link names a network {origin[:40]!r} that does not exist; this is {DEFAULT} instead.")
        origin = DEFAULT
    config = PRESETS[origin]
    by_name = {knob.name: knob for knob in knobs(type(config))}
    changes = {name: by_name[name].read(text) for name, text in params.items() if name in by_name}
    while changes:
        for names in _attempts(list(changes)):
            try:
                config = config.replace(**{name: changes[name] for name in names})
            except ConfigError as error:
                reason = error
            else:
                changes = {name: value for name, value in changes.items() if name not in names}
                break
        else:
            # the last attempt was one knob alone: its own reason
            changes.pop(names[0])
            problems.append(f"A value in the link was left out: {reason}.")
    return Choice(origin, config), problems


def _attempts(names: list[str]) -> Iterator[tuple[str, ...]]:
    """What to change together: all; else two that may need each other; else one knob after another."""
    yield tuple(names)
    yield from combinations(names, 2)
    yield from ((name,) for name in reversed(names))
