"""How lesions run: what comes in goes on, or there are zeros. Neither has a parameter."""

from torch import Tensor, nn

from explorer.plan import Op
from explorer.running.arithmetic import Arithmetic, Asked, Formula, same_number, unchanged
from explorer.running.kinds.running import Running
from explorer.running.text import Helper, Number, Read, Text


class PassedOn(nn.Module):
    """What comes in, as a tensor of its own: a gradient asked of it is what reaches it, not all that reaches `x`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view_as(x)


class Zeros(nn.Module):
    """(N, C, H, W) -> (N, channels, H, W) of zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.channels, x.shape[2], x.shape[3])


def identity_module(op: Op, x: Op) -> nn.Module:
    return PassedOn()


def zeros_module(op: Op, x: Op) -> nn.Module:
    return Zeros(op.shape[0])


def identity_construction(op: Op, x: Op) -> Text:
    return ("nn.Identity()",)


def identity_application(op: Op, module: str) -> Text:
    return (Read(op.inputs),)


def zeros_construction(op: Op, x: Op) -> Text:
    return (ZEROS, "(", Number("width", op.shape[0]), ")")


ZEROS = Helper(
    "Zeros",
    '''class Zeros(nn.Module):
    """Zeros in place of the features of a layer that was taken away."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.channels, x.shape[2], x.shape[3])''',
)


def identity_unsaid(op: Op) -> str:
    return "a lesion passes on what comes in"


def zeros_unsaid(op: Op) -> str:
    return "a lesion gives zeros"


def identity_arithmetic(asked: Asked) -> Arithmetic:
    return unchanged("What was here is taken away: the number is passed on.", same_number(asked))


def zeros_arithmetic(asked: Asked) -> Arithmetic:
    return Arithmetic("What was here is taken away: its numbers are zeros.", (), Formula("0", {}), 0.0)


RUNNING = (
    Running(
        kind="identity",
        module=identity_module,
        unsaid=identity_unsaid,
        arithmetic=identity_arithmetic,
        construction=identity_construction,
        constructed=False,
        application=identity_application,
    ),
    Running(
        kind="zeros",
        module=zeros_module,
        unsaid=zeros_unsaid,
        arithmetic=zeros_arithmetic,
        construction=zeros_construction,
    ),
)
