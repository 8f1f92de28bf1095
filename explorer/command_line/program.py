"""Which command is meant, and how the program ends."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from explorer.command_line import commands
from explorer.errors import ExplorerError

PROGRAM = "explorer" if Path(sys.argv[0]).stem == "explorer" else "python -m explorer"
COMMANDS = tuple(sorted(found.name for found in iter_modules(commands.__path__)))
NETWORKS = """\
NAME is a preset, a link copied from the browser, a .json file that `export` wrote, or a checkpoint (.safetensors, .pt
or .pth), whose network is found by its tensors. Every knob of the network is an option: `count densenet121
--growth-rate 24`, and `count densenet121 --help` lists them."""


class CommandError(ExplorerError):
    """What was asked for cannot be done, in one sentence."""


class Command(Protocol):
    """What a file in `commands` holds."""

    USAGE: str  # its words after the program's name
    SUMMARY: str

    def run(self, words: Sequence[str], /) -> None:
        """Prints the answer. Raises ExplorerError."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 where nobody reads on; 2 after one sentence on stderr about what is wrong; 130 on Ctrl-C."""
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × or → shows a question mark
    try:
        if name in ("--help", "-h"):
            print(overview({name: command(name) for name in COMMANDS}))
        elif name in COMMANDS:
            command(name).run(words)
        else:
            raise CommandError(f"{name[:40]!r} is not a command; there are {', '.join(COMMANDS)}.")
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


def command(name: str) -> Command:
    """The file of that name; the others are not imported."""
    return cast(Command, import_module(f"{commands.__name__}.{name}"))


def overview(found: Mapping[str, Command]) -> str:
    """All commands, a line each."""
    width = max(len(one.USAGE) for one in found.values())
    lines = [f"    {PROGRAM} {one.USAGE:{width}}    {one.SUMMARY}" for one in found.values()]
    return "\n".join(["The networks and their costs, as files, and in a browser.", "", *lines, "", NETWORKS])
