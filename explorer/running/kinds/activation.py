"""How activations run: each has a module of its own, and none works in place."""

import math
from collections.abc import Callable, Mapping

from torch import nn

from explorer.plan import Op
from explorer.running.arithmetic import Arithmetic, Asked, Formula, same_number
from explorer.running.kinds.running import Running, rescale
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
    ),
)
