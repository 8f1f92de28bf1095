"""Attribution on a shared network, against calling Captum directly on a network of one's own, in the same run."""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import captum.attr as captum
import numpy as np
import torch
import torchvision
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch import Tensor

from benchmarks.measure import UNPROMISED, Table, Times, child, interleaved, ms, promised, ratios, spread
from explorer.analyses.attribution.attribute import attribute, default_operation
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import Class
from explorer.analyses.attribution.surrogate import Surrogate
from explorer.families import PRESETS, plan
from explorer.running.calibration import calibrate
from explorer.running.devices import return_freed_memory
from explorer.running.network import build, plan_of

GRAD_CAM, PATH = 1.1, 1.05  # times Captum's own call; times the passes at the best batch
MANY = 0.8  # times Captum's call on torchvision's module, at that call's best batch
BATCHES = (4, 8, 16)
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
    yield Table(
        "Methods of many passes, 224 px, one torch thread, processor time",
        ("method", "ours", "Captum's call", "its best batch", "ours / Captum's", "promise", "kept", "maps agree to"),
        child(__name__, "many", "1" if quick else "3", OMP_NUM_THREADS="1"),
        [
            f"The same windows ({WINDOW}, by {STRIDE} pixels), samples ({SAMPLES}) and steps ({SAMPLES}) on",
            "torchvision's module with the same weights, freed memory going back for both. Agreement: the largest",
            "difference of the maps as a share of the largest value; of gradients, the cosine.",
        ],
    )


WINDOW, STRIDE, SAMPLES = 64, 40, 24


def many(rounds: int, names: Sequence[str] = ("resnet18", "resnet50")) -> list[tuple[str, ...]]:
    """The library's methods against Captum's at its best batch, which is found first."""
    warnings.simplefilter("ignore")
    return_freed_memory()
    rows = []
    for name in names:
        shared, theirs = build(plan(PRESETS[name])), torchvision.models.get_model(name).eval()
        image = picture(name)
        calibrate(shared, torch.cat([image, image.flip(3), image.flip(2), image.roll(50, 3)]))
        theirs.load_state_dict(shared.state_dict())
        regions = torch.arange(49).view(7, 7).repeat_interleave(32, 0).repeat_interleave(32, 1)
        for method, peer, chosen in peers(theirs, image, regions):
            took = {batch: min(timed(partial(peer, batch))[0] for _ in range(2)) for batch in BATCHES}
            best = min(took, key=took.__getitem__)
            ours = partial(attribute, shared, image, Class(3), method, chosen)
            ours()  # makes the fast form
            times: Times = {"ours": [], "peer": []}
            for _ in range(rounds):
                seconds, map_of_ours = timed(ours)
                times["ours"].append(seconds)
                seconds, map_of_peer = timed(partial(peer, best))
                times["peer"].append(seconds)
            ratio = statistics.median(ratios(times["ours"], times["peer"]))
            one, other = (
                values.reshape(-1, 224, 224)[-1] for values in (map_of_ours.map, map_of_peer.detach().cpu().numpy())
            )
            if METHODS[method].gradients:
                agree = f"cosine {(one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other):.5f}"
            else:
                agree = f"{np.abs(one - other).max() / np.abs(other).max():.1e}"
            what = ms(times["ours"]), ms(times["peer"]), str(best), f"{ratio:.3f}"
            rows.append((f"{name}, {method}", *what, *promised(ratio, at_most=MANY), agree))
    return rows


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


Peer = tuple[str, Callable[[int], Tensor], Settings]


def peers(theirs: torch.nn.Module, image: Tensor, regions: Tensor) -> tuple[Peer, ...]:
    """Each method's call of Captum by its batch, and ours by its settings."""

    def occlusion(batch: int) -> Tensor:
        window, strides = (3, WINDOW, WINDOW), (3, STRIDE, STRIDE)
        with torch.no_grad():
            found: Tensor = captum.Occlusion(theirs).attribute(
                image, window, strides, target=3, baselines=0, perturbations_per_eval=batch
            )
        return found[:, :1]

    def lime(batch: int) -> Tensor:
        torch.manual_seed(0)
        similarity = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)
        with torch.no_grad():
            found: Tensor = captum.Lime(theirs, Surrogate(ridge=1), similarity).attribute(
                image, target=3, feature_mask=regions, n_samples=SAMPLES, perturbations_per_eval=batch
            )
        return found[:, :1]

    def path(batch: int) -> Tensor:
        found: Tensor = captum.IntegratedGradients(theirs).attribute(
            image, target=3, n_steps=SAMPLES, internal_batch_size=batch
        )
        return found

    return (
        ("occlusion", occlusion, Settings(window=WINDOW, stride=STRIDE)),
        ("lime", lime, Settings(superpixels=regions.cpu().numpy(), samples=SAMPLES)),
        ("integrated_gradients", path, Settings(steps=SAMPLES)),
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

    what, how_long = sys.argv[1:]
    print(json.dumps({"one": one, "many": many, "path": path}[what](int(how_long))))
