"""Joins, where tensors meet: their sum, a product with a gate, or all of them side by side."""

from collections.abc import Iterable

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


class Features:
    """Tensors that stand side by side, for a concat. One more is added without a look at those that are there: the
    layers of a dense block read ever longer lists.
    """

    __slots__ = ("first", "names", "receptive_field", "shape")

    def __init__(self, xs: Iterable[Op]) -> None:
        """Raises ValueError where heights or widths differ."""
        self.first, *others = xs
        self.names: tuple[str, ...] = (self.first.name,)
        self.shape, self.receptive_field = self.first.shape, self.first.receptive_field
        for x in others:
            self.append(x)

    def append(self, x: Op) -> None:
        """Raises ValueError as above."""
        channels, h, w = self.shape
        more, height, width = x.shape
        if height != h or width != w:
            beside = f"{self.first.name} {self.first.shape}"
            raise ValueError(f"{x.name} {x.shape} is to stand beside {beside}: heights and widths must be equal")
        self.names += (x.name,)
        self.shape = channels + more, h, w
        if x.receptive_field > self.receptive_field:
            self.receptive_field = x.receptive_field


def concat(net: Writer, name: str, xs: Iterable[Op] | Features) -> Op:
    """Along channels. Of a single tensor nothing is made. Raises ValueError where heights or widths differ."""
    try:
        found = xs if isinstance(xs, Features) else Features(xs)
    except ValueError as refusal:
        raise ValueError(f"{name} cannot join these: {refusal}") from None
    if len(found.names) == 1:
        return found.first
    return net.write(name, "concat", found.names, found.shape, 0, 0, found.first.stride, found.receptive_field, None)


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
