"""How dropping runs: in training mode alone."""

from torch import nn
from torchvision.ops import StochasticDepth

from explorer.plan import Op
from explorer.running.arithmetic import Arithmetic, Asked, same_number, unchanged
from explorer.running.kinds.running import Running, nothing_unsaid
from explorer.running.text import Helper, Number, Text


def dropout_module(op: Op, x: Op) -> nn.Module:
    return nn.Dropout(op.attributes.p)


def drop_path_module(op: Op, x: Op) -> nn.Module:
    module: nn.Module = StochasticDepth(op.attributes.p, "row")
    return module


def dropout_construction(op: Op, x: Op) -> Text:
    return ("nn.Dropout(", Number("dropout", op.attributes.p), ")")


def drop_path_construction(op: Op, x: Op) -> Text:
    return (DROP_PATH, "(", Number("drop_path", op.attributes.p), ")")


def arithmetic(asked: Asked) -> Arithmetic:
    return unchanged("Drops in training alone: here the number is passed on.", same_number(asked))


DROP_PATH = Helper(
    "DropPath",
    '''class DropPath(nn.Module):
    """In training, drops the whole branch of an image (1603.09382)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        noise = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * noise''',
)

RUNNING = (
    Running(
        kind="dropout",
        module=dropout_module,
        unsaid=nothing_unsaid,
        arithmetic=arithmetic,
        construction=dropout_construction,
        takes_vectors=True,
    ),
    Running(
        kind="drop_path",
        module=drop_path_module,
        unsaid=nothing_unsaid,
        arithmetic=arithmetic,
        construction=drop_path_construction,
    ),
)
