"""On what scale is a map shown? One that a few outliers do not decide. Numbers in, numbers out."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Clipped(NamedTuple):
    """`map` is in its own units, cut at ±`reach`; `share` is the share of values beyond it, 0..1."""

    map: NDArray[np.float32]
    reach: float
    share: float


def clipped(map: NDArray[np.float32], outliers: float = 0.02) -> Clipped:
    """Cuts values of any shape at the smallest reach within which all but `outliers` of the sum of magnitudes lies.

    Captum's rule (captum.attr.visualization, outlier_perc=2). A map of zeros has a reach of 0. Raises ValueError for
    a share that is not in 0 ..< 1, or for values that are not finite.
    """
    if not 0 <= outliers < 1:
        raise ValueError(f"{outliers=}: the share of outliers is at least 0 and less than 1")
    magnitudes = np.sort(np.abs(map), axis=None).astype(np.float64)
    mass = np.cumsum(magnitudes)
    if not mass.size or not np.isfinite(mass[-1]):
        raise ValueError("the map has no values, or some that are not finite: it has no scale")
    # rounding may leave the last sum a little under the whole
    reach = magnitudes[min(np.searchsorted(mass, (1 - outliers) * mass[-1]), len(mass) - 1)]
    return Clipped(np.clip(map, -reach, reach).astype(np.float32), float(reach), float((magnitudes > reach).mean()))


def common_reach(maps: Iterable[NDArray[np.float32]]) -> float:
    """The largest reach of several maps, by which they can be compared; values that are not finite count as zero."""
    return max((clipped(np.nan_to_num(one)).reach for one in maps), default=0.0)
