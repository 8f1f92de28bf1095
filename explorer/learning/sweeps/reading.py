"""What has a sweep found? Its table of results as settings, each with its seeds, and which are worth their cost."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.families import TITLES, Config, family_of, knobs, known_as
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps.directory import Directory
from explorer.learning.sweeps.sweep import Part, Range, Sweep, Trial, Turns

Values = NDArray[np.float64]

NUMBERS = ("params", "macs", "accuracy", "seed", "epochs", "seconds")  # columns of `Findings.trials`
NETWORK = "network"  # turned beside the knobs, where a sweep has several


class Network(NamedTuple):
    """One of those that are swept, before any knob is turned; its family's title and colour."""

    title: str
    family: str
    colour: str


class Setting(NamedTuple):
    """A network and a recipe as they are turned, with the trials that finished, a seed each: the `mean` of their shares
    of test images that are right, the least and the most, and the trial of the `best` seed.
    """

    network: int  # among those of the findings
    turns: Turns
    params: int
    macs: int
    trials: tuple[int, ...]
    mean: float
    low: float
    high: float
    best: int


@dataclass(frozen=True)
class Findings:
    """`trials`: a row a trial that has ended, by its number: network (among `networks`), state, run, message, the
    turned knobs as a link writes them ("" where a network does not turn one), and NUMBERS, NaN where there is none.
    `accuracy` is the last share of test images that was right.
    """

    networks: tuple[Network, ...]
    groups: tuple[int, ...]  # of each part of the sweep, its network
    turned: tuple[str, ...]
    titles: Mapping[str, str]
    trials: pd.DataFrame
    listed: Mapping[str, Sequence[str]]  # turned knob -> the values that are listed for it

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Those of which a trial has finished with an accuracy, in the order of their first trials."""
        done = self.trials[(self.trials["state"] == "finished") & self.trials["accuracy"].notna()]
        columns = [done[name].tolist() for name in ("accuracy", "params", "macs", NETWORK, *self.turned)]
        members: dict[tuple[Any, ...], list[tuple[int, float, float, float]]] = {}
        for trial, accuracy, params, macs, *key in zip(done.index.tolist(), *columns, strict=True):
            members.setdefault(tuple(key), []).append((trial, accuracy, params, macs))
        return tuple(self._setting(*key, rows=rows) for key, rows in members.items())

    def _setting(self, network: int, *values: str, rows: list[tuple[int, float, float, float]]) -> Setting:
        turns = {name: value for name, value in zip(self.turned, values, strict=True) if value != ""}
        accuracies = [row[1] for row in rows]
        mean, low, high = sum(accuracies) / len(rows), min(accuracies), max(accuracies)
        best = rows[accuracies.index(high)][0]
        costs = int(rows[0][2]), int(rows[0][3])
        return Setting(network, turns, *costs, tuple(row[0] for row in rows), mean, low, high, best)

    @cached_property
    def labels(self) -> Mapping[int, str]:
        """What tells each trial from the others: Growth rate k 8, learning rate 0.1, seed 2; its network before that,
        where there are several.
        """
        columns = [self.trials[name].tolist() for name in ("seed", NETWORK, *self.turned)]
        found: dict[int, str] = {}
        known: dict[tuple[Any, ...], str] = {}  # of the same setting all but the seed is the same
        for trial, seed, *key in zip(self.trials.index.tolist(), *columns, strict=True):
            own = known.get(tuple(key))
            if own is None:
                own = known[tuple(key)] = self._of(key[0], self.words(dict(zip(self.turned, key[1:], strict=True))))
            found[trial] = f"{own}, seed {seed:.0f}" if own else f"Seed {seed:.0f}"
        return found

    def name(self, trial: Trial) -> str:
        """Of one that may not have ended, as its label would be."""
        own = self._of(self.groups[trial.part], self.words(trial.turns))
        return f"{own}, seed {trial.seed}" if own else f"Seed {trial.seed}"

    def label(self, setting: Setting) -> str:
        """As a trial's, without its seed."""
        return self._of(setting.network, self.words(setting.turns))

    def order(self, name: str, values: Iterable[str]) -> tuple[str, ...]:
        """Those of a turned knob from low to high; with them, those that are listed for it."""
        return in_order([*self.listed[name], *values])

    def words(self, turns: Turns) -> str:
        """Growth rate k 8, learning rate 0.1."""
        found = ", ".join(
            f"{in_sentence(self.titles.get(name, name))} {value}" for name, value in turns.items() if value != ""
        )
        return f"{found[:1].upper()}{found[1:]}"

    def _of(self, network: int, text: str) -> str:
        if len(self.networks) == 1:
            return text
        return f"{self.networks[network].title}: {in_sentence(text)}" if text else self.networks[network].title


