"""Weights for tests that hold two networks against each other."""

import torch
from torch import nn

DRAWN = 1_000_003  # numbers; a prime, so that no two rows of a weight in which they are repeated are alike


def uniform(shape: torch.Size, least: float, most: float, draw: torch.Generator) -> torch.Tensor:
    """The largest networks have 140 million weights, most of which are repeated: drawing all takes a second."""
    count = shape.numel()
    drawn = torch.empty(min(count, DRAWN)).uniform_(least, most, generator=draw)
    return drawn.repeat(-(-count // DRAWN))[:count].view(shape)


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
            state[name] = uniform(value.shape, 0.5, 1.5, draw)
        else:
            bound = (3 / value[0].numel()) ** 0.5
            state[name] = uniform(value.shape, -bound, bound, draw)
    return state
