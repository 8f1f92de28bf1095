"""How convolutions run."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn import init

from explorer.plan import Inits, Op
from explorer.plan.kinds.convolution import Conv
from explorer.running.arithmetic import Arithmetic, Asked, as_numbers, read, weighted_sum
from explorer.running.kinds.running import Affine, Running, initialise_bias, own, precise
from explorer.running.text import Helper, Number, Read, Text, commas


class SharedConv2d(nn.Module):
    """A kernel over all channels, of which each call reads the slice that begins at `start`."""

    def __init__(self, channels: int, out: int, kernel: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None

    def forward(self, x: Tensor, start: int) -> Tensor:
        kernel = self.weight.narrow(1, start, x.shape[1])
        return F.conv2d(x, kernel, self.bias, padding=kernel.shape[-1] // 2)


def module(op: Op, x: Op) -> nn.Module:
    a: Conv = op.attributes
    if a.shared:
        return SharedConv2d(a.shared_channels, op.shape[0], a.kernel, a.bias)
    return nn.Conv2d(x.shape[0], op.shape[0], a.kernel, a.stride, a.padding, a.dilation, a.groups, a.bias)


def call(op: Op, module: Any, x: Any) -> Any:
    return module(x, op.attributes.start) if op.attributes.shared else module(x)


def initialise(module: nn.Module, inits: Inits, draw: torch.Generator) -> None:
    """Kaiming: normal, fan-out (1502.01852); biases zero."""
    assert isinstance(module, nn.Conv2d | SharedConv2d)
    if inits == "kaiming":
        init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=draw)
    else:
        init.kaiming_uniform_(module.weight, a=5**0.5, generator=draw)
    initialise_bias(module.weight, module.bias, inits, draw)


def construction(op: Op, x: Op) -> Text:
    a: Conv = op.attributes
    name, read = (SHARED, a.shared_channels) if a.shared else ("nn.Conv2d", x.shape[0])
    sizes = commas([(Number("channels", read),), (Number("width", op.shape[0]),), (Number("kernel", a.kernel),)])
    options = ("stride", a.stride, 1), ("padding", a.padding, 0), ("dilation", a.dilation, 1), ("groups", a.groups, 1)
    holes = [Number(role, value, True, default) for role, value, default in options]
    return (name, "(", *sizes, *holes, ")" if a.bias else ", bias=False)")


def application(op: Op, module: str) -> Text:
    a: Conv = op.attributes
    start = (Number("start", a.start, True, 0, kept=True),) if a.shared else ()
    return (f"{module}(", Read(op.inputs), *start, ")")


SHARED = Helper(
    "SharedConv2d",
    '''class SharedConv2d(nn.Conv2d):
    """A kernel over all channels, of which each call reads the slice that begins at `start`."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        kernel = self.weight.narrow(1, start, x.shape[1])
        return F.conv2d(x, kernel, self.bias, padding=self.padding)''',
)


def unsaid(op: Op) -> str:
    a: Conv = op.attributes
    steps = [f"a stride of {a.stride}"] * (a.stride > 1) + [f"a dilation of {a.dilation}"] * (a.dilation > 1)
    return f"the convolution has {' and '.join(steps)}" if steps else ""


def arithmetic(asked: Asked) -> Arithmetic:
    """Of its group's channels, and of a shared kernel its slice."""
    a: Conv = asked.op.attributes
    (x,), (maps,), module = asked.sources, asked.maps, asked.module
    assert isinstance(module, nn.Conv2d | SharedConv2d)
    each = x.shape[0] // a.groups
    group = asked.channel // (asked.op.shape[0] // a.groups)
    channels = range(group * each, (group + 1) * each)
    kernel = as_numbers(module.weight[asked.channel, a.start : a.start + each])
    rows, columns = (side[:: a.dilation] for side in asked.window())
    does = "Each number of the patch times the number of the kernel in its place; all products are added."
    return weighted_sum(does, read(x, maps, channels, rows, columns, kernel), module.bias, asked.channel)


def followed(module: nn.Module, affine: Affine) -> nn.Module | None:
    """Each filter times its channel's scale. A shared kernel has other readers."""
    if not isinstance(module, nn.Conv2d):
        return None
    weight = precise(module.weight) * affine.scale[:, None, None, None]
    return _filled(module, weight, affine.offset + affine.scale * _bias(module))


def preceded(module: nn.Module, affine: Affine) -> nn.Module | None:
    """Each channel of the filters times its scale; what the offsets add is everywhere the same, where no zeros of a
    border are among what is read.
    """
    if not isinstance(module, nn.Conv2d) or module.groups > 1 or any(module.padding):
        return None
    weight = precise(module.weight)
    return _filled(module, weight * affine.scale[:, None, None], _bias(module) + weight.sum((2, 3)) @ affine.offset)


def _bias(module: nn.Conv2d) -> Tensor:
    return precise(module.bias) if module.bias is not None else torch.zeros(module.out_channels, dtype=torch.float64)


def _filled(module: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    found, like = own(module), module.weight
    found.weight, found.bias = (nn.Parameter(value.to(like), requires_grad=False) for value in (weight, bias))
    return found


ENOUGH = 512  # positions of all images together; with fewer, copying the weights for oneDNN takes longer than it saves


class Pointwise(nn.Module):
    """A 1x1 convolution. With one thread and less than 16 images torch does not give these to oneDNN, unless they have
    a dilation, which is nothing to a kernel of one pixel: 0.80 to 0.86 of the time (8 images, ResNet-50's layers).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.groups = conv.stride, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        dilation = 2 if x.shape[0] * x.shape[2] * x.shape[3] >= ENOUGH else 1
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, dilation, self.groups)


def quicker(module: nn.Module) -> nn.Module | None:
    if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or any(module.padding):
        return None
    return Pointwise(module)


RUNNING = (
    Running(
        kind="conv",
        module=module,
        unsaid=unsaid,
        arithmetic=arithmetic,
        call=call,
        initialise=initialise,
        construction=construction,
        application=application,
        kaiming={"nn.Conv2d": 'nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")'},
        followed=followed,
        preceded=preceded,
        quicker=quicker,
        fresh=True,
    ),
)
