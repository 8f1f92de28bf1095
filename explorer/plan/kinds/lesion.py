"""What stands where a lesion has taken something away: what comes in goes on unchanged, or there are zeros.

Families write neither; `explorer.plan.lesions` does, in plans that they have written.
"""

from explorer.plan.kinds.joins import add, concat
from explorer.plan.kinds.kind import UNCOUNTED, Kind, keeps_nothing, same_position
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


def identity(net: Writer, name: str, x: Op) -> Op:
    return net.same(name, "identity", x, None)


def zeros(net: Writer, name: str, x: Op, out: int) -> Op:
    """(C, H, W) -> (out, H, W) of zeros; of `x` it needs only how many images there are, and of what size."""
    return net.write(name, "zeros", (x.name,), (out, *x.shape[1:]), 0, 0, x.stride, x.receptive_field, None)


def nominal(op: Op, x: Op, i: int) -> tuple[int, int]:
    """In truth it sees nothing. What it reads stands for that, so that every operation has a field; but its numbers do
    not come of those at the same position, so it is not `same_position` itself.
    """
    return i, i


def identity_example(net: Writer) -> Op:
    return add(net, "add", identity(net, "identity", net.input), net.input)


def zeros_example(net: Writer) -> Op:
    x = zeros(net, "same", net.input, 3)
    return concat(net, "concat", [add(net, "add", x, net.input), zeros(net, "more", x, 5)])


COLOUR = "#882255"

KINDS = (
    Kind(
        name="identity",
        word="identity",
        colour=COLOUR,
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=same_position,
        example=identity_example,
    ),
    Kind(
        name="zeros",
        word="zeros",
        colour=COLOUR,
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=nominal,
        example=zeros_example,
    ),
)
