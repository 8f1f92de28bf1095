"""Which data sets there are to learn from; and one more, made of a folder or a zip of pictures."""

from collections.abc import Sequence
from pathlib import Path

from explorer.command_line.parser import Parser
from explorer.command_line.printing import print_table
from explorer.command_line.program import CommandError
from explorer.wording import clean

USAGE = "data [add PATH]"
SUMMARY = "the data sets to learn from, or one more of your own pictures"


def run(words: Sequence[str]) -> None:
    parser = Parser("data", "List the data sets; or add a folder, or a zip, of pictures with one folder a class.")
    parser.add_argument("action", nargs="?", choices=("add",), help="without it, all are listed")
    parser.add_argument("path", nargs="?", metavar="PATH", help="of the folder or zip")
    parser.add_argument("--size", type=int, default=32, help="side of the images, in pixels (default: 32)")
    parser.add_argument("--grey", action="store_true", help="one channel for three")
    arguments = parser.parse_args(list(words))
    if arguments.action is None:
        _list()
    elif arguments.path is None:
        raise CommandError(f"{parser.prog}: say which folder or zip to add.")
    else:
        _add(Path(arguments.path), arguments.size, 1 if arguments.grey else 3)


def _list() -> None:
    from explorer.learning.datasets import SOURCES, imported

    rows = [
        (one.name, one.title, f"{len(one.classes)}", f"{one.images[0]:,}", f"{one.images[1]:,}")
        for one in (*SOURCES.values(), *imported.listed())
    ]
    print_table([("name", "title", "classes", "to train on", "to test on"), *rows], left=2)


def _add(path: Path, size: int, channels: int) -> None:
    from explorer.learning.datasets import imported

    if not path.exists():
        raise CommandError(f"There is no folder or zip {clean(str(path), 200)}.")
    if path.is_dir():
        source = imported.import_folder(path, size, channels)
    else:
        source = imported.import_zip(path, path.name, size, channels)
    training, tested = source.images
    counts = f"{len(source.classes)} classes, {training:,} images to train on, {tested:,} to test on"
    print(f"{source.name}: {source.title}, {counts}.")
