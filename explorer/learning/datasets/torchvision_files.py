"""How torchvision keeps the data sets of the literature: from which addresses, in which files, and what is in them.

Addresses and checksums are those of torchvision's classes, which also read the files.
"""

import gzip
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class File(NamedTuple):
    """path: where it belongs in the data set's folder. Of the addresses the first that answers will do."""

    path: str
    addresses: tuple[str, ...]
    md5: str


class Half(NamedTuple):
    """For training or for the test: images (N, C, H, W), labels (N,), and the classes where the files name them."""

    images: Any
    labels: Any
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """What several of torchvision's classes have in common.

    `files(kind)` are to be downloaded, `unpack(kind, folder)` makes of them what `read(kind, folder, train)` reads.
    """

    files: Callable[[Any], Iterator[File]]
    unpack: Callable[[Any, Path], None]
    read: Callable[[Any, Path, bool], Half]


def _idx_files(kind: Any) -> Iterator[File]:
    for name, md5 in kind.resources:
        yield File(f"{kind.__name__}/raw/{name}", tuple(f"{mirror}{name}" for mirror in kind.mirrors), md5)


def _idx_unpack(kind: Any, folder: Path) -> None:
    for packed in list((folder / kind.__name__ / "raw").glob("*.gz")):
        with gzip.open(packed) as source, packed.with_suffix("").open("xb") as target:
            shutil.copyfileobj(source, target)
        packed.unlink()


def _idx_read(kind: Any, folder: Path, train: bool) -> Half:
    found = kind(folder, train=train)
    return Half(found.data.numpy()[:, None], found.targets.numpy())


def _cifar_files(kind: Any) -> Iterator[File]:
    yield File(kind.filename, (kind.url,), kind.tgz_md5)


def _cifar_unpack(kind: Any, folder: Path) -> None:
    packed, inside = folder / kind.filename, folder / kind.base_folder
    inside.mkdir()
    with tarfile.open(packed) as tar:
        for name in [*(name for name, _ in kind.train_list + kind.test_list), kind.meta["filename"]]:
            source = tar.extractfile(f"{kind.base_folder}/{name}")
            if source is None:
                raise tarfile.ExtractError(f"{name} is no file in {kind.filename}")
            with source, (inside / name).open("xb") as target:
                shutil.copyfileobj(source, target)
    packed.unlink()


def _cifar_read(kind: Any, folder: Path, train: bool) -> Half:
    found = kind(folder, train=train)  # which unpickles nothing whose checksum is not the published one
    return Half(found.data.transpose(0, 3, 1, 2), found.targets, tuple(found.classes))


def _mat_files(kind: Any) -> Iterator[File]:
    for half in ("train", "test"):
        address, name, md5 = kind.split_list[half]
        yield File(name, (address,), md5)


def _mat_unpack(kind: Any, folder: Path) -> None:
    """They are read as they come."""


def _mat_read(kind: Any, folder: Path, train: bool) -> Half:
    found = kind(folder, split="train" if train else "test")
    return Half(found.data, found.labels)


IDX = Format(_idx_files, _idx_unpack, _idx_read)  # MNIST's
CIFAR = Format(_cifar_files, _cifar_unpack, _cifar_read)
MAT = Format(_mat_files, _mat_unpack, _mat_read)  # SVHN's
