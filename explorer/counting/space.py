"""Which networks are there, if some knobs are turned? All values of each, in boxes that go from cheap to dear.

Each number that is turned is a dimension. Along a knob that declares that it `grows` no cost falls, from one value to
the next; the values of others have no order, and each combination of them is a branch, in which they are dimensions of
one value.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from explorer.counting.design_space import Axis, reach
from explorer.families import Config, Knob, describe, knobs

At = tuple[int, ...]  # which value of each dimension


class Dimension(NamedTuple):
    axis: Axis
    values: tuple[Any, ...]  # ascending, where there are several


class Branch(NamedTuple):
    """The combinations in which the knobs without an order are set to one value each."""

    number: int
    config: Config
    dimensions: tuple[Dimension, ...]

    def changes(self, at: At) -> dict[str, Any]:
        """The fields of one combination."""
        fields: dict[str, Any] = {}
        for (axis, values), i in zip(self.dimensions, at, strict=True):
            name = axis.knob.name
            fields[name] = values[i] if axis.entry < 0 else (*fields.get(name, ()), values[i])
        return fields


class Box(NamedTuple):
    """Neighbouring combinations of a branch: those between its cheapest, `low`, and its dearest, `high`."""

    branch: Branch
    low: At
    high: At

    @property
    def size(self) -> int:
        return math.prod(high - low + 1 for low, high in zip(self.low, self.high, strict=True))

    def split(self, dimension: int) -> tuple["Box", "Box"]:
        """In two, halfway along a dimension: the cheaper half and the dearer."""
        middle = (self.low[dimension] + self.high[dimension]) // 2
        return (
            self._replace(high=put(self.high, dimension, middle)),
            self._replace(low=put(self.low, dimension, middle + 1)),
        )


def put(at: At, dimension: int, value: int) -> At:
    return (*at[:dimension], value, *at[dimension + 1 :])


class Space(NamedTuple):
    """All combinations of some knobs of `config`: for each number that is turned, what a branch may have of it."""

    config: Config
    alternatives: tuple[tuple[Dimension, ...], ...]

    @property
    def combinations(self) -> int:
        return math.prod(sum(len(one.values) for one in several) for several in self.alternatives)

    def boxes(self) -> Iterator[Box]:
        """One for each branch, in an order that mixes them all; the same order each time."""
        branches = math.prod(map(len, self.alternatives))
        # steps of a stride that shares no factor with the count visit every number once, and nothing is stored
        stride = int(branches * 0.6180339887) | 1
        while math.gcd(stride, branches) > 1:
            stride += 2
        for i in range(branches):
            index, dimensions = i * stride % branches, []
            for several in self.alternatives:
                index, which = divmod(index, len(several))
                dimensions.append(several[which])
            high = tuple(len(dimension.values) - 1 for dimension in dimensions)
            yield Box(Branch(i, self.config, tuple(dimensions)), (0,) * len(high), high)


def space(config: Config, names: Sequence[str]) -> Space:
    """All combinations of the knobs in `names`, the others as they are."""
    by_name = {knob.name: knob for knob in knobs(type(config))}
    axes = itertools.chain(*(_axes(by_name[name], config) for name in names))
    return Space(config, tuple(_alternatives(axis, config) for axis in axes))


def extent(config: Config, name: str) -> str:
    """From where to where a knob is turned, in words: "4 to 256 by 4"."""
    (knob,) = (knob for knob in knobs(type(config)) if knob.name == name)
    if knob.kind in ("choice", "switch"):
        return ", ".join(map(describe, knob.choices or (False, True)))
    present = getattr(config, name)
    high = max(reach(knob, entry)[1] for entry in (present if knob.kind == "list" else (present,)))
    steps = f" by {knob.step:g}" if knob.step != 1 else ""
    return f"{knob.least:g} to {high:g}{steps}" + (" in each of the stages" if knob.kind == "list" else "")


def _axes(knob: Knob, config: Config) -> list[Axis]:
    if knob.kind == "list":
        return [Axis(knob, i, f"{knob.title}, stage {i + 1}") for i in range(len(getattr(config, knob.name)))]
    return [Axis(knob, -1, knob.title)]


def _alternatives(axis: Axis, config: Config) -> tuple[Dimension, ...]:
    """All values at once where they are in order, each by itself where they are not."""
    knob = axis.knob
    if knob.kind in ("choice", "switch"):
        return tuple(Dimension(axis, (value,)) for value in knob.choices or (False, True))
    values = _values(axis, config)
    if not knob.grows:
        return tuple(Dimension(axis, (value,)) for value in values)
    off, ordered = (tuple(v for v in values if (v == knob.off) == apart) for apart in (True, False))
    return tuple(Dimension(axis, part) for part in (off, ordered) if part)


def _values(axis: Axis, config: Config) -> tuple[float, ...]:
    """Every value on the slider of one number, and where it is now."""
    present, knob = axis.value(config), axis.knob
    low, high = reach(knob, present)
    count = math.floor((high - low) / knob.step + 1e-6) + 1
    values = {present, high, *(round(low + i * knob.step, 6) for i in range(count))}
    return tuple(sorted(map(float, values) if knob.kind == "real" else map(round, values)))
