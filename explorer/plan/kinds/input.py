"""The image."""

from explorer.plan.kinds.kind import UNCOUNTED, Kind, keeps_nothing, same_position
from explorer.plan.operations import Op
from explorer.plan.writer import Writer


def example(net: Writer) -> Op:
    """A plan has it without being asked."""
    return net.input


KINDS = (
    Kind(
        name="input",
        word="input",
        colour="#777777",
        weighted=False,
        counted=UNCOUNTED,
        keeps=keeps_nothing,
        window=same_position,
        example=example,
    ),
)
