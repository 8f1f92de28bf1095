"""A residual network as an ensemble of paths: how long they are, and what gradient each length carries.

Veit et al., Residual networks behave like ensembles of relatively shallow networks, 1605.06431.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional as F

from explorer.analyses.gradients import Batch, GradientError, Table, check
from explorer.plan import Plan
from explorer.plan.wiring import Edge, Residual, residual_blocks
from explorer.running.network import plan_of, run

MOST_LENGTHS, SAMPLES = 19, 5  # of each length, as in the paper
SMALLEST = 1e-300  # of a norm that is not zero


class Paths(NamedTuple):
    """Through `blocks` residual blocks lead 2^blocks paths; one of length k goes through k of their branches."""

    blocks: int
    lengths: tuple[int, ...]  # those that were sampled, 0 and `blocks` among them
    gradient: Table  # (lengths, samples): norm of the gradient at the first block's input, along one path

    @property
    def every(self) -> Table:
        """All lengths that there are, from 0 to `blocks`."""
        return np.arange(self.blocks + 1.0)

    @property
    def frequency(self) -> Table:
        """Share of all paths that have each length, from 0 on: binomial."""
        return np.array([math.comb(self.blocks, k) / 2**self.blocks for k in range(self.blocks + 1)])

    @property
    def carried(self) -> Table:
        """Share of the gradient that paths of each length, from 0 on, carry together: their number times the mean norm
        of one (section 4.3 there). Between lengths that were sampled the norm's logarithm is on a straight line."""
        logarithm = np.log(np.maximum(self.gradient.mean(1), SMALLEST))
        one = np.exp(np.interp(self.every, self.lengths, logarithm))
        together: Table = self.frequency * np.where(one > 2 * SMALLEST, one, 0)
        together /= together.sum() or 1
        return together

    @property
    def usual_length(self) -> float:
        """In branches: most of the paths are about so long."""
        return self.blocks / 2

    @property
    def mean_length(self) -> float:
        """In branches, of the paths that the gradient comes through: each length weighted by what it carries."""
        return float(self.carried @ self.every)


def paths(
    network: GraphModule,
    batch: Batch,
    most_lengths: int = MOST_LENGTHS,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Paths:
    """Sample paths of each length as the paper does (section 4.3): one forward pass as it is, and on the way back,
    in k blocks drawn at random the gradient goes through the branch alone, in all others through the shortcut alone.

    The network must be the caller's own where it is in train mode. `progress` hears how many of all paths are done; it
    may end the work by raising. Raises GradientError for a network without residual blocks.
    """
    plan = plan_of(network)
    check(plan, len(batch.labels), "train" if network.training else "eval")
    blocks = residual_blocks(plan)
    if not blocks:
        raise GradientError("This network has no residual blocks, so there is one path through it.")
    draw = np.random.default_rng(seed)
    lengths = np.unique(np.linspace(0, len(blocks), min(most_lengths, len(blocks) + 1)).round().astype(int))
    wanted: list[str | Edge] = [name for block in blocks for name in (block.source, block.join)]
    wanted += [edge for block in blocks for edge in (block.shortcut, *block.branch)]
    logits, kept = run(network, batch.images, list(dict.fromkeys(wanted)))
    (last,) = torch.autograd.grad(F.cross_entropy(logits, batch.labels), [kept[blocks[-1].join]], retain_graph=True)
    gradient = np.empty((len(lengths), samples))
    for i, length in enumerate(lengths):
        for j in range(samples):
            through = set(draw.choice(len(blocks), length, replace=False).tolist())
            gradient[i, j] = float(torch.linalg.vector_norm(along(blocks, kept, last, through).double()))
            progress(i * samples + j + 1, gradient.size)
    return Paths(len(blocks), tuple(lengths.tolist()), gradient)


def macs(plan: Plan, count: int) -> float:
    """Of `paths` on a batch of `count`, about: a pass forward, then one back for each path, half of whose blocks are
    passed by; gradients of weights are not needed."""
    sampled = SAMPLES * min(MOST_LENGTHS, len(residual_blocks(plan)) + 1)
    return (1 + sampled / 2) * plan.macs * count


def along(blocks: tuple[Residual, ...], kept: dict[str | Edge, Tensor], last: Tensor, through: set[int]) -> Tensor:
    """The gradient at the first block's input along one path; `through` are the blocks whose branch it takes."""
    gradient = last
    for i in reversed(range(len(blocks))):
        block = blocks[i]
        edges = [kept[edge] for edge in (block.branch if i in through else (block.shortcut,))]
        gradient = sum(torch.autograd.grad(kept[block.join], edges, gradient, retain_graph=True), torch.zeros(()))
        if i and blocks[i - 1].join != block.source:
            before = kept[blocks[i - 1].join]
            (gradient,) = torch.autograd.grad(kept[block.source], [before], gradient, retain_graph=True)
    return gradient
