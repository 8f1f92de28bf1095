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
    """The operation that makes a number, and what becomes of it as long as it alone decides that: a convolution, its
    norm and its activation. `asked` is the step that was asked for.
    """

    channel: int
    row: int
    column: int
    steps: tuple[Step, ...]
    asked: int

    @property
    def made(self) -> Arithmetic:
        """Of the number that the others are made of."""
        return self.steps[0].arithmetic


class Part(NamedTuple):
    """One channel of one input, and what it adds to the number."""

    patch: Patch
    contribution: float


class Parts(NamedTuple):
    """Those with the largest contributions; `others` more come to `rest` in all."""

    largest: tuple[Part, ...]
    others: int
    rest: float


def needed(plan: Plan, name: str) -> tuple[str, ...]:
    """The operations whose maps `one_number` reads, for any number of this one."""
    chain = _chain(plan, name)
    return tuple(dict.fromkeys([*chain[0].inputs, *(op.name for op in chain)]))


def _chain(plan: Plan, name: str) -> tuple[Op, ...]:
    """Back to what makes the number, and on by the one reader of each, while they look at single numbers."""
    chain = [plan[name]]
    while _passes_on(chain[0]) and plan[chain[0].inputs[0]].inputs:
        chain.insert(0, plan[chain[0].inputs[0]])
    while len(readers := plan.readers[chain[-1].name]) == 1 and _passes_on(plan[readers[0]]):
        chain.append(plan[readers[0]])
    return tuple(chain)


def _passes_on(op: Op) -> bool:
    return len(op.inputs) == 1 and KINDS[op.kind].window is same_position


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

    chain = _chain(plan, name)
    return OneNumber(channel, row, column, tuple(map(step, chain)), chain.index(op))


def of_image(network: GraphModule, image: Tensor, name: str, channel: int, row: int, column: int) -> OneNumber:
    """The same, of an image (1, C, H, W) that is run through the network. Raises as `one_number` does."""
    _, maps = forward(network, image, needed(plan_of(network), name))
    return one_number(network, maps, name, channel, row, column)


def parts(arithmetic: Arithmetic, most: int) -> Parts:
    """The channels that contribute most; in order of number, where all of them may be shown."""
    each = [(patch, i, float(number)) for patch in arithmetic.patches for i, number in enumerate(patch.contributions)]
    if len(each) > most:
        each.sort(key=lambda part: -abs(part[2]))
    largest = tuple(Part(patch.of(i), number) for patch, i, number in each[:most])
    return Parts(largest, len(each) - len(largest), sum(number for *_, number in each[most:]))


def largest_input(patch: Patch) -> tuple[int, int, int]:
    """Channel, row and column, on the map of its source, of the number whose product is the largest."""
    sizes = np.where(patch.inside & ~np.isnan(patch.products), np.abs(patch.products), -1.0)
    i, y, x = (int(at) for at in np.unravel_index(int(sizes.argmax()), sizes.shape))
    return patch.channels[i], patch.rows[y], patch.columns[x]


def strongest_channel(maps: Maps) -> int:
    return int(strongest(maps, 1)[0])


def strongest_position(maps: Maps, channel: int) -> tuple[int, int]:
    """Row and column of the channel's largest number; 0, 0 where none is a number."""
    values = np.where(np.isnan(maps[channel]), -np.inf, maps[channel])
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)
