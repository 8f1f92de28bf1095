"""The shortcut of option A: every stride-th pixel, then channels of zeros (He et al., 1512.03385)."""

from typing import NamedTuple

from explorer.plan.kinds.kind import UNCOUNTED, Kind, keeps_nothing
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


class Pad(NamedTuple):
    stride: int


def pad(net: Writer, name: str, x: Op, out: int, stride: int) -> Op:
    """(C, H, W) -> (out, ceil(H/stride), ceil(W/stride)). Raises ValueError where `out` is fewer than C."""
    c, h, w = x.shape
    if out < c:
        raise ValueError(f"{name} pads {c} channels to {out}: zeros cannot take channels away")
    shape = (out, (h - 1) // stride + 1, (w - 1) // stride + 1)
    return net.write(name, "pad", (x.name,), shape, 0, 0, x.stride * stride, x.receptive_field, Pad(stride))


def settings(op: Op) -> str:
    stride = op.attributes.stride
    return f"stride {stride}, then channels of zeros" if stride > 1 else "channels of zeros"


def window(op: Op, x: Op, i: int) -> tuple[int, int]:
    a: Pad = op.attributes
    return i * a.stride, i * a.stride


def example(net: Writer) -> Op:
    return pad(net, "narrow", pad(net, "halved", net.input, 7, 2), 9, 1)


KINDS = (
    Kind(
        name="pad",
        word="pad",
        colour="#E69F00",
        settings=settings,
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=window,
        example=example,
        detour="padding",
    ),
)
