"""A network built from a plan, against torchvision's own module: same weights, same input, same answer.

And what it costs to keep tensors on the way: `run(keep=...)` against the bare forward pass, beside the two usual
ways, hooks and an `fx.Interpreter`.

One thread's processor time is what counts: several threads of torch wait for one another by spinning, so that on a
busy machine they measure the other work; they are measured too, by the clock. The C library is told to keep the memory
that it has. Unless told, it gives large blocks back and takes them again page by page, or not, by how the blocks
happen to lie: up to 20 % for either side.
"""

import copy
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from benchmarks.measure import UNPROMISED, Table, Times, child, interleaved, ms, promised, ratios, spread
from explorer.families import PRESETS, write_plan
from explorer.running.calibration import calibrate
from explorer.running.devices import KEPT_FREE, OWN_BLOCK
from explorer.running.fast_form import fast_form
from explorer.running.network import build, run

NETWORKS = ("resnet18", "resnet50", "densenet121")
BATCHES = (1, 8)
KEPT = 8
FORWARD, KEEP = 1.03, 1.05  # promised: at most so many times torchvision's forward; our own bare forward
# the fast form as pages run it, on several images, which it is for; ResNet-18 is not promised
FAST, OF_FAST = {8: 0.72}, ("resnet50", "densenet121")
CLOSE = 3.0  # times as far from the logits in float64 as torchvision's module is, at most
NOISE = 0.2  # a ratio whose middle half is wider than this says nothing about such promises
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def tables(quick: bool) -> Iterator[Table]:
    header = ("network", "takes", "peer", "peer's", "ratio", "promise", "kept")
    seconds = "4" if quick else "20"
    title = "Forward on the CPU, 224 px"
    yield Table(f"{title}, one torch thread, processor time", header, child(__name__, "1", seconds, **MALLOC))
    if not quick:
        rows = child(__name__, "default", seconds, **MALLOC)
        yield Table(f"{title}, {torch.get_num_threads()} torch threads, time", header, rows)
    back = {"MALLOC_MMAP_THRESHOLD_": str(OWN_BLOCK), "MALLOC_TRIM_THRESHOLD_": str(KEPT_FREE)}
    fast = (
        "network",
        "takes",
        "torchvision's",
        "ratio",
        "promise",
        "kept",
        "from float64",
        "torchvision's",
        "promise",
        "kept",
    )
    title = "The fast form on the CPU, 224 px, one torch thread, processor time"
    yield Table(f"{title}; freed memory goes back, as for pages", fast, child(__name__, "fast", seconds, **back))
    if not quick:
        yield Table(f"{title}; freed memory is kept", fast, child(__name__, "fast", seconds, **MALLOC))
    rows = []
    for name in (*NETWORKS, "densenet201"):
        contenders: dict[str, Callable[[], Any]] = {
            "ours": lambda name=name: build(write_plan(PRESETS[name])),
            "torchvision": lambda name=name: torchvision.models.get_model(name),
        }
        times = interleaved(contenders, seconds=2 if quick else 10)
        rows.append(row(times, f"{name}, from configuration to network", "ours", "torchvision"))
    yield Table("Building, fresh weights included", header, rows)


def forwards(threads: str, seconds: float) -> list[tuple[str, ...]]:
    clock = time.perf_counter
    if threads != "default":
        torch.set_num_threads(int(threads))
        clock = time.thread_time
    rows = []
    for name in NETWORKS:
        theirs = torchvision.models.get_model(name).eval()
        network = build(write_plan(PRESETS[name]))
        network.load_state_dict(theirs.state_dict())
        names = spread_names(network)
        for batch in BATCHES:
            images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                same = "equal" if torch.equal(network(images), theirs(images)) else "DIFFERENT"
                times = interleaved(
                    {
                        "torchvision": partial(theirs, images),
                        "ours": partial(network, images),
                        "run": partial(run, network, images, keep=names),
                        "interpreter": partial(interpreted, network, images, names),
                        "hooks": partial(hooked, network, images, names),
                    },
                    seconds * (0.5 if batch == 1 else 1.5),
                    clock,
                )
            what = f"{name}, batch {batch}"
            rows += [
                row(times, f"{what}, forward ({same} logits)", "ours", "torchvision", FORWARD),
                row(times, f"{what}, keep {KEPT} by run()", "run", "ours", KEEP),
                row(times, f"{what}, keep {KEPT} by an Interpreter", "interpreter", "ours"),
                row(times, f"{what}, keep {KEPT} by hooks", "hooks", "ours"),
            ]
    return rows


