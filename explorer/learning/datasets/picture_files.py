"""Which files of a folder or a zip are which picture of a data set: one folder a class.

Above these folders there may be train/ and test/, or train/ and val/; of three, val/ is left out. Above all there may
be folders with nothing beside them.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from explorer.learning.datasets.splitting import spread
from explorer.pictures.reading import MOST_BYTES, short_name
from explorer.wording import clean

MOST_PICTURES = 20_000
CLASSES = (2, 1000)
LEAST_OF_A_CLASS = 2
MOST_DEEP = 20  # folders within folders
TESTED = 5  # one in so many, where the files do not say which
HIDDEN = {"__macosx", "thumbs.db", "desktop.ini"}  # what systems add by themselves, beside names with a dot first


class Refused(Exception):
    """What is wrong, in words that follow "In the zip, "."""


class File(NamedTuple):
    name: str  # with its folders: "train/cats/7.png"
    read: Callable[[], bytes]  # raises Refused


class Labelled(NamedTuple):
    file: File
    label: int


class Layout(NamedTuple):
    classes: tuple[str, ...]
    train: list[Labelled]
    test: list[Labelled]


def quoted(name: str) -> str:
    return f'"{short_name(name)}"'


def hidden(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in HIDDEN for part in name.split("/"))


def check_name(name: str) -> None:
    """Raises Refused for what is no plain path downwards."""
    parts = name.removesuffix("/").split("/")
    if "\\" in name or "\0" in name or not set(parts).isdisjoint({"", ".", ".."}) or re.match("[A-Za-z]:", name):
        raise Refused(f"{quoted(name)} is no plain name of a file: give it another")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"{quoted(name)} is not written in UTF-8: give it another name") from None


def too_many() -> Refused:
    return Refused(f"there are more than {MOST_PICTURES:,} pictures: leave some out")


def folder_files(folder: Path) -> list[File]:
    """All files below a folder but hidden ones. Raises Refused for links and what else is no file."""
    found: list[File] = []
    for path, name in _below(folder, ""):
        found.append(File(name, partial(_read, path, name)))
        if len(found) > MOST_PICTURES:
            raise too_many()
    return found


def _below(folder: Path, inside: str, depth: int = 0) -> Iterator[tuple[Path, str]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Refused(f"{quoted(inside or str(folder))} cannot be read ({error.strerror}): let it be read") from None
    for entry in entries:
        name = f"{inside}{entry.name}"
        if hidden(entry.name):
            continue
        check_name(name)
        if entry.is_symlink():
            raise Refused(f"{quoted(name)} is a link: put the picture itself there")
        if entry.is_dir(follow_symlinks=False):
            if depth >= MOST_DEEP:
                raise Refused(f"{quoted(name)} lies too deep: give each class one folder")
            yield from _below(Path(entry.path), f"{name}/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path), name
        else:
            raise Refused(f"{quoted(name)} is no file: take it away")


def _read(path: Path, name: str) -> bytes:
    """As far as one byte more than a picture may have."""
    try:
        # what was a file a moment ago may be a link by now, or a pipe that nobody writes to
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(opened, "rb") as file:
            if stat.S_ISREG(os.fstat(opened).st_mode):
                return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{quoted(name)} cannot be read ({error.strerror}): let it be read") from None
    raise Refused(f"{quoted(name)} is no file: take it away")


def arranged(files: list[File]) -> Layout:
    """By class, in the order of their names. Raises Refused for what makes no data set."""
    files = sorted(files, key=lambda file: file.name)
    paths = [file.name.split("/") for file in files]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 2:
        paths = [path[1:] for path in paths]
    halves = {path[0].lower() for path in paths}
    given = halves in ({"train", "test"}, {"train", "val"}, {"train", "val", "test"})
    for path, file in zip(paths, files, strict=True):
        if len(path) < 2 + given:
            beside = f"{quoted(file.name)} lies beside the folders of the classes"
            raise Refused(f"{beside}: take it out, or put it into one of them")
        if len(path) > 2 + given:
            raise Refused(f"{quoted(file.name)} lies too deep: give each class one folder, without others in it")
    wanted = halves - {"val"} if "test" in halves else halves
    pairs = [(path, file) for path, file in zip(paths, files, strict=True) if not given or path[0].lower() in wanted]
    names = _classes([path[-2] for path, _ in pairs])
    pictures = [Labelled(file, names.index(path[-2])) for path, file in pairs]
    tested = {file.name for path, file in pairs if path[0].lower() != "train"} if given else _drawn(pictures)
    train = [picture for picture in pictures if picture.file.name not in tested]
    test = [picture for picture in pictures if picture.file.name in tested]
    if untrained := set(range(len(names))) - {picture.label for picture in train}:
        name = quoted(names[min(untrained)])
        raise Refused(f"{name} has pictures for the test only: put some of them into its folder in train/")
    return Layout(tuple(map(clean, names)), train, test)


def _classes(folders: list[str]) -> list[str]:
    """The names of all folders, from that of each picture."""
    counts = Counter(folders)
    names = sorted(counts)
    least, most = CLASSES
    if not least <= len(names) <= most:
        many = {0: "there are no pictures", 1: "there are pictures of one class only"}
        found = many.get(len(names), f"there are pictures of {len(names):,} classes")
        raise Refused(f"{found}: put those of {least} to {most:,} classes into a folder for each class")
    for name in names:
        if counts[name] < LEAST_OF_A_CLASS:
            raise Refused(f"{quoted(name)} has one picture only: give each class {LEAST_OF_A_CLASS} or more")
    shown = Counter(map(clean, names))
    for name in names:
        if shown[clean(name)] > 1:
            raise Refused(f"{quoted(name)} and another class would be shown by one name: give it a shorter one")
    return names


def _drawn(pictures: list[Labelled]) -> set[str]:
    """The names of one picture in TESTED of each class, and of one at least."""
    labels = np.array([picture.label for picture in pictures])
    left = np.maximum(1, np.bincount(labels) // TESTED)
    drawn = set()
    for i in spread(labels):
        if left[labels[i]]:
            left[labels[i]] -= 1
            drawn.add(pictures[i].file.name)
    return drawn
