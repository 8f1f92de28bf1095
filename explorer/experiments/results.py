"""What an experiment has measured, as a value and as a small JSON file; and the results that come with the project."""

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import ExplorerError
from explorer.learning.job import versions

FOLDER = Path(__file__).with_name("results")
DIGITS = 5  # significant ones, of every number that is kept
MOST_BYTES = 2**22

Values = Mapping[str, Any]  # quantity -> a number, or lists of numbers; None where there was no number


class ResultsError(ExplorerError):
    """Results that are not there or cannot be read: one sentence."""


@dataclass(frozen=True)
class Results:
    """`measured`: arm -> seed -> quantity -> value. `scale` is how much longer than usual the networks learned;
    `seconds` is how long all of it took, on `cores` cores; `command` makes it again.
    """

    experiment: str
    scale: float = 1.0
    measured: Mapping[str, Mapping[int, Values]] = field(default_factory=dict)
    seconds: float = 0.0
    cores: int = 0
    date: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """Those with which it has been measured, in order."""
        return tuple(sorted(self.measured.get(arm, ())))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those with which any arm has been measured."""
        return tuple(sorted({seed for seeds in self.measured.values() for seed in seeds}))

    @property
    def runs(self) -> int:
        return sum(map(len, self.measured.values()))

    def each(self, arm: str, quantity: str) -> list[Any]:
        """A quantity of each seed, in order; None where a run has none."""
        return [self.measured[arm][seed].get(quantity) for seed in self.seeds_of(arm)]

    def numbers(self, arm: str, quantity: str) -> list[float]:
        """A number of each seed; NaN where a run has none."""
        return [math.nan if value is None else float(value) for value in self.each(arm, quantity)]

    def array(self, arm: str, quantity: str) -> NDArray[np.float64]:
        """Lists of the same length of each seed, (seeds, ...); NaN where there is no number."""
        return np.array(self.each(arm, quantity), np.float64)

    def table(self, arms: Sequence[str], quantity: str) -> NDArray[np.float64]:
        """A number of each of several arms, (seeds, arms), by all the seeds there are; NaN where there is none."""
        found = [[self.measured.get(arm, {}).get(seed, {}).get(quantity) for arm in arms] for seed in self.seeds]
        return np.array(found, np.float64).reshape(len(self.seeds), len(arms))

    def adding(self, arm: str, seed: int, values: Values) -> "Results":
        own = {**self.measured.get(arm, {}), seed: _rounded(dict(values))}
        return replace(self, measured={**self.measured, arm: own})

    def to_json(self) -> str:
        """A line for each run."""
        head = {name: value for name, value in asdict(self).items() if name != "measured"}
        lines = [
            f"{json.dumps(arm)}: {{\n"
            + ",\n".join(f'"{seed}": {json.dumps(values, allow_nan=False)}' for seed, values in sorted(seeds.items()))
            + "\n}"
            for arm, seeds in self.measured.items()
        ]
        return json.dumps(head, indent=1)[:-2] + ',\n "measured": {\n' + ",\n".join(lines) + "\n}\n}\n"


def now(results: Results, command: str, cores: int, date: str) -> Results:
    """With the facts of this machine."""
    return replace(
        results,
        command=command,
        cores=cores,
        date=date,
        versions=versions() | {"machine": platform.machine()},
    )


def of_json(text: str) -> Results:
    """Raises ResultsError."""
    try:
        found = json.loads(text)
        measured = {
            str(arm): {int(seed): dict(values) for seed, values in seeds.items()}
            for arm, seeds in found.pop("measured").items()
        }
        return Results(
            experiment=str(found["experiment"]),
            scale=float(found["scale"]),
            measured=measured,
            seconds=float(found["seconds"]),
            cores=int(found["cores"]),
            date=str(found["date"]),
            command=str(found["command"]),
            versions={str(name): str(value) for name, value in found["versions"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResultsError(f"These results cannot be read ({type(error).__name__})") from None


def read(path: Path) -> Results:
    """Raises ResultsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ResultsError(f"{path.name} has more than {MOST_BYTES} bytes")
        return of_json(data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path.name} cannot be read ({type(error).__name__})") from None


@cache
def shipped(experiment: str) -> Results | None:
    """Those that come with the project; None where it has none of this experiment."""
    path = FOLDER / f"{experiment}.json"
    return read(path) if path.exists() else None


def _rounded(value: Any) -> Any:
    """Numbers with few digits, and None for what is no number, as JSON needs it."""
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return _rounded(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_rounded(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
