"""How joins run: as modules, so that each has a name by which it can be asked for."""

from itertools import accumulate

import torch
from torch import Tensor, nn

from explorer.plan import Op
from explorer.running.arithmetic import Arithmetic, Asked, Formula, read, same_number, unchanged
from explorer.running.kinds.running import Running, nothing_unsaid
from explorer.running.text import Read, Text


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class AddOver(nn.Module):
    """Writes over its first input."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x.add_(y)


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


def add_over(module: nn.Module) -> nn.Module:
    return AddOver()


def product(module: nn.Module) -> nn.Module:
    return Product()


def concat_unsaid(op: Op) -> str:
    return "tensors stand side by side, the earlier first"


def add_arithmetic(asked: Asked) -> Arithmetic:
    patches = same_number(asked, 0), same_number(asked, 1)
    one, other = (patch.total for patch in patches)
    does = "The two numbers at this place, added."
    return Arithmetic(does, patches, Formula("{one} + {other}", {"one": one, "other": other}), one + other)


def multiply_arithmetic(asked: Asked) -> Arithmetic:
    patches = same_number(asked, 0), same_number(asked, 1)
    x, gate = (patch.total for patch in patches)
    does = "The number at this place, times its channel's gate."
    return Arithmetic(does, patches, Formula("{x} · {gate}", {"x": x, "gate": gate}), x * gate)


def concat_arithmetic(asked: Asked) -> Arithmetic:
    """Of one of the inputs: the last that begins at this channel or before."""
    starts = list(accumulate((x.shape[0] for x in asked.sources), initial=0))[:-1]
    which = max(i for i, start in enumerate(starts) if start <= asked.channel)
    x = asked.sources[which]
    patch = read(x, asked.maps[which], [asked.channel - starts[which]], [asked.row], [asked.column])
    does = f"Tensors side by side: channels {starts[which]} to {starts[which] + x.shape[0] - 1} are those of {x.name}."
    return unchanged(does, patch)


RUNNING = (
    Running(
        kind="add",
        module=add_module,
        unsaid=nothing_unsaid,
        arithmetic=add_arithmetic,
        construction=no_construction,
        constructed=False,
        application=add_application,
        sequential=False,
        written_in=("activation",),
        over_input=add_over,
        fresh=True,
    ),
    Running(
        kind="multiply",
        module=multiply_module,
        unsaid=nothing_unsaid,
        arithmetic=multiply_arithmetic,
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
        arithmetic=concat_arithmetic,
        construction=no_construction,
        constructed=False,
        application=concat_application,
        sequential=False,
        fresh=True,
    ),
)
