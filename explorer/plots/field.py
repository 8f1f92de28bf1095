"""What a position of a feature map sees of the picture: its receptive field, framed."""

import numpy as np
from PIL import Image

from explorer.plan.receptive_field import Field
from explorer.plots.mosaic import OVERLAY, Picture, resize

LINE = 4  # pixels of the white line, and of the black one round it: one of them is visible on any picture


def framed(seen: Picture, field: Field, side: int = OVERLAY) -> Picture:
    """The picture (H, W, 3) or (H, W, 1), about `side` pixels wide, and a frame round the field: (h, w, 3).

    Where the field reaches the border of the picture, or beyond it, the frame stands inside.
    """
    h, w = seen.shape[:2]
    large = _sized(seen if seen.shape[-1] == 3 else seen.repeat(3, -1), side)
    times = large.shape[0] / h, large.shape[1] / w
    first = [max(0, round(edge * one) - 2 * LINE) for edge, one in zip((field.top, field.left), times, strict=True)]
    last = [
        min(end, round(edge * one) + 2 * LINE)
        for edge, one, end in zip((field.bottom, field.right), times, large.shape[:2], strict=True)
    ]
    picture = large.copy()
    for inset, colour in ((0, 0), (LINE, 255)):
        picture[_inside(first, last, inset)] = colour
    within = _inside(first, last, 2 * LINE)
    picture[within] = large[within]
    return picture


def _inside(first: list[int], last: list[int], inset: int) -> tuple[slice, ...]:
    return tuple(slice(low + inset, max(low, high - inset)) for low, high in zip(first, last, strict=True))


def _sized(seen: Picture, side: int) -> Picture:
    h, w = seen.shape[:2]
    if w <= side:
        return resize(seen, side)
    return np.asarray(Image.fromarray(seen).resize((side, round(h * side / w))))
