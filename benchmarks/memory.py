"""The estimates of `explorer.counting.costs`, against what PyTorch's allocator really held at its peak.

On a GPU the caching allocator's own count; on the CPU the profiler's record of every allocation. Both see tensors and
the scratch space that convolutions take through the allocator, and not what a library takes behind its back.

Then the growth of a whole process, all of that included, under a limit: at most 1.15 times the limit, since the C
library keeps some of what is freed (see `return_freed_memory`). And what is promised to an export before it begins,
against what the process that makes it took at its peak.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.growth import growths
from benchmarks.measure import Table, child, own_bytes, promised, watching
from explorer.counting.costs import forward_bytes, training_bytes
from explorer.families import PRESETS, write_plan
from explorer.running import export
from explorer.running.network import build

NETWORKS = ("resnet18", "densenet121", "cliquenet_s0")
BATCH = 4
LIMIT = 512_000_000
EXPORTED = ("vgg16", "resnet152", "densenet201")
EACH = 0.01  # seconds between two looks at a process


def tables(quick: bool) -> Iterator[Table]:
    yield Table(
        f"Peak, batch {BATCH}, weights and images included",
        ("float32", "our estimate", "measured", "ours / measured"),
        child(__name__),  # the profiler writes notes of its own to the terminal
        ["The training step is SGD with momentum; its gradients are freed before the next step."],
    )
    grown = growths("resnet50", 224, LIMIT, exact=False)
    yield Table(
        f"Growth of the process, ResNet-50, limit {LIMIT / 1e6:.0f} MB, 8 steps or samples",
        ("method", "grew by", "of the limit", "promise", "kept"),
        [
            (method, f"{grew / 1e6:.0f} MB", f"{grew / LIMIT:.2f}", *promised(grew / LIMIT, at_most=1.15))
            for method, grew in grown.items()
        ],
        ["From before the network is built to the peak, each method in a process of its own."],
    )
    if Path("/proc/self/status").exists():
        yield Table(
            "Exports, in the process that makes one",
            ("network, form", "promised", "measured", "measured / promised", "promise", "kept"),
            [row for name in EXPORTED[-1 if quick else 0 :] for row in exported(name)],
            ["Measured is what it does not share with any file: memory that comes back only with its end."],
        )


def exported(name: str) -> Iterator[tuple[str, ...]]:
    plan = write_plan(PRESETS[name])
    network = build(plan)
    for form in ("pt2", "onnx"):
        promise = export.EXPORTS[form].needed_bytes(plan) + export.EXPORTS[form].libraries
        with tempfile.TemporaryDirectory() as folder, watching(own_bytes_of_a_child, EACH) as seen:
            export.write(form, network, Path(folder, "network"))
        numbers = f"{promise / 1e6:.0f} MB", f"{max(seen) / 1e6:.0f} MB", f"{max(seen) / promise:.2f}"
        yield (f"{name}, {form}", *numbers, *promised(max(seen) / promise, at_most=1.1))


def own_bytes_of_a_child() -> int:
    return max((own_bytes(one.pid) for one in psutil.Process().children()), default=0)


def rows() -> list[tuple[str, ...]]:
    found = []
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    for device in devices:
        for name in NETWORKS:
            config = PRESETS[name]
            plan = write_plan(config)
            network = build(plan, device=device)
            images = torch.randn(BATCH, config.channels, config.input_size, config.input_size, device=device)
            for what, estimate, measure in (
                ("forward", forward_bytes(plan, BATCH), forward_peak),
                ("training step", training_bytes(plan, BATCH), training_peak),
            ):
                measured = measure(network, images)
                numbers = f"{estimate / 1e6:,.1f} MB", f"{measured / 1e6:,.1f} MB", f"{estimate / measured:.3f}"
                found.append((f"{name}, {what}, {device}", *numbers))
    return found


def forward_peak(network: nn.Module, images: torch.Tensor) -> int:
    with torch.inference_mode():
        return held([*state(network), images]) + peak(lambda: network(images), images.device)


def training_peak(network: nn.Module, images: torch.Tensor) -> int:
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)

    def step() -> None:
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # makes the momentum
    momentum = [entry["momentum_buffer"] for entry in optimizer.state.values()]
    found = held([*state(network), *momentum, images]) + peak(step, images.device)
    network.eval()
    return found


def state(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]


def held(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def peak(work: Callable[[], object], device: torch.device) -> int:
    """The most bytes that were allocated at once during `work`, beyond those before it."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


if __name__ == "__main__":
    print(json.dumps(rows()))
