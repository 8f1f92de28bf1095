"""The loss's shape about a run's weights, as long work: level by level, the coarsest first."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule

from controls.services import training
from controls.work import Progress, Task
from explorer.analyses import landscape, landscape_network
from explorer.analyses.landscape import Grid, Plane, Surface
from explorer.analyses.landscape_path import Principal, around, principal_directions, project
from explorer.counting import effort
from explorer.counting.memory import fast_form_bytes, forward_bytes
from explorer.families import plan
from explorer.learning import checkpoint, datasets, runs, weight_path
from explorer.learning.datasets import Dataset, Split
from explorer.learning.runs import Run
from explorer.learning.training import Images
from explorer.remembering import remembered
from explorer.running import devices, weights
from explorer.running.network import blank
from explorer.running.weights import WeightsError

IMAGES = 512  # of those that it learned from, at most
PASSES = 20  # over each number of the path, about, in multiply-accumulates
MOST_SETS = 64_000_000  # bytes of them that a process keeps


@dataclass(frozen=True)
class Asked:
    """A plane through the weights of a run's checkpoint, which its `step` tells from the next, and its grid. `path`:
    the plane of the optimizer's path, whose extent says how far it reaches; else a random one of a seed.
    """

    run: str
    step: int
    side: int
    reach: float
    seed: int
    path: bool
    device: str

    @property
    def levels(self) -> tuple[int, ...]:
        """Points of each."""
        return tuple(map(len, landscape.square(self.side).levels))


class Way(NamedTuple):
    """Where the path's points (k, 2) are in its plane, which share of its variance each direction holds, and what
    share of its squared length a random plane would show.
    """

    points: NDArray[np.float64]
    shares: NDArray[np.float64]
    by_chance: float


def asked(run: Run, side: int, reach: float, seed: int, path: bool, device: str) -> Asked:
    """Of its last checkpoint. Raises RunError where it has none."""
    return Asked(run.name, checkpoint.read(run).step, side, reach, seed, path, device)


def has_path(run: Run) -> bool:
    """Whether enough of its weights were kept on the way."""
    return len(weight_path.steps(run)) > 1


def way_task(run: Run, wanted: Asked) -> Task[Way]:
    """Reading the weights is most of it, and a matter of memory, not of arithmetic."""
    its = plan(run.job.config)
    kept = len(weight_path.steps(run))
    return Task(run.title, float(PASSES * kept * its.params), partial(way_of, wanted), float(len(its.ops) * kept))


def way_of(wanted: Asked, progress: Progress) -> Way:
    """Raises RunError and LandscapeError."""
    run = runs.read(runs.named(wanted.run))
    network = _network(run, wanted.step)
    path, found = _path(run, network)
    final = network.state_dict()
    chance = project(path, final, landscape.random_plane(network, wanted.seed)).explained
    return Way(project(path, final, found.plane).coordinates, found.shares, chance)


def _path(run: Run, network: GraphModule) -> tuple[list[dict[str, Tensor]], Principal]:
    final = network.state_dict()
    path = weight_path.read(run, final)
    return path, principal_directions(path, final, list(landscape.moving(network)))


def _plane(run: Run, network: GraphModule, wanted: Asked) -> tuple[Plane, Grid]:
    """For a network on the CPU."""
    if not wanted.path:
        return landscape.random_plane(network, wanted.seed), landscape.square(wanted.side, wanted.reach)
    path, found = _path(run, network)
    return found.plane, around(project(path, network.state_dict(), found.plane).coordinates, wanted.side)


def tasks(run: Run, wanted: Asked) -> list[Task[Surface]]:
    """One for each level of the grid; joined they are the whole."""
    its = plan(run.job.config)
    drawing, starts = effort.building(its)
    return [
        Task(
            f"{run.title}, level {i + 1} of {len(wanted.levels)}",
            landscape.macs(its, IMAGES, points) * effort.slowness(its) + drawing,
            partial(level_of, wanted, i),
            landscape.calls(its, IMAGES, points) + starts,
        )
        for i, points in enumerate(wanted.levels)
    ]


def level_of(wanted: Asked, level: int, progress: Progress) -> Surface:
    """Raises RunError, WeightsError and DataError where run, weights or images are gone, BudgetError without room."""
    run = runs.read(runs.named(wanted.run))
    config, its = run.job.config, plan(run.job.config)
    network = _network(run, wanted.step)
    data = _few(run.job.data, config.input_size, config.channels, run.job.images)

    plane, grid = _plane(run, network, wanted)

    def work() -> Surface:
        moved = network.to(wanted.device)
        images = Images(data.train, data, wanted.device)
        every = images.batch(torch.arange(len(images), device=wanted.device))
        return landscape.surface(moved, every, images.labels, plane, grid, [level], progress)

    at_once = min(landscape.AT_ONCE, len(data.train.labels))
    needed = forward_bytes(its, at_once) + landscape_network.COPIES * fast_form_bytes(its)
    return devices.within(wanted.device, its, at_once, needed, work)


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


@remembered(MOST_SETS)
def _few(name: str, size: int, channels: int, images: int) -> Dataset:
    """The first images that a run learned from; the others are not kept."""
    whole = datasets.find(name).load(size, channels, images, None)
    few = Split(whole.train.images[:IMAGES].copy(), whole.train.labels[:IMAGES].copy())
    none = Split(whole.test.images[:0].copy(), whole.test.labels[:0].copy())
    return replace(whole, train=few, test=none)
