"""Convolutions: of one's own kernel, in groups, dilated; and with a slice of a kernel that others read too."""

from functools import lru_cache
from typing import NamedTuple

from explorer.plan.kinds.kind import Counted, Kind, keeps_inputs, macs
from explorer.plan.operations import Kernel, Op
from explorer.plan.writer import Writer


class Conv(NamedTuple):
    """With `shared`, it reads input channels start.. of a kernel that other operations read too."""

    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool
    dilation: int = 1
    shared: str = ""  # name of the kernel that is shared; "" for one of its own
    shared_channels: int = 0  # input channels of the whole shared kernel
    start: int = 0


def conv(
    net: Writer,
    name: str,
    x: Op,
    out: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    bias: bool | None = None,
    dilation: int = 1,
) -> Op:
    """Padded so that stride 1 keeps the size. With dilation, the kernel's numbers stand that many pixels apart
    (Yu & Koltun, 1511.07122). Without an answer to `bias`, it has one where the network has no norm.

    Raises ValueError where the groups do not divide the channels, and for an even kernel that is dilated.
    """
    c, h, w = x.shape
    if c % groups or out % groups:
        raise ValueError(f"{name} has {groups} groups, which do not divide {c} channels into {out}")
    if dilation == 1:
        padding, reach = kernel // 2, kernel
    elif kernel % 2:
        padding, reach = dilation * (kernel // 2), dilation * (kernel - 1) + 1
    else:
        raise ValueError(f"{name} has a dilated kernel of {kernel}: only odd ones can keep the size")
    h = (h + 2 * padding - reach) // stride + 1
    w = (w + 2 * padding - reach) // stride + 1
    bias = net.norms == "none" if bias is None else bias
    weights = out * (c // groups) * kernel * kernel
    return net.write(
        name,
        "conv",
        (x.name,),
        (out, h, w),
        weights + out * bias,
        weights * h * w,
        x.stride * stride,
        x.receptive_field + (reach - 1) * x.stride,
        _attributes(kernel, stride, padding, groups, bias, dilation),
    )


@lru_cache(maxsize=256)
def _attributes(kernel: int, stride: int, padding: int, groups: int, bias: bool, dilation: int) -> Conv:
    """Made once: a plan has hundreds, of a few sorts."""
    return Conv(kernel, stride, padding, groups, bias, dilation)


def shared_conv(net: Writer, name: str, x: Op, kernel: Kernel, start: int = 0) -> Op:
    """Convolve with the kernel's input channels start .. start + C.

    Parameters are those that no operation before this one has read, so that a sum counts each once.
    Raises ValueError where the kernel has no such channels.
    """
    c, h, w = x.shape
    stop = start + c
    if stop > kernel.channels:
        raise ValueError(f"{name} reads channels {start}..{stop} of {kernel.name}, which has {kernel.channels}")
    read = net.read.get(kernel.name)
    bias = net.norms == "none"
    params = kernel.out * max(0, stop - (read or 0)) * kernel.size**2 + kernel.out * (bias and read is None)
    net.read[kernel.name] = max(stop, read or 0)
    return net.write(
        name,
        "conv",
        (x.name,),
        (kernel.out, h, w),
        params,
        kernel.out * c * kernel.size**2 * h * w,
        x.stride,
        x.receptive_field + (kernel.size - 1) * x.stride,
        Conv(kernel.size, 1, kernel.size // 2, 1, bias, 1, kernel.name, kernel.channels, start),
    )


def settings(op: Op) -> str:
    a: Conv = op.attributes
    said = [
        f"{a.kernel}×{a.kernel}",
        f"stride {a.stride}" if a.stride > 1 else "",
        f"dilation {a.dilation}" if a.dilation > 1 else "",
        f"{a.groups} groups" if a.groups > 1 else "",
        "bias" if a.bias else "",
        f"a slice of the kernel {a.shared}" if a.shared else "",
    ]
    return ", ".join(filter(None, said))


def window(op: Op, x: Op, i: int) -> tuple[int, int]:
    a: Conv = op.attributes
    first = i * a.stride - a.padding
    return first, first + (a.kernel - 1) * a.dilation


def reads(op: Op, channels: slice) -> slice | None:
    a: Conv = op.attributes
    return None if a.groups > 1 else slice(a.start + channels.start, a.start + channels.stop)


def tensors(op: Op, x: Op) -> dict[str, tuple[int, ...]]:
    """A shared kernel's are whole, whatever slice of it the operation reads."""
    a: Conv = op.attributes
    out, read = op.shape[0], a.shared_channels or x.shape[0] // a.groups
    return {"weight": (out, read, a.kernel, a.kernel)} | ({"bias": (out,)} if a.bias else {})


def biases(op: Op, x: Op) -> int:
    return op.size if op.attributes.bias else 0


def by_positions(op: Op, x: Op) -> int:
    """torchinfo: each parameter once for each position; a shared kernel whole, for any slice of it."""
    _, h, w = op.shape
    a: Conv = op.attributes
    params = op.shape[0] * (a.shared_channels * a.kernel**2 + a.bias) if a.shared else op.params
    return params * h * w


def example(net: Writer) -> Op:
    x = conv(net, "plain", net.input, 6, kernel=3, bias=True)
    x = conv(net, "grouped", x, 9, kernel=3, stride=2, groups=3, bias=False)
    x = conv(net, "dilated", x, 4, kernel=3, dilation=2, bias=False)
    kernel = net.kernel("kernel", 6, 5, 3)
    y = shared_conv(net, "slice", x, kernel)
    return shared_conv(net, "other_slice", conv(net, "narrow", y, 3, kernel=1), kernel, start=3)


KINDS = (
    Kind(
        name="conv",
        word="conv",
        colour="#0072B2",
        settings=settings,
        weighted=True,
        counted=Counted(biases, by_positions, fvcore=macs, thop=macs, ptflops=macs),
        keeps=keeps_inputs,
        window=window,
        tensors=tensors,
        example=example,
        mentioned=1,
        detour="projection",
        reads=reads,
    ),
)
