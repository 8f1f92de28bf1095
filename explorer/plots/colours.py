"""The colour language of every picture: what a colour means, and the scales that turn numbers into it.

Zero is white on every scale. Signed numbers go to blue below zero and to red above, symmetric about zero;
numbers that cannot be negative use the red half alone, so that a map before and after its ReLU compare. The
anchors are ColorBrewer's RdBu, which stays readable for all common kinds of colour blindness. A kernel's numbers have a
scale of their own, brown to green (ColorBrewer's BrBG), so that what the network has learned is told from what it sees.
"""

import numpy as np
from numpy.typing import NDArray

SIGNED = ("#053061", "#2166ac", "#4393c3", "#92c5de", "#f7f7f7", "#f4a582", "#d6604d", "#b2182b", "#67001f")
KERNEL = ("#543005", "#8c510a", "#bf812d", "#dfc27d", "#f5f5f5", "#80cdc1", "#35978f", "#01665e", "#003c30")
GAP = np.array([128, 128, 128], np.uint8)  # between tiles; visible on light and on dark pages
INVISIBLE = "rgba(0,0,0,0)"  # of a marker that is there to be clicked

SHADES = 249  # 8 steps of 31 and one: zero has a shade of its own, and so has every anchor


def _table(anchors: tuple[str, ...]) -> NDArray[np.uint8]:
    """The shades through the anchors, (SHADES, 3)."""
    rgb = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors], float)
    at, steps = np.linspace(0, 1, len(anchors)), np.linspace(0, 1, SHADES)
    return np.stack([np.interp(steps, at, rgb[:, i]) for i in range(3)], 1).round().astype(np.uint8)


SIGNED_TABLE = _table(tuple(SIGNED))
UNSIGNED_TABLE = _table(tuple(SIGNED[4:]))
KERNEL_TABLE = _table(KERNEL)


def colorscale(signed: bool) -> list[list[float | str]]:
    """The same scale as plotly takes it: shares of the whole, with their colours."""
    anchors = SIGNED if signed else SIGNED[4:]
    return [[i / (len(anchors) - 1), colour] for i, colour in enumerate(anchors)]


def faint(colour: str, opacity: float) -> str:
    """A colour "#rrggbb" that lets through what is behind it."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{opacity})"


def paint(values: NDArray[np.floating], reach: NDArray[np.floating] | float, signed: bool) -> NDArray[np.uint8]:
    """(...) numbers -> (..., 3) colours; `reach` is the number that gets the full colour, broadcast to `values`.

    A reach of zero paints everything as zero. Numbers beyond it are cut, not-a-number is grey.
    """
    return _paint(values, reach, signed, SIGNED_TABLE if signed else UNSIGNED_TABLE)


def paint_kernel(values: NDArray[np.floating], reach: float) -> NDArray[np.uint8]:
    """The same for weights."""
    return _paint(values, reach, True, KERNEL_TABLE)


def _paint(
    values: NDArray[np.floating], reach: NDArray[np.floating] | float, signed: bool, table: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    with np.errstate(all="ignore"):
        share = np.where(np.asarray(reach) > 0, values / np.asarray(reach, np.float64), 0.0)
    share = np.clip(np.nan_to_num(share), -1 if signed else 0, 1)
    index = ((share + 1) / 2 if signed else share) * (SHADES - 1)
    colours: NDArray[np.uint8] = np.take(table, index.round().astype(np.intp), 0)
    colours[np.isnan(values)] = GAP
    return colours
