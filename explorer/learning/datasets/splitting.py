"""Which images come first: an order that is the same on every machine, and fair to every class."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def spread(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order (N,) of images of which every beginning has each class in its share, give or take one image.

    What comes first within a class is drawn by hashes, since no library promises that its random numbers stay.
    """
    draws = np.array([int.from_bytes(sha256(b"%d" % i).digest()[:8], "big") for i in range(len(labels))], np.uint64)
    by_class = np.lexsort((draws, labels))
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(labels))  # of an image in its class, from 0 to 1
    place[by_class] = (np.arange(len(labels)) - starts[labels[by_class]] + 0.5) / counts[labels[by_class]]
    return np.lexsort((draws, place))
