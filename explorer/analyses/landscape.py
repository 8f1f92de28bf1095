"""The loss about a trained network, on a plane through it. Li et al., 1712.09913, sections 3 and 4.

A point (x, y) of the plane is the network with the weights W + x D1 + y D2. Of random directions each filter, which is
what leads to one output channel of a convolution or to one output of a linear layer, is scaled to the norm of the
filter that it moves. Without that a network would look flat only because its weights are large: batch norm takes their
scale out again, so that networks of any scale compute the same.

As in the paper's own code (`dir_type=weights, xignore=biasbn`), biases and the scales and offsets of norms stay where
they are, and so do the statistics that batch norms keep from training: the network runs in eval mode everywhere. A
kernel that several operations share is one kernel, and moves once. The second direction is left as drawn: in so many
dimensions two random directions are nearly at right angles.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional as F

from explorer.analyses.landscape_network import Moved
from explorer.errors import ExplorerError
from explorer.plan import Plan

Values = NDArray[np.float64]
Direction = Mapping[str, Tensor]  # the name of a weight -> how far it moves, of its shape

SIDES = (5, 101)  # points along a side; odd, since the trained network is the one in the middle
REACHES = (0.05, 10.0)
STEPS = (8, 4, 2, 1)  # every so many points along a side, one level after another
AT_ONCE = 128  # images: what a small network makes of so many stays near the processor


class LandscapeError(ExplorerError):
    """A plane that cannot be looked at: one sentence."""


class Plane(NamedTuple):
    first: Direction
    second: Direction


class Grid(NamedTuple):
    """xs (columns,) and ys (rows,): how far along the first direction, and along the second."""

    xs: Values
    ys: Values

    @property
    def levels(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """All points as (row, column), each once: first every 8th along a side, then every 4th, 2nd, and all, as far
        as ends and middle are among them: coarse pictures without the trained network would mislead.
        """
        steps = [step for step in STEPS if all((len(side) - 1) // 2 % step == 0 for side in self)]
        found: list[tuple[tuple[int, int], ...]] = []
        seen: set[tuple[int, int]] = set()
        for step in steps:
            rows, columns = range(0, len(self.ys), step), range(0, len(self.xs), step)
            new = [(row, column) for row in rows for column in columns if (row, column) not in seen]
            seen.update(new)
            found.append(tuple(new))
        return tuple(found)


def square(side: int = 25, reach: float = 1.0) -> Grid:
    """side x side points from -reach to reach. Raises LandscapeError for what cannot be."""
    if not SIDES[0] <= side <= SIDES[1] or side % 2 == 0:
        raise LandscapeError(f"{side} points along a side: choose an odd number from {SIDES[0]} to {SIDES[1]}.")
    if not REACHES[0] <= reach <= REACHES[1]:
        raise LandscapeError(f"A reach of {reach:g}: choose {REACHES[0]:g} to {REACHES[1]:g}.")
    line = np.linspace(-reach, reach, side)
    return Grid(line, line.copy())


@dataclass(frozen=True, eq=False)
class Surface:
    """loss and accuracy (rows, columns) of the grid's points: mean cross entropy, and share of images that are right.
    NaN is not computed yet, and a loss too large for a number is infinite. `base_loss` is that of the network itself.
    """

    xs: Values
    ys: Values
    loss: Values
    accuracy: Values
    base_loss: float

    @property
    def complete(self) -> bool:
        return not bool(np.isnan(self.loss).any())

    def joined(self, other: "Surface") -> "Surface":
        """With the other's points too, of the same plane."""
        there = ~np.isnan(other.loss)
        loss, accuracy = np.where(there, other.loss, self.loss), np.where(there, other.accuracy, self.accuracy)
        return Surface(self.xs, self.ys, loss, accuracy, self.base_loss)


def joined(parts: Iterable[Surface]) -> Surface:
    return reduce(Surface.joined, parts)


def moving(network: GraphModule) -> dict[str, Tensor]:
    """The weights that a plane moves, by their names in the state dict: all of convolutions and linear layers."""
    return {name: weight.detach() for name, weight in network.named_parameters() if weight.ndim > 1}


def random_plane(network: GraphModule, seed: int = 0) -> Plane:
    """Two Gaussian directions, each filter as long as the one that it moves. They are drawn on the CPU from a
    generator of their own.
    """
    draw = torch.Generator().manual_seed(seed)
    weights = moving(network)
    first, second = ({name: _filters_like(weight, draw) for name, weight in weights.items()} for _ in range(2))
    return Plane(first, second)


def _filters_like(weight: Tensor, draw: torch.Generator) -> Tensor:
    """(out, ...) a random tensor whose every weight[i] has the norm of the given one's."""
    drawn = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    own = weight.to("cpu", torch.float64).flatten(1).norm(dim=1)
    scale = own / drawn.flatten(1).norm(dim=1).clamp(min=1e-300)
    found: Tensor = drawn * scale.view(-1, *[1] * (weight.ndim - 1))
    return found.to(weight)


def surface(
    network: GraphModule,
    images: Tensor,
    labels: Tensor,
    plane: Plane,
    grid: Grid,
    levels: Iterable[int] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Surface:
    """The loss and accuracy of images (N, C, H, W) with labels (N,) at the grid's points, or at those of some of its
    levels. The network is left as it is; a private copy is moved.

    `progress` hears how many of these points are done, and may end the work by raising. Raises LandscapeError where
    there are no images, and where a direction is another network's.
    """
    if not len(labels):
        raise LandscapeError("Without images there is no loss.")
    _check(network, plane)
    chosen = [point for i, level in enumerate(grid.levels) if levels is None or i in levels for point in level]
    loss = np.full((len(grid.ys), len(grid.xs)), np.nan)
    accuracy = loss.copy()
    with torch.inference_mode():
        moved = Moved(network, plane.first, plane.second)
        laid_out = images.contiguous(memory_format=torch.channels_last)
        batches = list(zip(laid_out.split(AT_ONCE), labels.split(AT_ONCE), strict=True))
        moved.to(0.0, 0.0)
        base, _ = _measured(moved.network, batches)
        for done, (row, column) in enumerate(chosen):
            progress(done, len(chosen))
            moved.to(float(grid.xs[column]), float(grid.ys[row]))
            loss[row, column], accuracy[row, column] = _measured(moved.network, batches)
        progress(len(chosen), len(chosen))
    return Surface(grid.xs, grid.ys, loss, accuracy, base)


def _measured(network: GraphModule, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Mean loss, infinite where it is no number, and accuracy."""
    logits = torch.cat([network(images) for images, _ in batches]).to("cpu", torch.float64)
    labels = torch.cat([labels for _, labels in batches]).cpu()
    loss = float(F.cross_entropy(logits, labels))
    return loss if math.isfinite(loss) else math.inf, float((logits.argmax(1) == labels).double().mean())


def _check(network: GraphModule, plane: Plane) -> None:
    weights = moving(network)
    for direction in plane:
        for name, weight in weights.items():
            if name not in direction or direction[name].shape != weight.shape:
                raise LandscapeError(f"This plane is another network's: it has no direction for {name}.")


def macs(plan: Plan, images: int, points: int) -> float:
    """Multiply-accumulates of so many points."""
    return float(plan.macs) * images * (points + 1)


def calls(plan: Plan, images: int, points: int) -> float:
    """Operations that are started, one after another."""
    return float(len(plan.ops)) * -(-images // AT_ONCE) * (points + 1)
