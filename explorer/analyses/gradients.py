"""Does the learning signal reach the early layers? Norms of gradients and of activations along a network, the share
of a shortcut, and who feeds whom.

Gradients are those of the cross entropy, averaged over the batch; norms are L2 over the whole batch, summed in float64,
so that what float32 can hold is never lost in its square. Everything runs on networks of the caller's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional as F

from explorer.analyses import sums
from explorer.counting.memory import BYTES, scratch_bytes, training_bytes
from explorer.errors import ExplorerError
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import Block, Edge, block_of, forks, owner, residual_blocks, weight_owners
from explorer.running.network import blank, initialise, plan_of, run

Table = NDArray[np.float64]
Mode = Literal["train", "eval"]


class GradientError(ExplorerError):
    """An analysis that cannot be, in one sentence."""


class Batch(NamedTuple):
    images: Tensor  # (N, C, H, W)
    labels: Tensor  # (N,), classes


class Flow(NamedTuple):
    """One row a run (a seed), one column an operation or a weight; not-a-number and infinity stay what they are."""

    plan: Plan
    losses: Table  # (runs,)
    operations: tuple[str, ...]  # in the order in which they run
    activation: Table  # norm of dLoss/dOutput
    zeros: Table  # share of exact zeros in dLoss/dOutput; not-a-number where the operation has no weights
    mean: Table  # of the outputs
    deviation: Table  # standard deviation of the outputs
    dead: Table  # share of ReLU channels that are zero everywhere in the batch; not-a-number for other operations
    weighted: tuple[str, ...]  # the operation that first reads each weight
    weight: Table  # norm of dLoss/dWeight
    relative: Table  # the same over the weight's norm


def noise(plan: Plan, count: int, seed: int, device: str = "cpu") -> Batch:
    """Standard normal images with random labels; they depend on the shapes and the seed alone."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(count, *plan.ops[0].shape, generator=draw)
    return Batch(images.to(device), random_labels(plan, count, seed).to(device))


def random_labels(plan: Plan, count: int, seed: int) -> Tensor:
    return torch.randint(plan.ops[-1].shape[0], (count,), generator=torch.Generator().manual_seed(seed + 1_000_003))


def needed_bytes(plan: Plan, count: int) -> int:
    """Of `flow` at a batch of `count`: a training step, every output beside it, and scratch space."""
    outputs = BYTES * count * sum(op.size for op in plan.ops)
    return training_bytes(plan, count) + outputs + scratch_bytes(plan, count, gradients=True)


def macs(plan: Plan, count: int) -> float:
    """Of `flow` and `routes` on a batch of `count`, for one network: a backward pass is two forward passes."""
    return 3.0 * plan.macs * count


def fresh(plan: Plan, seeds: Iterable[int], mode: Mode, device: str = "cpu") -> Iterator[GraphModule]:
    """A network of the caller's own, which takes the weights of each seed in turn."""
    network = blank(plan).to_empty(device="cpu").train(mode == "train")
    for seed in seeds:
        initialise(network.cpu(), seed)
        yield network.to(device)


def private(network: GraphModule, mode: Mode) -> GraphModule:
    """A copy whose running statistics may move: batch norm in train mode writes to them."""
    device = next(network.parameters()).device
    copy = blank(plan_of(network)).to_empty(device=device)
    copy.load_state_dict(network.state_dict())
    return copy.train(mode == "train")


def check(plan: Plan, count: int, mode: Mode) -> None:
    """Raises GradientError where batch norm would have one value to normalise."""
    for op in plan.ops if mode == "train" else ():
        alone = count * op.shape[1] * op.shape[2] < 2
        if alone and KINDS[op.kind].batch_statistics(op):
            raise GradientError(f"In train mode {op.name} has one value a channel: use at least 2 images.")


def measured(plan: Plan, every: bool = False) -> tuple[str, ...]:
    """The operations that `flow` measures: all but the norms, or with `every` those too.

    A norm's output is one multiplication away from the convolution's or the ReLU's beside it, and keeping it would be
    a third of the time and of the memory.
    """
    return tuple(op.name for op in plan.ops[1:] if every or not KINDS[op.kind].rescales)


