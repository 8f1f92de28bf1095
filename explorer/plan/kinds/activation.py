"""Activations: the nonlinearity of the network, and the sigmoid of a gate."""

from typing import Literal, NamedTuple

from explorer.plan.kinds.kind import Counted, Kind, nothing, same_position
from explorer.plan.operations import Op, Plan
from explorer.plan.writer import Writer

Functions = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]

OF_THE_OUTPUT = ("relu", "tanh", "sigmoid")  # whose derivatives are computed from what came out
HOOKED = ("relu", "leaky_relu", "elu", "gelu")  # MODULES_MAPPING in ptflops/pytorch_ops.py
PATCHED = ("relu", "elu", "gelu", "silu")  # FUNCTIONAL_MAPPING there


WORDS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "silu": "SiLU",
    "gelu": "GELU",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}


class Activation(NamedTuple):
    function: str


KNOWN = {name: Activation(name) for name in WORDS}  # made once: a plan has hundreds


def activation(net: Writer, name: str, x: Op, function: str = "") -> Op:
    """Named as in torchvision ("relu1"); where the network's function is another, the name says so ("silu1").

    Raises KeyError for a function that is none.
    """
    attributes = KNOWN[function or net.function]
    if attributes.function != "relu":
        name = name.replace("relu", attributes.function)
    return net.same(name, "activation", x, attributes)


def functions_of(plan: Plan) -> set[str]:
    """All that the network has."""
    return {op.attributes.function for op in plan.ops if op.kind == "activation"}


def settings(op: Op) -> str:
    return WORDS[op.attributes.function]


def keeps(op: Op) -> tuple[str, ...]:
    return (op.name,) if op.attributes.function in OF_THE_OUTPUT else op.inputs


def is_relu(op: Op) -> bool:
    return bool(op.attributes.function == "relu")


def by_ptflops(op: Op, x: Op) -> int:
    return x.size if op.attributes.function in HOOKED else 0


def by_ptflops_function(op: Op, x: Op) -> int:
    return x.size if op.attributes.function in PATCHED else 0


def example(net: Writer) -> Op:
    x = net.input
    for function in KNOWN:
        x = activation(net, f"relu_{function}", x, function)
    return x


KINDS = (
    Kind(
        name="activation",
        word="activation",
        colour="#F0E442",
        settings=settings,
        weighted=False,
        counted=Counted(nothing, nothing, nothing, nothing, by_ptflops, by_ptflops_function),
        keeps=keeps,
        window=same_position,
        example=example,
        sparse=is_relu,
    ),
)
