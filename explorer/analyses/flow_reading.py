"""What do the numbers of a gradient flow say? How many times larger or smaller the gradient gets on the way to the
input; lines along several networks that can be compared; and everything as one table.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.analyses.gradients import Flow, Split, Table

# what a line can follow: fields of Flow
Gradient = Literal["activation", "weight", "relative"]
Quantity = Literal["activation", "weight", "relative", "mean", "deviation", "dead"]
Points = Literal["weighted layers", "block ends", "all"]
Arrival = Literal["overflows", "vanishes", "alone", "reaches"]

MANY_ZEROS = 0.6  # of a gradient's entries: ReLUs alone make half of them zero
SMALLEST = 5e-324  # above zero in float64


class Reading(NamedTuple):
    """How the gradient comes from the last convolution to the first, in all runs of one network."""

    arrival: Arrival  # "alone": the first convolution has a gradient, and no other
    convolutions: int  # for gradients of weights, those that are the first to read a kernel
    broken: int  # convolutions with a gradient that is infinite or not a number, in any run
    zero: int  # convolutions from the first on whose gradient is exactly zero in every run
    ratio: float  # the first one's norm over that of `reference`, geometric mean of the runs
    a_layer: float  # the same from one convolution to the one before it
    # the last convolution whose gradient is not zero; the runs may differ. The last norms of residual blocks that
    # start at zero leave their convolutions without any gradient.
    reference: tuple[str, ...]
    last: str  # convolution
    deviation: tuple[float, float]  # of the outputs of the first convolution and of the last, mean of the runs
    zeros: float  # share of exact zeros in the gradient at the first weighted layer, mean of the runs
    loss: float  # mean of the runs
    chance: float  # loss of an even guess, log(classes)

    @property
    def many_zeros(self) -> bool:
        return self.zeros > MANY_ZEROS


def read(flow: Flow, gradient: Gradient) -> Reading:
    """Compares the first convolution with the last one that has any gradient.

    `ratio` and `a_layer` are not-a-number where there is nothing to compare: a gradient overflows, or the first one is
    zero in every run, or the only one that is not.
    """
    names = flow.operations if gradient == "activation" else flow.weighted
    convolutions = [name for name in names if flow.plan[name].kind == "conv"]
    values: Table = getattr(flow, gradient)[:, [names.index(name) for name in convolutions]]
    broken = int((~np.isfinite(values)).any(0).sum())
    silent = (values == 0).all(0)
    ratio = a_layer = float("nan")
    reference: tuple[str, ...] = ()
    arrival: Arrival
    if broken:
        arrival = "overflows"
    elif silent[0]:
        arrival = "vanishes"
    elif silent[1:].all() and len(silent) > 1:
        arrival = "alone"
    else:
        runs = [(row, int(np.flatnonzero(row)[-1])) for row in values if row.any()]
        logs = [np.log(max(row[0], SMALLEST)) - np.log(row[at]) for row, at in runs]
        layers = [max(1, at) for _, at in runs]
        ratio = float(np.exp(np.mean(logs)))
        a_layer = float(np.exp(np.mean(np.divide(logs, layers))))
        reference = tuple(dict.fromkeys(convolutions[at] for _, at in runs))
        arrival = "reaches"
    ends = [flow.operations.index(name) for name in (convolutions[0], convolutions[-1])]
    first, last = flow.deviation[:, ends].mean(0)
    return Reading(
        arrival=arrival,
        convolutions=len(convolutions),
        broken=broken,
        zero=len(convolutions) if silent.all() else int(np.argmin(silent)),
        ratio=ratio,
        a_layer=a_layer,
        reference=reference,
        last=convolutions[-1],
        deviation=(float(first), float(last)),
        zeros=float(flow.zeros[:, flow.operations.index(flow.weighted[0])].mean()),
        loss=float(flow.losses.mean()),
        chance=float(np.log(flow.plan.ops[-1].shape[0])),
    )


class Line(NamedTuple):
    """One quantity along one network."""

    title: str
    names: tuple[str, ...]  # of the operations
    x: NDArray[np.float64]  # (operations,)
    values: Table  # (runs, operations)


class Lines(NamedTuple):
    """Networks side by side: `x` counts the points from 1, or runs from 0 to 1 where networks have unequally many."""

    lines: tuple[Line, ...]
    points: str  # in words: which operations are on the lines
    counted: bool


def lines(flows: Mapping[str, Flow], quantity: Quantity, points: Points) -> Lines:
    """One line a network, whose title is its key. Dead channels are those of all ReLUs, whatever the points."""
    found = []
    for title, flow in flows.items():
        names = flow.weighted if quantity in ("weight", "relative") else flow.operations
        values: Table = getattr(flow, quantity)
        columns = _relus(values) if quantity == "dead" else _columns(flow, names, points)
        x = np.arange(1.0, len(columns) + 1)
        found.append(Line(title, tuple(names[i] for i in columns), x, values[:, columns]))
    words = "operations" if points == "all" or quantity == "dead" else points
    counted = len({len(line.x) for line in found}) <= 1
    if not counted:
        found = [line._replace(x=(line.x - 1) / max(1, len(line.x) - 1)) for line in found]
    return Lines(tuple(found), words, counted)


def _columns(flow: Flow, names: Sequence[str], points: Points) -> list[int]:
    wanted = set(names)
    if points == "weighted layers":
        wanted = set(flow.weighted)
    elif points == "block ends":
        wanted = set({(op.stage, op.block): op.name for op in flow.plan.ops if op.block and op.name in names}.values())
    return [i for i, name in enumerate(names) if name in wanted]


def _relus(dead: Table) -> list[int]:
    return np.flatnonzero(~np.isnan(dead).all(0)).tolist()


def table(flows: Mapping[str, Flow]) -> pd.DataFrame:
    """All numbers: a row a network, run and operation. Norms as in `Flow`; a weight stands in the row of the operation
    that first reads it."""
    parts = []
    for title, flow in flows.items():
        weight = {name: i for i, name in enumerate(flow.weighted)}
        own = [weight.get(name) for name in flow.operations]
        for run, loss in enumerate(flow.losses):
            parts.append(
                pd.DataFrame(
                    {
                        "network": title,
                        "run": run,
                        "loss": loss,
                        "operation": flow.operations,
                        "kind": [flow.plan[name].kind for name in flow.operations],
                        "gradient_norm": flow.activation[run],
                        "gradient_zeros": flow.zeros[run],
                        "weight_gradient_norm": [np.nan if i is None else flow.weight[run, i] for i in own],
                        "weight_gradient_relative": [np.nan if i is None else flow.relative[run, i] for i in own],
                        "output_mean": flow.mean[run],
                        "output_deviation": flow.deviation[run],
                        "dead_channels": flow.dead[run],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


class Shares(NamedTuple):
    """Of the shortcuts, 0 to 1 where the branches do not work against them; not-a-number where no gradient comes."""

    mean: float  # of the blocks that have a gradient
    first: float
    last: float


def shortcut_shares(splits: Sequence[Split]) -> Shares:
    """Raises ValueError for a network without residual blocks."""
    if not splits:
        raise ValueError("A network without residual blocks has no shortcuts that share the gradient.")
    shares = np.array([split.share for split in splits])
    known = shares[~np.isnan(shares)]
    return Shares(float(known.mean()) if known.size else float("nan"), float(shares[0]), float(shares[-1]))
