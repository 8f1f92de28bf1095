"""A linear layer, on all numbers of a tensor as one vector."""

from typing import NamedTuple

from explorer.plan.kinds.kind import Counted, Kind, all_positions, keeps_inputs, macs, params
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


class Linear(NamedTuple):
    bias: bool


def linear(net: Writer, name: str, x: Op, out: int) -> Op:
    """(C, H, W) -> (out, 1, 1). Each number of the output depends on all of the input."""
    side = x.shape[1]
    weights = out * x.size
    field = x.receptive_field + (side - 1) * x.stride
    stride = x.stride * side
    return net.write(name, "linear", (x.name,), (out, 1, 1), weights + out, weights, stride, field, Linear(True))


def settings(op: Op) -> str:
    return "bias" if op.attributes.bias else ""


def tensors(op: Op, x: Op) -> dict[str, tuple[int, ...]]:
    out = op.shape[0]
    return {"weight": (out, x.size)} | ({"bias": (out,)} if op.attributes.bias else {})


def biases(op: Op, x: Op) -> int:
    return op.size if op.attributes.bias else 0


def example(net: Writer) -> Op:
    return linear(net, "second", linear(net, "first", net.input, 8), 5)


KINDS = (
    Kind(
        name="linear",
        word="linear",
        colour="#004a75",
        settings=settings,
        weighted=True,
        counted=Counted(biases, params, fvcore=macs, thop=macs, ptflops=macs),
        keeps=keeps_inputs,
        window=all_positions,
        tensors=tensors,
        example=example,
        mentioned=2,
        whole=True,
        detour="projection",
    ),
)
