"""Gradients of a network, as long work: what is run, as a value, and the functions that run it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from torch.fx import GraphModule

from controls.services import built
from controls.work import Progress, Task
from explorer.analyses import gradients, paths
from explorer.analyses.batches import Inputs, batches
from explorer.analyses.gradients import Flow, Matrix, Mode, Routes
from explorer.analyses.paths import Paths
from explorer.counting import budget, effort
from explorer.families import Config, plan
from explorer.plan import Plan
from explorer.running import devices, weights
from explorer.running.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One network and what goes through it, once for each seed."""

    config: Config
    weights: Weights  # of the first run; fresh ones are drawn anew for each of the others
    inputs: Inputs
    mode: Mode
    seeds: int
    device: str

    @property
    def plan(self) -> Plan:
        return plan(self.config)

    @property
    def all_seeds(self) -> range:
        first = 0 if self.weights.trained else int(self.weights.identity)
        return range(first, first + self.seeds)


def beside(run: Run, config: Config) -> Run:
    """Another network with the same inputs; its weights are fresh ones where the visitor's own are trained."""
    if config == run.config:
        return run
    return replace(run, config=config, weights=weights.fresh(0) if run.weights.trained else run.weights)


def flow_task(title: str, run: Run, every: bool) -> Task[Flow]:
    """Norms along the network; with `every` also those of its norms."""
    macs = run.seeds * gradients.macs(run.plan, run.inputs.count)
    return _task(title, run, macs, partial(flow, run, every), calls=3 * run.seeds)


def routes_task(run: Run) -> Task[Routes]:
    one = replace(run, seeds=1)
    macs = gradients.macs(run.plan, run.inputs.count)
    return _task("Gradient along the edges", run, macs, partial(routes, one), calls=6)


def reuse_task(run: Run) -> Task[tuple[Matrix, ...]]:
    """No pass through the network: its weights alone."""
    return Task("Weights", 0, partial(reuse, replace(run, inputs=Inputs(1), mode="eval", seeds=1)))


def paths_task(run: Run) -> Task[Paths]:
    macs = paths.macs(run.plan, run.inputs.count)
    passes = paths.macs(run.plan, 1) / run.plan.macs
    return _task("Paths", run, macs, partial(sampled_paths, replace(run, seeds=1)), calls=passes)


def _task(title: str, run: Run, macs: float, work: partial[T], calls: float) -> Task[T]:
    """Building included; `calls` of each operation."""
    its = run.plan
    drawing, starts = effort.building(its)
    # fresh weights are drawn anew wherever it is
    network = built.identity(run.config, run.weights, run.device) if run.weights.trained else None
    return Task(title, macs * effort.slowness(its) + drawing, work, calls * len(its.ops) + starts, network)


def flow(run: Run, every: bool, progress: Progress) -> Flow:
    def work() -> Flow:
        through = batches(run.plan, run.inputs, run.all_seeds, run.device)
        return gradients.flow(_networks(run), through, every, lambda done: progress(done, run.seeds))

    return _within(run, gradients.needed_bytes, work)


def routes(run: Run, progress: Progress) -> Routes:
    return _within(run, _twice, lambda: gradients.routes(next(_networks(run)), _batch(run)))


def reuse(run: Run, progress: Progress) -> tuple[Matrix, ...]:
    return gradients.reuse(next(_networks(run)))


def sampled_paths(run: Run, progress: Progress) -> Paths:
    return _within(run, _twice, lambda: paths.paths(next(_networks(run)), _batch(run), progress=progress))


def _batch(run: Run) -> gradients.Batch:
    return next(batches(run.plan, run.inputs, run.all_seeds, run.device))


def _networks(run: Run) -> Iterator[GraphModule]:
    """One a seed, the caller's own."""
    if not run.weights.trained:
        yield from gradients.fresh(run.plan, run.all_seeds, run.mode, run.device)
        return
    for _ in run.all_seeds:
        yield gradients.private(built.network(run.config, run.weights, run.device), run.mode)


def _twice(plan: Plan, count: int) -> int:
    return 2 * gradients.needed_bytes(plan, count)


def _within(run: Run, needed: Callable[[Plan, int], int], work: Callable[[], T]) -> T:
    """Raises BudgetError where there is no room for it, with the batch that would fit."""
    count = run.inputs.count
    budget.check_batch("Gradients", count, partial(needed, run.plan), devices.device_limits(run.device))
    return devices.within(run.device, run.plan, count, needed(run.plan, count), work)
