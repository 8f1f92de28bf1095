"""Weights for tests that hold two networks against each other."""

import torch
from torch import nn


def random_state(network: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights in which no norm is the identity."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith(("running_mean", "bias")):
            state[name] = torch.empty(value.shape).normal_(generator=draw)
        elif value.dim() == 1:  # a norm's scale or variance
            state[name] = torch.empty(value.shape).uniform_(0.5, 1.5, generator=draw)
        else:
            bound = (3 / value[0].numel()) ** 0.5
            state[name] = torch.empty(value.shape).uniform_(-bound, bound, generator=draw)
    return state
