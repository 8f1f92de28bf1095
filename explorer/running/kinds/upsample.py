"""How maps are enlarged."""

import numpy as np
import torch
from torch import nn
from torch.nn import init

from explorer.plan import Inits, Op
from explorer.plan.kinds.upsample import TransposedConv, neighbours
from explorer.running.arithmetic import Arithmetic, Asked, as_numbers, read, weighted_sum
from explorer.running.kinds.running import Running, initialise_bias
from explorer.running.text import Number, Read, Text


def upsample_module(op: Op, x: Op) -> nn.Module:
    return nn.Upsample(scale_factor=op.attributes.factor, mode="bilinear", align_corners=False)


def upsample_construction(op: Op, x: Op) -> Text:
    return (f'nn.Upsample(scale_factor={op.attributes.factor}, mode="bilinear")',)


def upsample_application(op: Op, module: str) -> Text:
    return ("F.interpolate(", Read(op.inputs), f', scale_factor={op.attributes.factor}, mode="bilinear")')


def transposed_conv_module(op: Op, x: Op) -> nn.Module:
    a: TransposedConv = op.attributes
    return nn.ConvTranspose2d(x.shape[0], op.shape[0], a.kernel, a.stride, a.padding, bias=a.bias)


def initialise(module: nn.Module, inits: Inits, draw: torch.Generator) -> None:
    """As a convolution's: Kaiming, normal (1502.01852), by the numbers that each number of the input goes out to."""
    assert isinstance(module, nn.ConvTranspose2d)
    # (channels, out, size, size): what is fan-in for a convolution's kernel is fan-out here
    if inits == "kaiming":
        init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu", generator=draw)
    else:
        init.kaiming_uniform_(module.weight, a=5**0.5, generator=draw)
    initialise_bias(module.weight, module.bias, inits, draw)


def transposed_conv_construction(op: Op, x: Op) -> Text:
    a: TransposedConv = op.attributes
    sizes = f", {a.kernel}, stride={a.stride}" + (f", padding={a.padding}" if a.padding else "")
    close = sizes + (")" if a.bias else ", bias=False)")
    return ("nn.ConvTranspose2d(", Number("channels", x.shape[0]), ", ", Number("width", op.shape[0]), close)


def upsample_unsaid(op: Op) -> str:
    return f"the map is enlarged {op.attributes.factor} times, bilinearly"


def transposed_conv_unsaid(op: Op) -> str:
    return f"the transposed convolution has a stride of {op.attributes.stride}"


def upsample_arithmetic(asked: Asked) -> Arithmetic:
    (x,), (maps,) = asked.sources, asked.maps
    rows, above = _shares(asked.op, x, asked.row)
    columns, left = _shares(asked.op, x, asked.column)
    shares = np.outer(above, left)[None]
    does = "A mean of its neighbours on the small map, the nearer the more."
    return weighted_sum(does, read(x, maps, [asked.channel], rows, columns, shares), None, asked.channel)


def _shares(op: Op, x: Op, i: int) -> tuple[list[int], list[float]]:
    """The neighbours along a side and the share of each; beyond the border is the pixel at the border."""
    factor: int = op.attributes.factor
    first, last = neighbours(op, x, i)
    share = (i + 0.5) / factor - 0.5 - first  # of the second
    found: dict[int, float] = {}
    for position, part in ((first, 1 - share), (last, share)):
        position = min(max(position, 0), x.shape[1] - 1)
        found[position] = found.get(position, 0.0) + part
    return list(found), list(found.values())


def transposed_arithmetic(asked: Asked) -> Arithmetic:
    a: TransposedConv = asked.op.attributes
    (x,), (maps,), module = asked.sources, asked.maps, asked.module
    assert isinstance(module, nn.ConvTranspose2d)
    rows, columns = asked.window_on_map()
    # where in each kernel the number stands
    ys = [asked.row + a.padding - row * a.stride for row in rows]
    xs = [asked.column + a.padding - column * a.stride for column in columns]
    kernel = as_numbers(module.weight[:, asked.channel])[:, ys][:, :, xs]
    does = "Each number of the small map spreads its kernel; what falls on this place is added."
    return weighted_sum(does, read(x, maps, range(x.shape[0]), rows, columns, kernel), module.bias, asked.channel)


RUNNING = (
    Running(
        kind="upsample",
        module=upsample_module,
        unsaid=upsample_unsaid,
        arithmetic=upsample_arithmetic,
        construction=upsample_construction,
        constructed=False,
        application=upsample_application,
        written_in=(),
    ),
    Running(
        kind="transposed_conv",
        module=transposed_conv_module,
        unsaid=transposed_conv_unsaid,
        arithmetic=transposed_arithmetic,
        initialise=initialise,
        construction=transposed_conv_construction,
        kaiming={"nn.ConvTranspose2d": 'nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")'},
    ),
)
