"""Data sets of one's own pictures, from a folder or a zip with one folder a class.

Each picture is decoded as any upload is, in a confined process, and kept in the size that was asked for, in a folder
of `settings.data_folder()` that is named by the content: who knows the name may learn the set.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explorer.learning.datasets.dataset import DataError, Dataset, Example, Progress, Source, Split, example
from explorer.learning.datasets.filling import filled
from explorer.learning.datasets.picture_files import CLASSES, File, Layout, Refused, arranged, folder_files
from explorer.learning.datasets.splitting import spread
from explorer.learning.datasets.zips import zip_files
from explorer.learning.settings import data_folder
from explorer.pictures.preparation import Preparation, as_seen
from explorer.pictures.reading import PictureError, read_pictures
from explorer.wording import clean

NAME = re.compile(r"imported-([0-9a-f]{64})")
SIZES = (8, 256)  # pixels that pictures can be kept in
MOST_BYTES = 1_500_000_000  # of a set's images
MOST_KEPT = 10_000_000_000  # bytes of all sets that visitors have sent
MOST_SECONDS = 30 * 60  # for one of them: 20,000 pictures may be made that take four seconds of a processor each
ABOUT, IMAGES, LABELS = "dataset.json", "images.npy", "labels.npy"

Words = Annotated[str, Field(min_length=1, max_length=100)]


class About(BaseModel):
    """What is known of a set before its images are read. Those to train on come first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Words
    classes: Annotated[tuple[Words, ...], Field(min_length=CLASSES[0], max_length=CLASSES[1])]
    size: Annotated[int, Field(ge=SIZES[0], le=SIZES[1])]
    channels: Annotated[int, Field(ge=1, le=3)]
    training: Annotated[int, Field(ge=1)]
    test: Annotated[int, Field(ge=1)]
    listed: bool


def import_zip(
    data: bytes | Path, name: str, size: int, channels: int, progress: Progress | None = None, owner: Hashable = None
) -> Source:
    """A zip that somebody sent, or that is on disk. `size` and `channels` as the network has them; `progress` counts
    pictures. The set is not listed. Raises DataError.
    """
    title = clean(Path(name.replace("\\", "/")).stem) or "pictures"
    with _told("zip"), zip_files(data) as files:
        return _import(files, title, size, channels, progress, owner, listed=False)


def import_folder(path: Path, size: int, channels: int, progress: Progress | None = None) -> Source:
    """A folder of this machine's owner, whose set is listed for all visitors. Raises DataError."""
    title = clean(path.resolve().name) or "pictures"
    with _told("folder"):
        return _import(folder_files(path), title, size, channels, progress, None, listed=True)


def find(name: str) -> Source:
    """The set of this name, which may come from a link. Raises DataError."""
    folder = _folder(name)
    if folder is None:
        raise DataError(f"There is no imported data set {clean(name)!r} here; import it, or choose another.")
    return _source(name, folder)


def listed() -> tuple[Source, ...]:
    """Those that the machine's owner imported from folders, by title; one that cannot be read is left out."""
    found = []
    for name in _names():
        with suppress(DataError):
            folder = _folder(name)
            if folder is not None and _about(folder).listed:
                found.append(_source(name, folder))
    return tuple(sorted(found, key=lambda source: source.title))


def forget(name: str) -> None:
    """Deletes a set. Raises DataError."""
    folder = _folder(name)
    if folder is None:
        raise DataError(f"There is no imported data set {clean(name)!r} here, so there is nothing to delete.")
    gone = folder.with_name(f"{folder.name}.{uuid4().hex}.partial")  # at once, or not at all
    try:
        folder.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise DataError(f"{folder} cannot be deleted ({error.strerror}); delete it by hand.") from error


