"""What a data set is, as one value; and what is known of it before it is loaded."""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.errors import ExplorerError
from explorer.families import Config, ConfigError
from explorer.pictures.preparation import MOST_VALUE, Preparation
from explorer.pictures.reading import Picture

Progress = Callable[[int, int], None]  # so far, in all: bytes, files or images
LARGER = (32, 64, 128, 224)  # sizes that networks are usually made for


class DataError(ExplorerError):
    """A data set that cannot be had or read: one sentence for the user, with the way out."""


class Split(NamedTuple):
    """images (N, C, H, W) uint8; labels (N,) int64, numbers of classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Example(NamedTuple):
    """A test image as pages show pictures, and the number of its class."""

    picture: Picture
    label: int


@dataclass(frozen=True, eq=False)
class Source:
    """Where a data set comes from, and what can be said of it without loading it.

    `sizes` are the least and the largest side in pixels that it can be had in, `usual_size` the one in which it is
    usually learned, `channels` those that it can be had with. `images` are how many there usually are to train and to
    test on, and `most_images` how many to train on there can be. `mirrors` says whether an image mirrored left to
    right is one of the same class. `load(size, channels, images, progress)` raises DataError.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    sizes: tuple[int, int]
    usual_size: int
    channels: tuple[int, ...]
    images: tuple[int, int]
    most_images: int
    mirrors: bool
    licence: str
    origin: str  # who made it, and an address
    load: Callable[[int, int, int, Progress | None], "Dataset"]
    # the test images of these numbers, where that is quicker than to load all
    some: Callable[[int, int, Sequence[int]], tuple[Example, ...]] | None = None

    def misfits(self, config: Config) -> tuple[str, ...]:
        """In what a network does not fit this data set, each in a few words; () where it does."""
        found = []
        if config.classes != len(self.classes):
            found.append(f"{len(self.classes)} classes, not {config.classes}")
        if config.channels not in self.channels:
            found.append(f"{self.channels[0]} image channel{'s' * (self.channels[0] > 1)}, not {config.channels}")
        if not self.sizes[0] <= config.input_size <= self.sizes[1]:
            found.append(f"{self._pixels}, not {config.input_size}")
        return tuple(found)

    def fit(self, config: Config) -> dict[str, Any]:
        """What to change in a network that does not fit, so that it learns this data set as is usual: the knobs and
        their values. With small images a stem that halves them twice gives way to CIFAR's. A network that halves the
        usual size too often gets the next larger one that it takes, if there is one.
        """
        larger = (size for size in LARGER if self.usual_size < size <= self.sizes[1])
        for size in (self.usual_size, *larger):
            with suppress(ConfigError):
                config.adapt(**self._changes(config, size))
                return self._changes(config, size)
        return self._changes(config, self.usual_size)  # of which the network's family says why it cannot be

    def examples(self, size: int, channels: int, numbers: Sequence[int]) -> tuple[Example, ...]:
        """The test images of these numbers, as pages show pictures. Raises DataError."""
        self.check(size, channels, 0)
        if self.some is None:
            return self.load(size, channels, 0, None).examples(numbers)
        _check_numbers(self, numbers)
        return self.some(size, channels, numbers)

    def _changes(self, config: Config, size: int) -> dict[str, Any]:
        wanted: dict[str, Any] = {"classes": len(self.classes), "input_size": size}
        if config.channels not in self.channels:
            wanted["channels"] = self.channels[0]
        if self.usual_size < 64 and hasattr(config, "stem"):
            wanted["stem"] = "cifar"
        return {name: value for name, value in wanted.items() if getattr(config, name) != value}

    def check(self, size: int, channels: int, images: int) -> None:
        """Raises DataError for what `load` cannot give."""
        if not self.sizes[0] <= size <= self.sizes[1]:
            raise DataError(f"{self.title} can be had in {self._pixels}, not in {size}; choose another input size.")
        if channels not in self.channels:
            has = " or ".join(map(str, self.channels))
            raise DataError(f"{self.title} can be had with {has} image channels, not {channels}; choose as many.")
        if not 0 <= images <= self.most_images:
            most = f"up to {self.most_images:,} images to train on, not {images:,}"
            raise DataError(f"{self.title} has {most}; choose fewer, or 0 for all.")

    @property
    def _pixels(self) -> str:
        least, most = self.sizes
        return f"{least} px" if least == most else f"{least} to {most} px"


def _check_numbers(source: Source, numbers: Sequence[int]) -> None:
    if wrong := [number for number in numbers if not 0 <= number < source.images[1]]:
        raise DataError(f"{source.title} has test images 0 to {source.images[1] - 1:,}, and no {wrong[0]}.")


def example(
    source: Source, number: int, pixels: NDArray[np.uint8], label: int, mask: NDArray[np.bool_] | None = None
) -> Example:
    """A test image (C, H, W) as a picture that says what it is."""
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0))
    name = f"{source.title}: {source.classes[label]} (test image {number})"
    return Example(Picture(name, hashlib.sha256(rgb.tobytes()).hexdigest(), rgb, mask), label)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and to test on. mean and std, of values 0..1, are those of the training images' channels."""

    source: Source
    train: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measured(cls, source: Source, train: Split, test: Split) -> "Dataset":
        """With the mean and the deviation of its training images."""
        counts = np.zeros((train.images.shape[1], 256), np.int64)  # how often each channel has each value
        for start in range(0, len(train.images), 1000):
            for channel, count in enumerate(counts):
                count += np.bincount(train.images[start : start + 1000, channel].ravel(), minlength=256)
        mean, std = [], []
        for times in counts.tolist():  # in whole numbers, so that they are the same on every machine
            number = sum(times)
            total, squares = (sum(n * value**power for value, n in enumerate(times)) for power in (1, 2))
            mean.append(total / number / 255)
            # images of one colour have no deviation, and are divided by one all the same
            std.append(max(math.sqrt(number * squares - total**2) / number / 255, 1 / MOST_VALUE))
        return cls(source, train, test, tuple(mean), tuple(std))

    def examples(self, numbers: Sequence[int]) -> tuple[Example, ...]:
        """As `Source.examples`."""
        _check_numbers(self.source, numbers)
        images, labels = self.test
        return tuple(example(self.source, number, images[number], int(labels[number])) for number in numbers)

    @property
    def size(self) -> int:
        return int(self.train.images.shape[2])

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[1])

    @property
    def preparation(self) -> Preparation:
        """How any picture becomes an image as these are."""
        return Preparation(self.size, self.size, self.mean, self.std)
