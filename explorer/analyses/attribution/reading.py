"""What do a map's numbers say, and how is a map taken along?"""

import io
from typing import NamedTuple

import numpy as np

from explorer.analyses.attribution.attribute import Attribution

LARGEST_DELTA = 0.05  # of the score's change: beyond it a map does not count as complete


class Completeness(NamedTuple):
    """`total` is the map's sum, `change` the score's from baseline to image, `delta` the sum less the change, and
    `share` what part of the change that is, at least 0.
    """

    total: float
    change: float
    delta: float
    share: float

    @property
    def holds(self) -> bool:
        return self.share <= LARGEST_DELTA


def completeness(found: Attribution) -> Completeness | None:
    """Whether the map's values add up to what they explain; None for methods that do not promise it.

    Sundararajan et al., 1703.01365, proposition 1.
    """
    if found.delta is None:
        return None
    total = float(found.map.sum())
    change = total - found.delta
    return Completeness(total, change, found.delta, abs(found.delta) / abs(change) if change else float("inf"))


def is_finite(found: Attribution) -> bool:
    return bool(np.isfinite(found.map).all())


def is_zero(found: Attribution) -> bool:
    """Whether nothing in it changes the score."""
    return not found.map.any()


def is_against(found: Attribution) -> bool:
    """Whether all of it speaks against the target."""
    return found.signed and bool((found.map <= 0).all())


def npz(found: Attribution, method: str) -> bytes:
    """The map as a file that `numpy.load` reads."""
    file = io.BytesIO()
    np.savez_compressed(file, map=found.map, method=np.array(method), operation=np.array(found.operation))
    return file.getvalue()
