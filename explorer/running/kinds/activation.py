"""How activations run: each has a module of its own, and none works in place."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from explorer.plan import Op
from explorer.running.arithmetic import Arithmetic, Asked, Formula, same_number
from explorer.running.kinds.running import Affine, Running, own, rescale
from explorer.running.text import Read, Text

MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
OF_TORCH = ("tanh", "sigmoid")  # which stand in torch, not in torch.nn.functional


def module(op: Op, x: Op) -> nn.Module:
    return MODULES[op.attributes.function]()


def construction(op: Op, x: Op) -> Text:
    return (f"nn.{type(module(op, x)).__name__}()",)


def application(op: Op, module: str) -> Text:
    function: str = op.attributes.function
    return (f"{'torch' if function in OF_TORCH else 'F'}.{function}(", Read(op.inputs), ")")


def unsaid(op: Op) -> str:
    return f"the activation is {op.attributes.function}"


SLOPE = nn.LeakyReLU().negative_slope


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0  # where exp overflows


def normal_below(x: float) -> float:
    """The share of a normal curve below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


# of a number x: the formula for a calculator, and what it comes to
FORMULAS: Mapping[str, Callable[[float], tuple[str, float]]] = {
    "relu": lambda x: ("max(0, {x})", max(x, 0.0)),
    "leaky_relu": lambda x: ("{x}, being above 0", x) if x > 0 else ("{slope} · {x}, being below 0", SLOPE * x),
    "elu": lambda x: ("{x}, being above 0", x) if x > 0 else ("exp({x}) - 1, being below 0", math.expm1(x)),
    "silu": lambda x: ("{x} / (1 + exp({minus}))", x * sigmoid(x)),
    "gelu": lambda x: ("{x} · {share}, the share of a normal curve below {x}", x * normal_below(x)),
    "tanh": lambda x: ("tanh({x})", math.tanh(x)),
    "sigmoid": lambda x: ("1 / (1 + exp({minus}))", sigmoid(x)),
}


def arithmetic(asked: Asked) -> Arithmetic:
    patch = same_number(asked)
    x = patch.total
    words, result = FORMULAS[asked.op.attributes.function](x)
    numbers = {"x": x, "minus": -x, "slope": SLOPE, "share": normal_below(x)}
    return Arithmetic(f"{type(asked.module).__name__} of the number.", (patch,), Formula(words, numbers), result)


class _Clamped(torch.autograd.Function):
    """Between bounds (1, C, 1, 1), one of which holds and the other is infinite. At the bound itself the gradient is
    zero, as a ReLU's is; torch.clamp's is one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, least: Tensor, most: Tensor, over: bool) -> Tensor:
        y = x.clamp_(least, most) if over else x.clamp(least, most)
        if over:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y, least, most)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        y, least, most = ctx.saved_tensors
        return gradients[0] * ((y != least) & (y != most)), None, None, None


class Clamp(nn.Module):
    """(N, C, H, W), each channel between bounds of its own; with `over` it writes over its input."""

    least: Tensor
    most: Tensor

    def __init__(self, least: Tensor, most: Tensor) -> None:
        super().__init__()
        self.over = False
        for name, bound in (("least", least), ("most", most)):
            self.register_buffer(name, bound[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return x.clamp_(self.least, self.most) if self.over else x.clamp(self.least, self.most)
        found: Tensor = _Clamped.apply(x, self.least, self.most, self.over)
        return found


FARTHEST = 1e30  # a bound that is no float32 any longer


def exchanged(module: nn.Module, affine: Affine) -> tuple[nn.Module, Affine] | None:
    """max(0, a x + b) is, where a > 0, a max(x, -b/a) + b, and where a < 0, a min(x, -b/a) + b."""
    if not isinstance(module, nn.ReLU):
        return None
    scale, offset = affine
    used = scale != 0
    bound = torch.where(used, -offset / scale, 0)
    if not bool((bound.abs() < FARTHEST).all()):
        return None
    infinite = torch.full_like(bound, torch.inf)
    clamp = Clamp(torch.where(scale > 0, bound, -infinite), torch.where(scale < 0, bound, infinite))
    return clamp, Affine(scale, torch.where(used, offset, offset.clamp(min=0)))


def over_input(module: nn.Module) -> nn.Module | None:
    if isinstance(module, nn.ReLU):
        module = own(module)
        module.inplace = True
        return module
    if isinstance(module, Clamp):
        module = own(module)
        module.over = True
        return module
    return None


RUNNING = (
    Running(
        kind="activation",
        module=module,
        unsaid=unsaid,
        arithmetic=arithmetic,
        construction=construction,
        constructed=False,
        application=application,
        takes_vectors=True,
        written_in=("multiply",),
        own_input=True,
        rules={nn.SiLU: rescale, nn.GELU: rescale},
        exchanged=exchanged,
        over_input=over_input,
    ),
)
