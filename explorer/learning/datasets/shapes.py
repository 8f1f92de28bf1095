"""Shapes: pictures that the program draws itself, so that learning needs neither a download nor a licence.

Training images are those of seed 0, test images those of seed 1: no picture is in both.
"""

from collections.abc import Sequence

import numpy as np

from explorer.learning.datasets.dataset import DataError, Dataset, Example, Progress, Source, Split, example
from explorer.pictures.shapes import CLASSES, SIZES, draw

TRAIN_SEED, TEST_SEED = 0, 1
USUAL, TESTED, MOST = 10_000, 2_000, 100_000  # images
MOST_BYTES = 1_500_000_000
AT_ONCE = 500  # images between two reports of progress
MEASURED = 2_000  # images that give mean and deviation


def load(size: int, channels: int, images: int, progress: Progress | None = None) -> Dataset:
    """`images` training images (0: the usual number) and 2,000 test images. Raises DataError for what cannot be had."""
    count = images or USUAL
    if not 1 <= count <= MOST:
        raise DataError(f"{images:,} training images: choose 1 to {MOST:,}.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"{size} px: shapes are drawn at {SIZES[0]} to {SIZES[1]} px.")
    if channels not in {1, 3}:
        raise DataError(f"{channels} channels: shapes have 1 or 3.")
    most = MOST_BYTES // (channels * size**2) - TESTED
    if count > most:
        raise DataError(
            f"{count:,} images of {size} px take more than {MOST_BYTES / 1e9:.1f} GB of memory: "
            f"choose at most {most:,}, or a smaller size."
        )
    done = 0

    def split(seed: int, number: int) -> Split:
        nonlocal done
        pixels = np.empty((number, channels, size, size), np.uint8)
        labels = np.empty(number, np.int64)
        for start in range(0, number, AT_ONCE):
            some = np.arange(start, min(start + AT_ONCE, number))
            pixels[some], labels[some], _ = draw(some, seed, size, 1 if channels == 1 else 3)
            done += len(some)
            if progress is not None:
                progress(done, count + TESTED)
        return Split(pixels, labels)

    train, test = split(TRAIN_SEED, count), split(TEST_SEED, TESTED)
    mean, std = _moments(train.images[:MEASURED])
    return Dataset(SOURCE, train, test, mean, std)


def some(size: int, channels: int, numbers: Sequence[int]) -> tuple[Example, ...]:
    """Test images, with the pixels of their objects."""
    drawn = draw(np.array(numbers, np.int64), TEST_SEED, size, 1 if channels == 1 else 3)
    each = zip(numbers, drawn.images, drawn.labels.tolist(), drawn.masks, strict=True)
    return tuple(example(SOURCE, number, pixels, label, mask) for number, pixels, label, mask in each)


def _moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, of values 0..1. Sums of integers: exact, so the same on every machine."""
    means, deviations = [], []
    for channel in images.swapaxes(0, 1):
        values = np.bincount(channel.ravel(), minlength=256)
        total = sum(value * int(count) for value, count in enumerate(values))
        squares = sum(value * value * int(count) for value, count in enumerate(values))
        means.append(total / channel.size / 255)
        deviations.append((squares * channel.size - total * total) ** 0.5 / channel.size / 255)
    return tuple(means), tuple(deviations)


SOURCE = Source(
    name="shapes",
    title="Shapes",
    classes=CLASSES,
    sizes=SIZES,
    usual_size=32,
    channels=(3, 1),
    images=(USUAL, TESTED),
    most_images=MOST,
    mirrors=True,
    licence="MIT, as this program, which draws them",
    origin="drawn by this program: explorer/pictures/shapes.py",
    load=load,
    some=some,
)
