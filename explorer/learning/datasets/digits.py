"""Small real images without a download: scikit-learn's handwritten digits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.learning.datasets.dataset import Dataset, Example, Progress, Source, Split
from explorer.learning.datasets.splitting import spread

TRAINING, TEST = 1400, 397


def load(size: int, channels: int, images: int, progress: Progress | None) -> Dataset:
    SOURCE.check(size, channels, images)
    from sklearn.datasets import load_digits  # a second, which only who learns them waits for

    found = load_digits()
    grey = np.rint(found.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8) of 0..16
    labels = found.target.astype(np.int64)
    order = spread(labels)
    test, train = order[:TEST], order[TEST:]
    train = train[: images or TRAINING]
    if progress:
        progress(len(train) + TEST, len(train) + TEST)
    return Dataset.measured(
        SOURCE,
        Split(_enlarged(grey[train], size, channels), labels[train]),
        Split(_enlarged(grey[test], size, channels), labels[test]),
    )


def some(size: int, channels: int, numbers: Sequence[int]) -> tuple[Example, ...]:
    """Test images; all are at hand."""
    return load(size, channels, 0, None).examples(numbers)


def _enlarged(grey: NDArray[np.uint8], size: int, channels: int) -> NDArray[np.uint8]:
    """(N, 8, 8) -> (N, channels, size, size), bilinear; three channels are equal."""
    bilinear = Image.Resampling.BILINEAR
    large = np.stack([np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in grey])
    return np.repeat(large[:, None], channels, axis=1)


SOURCE = Source(
    name="digits",
    title="Digits",
    classes=tuple("0123456789"),
    sizes=(8, 64),
    usual_size=16,
    channels=(1, 3),
    images=(TRAINING, TEST),
    most_images=TRAINING,
    mirrors=False,
    licence="CC BY 4.0",
    origin="8×8 pixels, enlarged: E. Alpaydin, C. Kaynak, https://archive.ics.uci.edu/dataset/80; scikit-learn's copy",
    load=load,
    some=some,
)
