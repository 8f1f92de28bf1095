"""A network as a file: what it is, its source, or its weights."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from explorer.command_line.parser import Parser, parse_network
from explorer.command_line.program import CommandError
from explorer.counting import costs
from explorer.families import Config, plan

USAGE = "export NAME"
SUMMARY = "the network as a file"


def as_json(config: Config) -> str:
    return config.model_dump_json(indent=2) + "\n"


def as_csv(config: Config) -> str:
    return costs.as_csv(plan(config))


def as_python(config: Config) -> str:
    from explorer.running.source import python_source

    return python_source(config)


TEXTS: Mapping[str, Callable[[Config], str]] = {"json": as_json, "csv": as_csv, "py": as_python}
WITH_WEIGHTS = ("safetensors", "pt2", "onnx")  # the keys of running.export.EXPORTS, known here without torch


def run(words: Sequence[str]) -> None:
    parser = Parser("export", "The network as a file.")
    parser.add_argument("--format", choices=(*TEXTS, *WITH_WEIGHTS), default="json", help="(default: json)")
    parser.add_argument("--output", metavar="FILE", help="where to write (default: standard output, for text)")
    parser.add_argument("--seed", type=seed, default=0, help="of fresh weights, for files that carry some (default: 0)")
    arguments, network = parse_network(parser, words)
    if arguments.format in TEXTS:
        text = TEXTS[arguments.format](network.config)
        if arguments.output is None:
            print(text, end="")
            return
        content = text.encode()
    elif arguments.output is None:
        raise CommandError(
            f"{parser.prog}: a {arguments.format} file is not text; say where to write it with --output."
        )
    else:
        content = with_weights(network.config, arguments.format, arguments.seed)
    try:
        with open(arguments.output, "wb") as file:
            file.write(content)
    except OSError as error:
        raise CommandError(f"{arguments.output} cannot be written: {(error.strerror or str(error)).lower()}.") from None


def seed(text: str) -> int:
    """A number that a generator can be seeded with."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 0 to 999999999")
    return int(text)


def with_weights(config: Config, form: str, seed: int) -> bytes:
    """The network with fresh weights."""
    from explorer.running.export import EXPORTS
    from explorer.running.network import build

    return EXPORTS[form](build(plan(config), seed), config=config)
