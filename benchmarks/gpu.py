"""How fast are networks, attribution and training on a GPU, and what do two visitors notice of each other there?

Beside torchvision's own modules and Captum's own calls on the same card; each time is waited for until the card has
finished. `python -m benchmarks memory` holds the estimates of memory against what the card's allocator held.

EXPLORER_BENCHMARK_DEVICE names another device: the CPU is of use only to see that this file works.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torchvision
from torch import nn

from benchmarks.measure import ROOT, UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from explorer.counting.budget import BudgetError
from explorer.counting.memory import forward_bytes
from explorer.families import PRESETS, plan
from explorer.running import devices
from explorer.running.calibration import calibrate
from explorer.running.fast_form import fast_form
from explorer.running.network import build

DEVICE = os.environ.get("EXPLORER_BENCHMARK_DEVICE", "cuda:0")
NETWORKS, BATCHES = ("resnet18", "resnet50", "densenet121"), (1, 8, 64)
FORWARD, MANY, TRAINING = 1.0, 0.8, 1.03  # times torchvision's; Captum's at its best batch; a bare loop's
CAPTUMS = (8, 32, 128)  # batches that Captum's own call is tried with
LEARNING_BATCH = 128


def tables(quick: bool) -> Iterator[Table]:
    if not there():
        yield Table(f"There is no {DEVICE} here", ("nothing was measured",), [])
        return
    seconds = "1" if quick else "5"
    header = ("network", "takes", "peer's", "ratio", "promise", "kept")
    name = torch.cuda.get_device_name(DEVICE) if DEVICE.startswith("cuda") else DEVICE
    yield Table(f"Forward, float32, against torchvision's module: {name}", header, child(__name__, "forwards", seconds))
    yield Table(
        "Attribution of one image, against Captum's call on torchvision's module at its best batch",
        ("method", "ours", "Captum's", "its batch", "ratio", "promise", "kept"),
        child(__name__, "attributions", "3" if quick else "7"),
    )
    yield Table(
        f"A step of training, {LEARNING_BATCH} images of 32 px, against a bare loop on the same network",
        header,
        child(__name__, "training", seconds),
    )
    yield Table(
        "Two visitors, each in a process of its own, Integrated Gradients on ResNet-50",
        ("", "seconds for each", "times alone"),
        together(3 if quick else 10),
    )
    if DEVICE.startswith("cuda"):
        yield Table("Out of memory", ("what is tried", "what becomes of it"), child(__name__, "exhausted", "0"))


def there() -> bool:
    return torch.cuda.is_available() if DEVICE.startswith("cuda") else True


def finished(work: Callable[[], object]) -> Callable[[], None]:
    """The work, until the device has done it."""

    def whole() -> None:
        work()
        if DEVICE.startswith("cuda"):
            torch.cuda.synchronize(DEVICE)

    return whole


def pair(name: str) -> tuple[torch.fx.GraphModule, nn.Module]:
    """Ours and torchvision's, with the same weights and with norms that have seen something."""
    network, theirs = build(plan(PRESETS[name])), torchvision.models.get_model(name)
    calibrate(network, torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(1)))
    theirs.load_state_dict(network.state_dict())
    return network.to(DEVICE), theirs.eval().to(DEVICE)


def forwards(seconds: float) -> list[tuple[str, ...]]:
    rows = []
    for name in NETWORKS:
        network, theirs = pair(name)
        for batch in BATCHES:
            images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(DEVICE)
            with torch.inference_mode():
                form = fast_form(network)
                away = float((form(images) - theirs(images)).abs().max() / theirs(images).abs().max())
                contenders = {
                    "theirs": finished(partial(theirs, images)),
                    "ours": finished(partial(network, images)),
                    "fast": finished(partial(form, images)),
                }
                times = interleaved(contenders, seconds)
            for ours, what in (("ours", "as built"), ("fast", f"fast form, logits differ by {away:.0e}")):
                found = ratios(times[ours], times["theirs"])
                kept = promised(statistics.median(found), at_most=FORWARD) if ours == "fast" else UNPROMISED
                took = ms(times[ours]), ms(times["theirs"]), spread(found)
                rows.append((f"{name}, batch {batch}, {what}", *took, *kept))
    return rows


