"""How evenly is something shared out: over how many parts does it really spread?"""

import numpy as np
from numpy.typing import ArrayLike


def effective_number(values: ArrayLike) -> float:
    """How many equal parts would be as even as these (n,), which are not negative: n where all are alike, 1 where one
    has everything. Not-a-number where there are none, or only zeros.

    It is e to the power of Shannon's entropy of the shares: Hill's number of order 1 (Ecology 54, 1973).
    """
    given = np.asarray(values, np.float64)
    if not given.size or not np.isfinite(given).all() or (given < 0).any() or not given.sum():
        return float("nan")
    shares = given[given > 0] / given.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def evenness(values: ArrayLike) -> float:
    """The effective number as a share of all: 1 where all are alike, 1/n where one of n has everything."""
    return effective_number(values) / max(1, np.size(np.asarray(values)))
