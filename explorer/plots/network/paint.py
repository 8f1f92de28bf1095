"""In which colours are nodes: those of kinds, or the shades of a cost?"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.counting.costs import Row
from explorer.drawing import Drawing, Node
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plots import colours
from explorer.wording import number

Colouring = Literal["kind", "params", "MACs", "activations", "receptive field"]

CLOSED, PORT = "#7a8aa0", "#bbbbbb"


class Paint(NamedTuple):
    colours: list[str]  # of nodes
    keys: list[dict[str, str]]  # of the legend: what a colour of nodes means
    bar: dict[str, Any] | None  # a scale of shades, from zero


def paint(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring) -> Paint:
    return _kinds(drawing) if colouring == "kind" else _costs(drawing, plan, rows, colouring)


def _kinds(drawing: Drawing) -> Paint:
    """Each operation in the colour of its kind."""
    shown = dict.fromkeys(node.ops[-1].kind for node in drawing.nodes if node.level == "operation")
    keys = [{"title": KINDS[kind].word, "colour": KINDS[kind].colour} for kind in shown]
    return Paint([_colour(node) for node in drawing.nodes], keys, None)


def _colour(node: Node) -> str:
    if node.level == "port":
        return PORT
    return KINDS[node.ops[-1].kind].colour if node.level == "operation" else CLOSED


def _costs(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring) -> Paint:
    """Each node in the shade of what it costs, or of how far it sees."""
    values, title = _values(drawing, plan, rows, colouring)
    most = float(values.max(initial=1e-9))
    ticks = [{"at": share, "text": number(share * most)} for share in (0, 0.5, 1)]
    bar = {"title": title, "colours": _shades(np.linspace(0, 1, 9), 1), "ticks": ticks}
    return Paint(_shades(values, most), [], bar)


def _shades(values: NDArray[np.float64], most: float) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in colours.paint(values, most, signed=False).tolist()]


def _values(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring) -> tuple[NDArray[np.float64], str]:
    """The number that each node's colour shows, and what it is: ports cost nothing; a node that stands for several
    equal blocks costs as much as all of them.
    """
    sees = [0.0] * len(rows)
    for name, place in drawing.places.items():
        sees[place] = max(sees[place], plan[name].receptive_field)
    per_row, title, adds_up = {
        "params": ([100 * row.params_share for row in rows], "% of parameters", True),
        "MACs": ([100 * row.macs_share for row in rows], "% of MACs", True),
        "activations": ([row.activation_bytes / 1e6 for row in rows], "MB of activations", True),
        "receptive field": (sees, "receptive field, px", False),
    }[colouring]
    times = np.array([0 if node.level == "port" else node.times if adds_up else 1 for node in drawing.nodes])
    return np.array(per_row) * times, title