def attributions(rounds: float) -> list[tuple[str, ...]]:
    from benchmarks.attribution import peers
    from explorer.analyses.attribution.attribute import attribute
    from explorer.analyses.attribution.score import Class

    warnings.simplefilter("ignore")
    rows = []
    for name in ("resnet18", "resnet50"):
        network, theirs = pair(name)
        image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(DEVICE)
        regions = torch.arange(49).view(7, 7).repeat_interleave(32, 0).repeat_interleave(32, 1)
        for method, peer, chosen in peers(theirs, image, regions.to(DEVICE)):
            took: dict[int, float] = {}
            for batch in CAPTUMS:
                finished(partial(peer, batch))()
                began = time.perf_counter()
                finished(partial(peer, batch))()
                took[batch] = time.perf_counter() - began
            best = min(took, key=took.__getitem__)
            contenders = {
                "ours": finished(partial(attribute, network, image, Class(3), method, chosen)),
                "peer": finished(partial(peer, best)),
            }
            times = interleaved(contenders, 0, least=int(rounds))
            ratio = statistics.median(ratios(times["ours"], times["peer"]))
            what = ms(times["ours"]), ms(times["peer"]), str(best), f"{ratio:.3f}"
            rows.append((f"{name}, {method}", *what, *promised(ratio, at_most=MANY)))
    return rows


def training(seconds: float) -> list[tuple[str, ...]]:
    from benchmarks.training import CONFIG, RECIPE, made_up
    from explorer.learning.training import Training

    rows = []
    for precision in ("float32", "bfloat16"):
        data = made_up()
        ours = Training(build(plan(CONFIG), device=DEVICE), data, RECIPE.replace(precision=precision))
        bare = build(plan(CONFIG), device=DEVICE).train()
        optimizer = torch.optim.SGD(bare.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
        pixels = torch.from_numpy(data.train.images).to(DEVICE)
        labels = torch.from_numpy(data.train.labels).to(DEVICE)

        def step(
            bare: nn.Module = bare,
            optimizer: torch.optim.SGD = optimizer,
            pixels: torch.Tensor = pixels,
            labels: torch.Tensor = labels,
            half: bool = precision == "bfloat16",
        ) -> None:
            chosen = torch.randint(len(labels), (LEARNING_BATCH,), device=DEVICE)
            images = pixels[chosen].float().div_(255).sub_(0.5).div_(0.25)
            with torch.autocast(DEVICE.partition(":")[0], torch.bfloat16, enabled=half):
                logits = bare(images)
            loss = nn.functional.cross_entropy(logits.float(), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        times = interleaved({"ours": finished(ours.step), "bare": finished(step)}, seconds)
        found = ratios(times["ours"], times["bare"])
        kept = promised(statistics.median(found), at_most=TRAINING)
        rows.append((f"ResNet-20, {precision}", ms(times["ours"]), ms(times["bare"]), spread(found), *kept))
    return rows


def together(calls: int) -> list[tuple[str, ...]]:
    """One process that has the device alone, and two at once."""

    def seconds(visitors: int) -> float:
        command = [sys.executable, "-m", __name__, "visitor", str(calls)]
        started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(visitors)]
        return statistics.mean(float(one.communicate()[0].splitlines()[-1]) for one in started)

    alone, both = seconds(1), seconds(2)
    return [("alone", f"{alone:.2f}", "1"), ("both at once", f"{both:.2f}", f"{both / alone:.2f}")]


def visitor(calls: float) -> float:
    """Seconds for so many maps."""
    from explorer.analyses.attribution.attribute import attribute
    from explorer.analyses.attribution.method import Settings
    from explorer.analyses.attribution.score import Class

    network, image = build(plan(PRESETS["resnet50"]), device=DEVICE), torch.zeros(1, 3, 224, 224)
    explain = finished(partial(attribute, network, image, Class(3), "integrated_gradients", Settings(steps=50)))
    explain()
    began = time.perf_counter()
    for _ in range(int(calls)):
        explain()
    return time.perf_counter() - began


def exhausted(_: float) -> list[tuple[str, ...]]:
    """More than the card has, with an estimate that says less; and what still runs afterwards."""
    its, network = plan(PRESETS["resnet18"]), build(plan(PRESETS["resnet18"]), device=DEVICE)

    def too_much() -> torch.Tensor:
        return torch.empty(devices.free(DEVICE) + 2**34, dtype=torch.uint8, device=DEVICE)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = network(torch.zeros(1, 3, 224, 224, device=DEVICE))
        return found

    rows = []
    for what, work in (("16 GB more than are free", too_much), ("ResNet-18 after that", forward)):
        try:
            found = devices.within(DEVICE, its, 1, forward_bytes(its, 1), work)
            rows.append((what, f"runs, {tuple(found.shape)}"))
        except BudgetError as error:
            rows.append((what, f"refused: {error}"))
    return rows


if __name__ == "__main__":
    questions = {one.__name__: one for one in (forwards, attributions, training, visitor, exhausted)}
    print(json.dumps(questions[sys.argv[1]](float(sys.argv[2]))))
