"""Pools: the largest of a window, or its mean; of a whole map, or of as many windows as are asked for."""

from typing import NamedTuple

from explorer.plan.kinds.kind import Count, Counted, Kind, all_positions, keeps_inputs, keeps_nothing, nothing
from explorer.plan.operations import Op
from explorer.plan.writer import Writer

NUMBERS_OF_AN_INDEX = 2  # of where a maximum was: 8 bytes, and a number is 4


class Pool(NamedTuple):
    """With `ceil`, a last window that begins on the map counts though it reaches past it."""

    kernel: int
    stride: int
    padding: int
    ceil: bool = False


class AdaptivePool(NamedTuple):
    size: int


def max_pool(net: Writer, name: str, x: Op, kernel: int, stride: int, padding: int = 0) -> Op:
    return _pool(net, name, "max_pool", x, Pool(kernel, stride, padding))


def avg_pool(net: Writer, name: str, x: Op, kernel: int, stride: int, ceil: bool = False) -> Op:
    """With `ceil`, pixels that are left over at the edge have a window too: the mean of those that are there."""
    return _pool(net, name, "avg_pool", x, Pool(kernel, stride, 0, ceil))


def _pool(net: Writer, name: str, kind: str, x: Op, pool: Pool) -> Op:
    c, h, w = x.shape
    h, w = windows(h, pool), windows(w, pool)
    field = x.receptive_field + (pool.kernel - 1) * x.stride
    return net.write(name, kind, (x.name,), (c, h, w), 0, 0, x.stride * pool.stride, field, pool)


def windows(side: int, pool: Pool) -> int:
    """How many windows stand along a side."""
    reach = side + 2 * pool.padding - pool.kernel
    if not pool.ceil:
        return reach // pool.stride + 1
    count = -(-reach // pool.stride) + 1
    begins_beyond = (count - 1) * pool.stride >= side + pool.padding
    return count - begins_beyond


def global_pool(net: Writer, name: str, x: Op) -> Op:
    """(C, H, W) -> (C, 1, 1), the mean."""
    c, h, _ = x.shape
    field = x.receptive_field + (h - 1) * x.stride
    return net.write(name, "global_pool", (x.name,), (c, 1, 1), 0, 0, x.stride * h, field, None)


def adaptive_pool(net: Writer, name: str, x: Op, size: int) -> Op:
    """(C, H, W) -> (C, size, size): means of size x size windows, which overlap where the size does not divide H, and
    repeat pixels where it is larger.
    """
    c, h, _ = x.shape
    widest = max(-(-(i + 1) * h // size) - i * h // size for i in range(size))
    field = x.receptive_field + (widest - 1) * x.stride
    return net.write(
        name, "adaptive_pool", (x.name,), (c, size, size), 0, 0, x.stride * -(-h // size), field, AdaptivePool(size)
    )


def settings(op: Op) -> str:
    a: Pool = op.attributes
    return f"{a.kernel}×{a.kernel}, stride {a.stride}"


def adaptive_settings(op: Op) -> str:
    return f"to {op.attributes.size}×{op.attributes.size}"


def window(op: Op, x: Op, i: int) -> tuple[int, int]:
    a: Pool = op.attributes
    first = i * a.stride - a.padding
    return first, first + a.kernel - 1


def adaptive_window(op: Op, x: Op, i: int) -> tuple[int, int]:
    a: AdaptivePool = op.attributes
    side = x.shape[1]
    return i * side // a.size, -(-(i + 1) * side // a.size) - 1


def indices(op: Op) -> int:
    return NUMBERS_OF_AN_INDEX * op.size


def of_inputs(op: Op, x: Op) -> int:
    return x.size


def of_outputs(op: Op, x: Op) -> int:
    return op.size


def by_thop(op: Op, x: Op) -> int:
    """An addition for each number of a window, and a division: the windows as if they did not overlap."""
    return x.size + op.size


def max_example(net: Writer) -> Op:
    return max_pool(net, "apart", max_pool(net, "overlapping", net.input, 3, 2, 1), 2, 2)


def avg_example(net: Writer) -> Op:
    x = avg_pool(net, "pool", net.input, 2, 2)
    x = avg_pool(net, "overlapping", x, 2, 1)
    x = avg_pool(net, "to_the_edge", x, 2, 2, ceil=True)
    return avg_pool(net, "beyond_none", x, 2, 3, ceil=True)


def global_example(net: Writer) -> Op:
    return global_pool(net, "pool", net.input)


def adaptive_example(net: Writer) -> Op:
    x = adaptive_pool(net, "overlapping", net.input, 7)
    x = adaptive_pool(net, "repeating", x, 12)
    return adaptive_pool(net, "even", x, 4)


def _counted(fvcore: Count, thop: Count) -> Counted:
    return Counted(nothing, nothing, fvcore, thop, of_inputs, of_inputs)


COLOUR = "#CC79A7"

KINDS = (
    Kind(
        name="max_pool",
        word="max pool",
        colour=COLOUR,
        settings=settings,
        weighted=False,
        counted=_counted(fvcore=nothing, thop=nothing),
        keeps=keeps_inputs,
        keeps_beside=indices,
        window=window,
        example=max_example,
    ),
    Kind(
        name="avg_pool",
        word="avg pool",
        colour=COLOUR,
        settings=settings,
        weighted=False,
        counted=_counted(fvcore=nothing, thop=of_outputs),
        keeps=keeps_inputs,
        window=window,
        example=avg_example,
    ),
    Kind(
        name="global_pool",
        word="global pool",
        colour=COLOUR,
        weighted=False,
        counted=_counted(fvcore=of_inputs, thop=by_thop),
        keeps=keeps_nothing,
        window=all_positions,
        example=global_example,
        whole=True,
    ),
    Kind(
        name="adaptive_pool",
        word="adaptive pool",
        colour=COLOUR,
        settings=adaptive_settings,
        weighted=False,
        counted=_counted(fvcore=of_inputs, thop=by_thop),
        keeps=keeps_inputs,
        window=adaptive_window,
        example=adaptive_example,
    ),
)
