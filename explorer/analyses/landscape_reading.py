"""How rough is a surface of the loss? Numbers read off its grid, without a network.

Li et al., 1712.09913, section 6, ask how far a surface is from a convex one by the eigenvalues of its Hessian: where
the smallest is negative, the plane curves downwards, and |smallest / largest| says how much of its curvature does. Here
the Hessian is that of the plane, 2x2, from differences between neighbouring points of the grid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEAST, MOST = -6.0, 12.0  # powers of ten of a loss, beyond which they are cut


class Roughness(NamedTuple):
    """`ring`: median over the points at distance about `radius` of the loss's power of ten. `below_chance`: share of
    the plane whose loss is below that of guessing. `negative`: share of inner points that curve downwards some way;
    `nonconvexity`: mean of how much of a point's curvature does, 0 in a bowl, 1 where as much as upwards, or more.
    NaN where no point answers.
    """

    ring: float
    below_chance: float
    negative: float
    nonconvexity: float


def logarithm(loss: Values) -> Values:
    """The power of ten, cut where it is 0 or infinite; NaN stays."""
    with np.errstate(divide="ignore"):
        found: Values = np.clip(np.log10(loss), LEAST, MOST)
    return found


def roughness(xs: Values, ys: Values, loss: Values, classes: int, radius: float = 1.0) -> Roughness:
    """Of a loss (rows, columns) at ys (rows,) and xs (columns,), evenly spaced; NaN is not computed."""
    distance = np.hypot(*np.meshgrid(xs, ys))
    near = np.abs(distance - radius) <= max(xs[1] - xs[0], ys[1] - ys[0]) / 2 + 1e-12
    computed = ~np.isnan(loss)
    ring = logarithm(loss[near & computed])
    curved = downwards(curvatures(xs, ys, loss))
    curved = curved[~np.isnan(curved)]
    return Roughness(
        float(np.median(ring)) if ring.size else np.nan,
        float((loss[computed] < np.log(classes)).mean()) if computed.any() else np.nan,
        float((curved > 0).mean()) if curved.size else np.nan,
        float(curved.mean()) if curved.size else np.nan,
    )


def curvatures(xs: Values, ys: Values, loss: Values) -> Values:
    """(rows - 2, columns - 2, 2): the two eigenvalues of the Hessian at each inner point, the smaller first; NaN where
    one of the nine points of its neighbourhood is not computed, or infinite.
    """
    dx, dy = xs[1] - xs[0], ys[1] - ys[0]
    loss = np.where(np.isfinite(loss), loss, np.nan)
    middle = loss[1:-1, 1:-1]
    xx = (loss[1:-1, 2:] - 2 * middle + loss[1:-1, :-2]) / dx**2
    yy = (loss[2:, 1:-1] - 2 * middle + loss[:-2, 1:-1]) / dy**2
    xy = (loss[2:, 2:] - loss[2:, :-2] - loss[:-2, 2:] + loss[:-2, :-2]) / (4 * dx * dy)
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return np.stack([mean - half, mean + half], -1)


def downwards(found: Values) -> Values:
    """(...) of eigenvalues (..., 2): |smallest / largest| where the smallest is negative, at most 1; else 0."""
    low, high = found[..., 0], found[..., 1]
    largest = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Values = np.where(low < 0, np.abs(low) / np.where(high > 0, np.minimum(high, largest), largest), 0.0)
    return np.where(np.isnan(low), np.nan, np.minimum(ratio, 1.0))
