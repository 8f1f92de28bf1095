"""A private copy of a network that is moved about in its weights, fast.

Every weight w of the fast form is an affine function F of the weights that move, so that along a plane it is moved by
plain sums: F(W + x D1 + y D2) = F(W) + x (F(D1) - F(0)) + y (F(D2) - F(0)).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.fx import GraphModule

from explorer.running.fast_form import derived
from explorer.running.network import blank, plan_of

COPIES = 9  # of the weights, as float32, while it is made: four private networks at most, in float64, and the result


class Moved:
    """`network` has, after `to(x, y)`, the weights base + x * first + y * second; it answers as the plain one would,
    but for rounding. Not to be asked for anything else than logits.
    """

    def __init__(self, network: GraphModule, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
        some = next(network.parameters())
        self.network = derived(_with(network, {})).to(some.device, some.dtype)
        weights = dict(self.network.named_parameters())
        nowhere = {name: torch.zeros_like(way) for name, way in first.items()}
        still = dict(derived(_with(network, nowhere)).named_parameters())
        ways = []
        for direction in (first, second):
            moved = derived(_with(network, direction))
            ways.append({name: weight - still[name] for name, weight in moved.named_parameters()})
        names = [name for name in weights if any(bool(way[name].any()) for way in ways)]
        self._weights: list[Tensor] = [weights[name] for name in names]
        self._base = [weight.clone() for weight in self._weights]
        self._first, self._second = (
            [torch.empty_like(weights[name]).copy_(way[name]) for name in names] for way in ways
        )

    def to(self, x: float, y: float) -> None:
        torch._foreach_copy_(self._weights, self._base)
        torch._foreach_add_(self._weights, self._first, alpha=x)
        torch._foreach_add_(self._weights, self._second, alpha=y)


def _with(network: GraphModule, moved: Mapping[str, Tensor]) -> GraphModule:
    """A network of its own in float64 on the CPU, with some other weights."""
    private = blank(plan_of(network)).to_empty(device="cpu").to(torch.float64).requires_grad_(False)
    private.load_state_dict({**network.state_dict(), **moved})
    return private
