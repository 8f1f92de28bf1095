"""The loss's shape about a run's weights, as long work: level by level, the coarsest first."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch.fx import GraphModule

from controls.services import training
from controls.work import Progress, Task
from explorer.analyses import landscape
from explorer.analyses.landscape import Grid, Surface
from explorer.counting import effort
from explorer.counting.memory import forward_bytes
from explorer.families import plan
from explorer.learning import checkpoint, datasets, runs
from explorer.learning.datasets import Dataset, Split
from explorer.learning.runs import Run
from explorer.learning.training import Images
from explorer.running import devices, weights
from explorer.running.network import blank
from explorer.running.weights import WeightsError

IMAGES = 512  # of those that it learned from, at most
MOST_SETS = 4  # of so many images, for all visitors together


@dataclass(frozen=True)
class Asked:
    """A plane through the weights of a run's checkpoint, which its `step` tells from the next, and its grid."""

    run: str
    step: int
    side: int
    reach: float
    seed: int
    device: str

    @property
    def grid(self) -> Grid:
        return landscape.square(self.side, self.reach)


def asked(run: Run, side: int, reach: float, seed: int, device: str) -> Asked:
    """Of its last checkpoint. Raises RunError where it has none."""
    return Asked(run.name, checkpoint.read(run).step, side, reach, seed, device)


def tasks(run: Run, wanted: Asked) -> list[Task[Surface]]:
    """One for each level of the grid; joined they are the whole."""
    its = plan(run.job.config)
    drawing, starts = effort.building(its)
    return [
        Task(
            f"{run.title}, level {i + 1} of {len(wanted.grid.levels)}",
            landscape.macs(its, IMAGES, len(level)) * effort.slowness(its) + drawing,
            partial(level_of, wanted, i),
            landscape.calls(its, IMAGES, len(level)) + starts,
        )
        for i, level in enumerate(wanted.grid.levels)
    ]


def level_of(wanted: Asked, level: int, progress: Progress) -> Surface:
    """Raises RunError, WeightsError and DataError where run, weights or images are gone, BudgetError without room."""
    run = runs.read(runs.named(wanted.run))
    config, its = run.job.config, plan(run.job.config)
    network = _network(run, wanted.step)
    data = _few(run.job.data, config.input_size, config.channels, run.job.images)

    def work() -> Surface:
        moved = network.to(wanted.device)
        images = Images(data.train, data, wanted.device)
        every = images.batch(torch.arange(len(images), device=wanted.device))
        plane = landscape.random_plane(moved, wanted.seed)
        return landscape.surface(moved, every, images.labels, plane, wanted.grid, [level], progress)

    at_once = min(landscape.AT_ONCE, len(data.train.labels))
    return devices.within(wanted.device, its, at_once, forward_bytes(its, at_once), work)


def refusal(run: Run) -> str:
    """Why it cannot be looked at now, in a sentence; "" where it can."""
    if not training.has_weights(run):
        return f"{run.title} has no weights yet."
    if training.status(run).active:
        return f"{run.title} is still learning: its weights change with every epoch. Look once it has ended."
    return ""


def _network(run: Run, step: int) -> GraphModule:
    """The caller's own, in eval mode, on the CPU."""
    network = blank(plan(run.job.config))
    with checkpoint.opened(run) as (data, written):
        if written.step != step:
            raise WeightsError(f"{run.title} has learned further since; load the page anew.")
        state = weights.read_checkpoint(data, runs.CHECKPOINT, network.state_dict())
    weights.load(network, state, take=True)
    return network


@lru_cache(maxsize=MOST_SETS)
def _few(name: str, size: int, channels: int, images: int) -> Dataset:
    """The first images that a run learned from; the others are not kept."""
    whole = datasets.find(name).load(size, channels, images, None)
    few = Split(whole.train.images[:IMAGES].copy(), whole.train.labels[:IMAGES].copy())
    none = Split(whole.test.images[:0].copy(), whole.test.labels[:0].copy())
    return replace(whole, train=few, test=none)
