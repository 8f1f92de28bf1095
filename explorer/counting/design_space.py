"""What would other settings cost? Curves along one knob, and maps over two.

Everything is counted by writing plans, about a millisecond each, so a page can afford hundreds while a slider is
dragged. Nothing is built and nothing is run.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from explorer.counting.costs import receptive_field
from explorer.counting.memory import forward_bytes
from explorer.families import Config, ConfigError, Knob, PlanError, family_of, knobs, plan, write_plan
from explorer.plan import Plan

Measure = Literal["params", "MACs", "memory", "receptive field"]

MEASURES: Mapping[Measure, Callable[[Plan], int]] = {
    "params": lambda plan: plan.params,
    "MACs": lambda plan: plan.macs,
    "memory": forward_bytes,  # peak of one image's forward pass, weights included
    "receptive field": receptive_field,
}


class Axis(NamedTuple):
    """A knob that can be turned by numbers; `entry` counts within a list, -1 is a knob of one number."""

    knob: Knob
    entry: int
    title: str

    @property
    def name(self) -> str:
        """Short, for a link: growth_rate, or blocks.2 for the list's second entry."""
        return self.knob.name if self.entry < 0 else f"{self.knob.name}.{self.entry + 1}"

    def value(self, config: Config) -> float:
        found: Any = getattr(config, self.knob.name)
        return float(found if self.entry < 0 else found[self.entry])

    def change(self, config: Config, value: float) -> dict[str, Any]:
        """The fields of `config` that set this axis to `value`."""
        number: float = value if self.knob.kind == "real" else round(value)
        if self.entry < 0:
            return {self.knob.name: number}
        entries = list(getattr(config, self.knob.name))
        entries[self.entry] = number
        return {self.knob.name: tuple(entries)}


def axes(config: Config) -> tuple[Axis, ...]:
    """All that can be turned by numbers in this configuration and changes its costs, in the form's order."""
    found: list[Axis] = []
    for knob in knobs(type(config)):
        if knob.name in config.unused() or not knob.changes_costs:
            continue
        if knob.kind == "list":
            count = len(getattr(config, knob.name))
            found += [Axis(knob, i, f"{knob.title}, stage {i + 1}") for i in range(count)]
        elif knob.kind in ("whole", "real"):
            found.append(Axis(knob, -1, knob.title))
    return tuple(found)


def reach(knob: Knob, value: float) -> tuple[float, float]:
    """From where to where a slider goes: as far as is usual, further where the `value` already is."""
    return knob.least, (knob.usual if value <= knob.usual else knob.most)


def samples(axis: Axis, config: Config, count: int) -> list[float]:
    """At most `count` values over the axis's reach, its ends and the present value among them."""
    low, high = reach(axis.knob, axis.value(config))
    step = axis.knob.step
    even = [low + (high - low) * i / (count - 2) for i in range(count - 1)]
    # on the knob's own grid: what a slider can reach
    onto = [min(high, low + round((value - low) / step) * step) for value in even]
    present = axis.value(config)
    return sorted({present, *(round(value, 6) for value in onto)})


class Curve(NamedTuple):
    """A measure along one axis; values that cannot be are left out."""

    axis: Axis
    values: tuple[float, ...]
    costs: tuple[int, ...]
    present: float
    cost: int  # at the present value


def curve(config: Config, axis: Axis, measure: Measure, count: int = 11) -> Curve:
    found = {value: _cost(config, axis, value, measure) for value in samples(axis, config, count)}
    known = {value: cost for value, cost in found.items() if cost is not None}
    present = axis.value(config)
    return Curve(axis, tuple(known), tuple(known.values()), present, known[present])


DEEP = 500  # operations, from which on curves have fewer points, since each point is a plan
SMOOTH = 8  # points from which on it pays to count some of them alone
CLOSE = 0.02  # of the present cost: a tenth of a pixel, where a slider shows it