def flow(
    networks: Iterable[GraphModule],
    batches: Iterable[Batch],
    every: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Flow:
    """Run each network, which must be the caller's own, on its batch. `progress` hears how many are done; it may
    end the work by raising."""
    runs = []
    for network, batch in zip(networks, batches, strict=False):
        plan = plan_of(network)
        check(plan, len(batch.labels), "train" if network.training else "eval")
        names = measured(plan, every)
        runs.append(_flow(network, batch, names))
        progress(len(runs))
    if not runs:
        raise GradientError("There is nothing to run: give at least one seed.")
    outputs, weights, losses = (np.stack(parts) for parts in zip(*runs, strict=True))
    activation, nonzero, mean, deviation, dead = np.moveaxis(outputs, 2, 0)
    with np.errstate(all="ignore"):
        relative = weights[..., 0] / weights[..., 1]
    weighted = tuple(_weights(network))
    return Flow(
        plan, losses, names, activation, 1 - nonzero, mean, deviation, dead, weighted, weights[..., 0], relative
    )


def _flow(network: GraphModule, batch: Batch, names: Sequence[str]) -> tuple[Table, Table, Table]:
    """(operations, 5), (weights, 2), ()."""
    logits, kept = run(network, batch.images, names)
    loss = F.cross_entropy(logits, batch.labels)
    outside, inside = {}, {}
    nothing = loss.new_full((), torch.nan)

    def measure(gradient: Tensor, name: str, weighted: bool) -> None:
        inside[name] = sums.norm(gradient), _nonzero(gradient) if weighted else nothing

    for name, output in kept.items():
        op = plan_of(network)[name]
        with torch.no_grad():
            mean = sums.mean(output)
            dead = _dead(output) if KINDS[op.kind].sparse(op) else nothing
            outside[name] = mean, sums.deviation(output, mean), dead
        if output.requires_grad:
            _on_gradient(output, partial(measure, name=name, weighted=KINDS[op.kind].weighted))
    del kept, logits, output  # what autograd does not need is freed on the way back
    weights = list(_weights(network).values())
    gradients = torch.autograd.grad(loss, weights)
    # before the first layer with weights no gradient is needed, and none comes
    none = nothing, nothing
    outputs = _numbers([number for name in names for number in (*inside.get(name, none), *outside[name])])
    with torch.no_grad():
        norms = _numbers([sums.norm(tensor) for pair in zip(gradients, weights, strict=True) for tensor in pair])
    return outputs.reshape(-1, 5), norms.reshape(-1, 2), _numbers([loss.detach()])[0]


def _numbers(tensors: Sequence[Tensor]) -> Table:
    """All in one go, since each would wait for the device."""
    wide = sums.wide(tensors[0])
    numbers: Table = torch.stack([tensor.to(wide) for tensor in tensors]).cpu().double().numpy()
    return numbers


def _on_gradient(tensor: Tensor, listen: Callable[[Tensor], None]) -> None:
    tensor.register_hook(listen)


def _weights(network: GraphModule) -> dict[str, Tensor]:
    """The kernels and matrices, by the operation that first reads each."""
    owners = weight_owners(plan_of(network))
    return {name: network.get_parameter(f"{kernel}.weight") for name, kernel in owners.items()}


def _nonzero(tensor: Tensor) -> Tensor:
    """Their share. (torch.count_nonzero takes six times as long.)"""
    return sums.mean(tensor.sign().abs_())


def _dead(output: Tensor) -> Tensor:
    return (output.amax((2, 3)).amax(0) == 0).to(output.dtype).mean()


# --- along the edges


class Routes(NamedTuple):
    """What reaches each operation that several others read: the norm of its gradient, and how much of that comes
    through each of its readers.

    `along` is the part that points along the whole gradient, <g_edge, g> / |g|, so that the edges of a source add up
    to `whole` exactly, one that works against the others being negative.
    """

    plan: Plan
    whole: dict[str, float]
    norm: dict[Edge, float]
    along: dict[Edge, float]


def routes(network: GraphModule, batch: Batch) -> Routes:
    """The network must be the caller's own where it is in train mode."""
    plan = plan_of(network)
    check(plan, len(batch.labels), "train" if network.training else "eval")
    if not (edges := forks(plan)):
        return Routes(plan, {}, {}, {})
    sources = list(dict.fromkeys(source for source, _ in edges))
    waiting: dict[str, dict[Edge, Tensor]] = {source: {} for source in sources}
    found: dict[str, Tensor] = {}
    parts: dict[Edge, tuple[Tensor, Tensor]] = {}

    def arrived(gradient: Tensor, source: str) -> None:
        found[source] = whole = sums.norm(gradient)
        flat = gradient.reshape(-1).to(sums.wide(gradient))
        for edge, part in waiting.pop(source).items():
            parts[edge] = sums.norm(part), flat.dot(part.reshape(-1).to(flat.dtype)) / whole

    def passed(gradient: Tensor, edge: Edge) -> None:
        waiting[edge[0]][edge] = gradient

    wanted: list[str | Edge] = [*sources, *edges]
    logits, kept = run(network, batch.images, wanted)
    for key, tensor in kept.items():
        _on_gradient(tensor, partial(passed, edge=key) if isinstance(key, tuple) else partial(arrived, source=key))
    loss = F.cross_entropy(logits, batch.labels)
    del kept, logits, tensor
    torch.autograd.grad(loss, list(_weights(network).values()))
    return Routes(
        plan,
        {name: float(norm) for name, norm in found.items()},
        {edge: float(norm) for edge, (norm, _) in parts.items()},
        {edge: float(part) for edge, (_, part) in parts.items()},
    )


class Split(NamedTuple):
    """The gradient at a residual block's input: how much of it came through the shortcut, how much through the branch.

    `whole` is its norm; `shortcut` and `branch` are the parts along it, which add up to it.
    """

    join: str  # the block's add
    source: str  # where branch and shortcut part
    role: str  # identity, projection or padding
    whole: float
    shortcut: float
    branch: float
    shortcut_norm: float
    branch_norm: float

    @property
    def block(self) -> str:
        """The name that the block's operations begin with: layer1.0 of layer1.0.add."""
        return self.join.rpartition(".")[0] or self.join

    @property
    def share(self) -> float:
        """Of the shortcut; beyond 1 where the branch works against it."""
        return self.shortcut / self.whole if self.whole else float("nan")


def splits(routes: Routes) -> tuple[Split, ...]:
    """One for each residual block, in order."""
    found = []
    for block in residual_blocks(routes.plan):
        if block.shortcut in routes.along and block.branch:
            found.append(
                Split(
                    block.join,
                    block.source,
                    block.role,
                    routes.whole[block.source],
                    routes.along[block.shortcut],
                    sum(routes.along[edge] for edge in block.branch),
                    routes.norm[block.shortcut],
                    sum(routes.norm[edge] ** 2 for edge in block.branch) ** 0.5,
                )
            )
    return tuple(found)


class Matrix(NamedTuple):
    """Who feeds whom in a stage: `values[i, j]` belongs to source j and consumer i; not-a-number where consumer i does
    not read source j.
    """

    stage: str
    sources: tuple[str, ...]
    consumers: tuple[str, ...]
    values: Table

    @property
    def shares(self) -> "Matrix":
        """Of all that a source gives: each column adds up to 1, or is not-a-number where it adds up to zero."""
        together = np.nansum(self.values, 0)
        return self._replace(values=self.values / np.where(together == 0, np.nan, together))


LEAST_READERS = 3  # blocks, for a source to belong in a matrix: a residual block's output has one


def feeds(routes: Routes) -> tuple[Matrix, ...]:
    """For each dense or clique stage, how much gradient source j receives through consumer i, along its whole
    gradient; a column adds up to the norm of the source's gradient."""
    return _matrices(routes.plan, routes.along)


def reuse(network: GraphModule) -> tuple[Matrix, ...]:
    """How strongly consumer i reads source j: the mean absolute weight of its first convolution on that source's
    channels (Huang et al., 1608.06993, section 5 and figure 5)."""
    plan = plan_of(network)
    weights: dict[Edge, float] = {}
    for source, consumer in forks(plan):
        reader, first = plan[consumer], 0
        if KINDS[reader.kind].join == "concat":
            before = reader.inputs[: reader.inputs.index(source)]
            first = sum(plan[name].shape[0] for name in before)
        while not KINDS[reader.kind].weighted and len(plan.readers[reader.name]) == 1:
            reader = plan[plan.readers[reader.name][0]]
        channels = KINDS[reader.kind].reads(reader, slice(first, first + plan[source].shape[0]))
        if channels is None:
            continue
        kernel = network.get_parameter(f"{owner(reader)}.weight").detach()
        weights[source, consumer] = float(kernel[:, channels].abs().mean(dtype=sums.wide(kernel)))
    return _matrices(plan, weights)


def _matrices(plan: Plan, values: Mapping[Edge, float]) -> tuple[Matrix, ...]:
    """Edges gathered by the blocks at their two ends."""
    blocks: dict[str, dict[Block, float]] = {}
    for edge in forks(plan):
        if edge in values:
            consumer = plan[edge[1]]
            to = blocks.setdefault(edge[0], {})
            to[block_of(consumer)] = to.get(block_of(consumer), 0.0) + values[edge]
    wide = {name: readers for name, readers in blocks.items() if len(readers) >= LEAST_READERS}
    stages: dict[str, list[str]] = {}
    for name, readers in wide.items():
        stages.setdefault(next(iter(readers))[0], []).append(name)
    order = list(dict.fromkeys(block_of(op) for op in plan.ops))
    found = []
    for stage, sources in stages.items():
        # a stage's last layers have fewer readers, since the stage ends, and are shown all the same
        sources += [n for n in blocks if n not in sources and plan[n].stage == stage and plan[n].block]
        sources = [op.name for op in plan.ops if op.name in sources]
        consumers = [place for place in order if any(place in blocks[name] for name in sources)]
        table = [[blocks[name].get(place, np.nan) for name in sources] for place in consumers]
        labels = tuple(
            plan[n].block or (plan[n].stage if plan[n].stage != stage else n.split(".")[-1]) for n in sources
        )
        rows = tuple(block or "out" if place_stage == stage else place_stage for place_stage, block in consumers)
        found.append(Matrix(stage, labels, rows, np.array(table)))
    return tuple(found)
