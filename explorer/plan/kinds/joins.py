"""Joins, where tensors meet: their sum, a product with a gate, or all of them side by side."""

from collections.abc import Sequence

from explorer.plan.kinds.kind import UNCOUNTED, Kind, keeps_inputs, keeps_nothing, same_position
from explorer.plan.kinds.pools import global_pool
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


def add(net: Writer, name: str, x: Op, y: Op) -> Op:
    if x.shape != y.shape:
        raise ValueError(f"{name} adds {x.name} {x.shape} and {y.name} {y.shape}: the shapes must be equal")
    field = max(x.receptive_field, y.receptive_field)
    return net.write(name, "add", (x.name, y.name), x.shape, 0, 0, x.stride, field, None)


def multiply(net: Writer, name: str, x: Op, gate: Op) -> Op:
    """(C, H, W) times a gate (C, 1, 1)."""
    if gate.shape != (x.shape[0], 1, 1):
        raise ValueError(f"{name} multiplies {x.shape} by {gate.name} {gate.shape}: the gate must be (C, 1, 1)")
    field = max(x.receptive_field, gate.receptive_field)
    return net.write(name, "multiply", (x.name, gate.name), x.shape, 0, 0, x.stride, field, None)


def concat(net: Writer, name: str, xs: Sequence[Op]) -> Op:
    """Along channels. Of a single tensor nothing is made."""
    if len(xs) == 1:
        return xs[0]
    names, _, _, shapes, _, _, strides, fields, *_ = zip(*xs, strict=True)
    channels, heights, widths = zip(*shapes, strict=True)
    h, w = heights[0], widths[0]
    if heights.count(h) < len(xs) or widths.count(w) < len(xs):
        listed = ", ".join(f"{x.name} {x.shape}" for x in xs)
        raise ValueError(f"{name} joins {listed}: heights and widths must be equal")
    return net.write(name, "concat", names, (sum(channels), h, w), 0, 0, strides[0], max(fields), None)


def of_map_or_gate(op: Op, x: Op, i: int) -> tuple[int, int]:
    return (0, 0) if x.shape[1:] == (1, 1) else (i, i)


def add_example(net: Writer) -> Op:
    return add(net, "add", net.input, net.input)


def multiply_example(net: Writer) -> Op:
    return multiply(net, "multiply", net.input, global_pool(net, "gate", net.input))


def concat_example(net: Writer) -> Op:
    return concat(net, "concat", [net.input, net.input])


KINDS = (
    Kind(
        name="add",
        word="add",
        colour="#D55E00",
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=same_position,
        example=add_example,
        mentioned=4,
        join="sum",
    ),
    Kind(
        name="multiply",
        word="multiply",
        colour="#D55E00",
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_inputs,
        window=of_map_or_gate,
        example=multiply_example,
        join="gate",
    ),
    Kind(
        name="concat",
        word="concat",
        colour="#56B4E9",
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=same_position,
        example=concat_example,
        mentioned=5,
        join="concat",
    ),
)
