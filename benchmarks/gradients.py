"""The gradient flow of a network against the bare forward and backward passes that it needs, on one torch thread."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional as F

from benchmarks.measure import UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from explorer.analyses import gradients, paths
from explorer.analyses.gradients import Batch
from explorer.families import PRESETS, plan

NETWORKS = ("plain56_cifar", "resnet56_cifar", "densenet40_12_cifar", "cliquenet_k36_t12")
BATCH, SEEDS = 8, 3
OVERHEAD, WHOLE = 1.25, 1.0  # times the bare passes; seconds, of three seeds


def tables(quick: bool) -> Iterator[Table]:
    yield Table(
        f"Batch {BATCH}, 32x32, train mode, processor time",
        ("network", "bare passes", "flow", "flow / bare", "promise", "kept"),
        child(__name__, "overhead", "2" if quick else "8", OMP_NUM_THREADS="1"),
        ["Bare: forward, cross entropy, gradients of all weights. Flow: norms of all gradients and outputs with it."],
    )
    yield Table(
        f"As the page runs it, by the clock: {SEEDS} seeds, networks and batches made too",
        ("network", "all seeds", "promise", "kept", "edges, one seed", "paths, one seed"),
        child(__name__, "whole"),
    )


def overhead(seconds: float) -> list[tuple[str, ...]]:
    rows = []
    for name in NETWORKS:
        network_plan = plan(PRESETS[name])
        network, batch = next(gradients.fresh(network_plan, [0], "train")), gradients.noise(network_plan, BATCH, 0)
        weights = list(network.parameters())

        def bare(network: GraphModule = network, batch: Batch = batch, weights: list[Tensor] = weights) -> None:
            torch.autograd.grad(F.cross_entropy(network(batch.images), batch.labels), weights)

        def flow(network: GraphModule = network, batch: Batch = batch) -> None:
            gradients.flow([network], [batch])

        times = interleaved({"bare": bare, "flow": flow}, seconds, clock=time.process_time)
        found = ratios(times["flow"], times["bare"])
        middle = sorted(found)[len(found) // 2]
        rows.append((name, ms(times["bare"]), ms(times["flow"]), spread(found), *promised(middle, at_most=OVERHEAD)))
    return rows


def whole() -> list[tuple[str, ...]]:
    rows = []
    for name in NETWORKS:
        network_plan = plan(PRESETS[name])
        network, batch = next(gradients.fresh(network_plan, [0], "train")), gradients.noise(network_plan, 2, 0)
        gradients.routes(network, batch)  # warms up
        took = []
        for _ in range(3):
            began = time.perf_counter()
            batches = (gradients.noise(network_plan, BATCH, seed) for seed in range(SEEDS))
            gradients.flow(gradients.fresh(network_plan, range(SEEDS), "train"), batches)
            took.append(time.perf_counter() - began)
        network, batch = next(gradients.fresh(network_plan, [0], "train")), gradients.noise(network_plan, BATCH, 0)
        began = time.perf_counter()
        gradients.routes(network, batch)
        edges = time.perf_counter() - began
        sampled = ""
        if paths.residual_blocks(network_plan):
            began = time.perf_counter()
            paths.paths(network, batch)
            sampled = f"{time.perf_counter() - began:.2f} s"
        seconds = sorted(took)[1]
        small = name in NETWORKS[:2]
        rows.append(
            (
                name,
                f"{seconds:.2f} s",
                *(promised(seconds, at_most=WHOLE, unit=" s") if small else UNPROMISED),
                f"{edges:.2f} s",
                sampled,
            )
        )
    return rows


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(overhead(float(sys.argv[2])) if sys.argv[1] == "overhead" else whole()))
