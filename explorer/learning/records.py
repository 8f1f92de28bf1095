"""The tables that a run leaves: a row now and then, appended, and those behind the checkpoint taken away again."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from explorer.learning import runs
from explorer.learning.runs import METRICS, NORMS, UPDATES
from explorer.learning.training import Training, kernels

STEP = re.compile("[0-9]{1,12}")
COLUMNS = (
    "step",
    "epoch",
    "seconds",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
)


class Kernels:
    """How a step treats each kernel: `before` the update, once the gradients are there, and `after` it. That gives the
    norms of the gradients, and those of the changes over those of the kernels, in the order of `names`.
    """

    def __init__(self, training: Training) -> None:
        found = kernels(training.network)
        self.names = tuple(found)
        self._weights = list(found.values())

    @torch.no_grad()
    def before(self) -> None:
        # now, since an optimizer may work in the gradients' own memory
        self._gradients = _norms(
            [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in self._weights]
        )
        self._before = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def after(self) -> tuple[list[float], list[float]]:
        sizes = torch.stack(_norms(self._before))
        # the copies are not needed again, so they become the changes
        torch._foreach_sub_(self._before, [weight.detach() for weight in self._weights])
        changes = torch.stack(_norms(self._before))
        return torch.stack(self._gradients).tolist(), (changes / sizes.clamp_min(1e-30)).tolist()


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    found: list[Tensor] = list(torch._foreach_norm(tensors))
    return found


class Records:
    """The files of a run's tables, open while it is trained."""

    def __init__(self, run: runs.Run, names: Sequence[str], done: int) -> None:
        folder = run.path
        self._files = {
            METRICS: _opened(folder / METRICS, COLUMNS, done),
            NORMS: _opened(folder / NORMS, ("step", *names), done),
            UPDATES: _opened(folder / UPDATES, ("step", *names), done),
        }
        known = runs.metrics(folder).get("seconds")
        self.seconds = float(known.max()) if known is not None and known.notna().any() else 0.0

    def row(self, values: Mapping[str, float]) -> None:
        self._write(METRICS, [values[name] for name in COLUMNS])

    def kernels(self, step: int, gradients: Sequence[float], updates: Sequence[float]) -> None:
        self._write(NORMS, [step, *gradients])
        self._write(UPDATES, [step, *updates])

    def _write(self, name: str, values: Iterable[float]) -> None:
        file = self._files[name]
        csv.writer(file, lineterminator="\n").writerow(map(_text, values))
        file.flush()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def table(columns: Sequence[str], rows: Iterable[Sequence[float]]) -> bytes:
    """A CSV file of numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([map(_text, row) for row in rows])
    return text.getvalue().encode()


def _text(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.7g}"


def _opened(path: Path, columns: Sequence[str], done: int) -> TextIO:
    """For rows to be appended; those behind step `done`, which a killed worker left, are taken away."""
    kept: list[list[str]] = []
    with suppress(FileNotFoundError, csv.Error), path.open(newline="", encoding="utf-8", errors="replace") as file:
        head, *rows = list(csv.reader(file)) or [[]]
        if head == list(columns):
            kept = [row for row in rows if len(row) == len(columns) and STEP.fullmatch(row[0]) and int(row[0]) <= done]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(columns), *kept])
    runs.write_whole(path, text.getvalue().encode())
    return path.open("a", newline="", encoding="utf-8")
