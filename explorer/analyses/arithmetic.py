"""How did the network come to this one number? What an operation reads for it, and what it makes of that.

The kinds of operations say their own arithmetic (`explorer.running.kinds`). It is computed anew here, in float64, from
the maps that the network has computed in its own precision, so that the two may be compared.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.fx import GraphModule

from explorer.analyses.activations import Maps, forward, strongest
from explorer.errors import ExplorerError
from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.kind import same_position
from explorer.plan.receptive_field import check_position
from explorer.plan.wiring import owner
from explorer.running.arithmetic import Arithmetic, Asked, Patch
from explorer.running.kinds import RUNNING
from explorer.running.network import plan_of


class Step(NamedTuple):
    """One operation's part in a number; `computed` is what the network has there."""

    op: Op
    arithmetic: Arithmetic
    computed: float


class OneNumber(NamedTuple):
    """A number of an operation's output, and in `following` what becomes of it as long as it alone decides that: a
    convolution's goes through its norm and its activation.
    """

    channel: int
    row: int
    column: int
    step: Step
    following: tuple[Step, ...]


class Part(NamedTuple):
    """One channel of one input, and what it adds to the number."""

    patch: Patch
    contribution: float


class Parts(NamedTuple):
    """The largest contributions first; `others` more come to `rest` in all."""

    largest: tuple[Part, ...]
    others: int
    rest: float


def needed(plan: Plan, name: str) -> tuple[str, ...]:
    """The operations whose maps `one_number` reads, for any number of this one."""
    return tuple(dict.fromkeys([*plan[name].inputs, name, *(op.name for op in _following(plan, name))]))


def _following(plan: Plan, name: str) -> list[Op]:
    """The one reader of each, while it looks at single numbers."""
    found: list[Op] = []
    while len(plan.readers[name]) == 1:
        (name,) = plan.readers[name]
        op = plan[name]
        if len(op.inputs) > 1 or KINDS[op.kind].window is not same_position:
            break
        found.append(op)
    return found


def one_number(
    network: GraphModule, maps: Mapping[str, Maps], name: str, channel: int, row: int, column: int
) -> OneNumber:
    """From the maps (C, H, W) of the `needed` operations. Raises ExplorerError for a number that there is not, and
    KeyError for an operation that the network has not or maps that are missing.
    """
    plan = plan_of(network)
    check_position(plan, name, row, column)
    op = plan[name]
    if not 0 <= channel < op.shape[0]:
        raise ExplorerError(f"{name} has no channel {channel}: they are counted from 0 to {op.shape[0] - 1}.")
    if not op.inputs:
        raise ExplorerError(f"{name} is the picture itself: there is no arithmetic behind its numbers.")

    def step(op: Op) -> Step:
        sources = tuple(plan[source] for source in op.inputs)
        read = tuple(maps[source] for source in op.inputs)
        module = network.get_submodule(owner(op))
        asked = Asked(op, module, sources, read, channel, row, column)
        return Step(op, RUNNING[op.kind].arithmetic(asked), float(maps[op.name][channel, row, column]))

    return OneNumber(channel, row, column, step(op), tuple(map(step, _following(plan, name))))


def of_image(network: GraphModule, image: Tensor, name: str, channel: int, row: int, column: int) -> OneNumber:
    """The same, of an image (1, C, H, W) that is run through the network. Raises as `one_number` does."""
    _, maps = forward(network, image, needed(plan_of(network), name))
    return one_number(network, maps, name, channel, row, column)


def parts(arithmetic: Arithmetic, most: int) -> Parts:
    """The channels that contribute most."""
    each = [(patch, i, float(number)) for patch in arithmetic.patches for i, number in enumerate(patch.contributions)]
    each.sort(key=lambda part: -abs(part[2]))
    largest = tuple(Part(patch.of(i), number) for patch, i, number in each[:most])
    return Parts(largest, len(each) - len(largest), sum(number for *_, number in each[most:]))


def strongest_channel(maps: Maps) -> int:
    return int(strongest(maps, 1)[0])


def strongest_position(maps: Maps, channel: int) -> tuple[int, int]:
    """Row and column of the channel's largest number; 0, 0 where none is a number."""
    values = np.where(np.isnan(maps[channel]), -np.inf, maps[channel])
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)
