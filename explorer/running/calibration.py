"""Fresh weights have batch norms that never saw an image: what would they be if they had seen some?

Their running statistics are zero and one, so an untrained network's activations grow with depth, to a million in a deep
one, and its answer is one class at 100 %. One pass over a few images gives every norm the statistics of what really
reaches it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.running.network import plan_of

PHOTOGRAPHS = 4  # of the samples, on which the app calibrates: a second of a large network's time


def can_be_calibrated(plan: Plan, count: int) -> bool:
    """Whether the network has norms of the batch, and `count` images give each of them two values a channel."""
    sizes = [op.shape[1] * op.shape[2] for op in plan.ops if KINDS[op.kind].batch_statistics(op)]
    return bool(sizes) and count * min(sizes) > 1


def calibrate(network: GraphModule, images: Tensor) -> None:
    """Give the batch norms of a network, which must be the caller's own, the statistics of images (N, C, H, W).

    One pass in which they take mean and variance from the batch, as in training, and keep them; nothing else of the
    network is in train mode. Raises ValueError where `can_be_calibrated` says no.
    """
    if not can_be_calibrated(plan_of(network), len(images)):
        raise ValueError(f"{len(images)} images give no norm of this network two values a channel")
    with torch.no_grad(), _keeping_the_batch(network):
        network(images)


@contextmanager
def _keeping_the_batch(network: GraphModule) -> Iterator[None]:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum
