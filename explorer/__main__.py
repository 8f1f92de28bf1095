"""The networks and their costs at the command line, without torch.

    python -m explorer presets [FAMILY]    the published networks
    python -m explorer count NAME ...      parameters, MACs, memory; several networks stand side by side
    python -m explorer describe NAME       the network stage by stage, or finer
    python -m explorer conventions NAME    why others say a different number
    python -m explorer export NAME         the network as a file

NAME is a preset, a link copied from the browser, or a .json file that `export` wrote. Every knob of the network is
an option: `count densenet121 --growth-rate 24`, and `count densenet121 --help` lists them.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, NoReturn

from explorer import links
from explorer.counting import costs
from explorer.counting.conventions import conventions
from explorer.errors import ExplorerError
from explorer.families import FAMILIES, PRESETS, TITLES, Config, ConfigError, Knob, describe, family_of, knobs, parse
from explorer.families import plan as plan_of

PROGRAM = "python -m explorer"


class Refusal(ExplorerError):
    """What was asked for cannot be done, in one sentence."""


class Network(NamedTuple):
    """A network that was asked for: what its name stands for, and what the options made of it."""

    name: str
    origin: Config
    config: Config

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        return self.config.changes(self.origin)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 where nobody reads on; 2 after one sentence on stderr about what is wrong; 130 on Ctrl-C."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × or → shows a question mark
    find.cache_clear()
    try:
        if command in ("--help", "-h"):
            print(__doc__.strip())
        elif command in COMMANDS:
            COMMANDS[command](rest)
        else:
            raise Refusal(f"{command[:40]!r} is not a command; there are {', '.join(COMMANDS)}.")
        sys.stdout.flush()
    except BrokenPipeError:
        # so that the interpreter's own flush at exit has somewhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except ExplorerError as error:
        print(f"{str(error).rstrip('.')}.", file=sys.stderr)
        return 2
    return 0


# -- commands ----------------------------------------------------------------------------------------------------------


def presets_command(argv: Sequence[str]) -> None:
    parser = Parser("presets", "The published networks.")
    parser.add_argument("family", nargs="?", metavar="FAMILY", help=f"only {' or '.join(FAMILIES)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    if arguments.family not in (None, *FAMILIES):
        raise Refusal(f"{arguments.family[:40]!r} is not a family; there are {', '.join(FAMILIES)}.")
    chosen = {name: config for name, config in PRESETS.items() if arguments.family in (None, config.family)}
    plans = {name: plan_of(config) for name, config in chosen.items()}
    if arguments.json:
        print_json(
            [
                {"name": n, "title": TITLES[n], "family": c.family, "params": plans[n].params, "macs": plans[n].macs}
                for n, c in chosen.items()
            ]
        )
        return
    rows = [(name, TITLES[name], f"{plans[name].params:,}", f"{plans[name].macs:,}") for name in chosen]
    print_table([("name", "title", "params", "MACs"), *rows], left=2)


def count_command(argv: Sequence[str]) -> None:
    parser = Parser("count", "Parameters, multiply-accumulates and memory, exactly; several networks side by side.")
    parser.add_argument("--batch", type=batch_size, default=1, metavar="N", help="images of the two peaks (default 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments, networks = ask(parser, argv)
    here = [numbers(network.config, arguments.batch) for network in networks]
    before = [numbers(network.origin, arguments.batch) if network.changes else None for network in networks]
    if arguments.json:
        print_json(
            [
                {
                    "name": network.name,
                    "config": network.config.model_dump(mode="json"),
                    "changes": {name: {"from": a, "to": b} for name, (a, b) in network.changes.items()},
                    "batch": arguments.batch,
                    **now,
                    "unchanged": then,
                }
                for network, now, then in zip(networks, here, before, strict=True)
            ]
        )
        return
    header = [""]
    rows = [[label] for label, _ in QUANTITIES.values()]
    for network, now, then in zip(networks, here, before, strict=True):
        header += [network.name, ""] + ([f"against {network.name}", ""] if then else [])
        for row, (key, (_, short)) in zip(rows, QUANTITIES.items(), strict=True):
            row += [f"{now[key]:,}", short(now[key])]
            if then:
                row += [f"{now[key] - then[key]:+,}", share(now[key] - then[key], then[key])]
    print_table([header, *rows], left=1)
    print()
    for network in networks:
        if network.changes:
            print(f"{network.name}: {told(network.changes)}")
    peaks = "one image" if arguments.batch == 1 else f"{arguments.batch} images"
    print(
        f"\n1 MAC is one multiply and one add in a convolution or linear layer; the peaks are for {peaks} in float32."
    )


def describe_command(argv: Sequence[str]) -> None:
    parser = Parser("describe", "The network from input to logits, and where its costs are.")
    levels: tuple[costs.Level, ...] = ("stage", "block", "operation")
    parser.add_argument("--level", choices=levels, default="stage", help="a row for each (default: stage)")
    arguments, networks = ask(parser, argv)
    network = single(networks)
    plan, family = plan_of(network.config), family_of(network.config)
    header = ("name", "contains", "input", "output", "params", "", "MACs", "", "activations", "field")
    rows = [
        (
            row.name,
            row.kind,
            row.input,
            row.output,
            f"{row.params:,}",
            f"{row.params_share:.1%}",
            f"{row.macs:,}",
            f"{row.macs_share:.1%}",
            size(row.activation_bytes),
            f"{row.receptive_field:,} px",
        )
        for row in costs.table(plan, arguments.level)
    ]
    field = f"{costs.receptive_field(plan):,} px"
    whole = f"{plan.params:,}", "", f"{plan.macs:,}", "", size(costs.activation_bytes(plan.ops[1:])), field
    changes = f"; {told(network.changes)}" if network.changes else ""
    print(f"{network.name}: {family.title}, depth {family.depth(network.config)}{changes}\n")
    print_table([header, *rows, ("whole", "", "", "", *whole)], left=4)
    print()
    for title, address in family.papers.items():
        print(f"{title}  {address}")


def conventions_command(argv: Sequence[str]) -> None:
    parser = Parser("conventions", "The network's count as tools and papers would have it.")
    _, networks = ask(parser, argv)
    plan = plan_of(single(networks).config)
    rows = [
        (
            row.by,
            row.word,
            "-" if row.number is None else f"{row.number:,}",
            "" if row.number is None else f"{row.number / plan.macs:.3f}",
            row.counts,
            row.leaves_out,
        )
        for row in conventions(plan)
    ]
    print_table([("says", "of its", "number", "/ MACs", "counts", "leaves out"), *rows], left=2, left_again=4)


def export_command(argv: Sequence[str]) -> None:
    parser = Parser("export", "The network as a file.")
    parser.add_argument("--format", choices=(*FORMATS, *WITH_WEIGHTS), default="json", help="(default: json)")
    parser.add_argument("--output", metavar="FILE", help="where to write (default: standard output, for text)")
    parser.add_argument("--seed", type=seed, default=0, help="of fresh weights, for files that carry some (default: 0)")
    arguments, networks = ask(parser, argv)
    config = single(networks).config
    if arguments.format in FORMATS:
        text = FORMATS[arguments.format](config)
        if arguments.output is None:
            print(text, end="")
            return
        content = text.encode()
    elif arguments.output is None:
        raise Refusal(f"{parser.prog}: a {arguments.format} file is not text; say where to write it with --output.")
    else:
        content = with_weights(config, arguments.format, arguments.seed)
    try:
        with open(arguments.output, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Refusal(f"{arguments.output} cannot be written: {(error.strerror or str(error)).lower()}.") from None


COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "presets": presets_command,
    "count": count_command,
    "describe": describe_command,
    "conventions": conventions_command,
    "export": export_command,
}


# -- from words to networks --------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Of one command. Complains with a Refusal."""

    def __init__(self, command: str, what: str) -> None:
        super().__init__(prog=f"{PROGRAM} {command}", description=what, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{self.prog}: {message}.")


def ask(parser: Parser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[Network]]:
    """The networks named, with the knobs turned that are given as options.

    Which knobs there are depends on the networks, so those are looked for first: what stands before any option,
    and further on what can be nothing else.
    """
    words = [_dashes(word) for word in argv]
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    named = words[:first]
    for before, word in zip(words[first:], words[first + 1 :], strict=False):
        if word in PRESETS or _is_link(word) or (word.endswith(".json") and before != "--output"):
            named.append(word)
    networks = [find(word) for word in named]
    offered = _offer_knobs(parser, networks)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a preset, a link, or a .json file")
    arguments, strange = parser.parse_known_intermixed_args(words)
    if strange:
        of = named[0] if named and len(named[0]) < 40 else "NAME"
        raise Refusal(f"{parser.prog}: there is no option {strange[0][:40]}; `{parser.prog} {of} --help` lists all.")
    if not arguments.names:
        raise Refusal(
            f"{parser.prog}: say which network: a preset's name, a link copied from the browser, a .json file."
        )
    given = {name: value for name, value in vars(arguments).items() if name in offered}
    return arguments, [_turn(find(word), given) for word in arguments.names]


@cache  # so that a link's problems are told once
def find(text: str) -> Network:
    """Raises Refusal."""
    if text in PRESETS:
        return Network(text, PRESETS[text], PRESETS[text])
    if _is_link(text):
        return _from_link(text)
    if text.endswith(".json") or os.path.isfile(text):
        return _from_file(text)
    from difflib import get_close_matches

    close = get_close_matches(text, PRESETS, n=3)
    hint = f"there is {' or '.join(close)}" if close else f"`{PROGRAM} presets` lists them"
    raise Refusal(f"There is no network {text[:60]!r}; {hint}.")


def _is_link(text: str) -> bool:
    return "://" in text or "?" in text or text.startswith("network=")


def _from_link(text: str) -> Network:
    from urllib.parse import parse_qsl

    query = text.partition("?")[2] if "?" in text else "" if "://" in text else text
    choice, problems = links.read(dict(parse_qsl(query.partition("#")[0], keep_blank_values=True)))
    for problem in problems:
        print(problem, file=sys.stderr)
    return Network(choice.origin, PRESETS[choice.origin], choice.config)


def _from_file(path: str) -> Network:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except (ValueError, RecursionError):
        raise Refusal(f"{path} is not JSON.") from None
    if not isinstance(data, dict):
        raise Refusal(f'{path} holds no network: {{"family": "resnet", ...}} is what `export` writes.')
    try:
        config = parse(data)
    except ConfigError as error:
        raise Refusal(f"{path}: {error}.") from None
    name = os.path.splitext(os.path.basename(path))[0]
    return Network(name, config, config)


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
        now = f"now {describe(getattr(network.config, name))}"
        text = f"{knob.help} ({', '.join([*_bounds(knob), now])})".replace("%", "%%")
        if knob.kind == "switch":
            group.add_argument(
                option, action=argparse.BooleanOptionalAction, dest=name, default=argparse.SUPPRESS, help=text
            )
        else:
            group.add_argument(option, dest=name, default=argparse.SUPPRESS, help=text, metavar=_metavar(knob))
    return set(found)


def _bounds(knob: Knob) -> list[str]:
    least, most = f"{knob.least:g}", f"{knob.most:g}"
    if knob.kind == "list" and knob.length:
        return [f"{knob.length[0]} to {knob.length[1]} numbers, each {least} to {most}"]
    return [f"{least} to {most}"] if knob.kind in ("whole", "real") else []


def _metavar(knob: Knob) -> str:
    if knob.choices:
        return "{" + ",".join(map(str, knob.choices)) + "}"
    return {"list": "N-N-N", "real": "X", "choice": "VALUE"}.get(knob.kind, "N")


def _turn(network: Network, given: Mapping[str, Any]) -> Network:
    """The network with other knobs; those that no longer mean anything go back to their defaults."""
    own = {knob.name: knob for knob in knobs(type(network.config))}
    for name in given:
        if name not in own:
            raise Refusal(f"{network.name} has no --{name.replace('_', '-')}; that is a knob of another family.")
    changes = {name: _value(own[name], value) for name, value in given.items()}
    return network._replace(config=network.config.adapt(**changes)) if changes else network


def _value(knob: Knob, given: str | bool) -> Any:
    """As the configuration will check it; nonsense stays text and is refused there."""
    if isinstance(given, bool):
        return given
    if knob.kind == "list":
        return tuple(given.split("-"))
    return next((choice for choice in knob.choices if str(choice) == given), given)


def _dashes(word: str) -> str:
    """--growth_rate=24, as links write it, is --growth-rate=24."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def single(networks: Sequence[Network]) -> Network:
    if len(networks) > 1:
        raise Refusal("One network at a time, please; `count` takes several.")
    return networks[0]


def batch_size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of images")
    return int(text)


# -- from numbers to words ---------------------------------------------------------------------------------------------


def seed(text: str) -> int:
    """A number that a generator can be seeded with."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 0 to 999999999")
    return int(text)


