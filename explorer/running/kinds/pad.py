"""How the shortcut of option A runs."""

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.plan import Op
from explorer.plan.kinds.pad import Pad
from explorer.running.arithmetic import Arithmetic, Asked, Formula, read, unchanged
from explorer.running.kinds.running import Running
from explorer.running.text import Helper, Number, Text


class ZeroPad(nn.Module):
    """(N, C, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)): every stride-th pixel, then channels of zeros."""

    def __init__(self, stride: int, missing: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, missing

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def module(op: Op, x: Op) -> nn.Module:
    return ZeroPad(op.attributes.stride, op.shape[0] - x.shape[0])


def construction(op: Op, x: Op) -> Text:
    return (ZERO_PAD, "(", Number("width", op.shape[0]), ", ", Number("stride", op.attributes.stride), ")")


ZERO_PAD = Helper(
    "ZeroPad",
    '''class ZeroPad(nn.Module):
    """Every stride-th pixel, and zeros for the channels that are missing."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels - x.shape[1]))''',
)


def unsaid(op: Op) -> str:
    a: Pad = op.attributes
    return f"the shortcut takes every pixel at a stride of {a.stride}, and zeros for the channels that it lacks"


def arithmetic(asked: Asked) -> Arithmetic:
    (x,), (maps,), stride = asked.sources, asked.maps, asked.op.attributes.stride
    if asked.channel >= x.shape[0]:
        return Arithmetic(f"{x.name} has {x.shape[0]} channels; those beyond are zero.", (), Formula("0", {}), 0.0)
    patch = read(x, maps, [asked.channel], [asked.row * stride], [asked.column * stride])
    return unchanged(f"Every pixel at a stride of {stride} is passed on.", patch)


RUNNING = (Running(kind="pad", module=module, unsaid=unsaid, arithmetic=arithmetic, construction=construction),)
