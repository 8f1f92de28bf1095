"""What is dropped in training: single numbers (Srivastava et al., 2014), or an image's whole branch."""

from typing import NamedTuple

from explorer.plan.kinds.kind import UNCOUNTED, Kind, keeps_nothing, same_position
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


class Drop(NamedTuple):
    p: float


def dropout(net: Writer, name: str, x: Op, p: float) -> Op:
    """Nothing, where p is zero."""
    return net.same(name, "dropout", x, Drop(p)) if p else x


def drop_path(net: Writer, name: str, x: Op, p: float) -> Op:
    """Drops the whole branch of an image (Huang et al., 1603.09382); nothing, where p is zero."""
    return net.same(name, "drop_path", x, Drop(p)) if p else x


def settings(op: Op) -> str:
    return f"{op.attributes.p:.0%} in training"


def mask(op: Op) -> int:
    return op.size


def dropout_example(net: Writer) -> Op:
    return dropout(net, "dropout", net.input, 0.3)


def drop_path_example(net: Writer) -> Op:
    return drop_path(net, "drop_path", net.input, 0.3)


COLOUR = "#777777"

KINDS = (
    Kind(
        name="dropout",
        word="dropout",
        colour=COLOUR,
        settings=settings,
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        keeps_beside=mask,
        window=same_position,
        example=dropout_example,
    ),
    Kind(
        name="drop_path",
        word="drop path",
        colour=COLOUR,
        settings=settings,
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=same_position,
        example=drop_path_example,
    ),
)
