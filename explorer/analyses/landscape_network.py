"""A private copy of a network that is moved about in its weights, fast.

In eval mode a batch norm multiplies each channel by a number s and adds another. Behind a convolution that nothing else
reads, both go into the convolution, once for the whole plane: s (W + x D1 + y D2) = sW + x sD1 + y sD2.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from explorer.plan.wiring import owner
from explorer.running.network import blank, plan_of


class Moved:
    """`network` has, after `to(x, y)`, the weights base + x * first + y * second; it answers as the plain one would,
    but for rounding. Not to be asked for anything else than logits.
    """

    def __init__(self, network: GraphModule, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
        some = next(network.parameters())
        private = blank(plan_of(network)).to_empty(device="cpu").to(some.dtype).requires_grad_(False)
        private.load_state_dict(network.state_dict())
        scales = _folded(private)  # on the CPU, since not every device has float64
        _quicker(private)
        self.network = private.to(some.device).to(memory_format=torch.channels_last)
        moved = [(name, weight) for name, weight in self.network.named_parameters() if name in first]
        self._weights: list[Tensor] = [weight for _, weight in moved]
        self._base = [weight.clone() for weight in self._weights]
        self._first, self._second = (
            [_scaled(direction[name], scales.get(name), weight) for name, weight in moved]
            for direction in (first, second)
        )

    def to(self, x: float, y: float) -> None:
        torch._foreach_copy_(self._weights, self._base)
        torch._foreach_add_(self._weights, self._first, alpha=x)
        torch._foreach_add_(self._weights, self._second, alpha=y)


def _folded(network: GraphModule) -> dict[str, Tensor]:
    """Takes the batch norms out that follow a convolution; the name of each weight that took one in -> the factors
    (out,) float64 of its filters.
    """
    plan, scales = plan_of(network), {}
    for op in plan.ops[1:]:
        norm, source = network.get_submodule(owner(op)), plan[op.inputs[0]]
        if not isinstance(norm, nn.BatchNorm2d) or not source.inputs or len(plan.readers[source.name]) > 1:
            continue
        conv = network.get_submodule(owner(source))
        if not isinstance(conv, nn.Conv2d):
            continue
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
        bias = conv.bias.double() if conv.bias is not None else torch.zeros_like(scale)
        bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
        conv.weight.copy_(_scaled(conv.weight, scale, conv.weight))
        conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
        network.set_submodule(op.name, nn.Identity())
        scales[f"{source.name}.weight"] = scale
    return scales


def _scaled(filters: Tensor, scale: Tensor | None, like: Tensor) -> Tensor:
    """Each filter times its factor, laid out in memory as `like`."""
    found = filters.to("cpu", torch.float64)
    if scale is not None:
        found = found * scale.view(-1, *[1] * (found.ndim - 1))
    return torch.empty_like(like).copy_(found)


class MeanOfMap(nn.Module):
    """What a global average pool does; torch's own adds numbers up one by one where the channels are last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


def _quicker(network: GraphModule) -> None:
    """ReLUs write over what they read, where nobody else reads it; global pools are means."""
    plan = plan_of(network)
    for op in plan.ops[1:]:
        module, source = network.get_submodule(owner(op)), plan[op.inputs[0]]
        made_by = network.get_submodule(owner(source)) if source.inputs else None
        read_once = len(plan.readers[source.name]) == 1
        if isinstance(module, nn.ReLU) and read_once and isinstance(made_by, nn.Conv2d | nn.BatchNorm2d | nn.Identity):
            module.inplace = True
        if isinstance(module, nn.AdaptiveAvgPool2d) and op.shape[1:] == (1, 1):
            network.set_submodule(op.name, MeanOfMap())
