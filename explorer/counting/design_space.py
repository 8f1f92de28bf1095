"""What would other settings cost? Curves along one knob, and maps over two.

Everything is counted by writing plans, about a millisecond each, so a page can afford hundreds while a slider is
dragged. Nothing is built and nothing is run.
"""

from collections.abc import Callable, Mapping
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
    found = {value: _cost(config, axis.change(config, value), measure) for value in samples(axis, config, count)}
    known = {value: cost for value, cost in found.items() if cost is not None}
    present = axis.value(config)
    return Curve(axis, tuple(known), tuple(known.values()), present, known[present])


DEEP = 500  # operations, from which on curves have fewer points, since each point is a plan


def curves(config: Config, measure: Measure) -> list[Curve]:
    """Along every axis of the configuration; none where its family fails to write it."""
    try:
        count = 7 if len(plan(config).ops) > DEEP else 11
    except PlanError:
        return []
    return [curve(config, axis, measure, count) for axis in axes(config)]


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
    costs = tuple(tuple(_cost(config, at(config, x, one, y, other), measure) for one in xs) for other in ys)
    return Grid(x, y, tuple(xs), tuple(ys), costs)


def at(config: Config, x: Axis, one: float, y: Axis, other: float) -> dict[str, Any]:
    """The fields of `config` that set two axes, which may be entries of one list."""
    if x.knob.name != y.knob.name:
        return x.change(config, one) | y.change(config, other)
    entries = list(getattr(config, x.knob.name))
    entries[x.entry], entries[y.entry] = round(one), round(other)
    return {x.knob.name: tuple(entries)}


def _cost(config: Config, changes: dict[str, Any], measure: Measure) -> int | None:
    try:
        return MEASURES[measure](write_plan(config.adapt(**changes)))
    except (ConfigError, PlanError):
        return None


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
