"""From a small map to a larger one: bilinear, or by a transposed convolution that is learned (Long et al.,
1411.4038, section 3.3).
"""

from typing import NamedTuple

from explorer.plan.kinds.kind import Count, Counted, Kind, keeps_inputs, keeps_nothing, macs, nothing
from explorer.plan.kinds.pools import avg_pool
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


class Upsample(NamedTuple):
    factor: int


class TransposedConv(NamedTuple):
    kernel: int
    stride: int
    padding: int
    bias: bool


def upsample(net: Writer, name: str, x: Op, factor: int) -> Op:
    """(C, H, W) -> (C, factor H, factor W), bilinear; the borders of pixels align, not their centres.

    Each number is a mean of two neighbours along each side. Raises ValueError where it goes beyond the input's size.
    """
    c, h, w = x.shape
    stride = _finer(name, x, factor)
    field = _field(x, 2, stride)
    return net.write(name, "upsample", (x.name,), (c, factor * h, factor * w), 0, 0, stride, field, Upsample(factor))


def transposed_conv(net: Writer, name: str, x: Op, out: int, factor: int, bias: bool | None = None) -> Op:
    """(C, H, W) -> (out, factor H, factor W), by a kernel of twice the factor where that is even (as in 1411.4038),
    of the factor where it is odd. One MAC for each number of the input and of the kernel's.

    Raises ValueError where it goes beyond the input's size.
    """
    c, h, w = x.shape
    stride = _finer(name, x, factor)
    kernel, padding = (factor, 0) if factor % 2 else (2 * factor, factor // 2)
    bias = net.norms == "none" if bias is None else bias
    weights = c * out * kernel * kernel
    field = _field(x, kernel // factor, stride)
    return net.write(
        name,
        "transposed_conv",
        (x.name,),
        (out, factor * h, factor * w),
        weights + out * bias,
        weights * h * w,
        stride,
        field,
        TransposedConv(kernel, factor, padding, bias),
    )


def _finer(name: str, x: Op, factor: int) -> int:
    if x.stride % factor:
        raise ValueError(
            f"{name} enlarges {factor} times what {x.name} has made {x.stride} times smaller: "
            "strides are whole pixels of the input"
        )
    return x.stride // factor


def _field(x: Op, neighbours: int, stride: int) -> int:
    """The receptive field of a number that is made of so many neighbours along a side.

    Two numbers beside each other are made of the same neighbours, or of neighbours one step of `x` further, so that no
    stride is right for both. With the field given, and `stride`, no operation behind it sees further than is said; it
    is at most one step of `x` too large.
    """
    return x.receptive_field + (neighbours - 1) * x.stride + x.stride - stride


def settings(op: Op) -> str:
    return f"{op.attributes.factor} times, bilinear"


def kernel_settings(op: Op) -> str:
    a: TransposedConv = op.attributes
    return f"{a.kernel}×{a.kernel}, stride {a.stride}" + (", bias" if a.bias else "")


def neighbours(op: Op, x: Op, i: int) -> tuple[int, int]:
    """The centre of position i is (i + 1/2) / factor - 1/2 of `x`; where that is a whole number, there is one."""
    factor: int = op.attributes.factor
    above = 2 * i + 1 - factor  # of 2 factor
    return above // (2 * factor), -(-above // (2 * factor))


def kernels_over(op: Op, x: Op, i: int) -> tuple[int, int]:
    """The positions of `x` whose kernels reach position i."""
    a: TransposedConv = op.attributes
    last = i + a.padding
    return -(-(last - a.kernel + 1) // a.stride), last // a.stride


def tensors(op: Op, x: Op) -> dict[str, tuple[int, ...]]:
    a: TransposedConv = op.attributes
    out = op.shape[0]
    return {"weight": (x.shape[0], out, a.kernel, a.kernel)} | ({"bias": (out,)} if a.bias else {})


def times(factor: int) -> Count:
    """For each number of the output."""
    return lambda op, x: factor * op.size


def biases(op: Op, x: Op) -> int:
    return op.size if op.attributes.bias else 0


def by_positions(op: Op, x: Op) -> int:
    """torchinfo: the parameters once for each position of the output, though the kernel stands at the input's."""
    return op.params * op.shape[1] * op.shape[2]


def by_thop(op: Op, x: Op) -> int:
    """As if the kernel stood at each position of the output."""
    return op.macs // (x.shape[1] * x.shape[2]) * op.shape[1] * op.shape[2]


def upsample_example(net: Writer) -> Op:
    x = avg_pool(net, "small", net.input, 4, 4)
    return upsample(net, "up", upsample(net, "up_first", x, 2), 2)


def transposed_conv_example(net: Writer) -> Op:
    x = avg_pool(net, "small", net.input, 6, 6)
    x = transposed_conv(net, "even", x, 4, 2, bias=True)
    return transposed_conv(net, "odd", x, 5, 3, bias=False)


KINDS = (
    Kind(
        name="upsample",
        word="upsample",
        colour="#999933",
        settings=settings,
        weighted=False,
        counted=Counted(nothing, nothing, times(4), times(11), times(1), times(1)),
        keeps=keeps_nothing,
        window=neighbours,
        example=upsample_example,
    ),
    Kind(
        name="transposed_conv",
        word="transposed conv",
        colour="#332288",
        settings=kernel_settings,
        weighted=True,
        counted=Counted(biases, by_positions, fvcore=macs, thop=by_thop, ptflops=macs),
        keeps=keeps_inputs,
        window=kernels_over,
        tensors=tensors,
        example=transposed_conv_example,
        detour="projection",
    ),
)