# --- how a set is made


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as refusal:
        raise DataError(f"In the {what}, {refusal}.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"The {what} could not be imported ({reason}); free some space, or try another.") from error


def _import(
    files: list[File], title: str, size: int, channels: int, progress: Progress | None, owner: Hashable, listed: bool
) -> Source:
    if not SIZES[0] <= size <= SIZES[1] or channels not in (1, 3):
        raise DataError(
            f"Pictures are imported in {SIZES[0]} to {SIZES[1]} px with 1 or 3 channels, not in {size} px with "
            f"{channels}; choose another input size."
        )
    layout = arranged(files)
    pictures = [*layout.train, *layout.test]
    needed = len(pictures) * channels * size**2
    if needed > MOST_BYTES:
        raise DataError(
            f"{len(pictures):,} pictures of {size} px take {needed / 1e9:.1f} GB, more than {MOST_BYTES / 1e9:g}; "
            "choose a smaller input size."
        )
    digests = [hashlib.sha256(picture.file.read()).hexdigest() for picture in pictures]
    about = About(
        title=title,
        classes=layout.classes,
        size=size,
        channels=channels,
        training=len(layout.train),
        test=len(layout.test),
        listed=listed,
    )
    name = f"imported-{_identity(about, layout, digests)}"
    folder = data_folder() / "imported" / name.removeprefix("imported-")
    if not folder.is_dir():
        if not listed:
            _refuse_more(needed)
        with filled(folder) as partial:
            _fill(partial, about, layout, digests, progress, owner)
    elif listed and not _about(folder).listed:
        _write_about(folder, about)
    return _source(name, folder)


def _identity(about: About, layout: Layout, digests: list[str]) -> str:
    """Two imports are one set where classes, pictures and their order are the same, whatever the files are called."""
    labels = [picture.label for picture in (*layout.train, *layout.test)]
    content = about.model_dump(exclude={"title", "listed"}) | {"labels": labels, "pictures": digests}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fill(
    folder: Path, about: About, layout: Layout, digests: list[str], progress: Progress | None, owner: Hashable
) -> None:
    pictures = [*layout.train, *layout.test]
    plain = Preparation(about.size, about.size, (0.0,) * about.channels, (1.0,) * about.channels)
    shape = (len(pictures), about.channels, about.size, about.size)
    begun = time.monotonic()
    files = ((picture.file.name, picture.file.read()) for picture in pictures)
    with (folder / IMAGES).open("wb") as images, closing(read_pictures(files, owner)) as read:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(images, header)
        for i, (found, digest) in enumerate(zip(read, digests, strict=True)):
            if isinstance(found, PictureError):
                raise Refused(str(found).removesuffix("."))
            if found.digest != digest:
                raise Refused(f'"{found.name}" was changed while it was read: import it again')
            if not about.listed and time.monotonic() > begun + MOST_SECONDS:
                raise Refused(f"the pictures take more than {MOST_SECONDS / 60:g} minutes: send fewer or smaller ones")
            images.write(as_seen(found, plain).transpose(2, 0, 1).tobytes())
            if progress:
                progress(i + 1, len(pictures))
    np.save(folder / LABELS, np.array([picture.label for picture in pictures], np.int64))
    _write_about(folder, about)


def _write_about(folder: Path, about: About) -> None:
    new = folder / f"{ABOUT}.{uuid4().hex}"
    new.write_text(about.model_dump_json(indent=1), encoding="utf-8")
    new.replace(folder / ABOUT)


def _refuse_more(needed: int) -> None:
    """Raises DataError where visitors' sets would fill the disk."""
    kept = 0
    for name in _names():
        with suppress(DataError, OSError):
            folder = _folder(name)
            if folder is not None and not _about(folder).listed:
                kept += (folder / IMAGES).stat().st_size
    if kept + needed > MOST_KEPT:
        raise DataError(
            f"This machine keeps {kept / 1e9:.1f} GB of imported pictures and takes no more than "
            f"{MOST_KEPT / 1e9:g}; choose a smaller input size, or have its owner delete some."
        )


# --- how a set is found again


def _names() -> list[str]:
    folder = data_folder() / "imported"
    return sorted(f"imported-{path.name}" for path in folder.iterdir()) if folder.is_dir() else []


def _folder(name: str) -> Path | None:
    """Where a set lies; None for any name that is not one's. No other text touches the disk."""
    if (found := NAME.fullmatch(name)) is None:
        return None
    folder = data_folder() / "imported" / found[1]
    return folder if folder.is_dir() and not folder.is_symlink() else None


def _about(folder: Path) -> About:
    """Raises DataError."""
    try:
        return About.model_validate_json((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeError) as error:
        raise DataError(f"{folder} is damaged: delete it, and import the pictures again.") from error


def _source(name: str, folder: Path) -> Source:
    about = _about(folder)

    def load(size: int, channels: int, images: int, progress: Progress | None) -> Dataset:
        source.check(size, channels, images)
        train, test = _halves(folder, about)
        if 0 < images < about.training:
            first = spread(train.labels)[:images]
            train = Split(train.images[first], train.labels[first])
        return Dataset.measured(source, train, test)

    source = Source(
        name=name,
        title=about.title,
        classes=about.classes,
        sizes=(about.size, about.size),
        usual_size=about.size,
        channels=(about.channels,),
        images=(about.training, about.test),
        most_images=about.training,
        mirrors=False,  # which nobody has said
        licence="that of the pictures",
        origin="pictures that were imported here",
        load=load,
        some=lambda size, channels, numbers: _examples(source, folder, about, numbers),
    )
    return source


def _halves(folder: Path, about: About) -> tuple[Split, Split]:
    """Raises DataError."""
    images, labels = _mapped(folder, about)
    train, test = (np.array(part) for part in np.split(images, [about.training]))
    return Split(train, labels[: about.training]), Split(test, labels[about.training :])


def _examples(source: Source, folder: Path, about: About, numbers: Sequence[int]) -> tuple[Example, ...]:
    """Test images by their numbers; no others are read. Raises DataError."""
    images, labels = _mapped(folder, about)
    at = [about.training + number for number in numbers]
    return tuple(
        example(source, number, np.array(images[i]), int(labels[i])) for number, i in zip(numbers, at, strict=True)
    )


def _mapped(folder: Path, about: About) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images (N, C, H, W), those to train on first, as they lie on the disk, and labels (N,). Raises DataError."""
    count = about.training + about.test
    try:
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / LABELS, allow_pickle=False)
        if images.shape != (count, about.channels, about.size, about.size) or labels.shape != (count,):
            raise ValueError("other numbers of images or labels")
        if images.dtype != np.uint8 or not set(labels.tolist()) <= set(range(len(about.classes))):
            raise ValueError("other values")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder} is damaged: delete it, and import the pictures again.") from error
    return images, labels.astype(np.int64)
