"""What does the driver of a large sweep do beside waiting: how long, and what does it hold?

python -m benchmarks.sweep_scale 10000        # prints the measurements as JSON

Its trials take no time: an engine that writes at once what a worker would have written.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.measure import UNPROMISED, Table, child
from explorer.learning import runs
from explorer.learning.sweeps import directory, file
from explorer.learning.sweeps.carrying_out import carry_out
from explorer.learning.sweeps.engine import Engine

ROWS = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n9,1,30,0.1,1,0.5,1,0.6\n"
PLACES = 64

T = TypeVar("T")


class AtOnce:
    """An `Engine` whose trials have ended when they are asked for."""

    def __init__(self) -> None:
        self._running: list[tuple[int, Path]] = []
        self.seconds = 0.0  # that it takes itself

    @property
    def free(self) -> int:
        return PLACES - len(self._running)

    def start(self, number: int, path: Path) -> None:
        self._running.append((number, path))

    def ended(self, seconds: float) -> list[tuple[int, str]]:
        began = time.perf_counter()
        for _, path in self._running:
            said = runs.Status("finished", 9, 9, 1, 30.0, message="Right on 60.0% of 2,000 test images.")
            (path / runs.STATUS).write_text(json.dumps(said._asdict()))
            (path / runs.METRICS).write_text(ROWS)
        found, self._running = [(number, "") for number, _ in self._running], []
        self.seconds += time.perf_counter() - began
        return found

    def close(self) -> None:
        pass


def scale_table(quick: bool) -> Table:
    counts = (1000,) if quick else (1000, 10_000)
    found = [child("benchmarks.sweep_scale", str(count)) for count in counts]
    rows = [(what, *(str(one[what]) for one in found), *UNPROMISED) for what in found[0]]
    return Table(
        "The driver of a large sweep, whose trials take no time",
        ("", *(f"{count:,} trials" for count in counts), "", ""),
        rows,
    )


def measured(count: int) -> dict[str, str]:
    """Of a sweep of so many trials, in a folder of its own."""
    sweep = file.of_table(
        {
            "network": "densenet_bc100_12_cifar",
            "set": {"blocks": "2-2-2"},
            "turn": {"growth_rate": [4, 8, 12, 16, 20], "learning_rate": [0.01 * i for i in range(1, 21)]},
            "seeds": list(range(100)),
        }
        if count > 1000
        else {"network": "resnet20_cifar", "turn": {"learning_rate": [0.001 * i for i in range(1, 101)]}, "seeds": 10}
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EXPLORER_RUNS"] = folder
        process = psutil.Process()
        before = process.memory_info().rss
        made, found["made, with all its trials"] = timed(lambda: directory.create(sweep))
        engine = AtOnce()

        def start(*_: object) -> Engine:
            return engine

        _, seconds = clocked(lambda: carry_out(made.path, lambda text: None, start=start))
        found["carried out, for each trial"] = f"{1e3 * (seconds - engine.seconds) / count:.2f} ms"
        found["memory that the driver has come to hold"] = f"{(process.memory_info().rss - before) / 1e6:.0f} MB"
        _, found["found again, with its trials"] = timed(lambda: directory.read(made.path).trials)
        _, found["its results read"] = timed(made.results)
        last = made.run_of(made.trials[-1]).name
        _, found["the last trial found by its name"] = timed(lambda: runs.named(last))
        _, found["a driver begun anew, with nothing to do"] = timed(
            lambda: carry_out(made.path, lambda text: None, start=start)
        )
        files = sum(path.stat().st_size for path in made.path.iterdir() if path.is_file())
        found["its own files, without the runs"] = f"{files / 1e6:.2f} MB"
    return found


def clocked(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def timed(work: Callable[[], T]) -> tuple[T, str]:
    found, seconds = clocked(work)
    return found, f"{1e3 * seconds:,.1f} ms"


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]))))