def fast_forms(seconds: float) -> list[tuple[str, ...]]:
    torch.set_num_threads(1)
    promises = os.environ.get("MALLOC_MMAP_THRESHOLD_") == str(OWN_BLOCK)
    rows = []
    for name in NETWORKS:
        theirs = torchvision.models.get_model(name).eval()
        network = build(write_plan(PRESETS[name]))
        calibrate(network, torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(1)))
        theirs.load_state_dict(network.state_dict())
        form, wide = fast_form(network), copy.deepcopy(network).double()
        for batch in BATCHES:
            images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                true, wanted, found = wide(images.double()), theirs(images), form(images)
                times = interleaved(
                    {"torchvision": partial(theirs, images), "fast": partial(form, images)},
                    seconds * (0.3 if batch == 1 else 1.2),
                    time.thread_time,
                )
            same = "same answers" if torch.equal(wanted.argmax(1), found.argmax(1)) else "OTHER ANSWERS"
            ours, others = (float((one - true).abs().max() / true.abs().max()) for one in (found, wanted))
            ratio = ratios(times["fast"], times["torchvision"])
            limit = FAST.get(batch, 0) if promises and name in OF_FAST else 0
            promise = promised(statistics.median(ratio), at_most=limit) if limit else UNPROMISED
            took = ms(times["fast"]), ms(times["torchvision"]), spread(ratio)
            what = f"{name}, batch {batch} ({same})"
            close = promised(ours / others, at_most=CLOSE)
            rows.append((what, *took, *promise, f"{ours:.1e}", f"{others:.1e}", *close))
    return rows


def row(times: Times, what: str, ours: str, peer: str, limit: float = 0) -> tuple[str, ...]:
    found = ratios(times[ours], times[peer])
    promise, kept = promised(statistics.median(found), at_most=limit) if limit else UNPROMISED
    low, _, high = statistics.quantiles(found, n=4)
    if kept and high - low > NOISE:
        kept = "noise"
    title = "our bare forward" if peer == "ours" else peer
    return (what, ms(times[ours]), title, ms(times[peer]), spread(found), promise, kept)


def spread_names(network: GraphModule) -> list[str]:
    """Of the operations, as many as are kept, evenly from first to last."""
    names = [node.meta["op"] for node in network.graph.nodes if node.op == "call_module"]
    return [names[i * (len(names) - 1) // (KEPT - 1)] for i in range(KEPT)]


class Keeping(Interpreter):
    def __init__(self, network: GraphModule, names: Sequence[str]) -> None:
        super().__init__(network)
        self.names = set(names)
        self.kept: dict[str, Tensor] = {}

    def run_node(self, node: Node) -> Any:
        value = super().run_node(node)
        if node.meta.get("op") in self.names:
            self.kept[node.meta["op"]] = value
        return value


def interpreted(network: GraphModule, images: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    interpreter = Keeping(network, names)
    return interpreter.run(images), interpreter.kept


def hooked(network: nn.Module, images: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    kept: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: kept.update({name: out}))
        for name in names
    ]
    try:
        return network(images), kept
    finally:
        for handle in handles:
            handle.remove()


if __name__ == "__main__":
    seconds = float(sys.argv[2])
    print(json.dumps(fast_forms(seconds) if sys.argv[1] == "fast" else forwards(sys.argv[1], seconds)))
