"""One network of an experiment, trained with one seed: its run, and what an experiment asks of it."""

import math
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.fx import GraphModule

from explorer.families import plan
from explorer.learning import results, runs
from explorer.learning.datasets import Dataset, find
from explorer.learning.job import Job
from explorer.learning.runs import CHECKPOINT, Run
from explorer.learning.training import Images, evaluate
from explorer.plan import Plan
from explorer.running import weights
from explorer.running.checkpoints import on_disk
from explorer.running.network import blank

POINTS = 40  # of a curve that is kept, about


class Trial:
    """A run that has ended: finished, or diverged."""

    def __init__(self, path: Path, arm: str, seed: int) -> None:
        self.run: Run = runs.read(path)
        self.arm, self.seed = arm, seed

    @property
    def job(self) -> Job:
        return self.run.job

    @property
    def diverged(self) -> bool:
        return runs.status(self.run.path).state == "diverged"

    @property
    def plan(self) -> Plan:
        return plan(self.job.config)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        return runs.metrics(self.run.path)

    @cached_property
    def network(self) -> GraphModule:
        """A network of its own, in eval mode, on the CPU. Raises WeightsError where it kept no weights."""
        network = blank(self.plan)
        with on_disk(self.run.path / CHECKPOINT) as data:
            state = weights.read_checkpoint(data, CHECKPOINT, network.state_dict())
        network = network.to_empty(device="cpu")
        weights.load(network, state)
        return network.to(memory_format=torch.channels_last)

    @cached_property
    def data(self) -> Dataset:
        config, job = self.job.config, self.job
        return _data(job.data, config.input_size, config.channels, job.images)

    def images(self, test: bool, most: int = 10**9) -> tuple[Tensor, Tensor]:
        """The first images of a split (N, C, H, W), prepared as it learned them, and their labels (N,)."""
        split = self.data.test if test else self.data.train
        found = Images(split, self.data, "cpu")
        chosen = torch.arange(min(most, len(found)))
        return found.batch(chosen), found.labels[chosen]

    @property
    def train_accuracy(self) -> float:
        """While it learned, over its last epoch; NaN where it diverged."""
        if self.diverged:
            return math.nan
        epoch, right = results.numbers(self.metrics, "epoch"), results.numbers(self.metrics, "train_accuracy")
        last = (epoch > epoch.max() - 1) & np.isfinite(right)
        return float(right[last].mean()) if last.any() else math.nan

    @property
    def test_accuracy(self) -> float:
        """Of the trained network; NaN where it diverged."""
        return results.accuracy(runs.predictions(self.run.path)).share

    def right_on(self, test: bool) -> float:
        """The trained network's accuracy on all images of a split. Raises WeightsError where it kept no weights."""
        split = self.data.test if test else self.data.train
        return evaluate(self.network, Images(split, self.data, "cpu"), "cpu").accuracy

    def curve(self, column: str, points: int = POINTS) -> tuple[list[float], list[float]]:
        """A column of the run's metrics over its steps, each point a mean over as many rows."""
        steps, values = results.numbers(self.metrics, "step"), results.numbers(self.metrics, column)
        there = np.isfinite(values)
        parts = np.array_split(np.arange(int(there.sum())), min(points, max(1, int(there.sum()))))
        parts = [part for part in parts if len(part)]
        return (
            [float(steps[there][part].mean()) for part in parts],
            [float(values[there][part].mean()) for part in parts],
        )


@lru_cache(maxsize=2)
def _data(name: str, size: int, channels: int, images: int) -> Dataset:
    return find(name).load(size, channels, images, None)


def ended(trial: Trial) -> dict[str, object]:
    """How well it learned its images in the end, and how well it does on others; its costs."""
    return {
        "train_accuracy": trial.train_accuracy,
        "test_accuracy": trial.test_accuracy,
        "params": trial.plan.params,
        "macs": trial.plan.macs,
    }


def learned(trial: Trial) -> dict[str, object]:
    """The same, and how it learned."""
    steps, right = trial.curve("train_accuracy")
    return ended(trial) | {"steps": steps, "train_curve": right}
