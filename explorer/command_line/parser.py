"""From the words after a command to networks: which ones, and with which of their knobs turned."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from explorer.command_line.networks import Network, find, is_link
from explorer.command_line.program import PROGRAM, CommandError
from explorer.families import PRESETS, Knob, describe, family_of, knobs


class Parser(argparse.ArgumentParser):
    """Of one command. Complains with a CommandError."""

    def __init__(self, command: str, what: str) -> None:
        super().__init__(prog=f"{PROGRAM} {command}", description=what, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{self.prog}: {message}.")


def parse_networks(parser: Parser, words: Sequence[str]) -> tuple[argparse.Namespace, list[Network]]:
    """The networks named, with the knobs turned that are given as options.

    Which knobs there are depends on the networks, so those are looked for first: what stands before any option,
    and further on what can be nothing else.
    """
    words = [_dashes(word) for word in words]
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    named = words[:first]
    for before, word in zip(words[first:], words[first + 1 :], strict=False):
        if word in PRESETS or is_link(word) or (word.endswith(".json") and before != "--output"):
            named.append(word)
    found = {word: find(word) for word in named}
    offered = _offer_knobs(parser, list(found.values()))
    parser.add_argument("names", nargs="*", metavar="NAME", help="a preset, a link, or a .json file")
    arguments, strange = parser.parse_known_intermixed_args(words)
    if strange:
        of = named[0] if named and len(named[0]) < 40 else "NAME"
        raise CommandError(
            f"{parser.prog}: there is no option {strange[0][:40]}; `{parser.prog} {of} --help` lists all."
        )
    if not arguments.names:
        raise CommandError(
            f"{parser.prog}: say which network: a preset's name, a link copied from the browser, a .json file."
        )
    given = {name: value for name, value in vars(arguments).items() if name in offered}
    return arguments, [_turn(found.get(word) or find(word), given) for word in arguments.names]


def parse_network(parser: Parser, words: Sequence[str]) -> tuple[argparse.Namespace, Network]:
    """As parse_networks, for a command that takes one."""
    arguments, networks = parse_networks(parser, words)
    if len(networks) > 1:
        raise CommandError("One network at a time, please; `count` takes several.")
    return arguments, networks[0]


def _offer_knobs(parser: Parser, networks: Sequence[Network]) -> set[str]:
    """An option for each knob that one of the networks has."""
    found: dict[str, tuple[Knob, Network]] = {}
    for network in networks:
        for knob in knobs(type(network.config)):
            if knob.name in found and found[knob.name][0].kind != knob.kind:
                knob = knob._replace(kind="choice", choices=())  # one word, a number for this and a switch for that
            found[knob.name] = knob, network
    if not found:
        parser.epilog = "The knobs of a network are options too: with a NAME, --help lists them."
    else:
        title = " or ".join(dict.fromkeys(family_of(network.config).title for network in networks))
        group = parser.add_argument_group(f"knobs of a {title}")
    for name, (knob, network) in found.items():
        option = "--" + name.replace("_", "-")
        facts = [knob.bounds] if knob.bounds else []
        now = f"now {describe(getattr(network.config, name))}"
        text = f"{knob.help} ({', '.join([*facts, now])})".replace("%", "%%")
        if knob.kind == "switch":
            group.add_argument(
                option, action=argparse.BooleanOptionalAction, dest=name, default=argparse.SUPPRESS, help=text
            )
        else:
            group.add_argument(option, dest=name, default=argparse.SUPPRESS, help=text, metavar=_metavar(knob))
    return set(found)


def _metavar(knob: Knob) -> str:
    if knob.choices:
        return "{" + ",".join(map(str, knob.choices)) + "}"
    return {"list": "N-N-N", "real": "X", "choice": "VALUE"}.get(knob.kind, "N")


def _turn(network: Network, given: Mapping[str, str | bool]) -> Network:
    """The network with other knobs; those that no longer mean anything go back to their defaults."""
    own = {knob.name: knob for knob in knobs(type(network.config))}
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in own:
            raise CommandError(f"{network.name} has no --{name.replace('_', '-')}; that is a knob of another family.")
        changes[name] = value if isinstance(value, bool) else own[name].read(value)
    return network._replace(config=network.config.adapt(**changes)) if changes else network


def _dashes(word: str) -> str:
    """--growth_rate=24, as links write it, is --growth-rate=24."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word