def sketch(config: Config, axis: Axis, measure: Measure) -> Curve:
    """The curve to be looked at: most costs are sums over layers, which a polynomial of a low degree runs through.

    Three points are counted, at the ends and in the middle. Where the parabola through them meets a fourth one, which
    is the present cost if it can be, the others are taken from the cubic through all four; else all are counted.
    Raises PlanError where the family fails to write the present network.
    """
    here, count = plan(config), 7 if len(plan(config).ops) > DEEP else 11
    present, values = axis.value(config), samples(axis, config, count)
    known = {present: MEASURES[measure](here)}
    smooth = [value for value in values if value != axis.knob.off]  # at which the curve jumps
    if len(smooth) >= SMOOTH:
        few = [smooth[0], smooth[len(smooth) // 2], smooth[-1]]
        fourth = present if present in smooth and present not in few else smooth[len(smooth) // 4]
        for value in (*few, fourth):
            if (cost := _cost(config, axis, value, measure, known)) is not None:
                known[value] = cost
        points = [(value, known[value]) for value in (*few, fourth) if value in known]
        if len(points) == 4 and abs(_through(points[:3], fourth) - known[fourth]) <= CLOSE * known[present]:
            known = {value: round(_through(points, value)) for value in smooth} | known
    found = {value: _cost(config, axis, value, measure, known) for value in values}
    counted = {value: cost for value, cost in found.items() if cost is not None}
    return Curve(axis, tuple(counted), tuple(counted.values()), present, known[present])


def _through(points: Sequence[tuple[float, float]], at: float) -> float:
    """The polynomial through so many points, after Lagrange."""
    return sum(y * prod((at - other) / (x - other) for other, _ in points if other != x) for x, y in points)


def curves(config: Config, measure: Measure) -> list[Curve]:
    """Sketches along every axis of the configuration; none where its family fails to write it."""
    try:
        return [sketch(config, axis, measure) for axis in axes(config)]
    except PlanError:
        return []


class Grid(NamedTuple):
    """A measure over two axes: `costs[row][column]` at `ys[row]`, `xs[column]`; None where no network can be."""

    x: Axis
    y: Axis
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    costs: tuple[tuple[int | None, ...], ...]


def grid(config: Config, x: Axis, y: Axis, measure: Measure, count: int = 12) -> Grid:
    """Raises ValueError where both axes are the same."""
    if x == y:
        raise ValueError(f"{x.title} is on both axes; choose another one for one of them")
    xs, ys = samples(x, config, count), samples(y, config, count)
    costs = tuple(tuple(_changed_cost(config, at(config, x, one, y, other), measure) for one in xs) for other in ys)
    return Grid(x, y, tuple(xs), tuple(ys), costs)


def at(config: Config, x: Axis, one: float, y: Axis, other: float) -> dict[str, Any]:
    """The fields of `config` that set two axes, which may be entries of one list."""
    if x.knob.name != y.knob.name:
        return x.change(config, one) | y.change(config, other)
    entries = list(getattr(config, x.knob.name))
    entries[x.entry], entries[y.entry] = round(one), round(other)
    return {x.knob.name: tuple(entries)}


def _cost(
    config: Config, axis: Axis, value: float, measure: Measure, known: Mapping[float, int] = MappingProxyType({})
) -> int | None:
    """None of what cannot be."""
    return known[value] if value in known else _changed_cost(config, axis.change(config, value), measure)


def _changed_cost(config: Config, changes: dict[str, Any], measure: Measure) -> int | None:
    try:
        return _counted(config.adapt(**changes), measure)
    except (ConfigError, PlanError):
        return None


@lru_cache(maxsize=512)
def _counted(config: Config, measure: Measure) -> int:
    """Whatever value a knob has now, the others that it could have cost the same."""
    return MEASURES[measure](write_plan(config))


class Mark(NamedTuple):
    """A published network on a grid; `exact` where it differs from the present one in nothing but the two axes."""

    title: str
    x: float
    y: float
    exact: bool


def marks(config: Config, grid: Grid) -> list[Mark]:
    """The family's published networks that lie within the grid."""
    found = []
    for preset in family_of(config).presets.values():
        other = preset.config
        if {axis.title for axis in axes(other)} >= {grid.x.title, grid.y.title}:
            x, y = grid.x.value(other), grid.y.value(other)
            if grid.xs[0] <= x <= grid.xs[-1] and grid.ys[0] <= y <= grid.ys[-1]:
                there = config.model_dump() | at(config, grid.x, x, grid.y, y)
                found.append(Mark(preset.title, x, y, there == other.model_dump()))
    return found
