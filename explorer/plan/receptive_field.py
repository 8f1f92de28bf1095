"""Which pixels does one position of a feature map see? Its window, and the windows of all that it is made of.

In theory, and not cut at the border (Araujo et al., Distill 2019): zeros that are padded count as pixels outside, and
the statistics that a group norm takes of the whole map are left out, as everywhere in the literature.
"""

from typing import NamedTuple

from explorer.errors import ExplorerError
from explorer.plan.kinds import KINDS
from explorer.plan.operations import Plan
from explorer.plan.wiring import ancestors


class Field(NamedTuple):
    """A rectangle of the image in pixels: rows top .. bottom - 1, columns left .. right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def within(self, side: int) -> "Field":
        """As far as there is an image."""
        return Field(*(min(max(edge, 0), side) for edge in self))


def field_at(plan: Plan, name: str, row: int, column: int) -> Field:
    """What a position of the operation's output sees. It may reach beyond the image: `within` cuts it.

    Raises KeyError for what the plan does not have, and ExplorerError for a position that is not on the map.
    """
    check_position(plan, name, row, column)
    rows, columns = _seen(plan, name, row), _seen(plan, name, column)
    return Field(rows[0], columns[0], rows[1] + 1, columns[1] + 1)


def check_position(plan: Plan, name: str, row: int, column: int) -> None:
    """Raises KeyError and ExplorerError as `field_at` does."""
    _, h, w = plan[name].shape
    if not (0 <= row < h and 0 <= column < w):
        raise ExplorerError(
            f"{name} has no row {row}, column {column}: its maps are {h}×{w}, counted from 0 to {h - 1} and {w - 1}."
        )


def _seen(plan: Plan, name: str, position: int) -> tuple[int, int]:
    """Along one side: the first and the last pixel of the image."""
    seen = {name: (position, position)}
    for op in reversed(ancestors(plan, name)):
        first, last = seen[op.name]
        window = KINDS[op.kind].window
        for source in op.inputs:
            x = plan[source]
            low, high = window(op, x, first)[0], window(op, x, last)[1]
            known = seen.get(source, (low, high))
            seen[source] = min(known[0], low), max(known[1], high)
    return seen[plan.ops[0].name]
