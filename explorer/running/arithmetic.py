"""The arithmetic of one output number, as a kind of operation says it: what it reads, and what it makes of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from explorer.plan import Op
from explorer.plan.kinds import KINDS

Maps = NDArray[np.floating]  # (C, H, W)
Numbers = NDArray[np.float64]


class Asked(NamedTuple):
    """One number of an operation's output, and what it can be computed from: the inputs in order, with their maps."""

    op: Op
    module: nn.Module
    sources: tuple[Op, ...]
    maps: tuple[Maps, ...]
    channel: int
    row: int
    column: int

    def window(self) -> tuple[range, range]:
        """The rows and columns of its first input that it is made of, zeros beyond the border too."""
        x, window = self.sources[0], KINDS[self.op.kind].window
        (top, bottom), (left, right) = window(self.op, x, self.row), window(self.op, x, self.column)
        return range(top, bottom + 1), range(left, right + 1)

    def window_on_map(self) -> tuple[range, range]:
        """As far as there is a map."""
        (rows, columns), (_, h, w) = self.window(), self.maps[0].shape
        return range(max(rows.start, 0), min(rows.stop, h)), range(max(columns.start, 0), min(columns.stop, w))


@dataclass(frozen=True, eq=False)
class Patch:
    """What is read of one input: n channels, at the positions `rows` x `columns`, which may lie beyond the border.

    `values` and, where each is multiplied by a number of the network's, `weights` are (n, rows, columns).
    """

    source: str
    channels: Sequence[int]
    rows: Sequence[int]
    columns: Sequence[int]
    inside: NDArray[np.bool_]  # (rows, columns); what is not is padded
    values: Numbers
    weights: Numbers | None = None

    @property
    def products(self) -> Numbers:
        return self.values if self.weights is None else self.values * self.weights

    @property
    def contributions(self) -> Numbers:
        """Of each channel, (n,): the sum of its products."""
        found: Numbers = self.products.sum((1, 2))
        return found

    @property
    def total(self) -> float:
        return float(self.products.sum())

    def of(self, i: int) -> "Patch":
        """The i-th of its channels alone."""
        weights = None if self.weights is None else self.weights[i : i + 1]
        numbers = [self.channels[i]]
        return Patch(self.source, numbers, self.rows, self.columns, self.inside, self.values[i : i + 1], weights)


class Formula(NamedTuple):
    """The last line: words with the names of numbers in braces, "sum {sum} + bias {bias}", and the numbers."""

    words: str
    numbers: Mapping[str, float]


class Arithmetic(NamedTuple):
    """`does` says in a sentence what the operation does; `result` is what the formula comes to, in float64."""

    does: str
    patches: tuple[Patch, ...]
    formula: Formula
    result: float


def read(
    source: Op,
    maps: Maps,
    channels: Sequence[int],
    rows: Sequence[int],
    columns: Sequence[int],
    weights: Numbers | None = None,
) -> Patch:
    """Numbers of an input's maps, zero beyond the border."""
    _, h, w = maps.shape
    ys, xs = np.asarray(rows), np.asarray(columns)
    inside = ((ys >= 0) & (ys < h))[:, None] & ((xs >= 0) & (xs < w))
    on_map = np.ix_(np.asarray(channels), ys.clip(0, h - 1), xs.clip(0, w - 1))
    return Patch(source.name, channels, rows, columns, inside, np.where(inside, maps[on_map], 0.0), weights)


def same_number(asked: Asked, which: int = 0) -> Patch:
    """The number of an input at the very place; of a map that has one position, that one."""
    maps = asked.maps[which]
    row, column = (0, 0) if maps.shape[1:] == (1, 1) else (asked.row, asked.column)
    return read(asked.sources[which], maps, [asked.channel], [row], [column])


def unchanged(does: str, patch: Patch) -> Arithmetic:
    """A number that is passed on."""
    return Arithmetic(does, (patch,), Formula("{x}", {"x": patch.total}), patch.total)


def weighted_sum(does: str, patch: Patch, bias: Tensor | None, channel: int) -> Arithmetic:
    """All products added, and the bias of the output's channel where there is one."""
    if bias is None:
        return Arithmetic(does, (patch,), Formula("sum {sum}", {"sum": patch.total}), patch.total)
    offset = bias[channel].item()
    formula = Formula("sum {sum} + bias {bias}", {"sum": patch.total, "bias": offset})
    return Arithmetic(does, (patch,), formula, patch.total + offset)


def mean(does: str, patch: Patch) -> Arithmetic:
    count = patch.values.size
    return Arithmetic(
        does, (patch,), Formula("sum {sum} / {count}", {"sum": patch.total, "count": count}), patch.total / count
    )


def as_numbers(weight: Tensor) -> Numbers:
    found: Numbers = weight.detach().double().cpu().numpy()
    return found
