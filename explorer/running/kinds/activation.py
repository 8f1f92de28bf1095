"""How activations run: each has a module of its own, and none works in place."""

from collections.abc import Callable, Mapping

from torch import nn

from explorer.plan import Op
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


RUNNING = (
    Running(
        kind="activation",
        module=module,
        unsaid=unsaid,
        construction=construction,
        constructed=False,
        application=application,
        takes_vectors=True,
        written_in=("multiply",),
        own_input=True,
        rules={nn.SiLU: rescale, nn.GELU: rescale},
    ),
)
