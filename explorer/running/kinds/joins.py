"""How joins run: as modules, so that each has a name by which it can be asked for."""

import torch
from torch import Tensor, nn

from explorer.plan import Op
from explorer.running.kinds.running import Running, nothing_unsaid
from explorer.running.text import Read, Text


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Multiply(nn.Module):
    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate


class Concat(nn.Module):
    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)


class Product(nn.Module):
    """A product whose gradients are the means of both factors over image and baseline: exactly then do the two
    contributions, dx * mean(gate) and dgate * mean(x), sum to the product's change, as a rescale rule's must.

    The batch is images, then as many baselines, as DeepLift's is.
    """

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        linear = x * self._mean(gate) + gate * self._mean(x)
        return linear + (x * gate - linear).detach()

    def _mean(self, x: Tensor) -> Tensor:
        return (x + x.roll(len(x) // 2, 0)).detach() / 2


def add_module(op: Op, x: Op) -> nn.Module:
    return Add()


def multiply_module(op: Op, x: Op) -> nn.Module:
    return Multiply()


def concat_module(op: Op, x: Op) -> nn.Module:
    return Concat()


def no_construction(op: Op, x: Op) -> Text:
    """A sign or a function does its work."""
    return ()


def add_application(op: Op, module: str) -> Text:
    one, other = op.inputs
    return (Read((one,)), " + ", Read((other,)))


def multiply_application(op: Op, module: str) -> Text:
    x, gate = op.inputs
    return (Read((x,)), " * ", Read((gate,)))


def concat_application(op: Op, module: str) -> Text:
    return ("torch.cat(", Read(op.inputs, listed=True), ", 1)")


def product(module: nn.Module) -> nn.Module:
    return Product()


def concat_unsaid(op: Op) -> str:
    return "tensors stand side by side, the earlier first"


RUNNING = (
    Running(
        kind="add",
        module=add_module,
        unsaid=nothing_unsaid,
        construction=no_construction,
        constructed=False,
        application=add_application,
        sequential=False,
        written_in=("activation",),
    ),
    Running(
        kind="multiply",
        module=multiply_module,
        unsaid=nothing_unsaid,
        construction=no_construction,
        constructed=False,
        application=multiply_application,
        sequential=False,
        written_in=(),
        for_deep_lift=product,
    ),
    Running(
        kind="concat",
        module=concat_module,
        unsaid=concat_unsaid,
        construction=no_construction,
        constructed=False,
        application=concat_application,
        sequential=False,
    ),
)
