"""What is swept: networks and recipes with some of their knobs turned, each combination with each seed. As a value.

A sweep is small however many trials it has: a trial is its number, the knobs that it turns, and its seed.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from explorer.errors import ExplorerError
from explorer.families import knobs
from explorer.families.knobs import Knob
from explorer.learning import datasets
from explorer.learning.job import NUMBERS, WORDS, Job
from explorer.learning.recipe import Recipe
from explorer.wording import many

MOST_TRIALS = 20_000
MOST_VALUES = 1000  # of one knob
MOST_SEEDS = 100
DRAWS = (
    50  # for each trial that is sampled: so often, at most, it is drawn anew where it cannot be, or is there already
)

Turns = Mapping[str, str]  # knob -> its value, as a link writes it


class SweepError(ExplorerError):
    """A sweep that cannot be, in one sentence."""


class Range(NamedTuple):
    """Values to be drawn between two ends, both included: alike, or with `log` alike in their logarithms."""

    low: float
    high: float
    log: bool = False


Values = tuple[str, ...] | Range


@dataclass(frozen=True)
class Part:
    """One of the networks that are swept: a job, and the values of each knob that is turned."""

    name: str
    job: Job
    turned: Mapping[str, Values]


@dataclass(frozen=True)
class Early:
    """Trials that do worse than others at the same epoch are stopped early, by ASHA (explorer.learning.sweeps.early):
    none before `grace` epochs, and of those that have come so far the best of each `factor` go on.
    """

    grace: int = 1
    factor: int = 3


@dataclass(frozen=True)
class Sweep:
    """`sample` is how many combinations of each part are drawn, by `draw`; 0 for all of them. `budget` is how many
    seconds all trials together may train, 0 for no limit.
    """

    title: str
    parts: tuple[Part, ...]
    seeds: tuple[int, ...] = (0,)
    sample: int = 0
    draw: int = 0
    budget: float = 0.0
    early: Early | None = None

    def __post_init__(self) -> None:
        """Raises SweepError."""
        if not self.parts:
            raise SweepError("A sweep needs a network")
        if not 1 <= len(self.seeds) <= MOST_SEEDS or len(set(self.seeds)) < len(self.seeds):
            raise SweepError(f"A sweep has 1 to {MOST_SEEDS} seeds, each once")
        if not 0 <= self.sample <= MOST_TRIALS:
            raise SweepError(f"sample={self.sample}: choose 1 to {MOST_TRIALS:,} trials to be drawn, or 0 for all")
        if not (math.isfinite(self.budget) and self.budget >= 0):
            raise SweepError(f"budget={self.budget:g}: choose seconds above 0, or 0 for no limit")
        if self.early and not (self.early.grace >= 1 and 2 <= self.early.factor <= 10):
            raise SweepError("Early stopping takes a grace of 1 epoch and more, and a factor of 2 to 10")
        for part in self.parts:
            for name, values in part.turned.items():
                _check_values(part, name, values, self.sample)

    @property
    def most(self) -> int:
        """How many trials there are, if all of them can be."""
        return len(self.seeds) * sum(self.sample or _combinations(part) for part in self.parts)


def longest(sweep: Sweep) -> int:
    """Epochs of the trial that has most."""
    found: list[float] = []
    for part in sweep.parts:
        values = part.turned.get("epochs", (str(part.job.recipe.epochs),))
        found += [values.high] if isinstance(values, Range) else [float(value) for value in values]
    return int(max(found))


class Trial(NamedTuple):
    """One training: `part` is the number of the network, from 0, whose job is turned. Trials are numbered from 0."""

    number: int
    part: int
    turns: Turns
    seed: int

    def job(self, sweep: Sweep) -> Job:
        """Raises JobError or ConfigError for one that cannot be."""
        part = sweep.parts[self.part]
        job = part.job.turned({**self.turns, "seed": str(self.seed)})
        return replace(job, title=self.title(sweep))

    def title(self, sweep: Sweep) -> str:
        """What tells it from the others: ResNet-20: width 8, learning_rate 0.1, seed 2."""
        name = sweep.parts[self.part].name
        words = ", ".join([*(f"{knob} {value}" for knob, value in self.turns.items()), f"seed {self.seed}"])
        return f"{name}: {words}" if name else words


class Trials(NamedTuple):
    """`impossible`: why a combination cannot be -> how many cannot be for that reason, and the first of them."""

    trials: tuple[Trial, ...]
    impossible: Mapping[str, tuple[int, str]]


def trials(sweep: Sweep) -> Trials:
    """All trials: every combination with the first seed, then with the next. Raises SweepError where none of the
    combinations can be, and where there are too many.
    """
    if sweep.most > MOST_TRIALS:
        raise SweepError(f"That would be {many(sweep.most)} trials; {MOST_TRIALS:,} are the limit: turn fewer knobs")
    impossible: dict[str, tuple[int, str]] = {}
    found: list[tuple[int, Turns]] = []
    for number, part in enumerate(sweep.parts):
        drawn = _drawn(sweep, part, impossible) if sweep.sample else _all(part, impossible)
        found += [(number, turns) for turns in drawn]
    if not found:
        raise SweepError(f"None of the combinations can be: {next(iter(impossible), 'no value is given')}")
    every = ((seed, part, turns) for seed in sweep.seeds for part, turns in found)
    return Trials(
        tuple(Trial(number, part, turns, seed) for number, (seed, part, turns) in enumerate(every)),
        MappingProxyType(impossible),
    )


def _combinations(part: Part) -> int:
    return math.prod(len(values) for values in part.turned.values() if not isinstance(values, Range))


def _all(part: Part, impossible: dict[str, tuple[int, str]]) -> Iterator[Turns]:
    choices = [values for values in part.turned.values() if not isinstance(values, Range)]
    for values in itertools.product(*choices):
        turns = dict(zip(part.turned, values, strict=True))
        if _can_be(part, turns, impossible):
            yield turns


def _drawn(sweep: Sweep, part: Part, impossible: dict[str, tuple[int, str]]) -> Iterator[Turns]:
    """So many different ones; the first are the same however many there are."""
    found: set[tuple[tuple[str, str], ...]] = set()
    for i in range(sweep.sample):
        chance = random.Random(f"{sweep.draw} {part.name} {i}")
        for _ in range(DRAWS):
            turns = {name: _draw(chance, part, name, values) for name, values in part.turned.items()}
            if (own := tuple(turns.items())) not in found and _can_be(part, turns, impossible):
                found.add(own)
                yield turns
                break


def _draw(chance: random.Random, part: Part, name: str, values: Values) -> str:
    if not isinstance(values, Range):
        return chance.choice(values)
    low, high, log = values
    value = math.exp(chance.uniform(math.log(low), math.log(high))) if log else chance.uniform(low, high)
    knob = _knob(part, name)
    if knob is None or knob.kind == "whole":
        return str(min(max(round(value), math.ceil(low)), math.floor(high)))
    return f"{min(max(float(f'{value:.4g}'), low), high):g}"


def _can_be(part: Part, turns: Turns, impossible: dict[str, tuple[int, str]]) -> bool:
    if why := refusal(part.job, turns):
        count, example = impossible.get(why, (0, ", ".join(f"{knob} {value}" for knob, value in turns.items())))
        impossible[why] = count + 1, example
    return not why


def refusal(job: Job, turns: Turns) -> str:
    """Why it cannot be trained with its knobs turned so, without a full stop; empty where it can."""
    try:
        turned = job.turned(turns)
        source = datasets.find(turned.data)
        if misfits := source.misfits(turned.config):
            return f"{source.title} needs {' and '.join(misfits)}"
        source.check(turned.config.input_size, turned.config.channels, turned.images)
    except ExplorerError as error:
        return str(error).rstrip(".")
    return ""


def _check_values(part: Part, name: str, values: Values, sample: int) -> None:
    """Raises SweepError."""
    if name == "seed":
        raise SweepError("seed is not turned: say which seeds with `seeds`")
    knob = _knob(part, name)
    if knob is None and name not in NUMBERS and name not in WORDS:
        raise SweepError(f"{name!r} is no knob of {part.name or 'the network'}, nor of a recipe or a run")
    if isinstance(values, Range):
        if not sample:
            raise SweepError(f"{name} is a range: say how many trials are drawn, with `sample`")
        if name in WORDS or (knob is not None and knob.kind not in ("whole", "real")):
            raise SweepError(f"{name} has no range: list its values")
        low, high, log = values
        if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
            above = ", both above 0" if log else ""
            raise SweepError(f"{name} is drawn from {low:g} to {high:g}: give a lower and a higher end{above}")
        whole = knob is None or knob.kind == "whole"
        if whole and math.ceil(low) > math.floor(high):
            raise SweepError(f"{name} is drawn from {low:g} to {high:g}, where there is no whole number")
    elif not 1 <= len(values) <= MOST_VALUES:
        raise SweepError(f"{name} has {len(values)} values: give 1 to {MOST_VALUES:,}")
    elif len(set(values)) < len(values):
        raise SweepError(f"{name} has a value twice")


def _knob(part: Part, name: str) -> Knob | None:
    """The recipe's or the network's; None for what a job has of its own."""
    own = {knob.name: knob for kind in (type(part.job.config), Recipe) for knob in knobs(kind)}
    return own.get(name)
