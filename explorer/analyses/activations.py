"""What does each layer see in an image? Feature maps, their statistics, and pictures of a whole layer.

Maps are numpy arrays (C, H, W), float32. Nothing here changes the network.
"""

import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule

from explorer.running.network import plan_of, run

Maps = NDArray[np.float32]
Order = Literal["index", "mean", "variance", "maximum"]


class Answer(NamedTuple):
    number: int  # of the class
    probability: float

    @property
    def percent(self) -> float:
        return 100 * self.probability


def forward(network: GraphModule, images: Tensor, names: Sequence[str]) -> tuple[NDArray[np.float32], dict[str, Maps]]:
    """Logits (N, classes) and, for the first image, the outputs (C, H, W) of the named operations."""
    with torch.inference_mode():
        logits, kept = run(network, images, names)
    shapes = {name: plan_of(network)[name].shape for name in names}
    maps = {name: kept[name][0].float().cpu().numpy().reshape(shape) for name, shape in shapes.items()}
    return logits.float().cpu().numpy(), maps


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The softmax of one image's logits (classes,); logits that overflowed share all of the probability.

    Not-a-number where a logit is that.
    """
    wide = logits.astype(np.float64)
    if np.isnan(wide).any():
        return np.full(len(wide), np.nan)
    with np.errstate(invalid="ignore"):
        # infinity minus infinity is 0 here
        powers = np.exp(np.where(wide == wide.max(), 0, wide - wide.max()))
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def answers(logits: NDArray[np.float32], most: int = 5) -> list[Answer]:
    """The most probable classes of one image's logits (classes,)."""
    probable = probabilities(logits)
    return [Answer(int(i), float(probable[i])) for i in np.argsort(-probable, kind="stable")[:most]]


class Channels(NamedTuple):
    """Statistics over the positions of each channel, (C,) each; `zeros` is the share of exact zeros."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    maximum: NDArray[np.float64]
    zeros: NDArray[np.float64]

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Channels that are zero at every position of this image."""
        return np.equal(self.zeros, 1)

    @property
    def dead_count(self) -> int:
        return int(self.dead.sum())

    @property
    def zero_share(self) -> float:
        """Of all values of the layer."""
        return float(self.zeros.mean())


def channels(maps: Maps) -> Channels:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):  # deep networks without norms do overflow
        return Channels(flat.mean(1), flat.var(1), flat.max(1), (flat == 0).mean(1))


def order(maps: Maps, by: Order) -> NDArray[np.intp]:
    """Channel numbers, the largest first; by index: as they are."""
    if by == "index":
        return np.arange(len(maps))
    return np.argsort(-getattr(channels(maps), by), kind="stable")


def pages(count: int, most: int) -> int:
    """How many pages of at most `most` channels there are."""
    return -(-count // most)


def on_page(numbers: NDArray[np.intp], page: int, most: int) -> NDArray[np.intp]:
    """The channels of one page, the first page being 1."""
    return numbers[(page - 1) * most : page * most]


def refinement(first: Maps, second: Maps, most: int) -> tuple[Maps, float]:
    """What a second pass over the same features changed: (3, C, H, W) with first, second and their difference, the
    `most` channels that changed most in order; and the largest absolute value of all three, for one scale.
    """
    change = second - first
    three = np.stack([first, second, change])
    return three[:, strongest(change, most)], float(np.abs(three).max())


def npz(name: str, maps: Maps) -> bytes:
    """The maps as a file that `numpy.load` reads."""
    file = io.BytesIO()
    np.savez_compressed(file, maps=maps, operation=np.array(name))
    return file.getvalue()


def strongest(maps: Maps, count: int) -> NDArray[np.intp]:
    """The channels with the largest mean absolute value."""
    return np.argsort(-np.abs(maps).mean((1, 2), dtype=np.float64), kind="stable")[:count]


def principal_components(maps: Maps) -> Maps:
    """(C, H, W) -> (3, H, W): the first three principal components over positions, in units of the first's
    standard deviation. Signs are chosen so that each component's largest weight is positive; components that
    do not exist are zero, and so are all of maps that are not finite.

    After Olah et al., The building blocks of interpretability, Distill 2018.
    """
    c, h, w = maps.shape
    if not np.isfinite(maps).all():
        return np.zeros((3, h, w), np.float32)
    flat = maps.reshape(c, -1).astype(np.float64)
    flat /= np.abs(flat).max() or 1  # squares of large numbers overflow
    flat -= flat.mean(1, keepdims=True)
    # of the two Gram matrices the smaller has the same eigenvalues
    if c <= h * w:
        _, vectors = np.linalg.eigh(flat @ flat.T)
        axes = vectors[:, ::-1][:, :3].T
    else:
        _, vectors = np.linalg.eigh(flat.T @ flat)
        axes = (flat @ vectors[:, ::-1][:, :3]).T
        norms = np.linalg.norm(axes, axis=1, keepdims=True)
        axes = np.divide(axes, norms, out=np.zeros_like(axes), where=norms > 1e-12 * max(1.0, norms.max()))
    axes *= np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    components = np.zeros((3, h * w))
    components[: len(axes)] = axes @ flat
    spread = components[0].std()
    return (components / spread if spread > 0 else components).reshape(3, h, w).astype(np.float32)
