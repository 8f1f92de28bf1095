"""A network as a file: what it is, its source, or its weights."""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from explorer.command_line.parser import Parser, parse_network
from explorer.command_line.program import CommandError
from explorer.counting import costs
from explorer.families import Config, plan
from explorer.plan.lesions import Lesions, lesioned

USAGE = "export NAME"
SUMMARY = "the network as a file"


def as_json(config: Config, lesions: Lesions) -> str:
    if lesions:
        raise CommandError("A configuration has no lesions; write another --format, or leave out --off and --cut.")
    return config.model_dump_json(indent=2) + "\n"


def as_csv(config: Config, lesions: Lesions) -> str:
    return costs.as_csv(lesioned(plan(config), *lesions))


def as_python(config: Config, lesions: Lesions) -> str:
    from explorer.running.source import python_source

    return python_source(config, lesions=lesions)


TEXTS: Mapping[str, Callable[[Config, Lesions], str]] = {"json": as_json, "csv": as_csv, "py": as_python}
WITH_WEIGHTS = ("safetensors", "pt2", "onnx")  # the keys of running.export.EXPORTS, known here without torch


def run(words: Sequence[str]) -> None:
    parser = Parser("export", "The network as a file.")
    parser.add_argument("--format", choices=(*TEXTS, *WITH_WEIGHTS), default="json", help="(default: json)")
    parser.add_argument("--output", metavar="FILE", help="where to write (default: standard output, for text)")
    parser.add_argument("--seed", type=seed, default=0, help="of fresh weights, for files that carry some (default: 0)")
    for option, what in (("--off", "block or layer"), ("--cut", "block's shortcut")):
        help = f"a {what} to leave out, by its name (layer1.0); may be given again"
        parser.add_argument(option, action="append", default=[], metavar="PART", help=help)
    arguments, network = parse_network(parser, words)
    lesions = Lesions(tuple(arguments.off), tuple(arguments.cut))
    if arguments.format in TEXTS:
        text = TEXTS[arguments.format](network.config, lesions)
        if arguments.output is None:
            print(text, end="")
            return
        with written_to(arguments.output) as file:
            file.write(text.encode())
    elif arguments.output is None:
        raise CommandError(
            f"{parser.prog}: a {arguments.format} file is not text; say where to write it with --output."
        )
    else:
        # in a folder of its own first: the output may be no file that could be replaced
        with tempfile.TemporaryDirectory(prefix="explorer-") as folder:
            made = Path(folder, "network")
            with_weights(network.config, lesions, arguments.format, arguments.seed, made)
            with written_to(arguments.output) as file, made.open("rb") as content:
                shutil.copyfileobj(content, file)


@contextmanager
def written_to(output: str) -> Iterator[BinaryIO]:
    try:
        with open(output, "wb") as file:
            yield file
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {(error.strerror or str(error)).lower()}.") from None


def seed(text: str) -> int:
    """A number that a generator can be seeded with."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 0 to 999999999")
    return int(text)


def with_weights(config: Config, lesions: Lesions, form: str, seed: int, path: Path) -> None:
    """The network, or what lesions leave of it, with the whole one's fresh weights."""
    from explorer.running import export
    from explorer.running.network import build, sharing

    left = lesioned(plan(config), *lesions)
    network = build(plan(config), seed)
    if lesions:
        # without the configuration, which is the whole network's: whoever reads it would look for weights that are gone
        export.write(form, sharing(network, left), path)
    else:
        export.write(form, network, path, config=config)
