"""Attribution on a shared network, against calling Captum directly on a network of one's own, in the same run."""

import statistics
import time
import warnings
from collections.abc import Iterator

import captum.attr as captum
import torch
from torch import Tensor

from benchmarks.measure import UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from explorer.analyses.attribution.attribute import attribute, default_operation
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.score import Class
from explorer.families import PRESETS, plan
from explorer.running.network import build, plan_of

GRAD_CAM, PATH = 1.1, 1.05  # times Captum's own call; times the passes at the best batch
STEPS = 50


def tables(quick: bool) -> Iterator[Table]:
    seconds = "3" if quick else "12"
    yield Table(
        "One image, one torch thread, processor time",
        ("method", "ours", "Captum's call", "ours / Captum's", "promise", "kept"),
        child(__name__, "one", seconds, OMP_NUM_THREADS="1"),
        ["Ours works on a private network that shares the weights, Captum's call on one of its own that it may hook."],
    )
    yield Table(
        f"Integrated Gradients, {STEPS} steps, ResNet-50 at 224 px",
        ("images at once", "takes", "ours / this", "promise", "kept"),
        child(__name__, "path", "1" if quick else "3"),
        ["Passes: forward and backward with respect to the image alone, as many as the method has steps."],
    )


def one(seconds: float) -> list[tuple[str, ...]]:
    warnings.simplefilter("ignore")
    rows = []
    for name in ("resnet18", "densenet121"):
        shared, own = build(plan(PRESETS[name])), build(plan(PRESETS[name]))
        image = picture(name)
        operation = default_operation(plan_of(shared))
        layer = own.get_submodule(operation)

        def gradient(own: torch.nn.Module = own, image: Tensor = image) -> Tensor:
            found: Tensor = captum.Saliency(own).attribute(image.clone().requires_grad_(), target=3)
            return found

        def cam(own: torch.nn.Module = own, image: Tensor = image, layer: torch.nn.Module = layer) -> Tensor:
            found: Tensor = captum.LayerGradCam(own, layer).attribute(image, target=3, relu_attributions=True)
            return found

        for method, peer, at_most in (("grad_cam", cam, GRAD_CAM), ("saliency", gradient, 0.0)):

            def ours(method: str = method, shared: torch.fx.GraphModule = shared, image: Tensor = image) -> object:
                return attribute(shared, image, Class(3), method)

            times = interleaved({"ours": ours, "peer": peer}, seconds, clock=time.process_time)
            found = ratios(times["ours"], times["peer"])
            middle = statistics.median(found)
            promise = promised(middle, at_most=at_most) if at_most and name == "resnet18" else UNPROMISED
            rows.append((f"{name}, {method}", ms(times["ours"]), ms(times["peer"]), spread(found), *promise))
    return rows


def path(rounds: int) -> list[tuple[str, ...]]:
    """Bare passes at several batches, and the method at the batch that it chooses."""
    shared = build(plan(PRESETS["resnet50"]))
    bare = build(plan(PRESETS["resnet50"])).requires_grad_(False)
    image = picture("resnet50")

    def passes(batch: int) -> None:
        done = 0
        while done < STEPS:
            count = min(batch, STEPS - done)
            images = image.repeat(count, 1, 1, 1).requires_grad_()
            torch.autograd.grad(bare(images)[:, 3].sum(), images)
            done += count

    took: dict[str, list[float]] = {"ours": [], **{f"passes, {batch}": [] for batch in (1, 4, 8, 16)}}
    for _ in range(rounds + 1):  # the first warms up
        for name in took:
            began = time.perf_counter()
            if name == "ours":
                attribute(shared, image, Class(3), "integrated_gradients", Settings(steps=STEPS))
            else:
                passes(int(name.rpartition(" ")[2]))
            took[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(times[1:]) for name, times in took.items()}
    best = min((name for name in took if name != "ours"), key=middle.__getitem__)
    rows = []
    for name, seconds in middle.items():
        ratio = middle["ours"] / seconds
        promise = promised(ratio, at_most=PATH) if name == best else UNPROMISED
        rows.append((name, f"{seconds:.2f} s", f"{ratio:.3f}", *promise))
    return rows


def picture(name: str) -> Tensor:
    return torch.randn(1, *plan(PRESETS[name]).ops[0].shape, generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(one(float(sys.argv[2])) if sys.argv[1] == "one" else path(int(sys.argv[2]))))
