"""What stands for "nothing there"? Baselines that a map is relative to, and the superpixels that are taken away.

What a baseline is decides what a map can show (Sturmfels et al., Distill 2020): against black, dark pixels are
nothing by definition.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import gaussian
from skimage.segmentation import slic
from torch import Tensor

from explorer.pictures.preparation import Preparation

Baseline = Literal["black", "mean", "blurred", "noise", "image"]
TITLES: Mapping[Baseline, str] = MappingProxyType(
    {
        "black": "Black",
        "mean": "The data's mean colour",
        "blurred": "The image, blurred",
        "noise": "Uniform noise",
        "image": "Another image",
    }
)

BLUR = 10 / 224  # standard deviation, in image sides (Fong & Vedaldi, 1704.03296, section 4.1)
FEWEST_SEGMENTS, MOST_SEGMENTS = 4, 500


def baseline(
    kind: Baseline, image: Tensor, preparation: Preparation, count: int = 1, seed: int = 0, other: Tensor | None = None
) -> Tensor:
    """(count, C, H, W), normalised, as `image` (1, C, H, W) is; only noise differs from one to the next.

    Noise is uniform over pixel values, drawn on the CPU from `seed` alone. `other` is the other image, or several,
    which take turns. Raises ValueError where it is missing or of another shape.
    """
    mean = torch.tensor(preparation.mean, dtype=torch.float64).view(-1, 1, 1)
    std = torch.tensor(preparation.std, dtype=torch.float64).view(-1, 1, 1)
    shape = (count, *image.shape[1:])
    match kind:
        case "black":
            made = (-mean / std).expand(shape)
        case "mean":
            made = torch.zeros(shape)
        case "blurred":
            sigma = BLUR * min(image.shape[2:])
            pixels = image[0].double().cpu().numpy()
            blurred = gaussian(pixels, sigma, mode="nearest", channel_axis=0)
            made = torch.from_numpy(blurred).expand(shape)
        case "noise":
            draw = torch.Generator().manual_seed(seed)
            made = (torch.rand(shape, dtype=torch.float64, generator=draw) - mean) / std
        case "image":
            if other is None or other.shape[1:] != image.shape[1:]:
                has = "there is none" if other is None else f"this one is {tuple(other.shape[1:])}"
                raise ValueError(f"another image of shape {tuple(image.shape[1:])} is needed; {has}")
            made = other[torch.arange(count) % len(other)]
    return made.to(image.device, image.dtype, copy=True)


def superpixels(seen: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Regions of similar colour in a picture (H, W, C): (H, W), numbered from 0; about `count` of them.

    SLIC (Achanta et al., 10.1109/TPAMI.2012.120), which has no chance in it. Raises ValueError for a count that is
    out of bounds.
    """
    if not FEWEST_SEGMENTS <= count <= MOST_SEGMENTS:
        raise ValueError(f"{count=}: choose {FEWEST_SEGMENTS} to {MOST_SEGMENTS} superpixels")
    colours = np.broadcast_to(seen, (*seen.shape[:2], 3))  # grey gets the lightness that colours have
    for compactness in (10, 30, 100, 1000):
        found = slic(colours, n_segments=count, compactness=compactness, start_label=0, channel_axis=2)
        numbers: NDArray[np.int64] = np.unique(found, return_inverse=True)[1].reshape(found.shape).astype(np.int64)
        # among noise there are no regions until nearness counts for more than colour
        if 2 * (numbers.max() + 1) >= count:
            break
    return numbers