def findings(directory: Directory, table: pd.DataFrame) -> Findings:
    """`table` is the directory's results; rows of trials that the sweep lacks are left out. Raises SweepError."""
    sweep, turned = directory.sweep, directory.turned
    groups, networks = networks_of(sweep)
    return Findings(
        networks,
        groups,
        turned,
        titles(sweep),
        _trials(directory, table, groups),
        {name: listed_values(sweep, name) for name in turned},
    )


def _trials(directory: Directory, table: pd.DataFrame, groups: Sequence[int]) -> pd.DataFrame:
    turned, every = directory.turned, directory.trials
    words = ("run", "state", "message", *turned)
    given = table["trial"] if "trial" in table else pd.Series(dtype=float)
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(np.float64)
    known = (numbers >= 0) & (numbers < len(every)) & (numbers % 1 == 0)
    numbers = numbers[known].astype(int)
    found: dict[str, Any] = {NETWORK: np.array([groups[every[i].part] for i in numbers], int)}
    for name in NUMBERS:
        found[name] = _numbers(table, {"accuracy": "test_accuracy"}.get(name, name))[known]
    found["accuracy"][np.isnan(found["params"]) | np.isnan(found["macs"])] = np.nan  # of a damaged row
    for name in words:
        column = table[name].fillna("").tolist() if name in table else [""] * len(known)
        own = [str(value) for value in (column if known.all() else itertools.compress(column, known))]
        found[name] = pd.Series(own, index=numbers, dtype=object)  # which is quicker to read than pandas' texts
    return pd.DataFrame(found, index=numbers)


def _numbers(table: pd.DataFrame, name: str) -> Values:
    """NaN for what is none."""
    if name not in table:
        return np.full(len(table), np.nan)
    values: Values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def networks_of(sweep: Sweep) -> tuple[tuple[int, ...], tuple[Network, ...]]:
    """Of each part its network's number, and the networks: parts that turn other knobs of the same one share it."""
    numbers: list[int] = []
    found: list[Part] = []
    for part in sweep.parts:
        same = [i for i, other in enumerate(found) if other.name == part.name and _base(other) == _base(part)]
        if not same:
            found.append(part)
        numbers.append(same[0] if same else len(found) - 1)
    return tuple(numbers), tuple(_network(part) for part in found)


def _network(part: Part) -> Network:
    family = family_of(part.job.config)
    return Network(part.name or title_of(part.job.config), family.title, family.colour)


def _base(part: Part) -> object:
    """What it trains before any knob is turned; seeds are the sweep's."""
    return replace(part.job, recipe=part.job.recipe.replace(seed=0))


def title_of(config: Config) -> str:
    known = known_as(config)
    family = family_of(config)
    return TITLES[known] if known else f"{family.title}-{family.depth(config)}"


def titles(sweep: Sweep) -> dict[str, str]:
    """Turned knob -> its title; what a job has of its own goes by its name."""
    found = {knob.name: knob.title for part in sweep.parts for knob in (*knobs(type(part.job.config)), *knobs(Recipe))}
    return {name: found.get(name, name.replace("_", " ")) for part in sweep.parts for name in part.turned}


def in_sentence(title: str) -> str:
    return title[:1].lower() + title[1:]


def listed_values(sweep: Sweep, name: str) -> tuple[str, ...]:
    """Of a turned knob; those of a range are not."""
    listed = [part.turned[name] for part in sweep.parts if name in part.turned]
    return tuple(value for values in listed if not isinstance(values, Range) for value in values)


def in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Each once, by number where all of them are numbers, or numbers joined by hyphens; else as they come."""
    unique = list(dict.fromkeys(values))
    try:
        return tuple(sorted(unique, key=_numbers_in))
    except ValueError:
        return tuple(unique)


def _numbers_in(value: str) -> list[float]:
    """Raises ValueError."""
    try:
        return [float(value)]
    except ValueError:
        return [float(part) for part in value.split("-")]


# ---- which settings are worth their cost ----


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Those that no other one beats: none is as cheap and better, or as good and cheaper. From cheap to dear."""
    found: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i])):
        if not found or accuracies[i] > accuracies[found[-1]]:
            found.append(i)
    return found