def numbers(config: Config, batch: int) -> dict[str, int]:
    return {"depth": family_of(config).depth(config)} | costs.summary(plan_of(config), batch)._asdict()


def told(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {describe(before)} → {describe(after)}" for name, (before, after) in changes.items())


def number(value: float) -> str:
    """Four significant digits and a unit: 25.56 M."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}"
    return ""


def size(value: float) -> str:
    """Bytes, in powers of a thousand: 102.2 MB."""
    return f"{number(value)}B" if abs(value) >= 1e3 else f"{value:.0f} B"


def share(change: int, of: int) -> str:
    return f"{change / of:+.1%}" if change and of else ""


def pixels(value: float) -> str:
    return "px"


QUANTITIES: Mapping[str, tuple[str, Callable[[float], str]]] = {  # of costs.Summary: label, short form
    "depth": ("depth", lambda _: ""),
    "params": ("params", number),
    "macs": ("MACs", number),
    "flops": ("FLOPs", number),
    "receptive_field": ("receptive field", pixels),
    "activation_bytes": ("image, activations", size),
    "forward_bytes": ("forward, peak", size),
    "training_bytes": ("training, peak", size),
}


def print_table(rows: Sequence[Sequence[str]], left: int, left_again: int = 1000) -> None:
    """The first `left` columns, and those from `left_again` on, begin together; the others end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < left or i >= left_again else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


# -- files -------------------------------------------------------------------------------------------------------------


def as_json(config: Config) -> str:
    return config.model_dump_json(indent=2) + "\n"


def as_csv(config: Config) -> str:
    """The operations, one a row, as costs.table has them."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(costs.Row._fields)
    writer.writerows(costs.table(plan_of(config)))
    return text.getvalue()


def as_python(config: Config) -> str:
    from explorer.running.source import python_source

    return python_source(config)


def with_weights(config: Config, form: str, seed: int) -> bytes:
    """The network with fresh weights; only here is torch imported."""
    from explorer.running.export import EXPORTS
    from explorer.running.network import build

    return EXPORTS[form](build(plan_of(config), seed))


FORMATS: Mapping[str, Callable[[Config], str]] = {"json": as_json, "csv": as_csv, "py": as_python}
WITH_WEIGHTS = ("safetensors", "pt2", "onnx")


if __name__ == "__main__":
    sys.exit(main())
