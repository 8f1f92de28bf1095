"""One method, one image, one map: on a shared network, on which nothing is left.

A method works on a `Score`, a private network on shared weights, and draws from generators of its own, so no visitor
waits for another.
"""

import time
import warnings
from contextlib import nullcontext
from functools import lru_cache
from typing import Literal, NamedTuple

import captum.attr as captum
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule

from explorer.analyses.attribution.draws import own_draws
from explorer.analyses.attribution.method import Call, Extent, Method, Part, Settings, window_of
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import AttributionError, Progress, Score, Target
from explorer.counting.budget import BudgetError
from explorer.counting.memory import BYTES, fast_form_bytes, forward_bytes, library_bytes, scratch_bytes, training_bytes
from explorer.plan import Plan
from explorer.running.devices import device_limits, within
from explorer.running.kinds import RUNNING
from explorer.running.network import plan_of
from explorer.wording import gigabytes

Map = NDArray[np.float32]


class Attribution(NamedTuple):
    """A map, in units of the score; (C, H, W), or (H, W) where the channels of a pixel share one value.

    Of Grad-CAM the map is as large as the operation's output: `on_pixels` enlarges it. Of the methods of an
    operation's channels it is (C, H, W) of that operation. `delta` is by how much the map's sum misses the change
    of the score from baseline to image, for methods that promise completeness: the change itself is
    map.sum() - delta. `note` is a sentence for the reader, or None.
    """

    map: Map
    signed: bool
    seconds: float
    delta: float | None
    note: str | None
    operation: str


def attribute(
    network: GraphModule,
    image: Tensor,
    target: Target,
    method: str,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Attribution:
    """How much each part of an image (1, C, H, W), normalised, has to do with the target, by one of METHODS.

    The network is only read. `progress(done, total)` is called before each forward pass, in images; what it
    raises stops the method, and leaves nothing behind. Random methods depend on the
    seed, and on the batch where samples are drawn by the batch (noise, Gradient SHAP), but on nothing else.

    Raises AttributionError where the method cannot run on this network, KeyError for an unknown method, ValueError
    for other than one image, and BudgetError where one image is too large for the device's memory.
    """
    chosen, settings = METHODS[method], settings or Settings()
    plan, weight = plan_of(network), next(network.parameters())
    if image.shape != (1, *plan.ops[0].shape):
        raise ValueError(f"image {tuple(image.shape)}: the network takes one of {(1, *plan.ops[0].shape)}")
    fast = chosen.is_fast(settings)
    half = chosen.half and settings.precision == "bfloat16"
    score = Score(network, target, progress, chosen.rescales, fast=fast, half=half)
    device = str(weight.device)
    batch, needed = fitting(
        score.plan, device, chosen.title, chosen.gradients, settings.batch, chosen.rescales, chosen.fewest, fast
    )
    operation = _operation(score.plan, chosen, settings)
    # in inference mode no gradient could be recorded
    with torch.inference_mode(False):
        own = image.detach().to(weight.device, weight.dtype, copy=True)
        # nothing is read of the settings that is not in `chosen.reads`
        samples = (settings.samples or chosen.samples) if "samples" in chosen.reads else 0
        given = _baselines(settings, own) if chosen.compares else own
        call = Call(score, own, given, settings, samples, batch, operation)
        _check_regions(chosen, call)
        parts, extent = chosen.parts(call), _extent(chosen, call)
        score.expected = chosen.passes(extent)
        if settings.noise:
            parts = [_noisy(part, chosen, call) for part in parts]
            score.expected *= settings.noise_samples
        with own_draws(settings.seed) if chosen.draws or settings.noise else nullcontext():
            start = time.perf_counter()
            result, delta = within(device, score.plan, batch, needed, lambda: _run(parts, own, chosen.gradients))
            seconds = time.perf_counter() - start
    if progress:
        progress(score.expected, score.expected)
    values = _shaped(result, chosen, score.plan, operation)
    note = _note(chosen, call, extent, values)
    return Attribution(values, chosen.is_signed(settings), seconds, delta, note, operation)


def default_operation(plan: Plan) -> str:
    """The last operation before the final one whose output has height and width; "" where there is none.

    Not one that repeats what was a single position, as a pool to 7x7 does of a 1x1 map: there all positions are equal.
    """
    side = plan.ops[0].shape[1]
    sized = (op for op in reversed(plan.ops[1:-1]) if min(op.shape[1:]) > 1)
    return next((op.name for op in sized if op.shape[1] * op.stride < 2 * side), "")


def with_positions(plan: Plan) -> tuple[str, ...]:
    """The operations whose output has height and width, which methods by way of an operation may look at."""
    return tuple(op.name for op in plan.ops[1:] if min(op.shape[1:]) > 1)


def on_pixels(values: Map, size: tuple[int, int], mode: Literal["bilinear", "nearest"] = "bilinear") -> Map:
    """A map (h, w) or (C, h, w) as one of the image (H, W): channels are summed, and positions enlarged."""
    flat = values if values.ndim == 2 else values.sum(0)
    if flat.shape == size:
        return flat
    large = captum.LayerAttribution.interpolate(torch.from_numpy(flat)[None, None], size, mode)
    enlarged: Map = large[0, 0].numpy()
    return enlarged


def _run(parts: list[Part], image: Tensor, gradients: bool) -> tuple[Map, float | None]:
    """The weighted mean of the parts' maps, and of their deltas."""
    _silence()
    total = sum(part.weight for part in parts)
    # without gradients: LIME would keep the graphs of all its forward passes
    with torch.enable_grad() if gradients else torch.inference_mode():
        results = []
        for part in parts:
            found = part.algorithm.attribute(image.clone().requires_grad_(gradients), **part.arguments)
            values, delta = found if isinstance(found, tuple) else (found, None)
            share = part.weight / total
            results.append((values.detach() * share, None if delta is None else float(delta.mean()) * share))
    deltas = [delta for _, delta in results if delta is not None]
    mean: Map = torch.stack([values for values, _ in results]).sum(0).float().cpu().numpy()
    return mean, sum(deltas) if deltas else None


def _noisy(part: Part, chosen: Method, call: Call) -> Part:
    """The mean, mean square or variance of the map over copies of the image with noise."""
    if not chosen.noise:
        raise AttributionError(f"{chosen.title} is not smoothed with noise: choose a method of gradients.")
    arguments = {key: value for key, value in part.arguments.items() if key != "return_convergence_delta"}
    # a method that takes batches of its own gets one noisy image at a time
    at_once = 1 if "internal_batch_size" in arguments else call.batch
    spread = float(call.image.max() - call.image.min())
    return Part(
        captum.NoiseTunnel(part.algorithm),
        arguments
        | {
            "nt_type": call.settings.noise,
            "nt_samples": call.settings.noise_samples,
            "nt_samples_batch_size": min(at_once, call.settings.noise_samples),
            "stdevs": call.settings.noise_level * spread,
        },
    )


def _shaped(result: Map, chosen: Method, plan: Plan, operation: str) -> Map:
    if chosen.channels:
        return result.reshape(plan[operation].shape)
    image: Map = result[0] if chosen.of == "pixels" else result[0, 0]
    return image


def _silence() -> None:
    """Captum warns whenever it sets hooks. Not warnings.catch_warnings, by which two threads disturb each other."""
    for message in ("Setting forward, backward hooks", "Setting backward hooks on ReLU"):
        warnings.filterwarnings("ignore", message)


# ---- what fits, and what makes sense ----

# with gradients; without, twice as many. On a CPU, ResNet-18 took by processor time, an image: forward 76 ms at once
# by one, 50 by four, 46 by eight, 43.5 by 16, 43.2 by 32; with gradients 176, 117, 109, and 105 by 16, for twice the
# memory. For GPUs these are guesses: none was measured
MOST_AT_ONCE = {"cpu": 8, "mps": 16, "cuda": 32}


def fitting(
    plan: Plan,
    device: str,
    title: str,
    gradients: bool,
    most: int = 0,
    rescales: bool = False,
    fewest: int = 1,
    fast: bool = False,
) -> tuple[int, int]:
    """How many images go through the network at once, and how many bytes that takes, scratch space included.

    A method that `rescales` takes a baseline through with each image, and copies what goes into and comes out of every
    module with a rule; a `fast` form of the network has weights of its own. Raises BudgetError where `fewest` images
    are too many, for what `title` names.
    """
    one, two = _of_one_and_two(plan, gradients)
    copied = sum(
        op.size + sum(plan[name].size for name in op.inputs) for op in plan.ops[1:] if RUNNING[op.kind].own_input
    )
    each = 2 * (two - one + BYTES * copied) if rescales else two - one
    once = BYTES * plan.params + library_bytes(plan) + fast * fast_form_bytes(plan)
    memory = device_limits(device).memory
    images = (memory - once) // each
    if images < fewest:
        count = "one image" if fewest == 1 else f"{fewest} images at once"
        raise BudgetError(
            f"{title} of {count} would take about {gigabytes(fewest * each + once)}; the limit is {gigabytes(memory)}: "
            "use a smaller input or fewer channels."
        )
    usual = MOST_AT_ONCE.get(device.partition(":")[0], 8) * (1 if gradients else 2)
    images = max(fewest, min(images, most or usual))
    return images, each * images + once


@lru_cache(maxsize=32)
def _of_one_and_two(plan: Plan, gradients: bool) -> tuple[int, int]:
    """Bytes of a pass over one image and over two; milliseconds each, which a quick method would notice."""
    count = training_bytes if gradients else forward_bytes
    one, two = (count(plan, images) + scratch_bytes(plan, images, gradients) for images in (1, 2))
    return one, two


def _baselines(settings: Settings, image: Tensor) -> Tensor:
    if settings.baseline is None:
        return torch.zeros_like(image)
    if settings.baseline.shape[1:] != image.shape[1:] or not len(settings.baseline):
        raise ValueError(
            f"baseline {tuple(settings.baseline.shape)}: expected (B, {', '.join(map(str, image.shape[1:]))})"
        )
    return settings.baseline.detach().to(image)


def _operation(plan: Plan, chosen: Method, settings: Settings) -> str:
    if "operation" not in chosen.reads:
        return ""
    name = settings.operation or default_operation(plan)
    if not name:
        raise AttributionError(f"{chosen.title} needs a feature map, and this target is computed from none.")
    if name not in plan or plan[name].kind == "input":
        raise AttributionError(f"{chosen.title} cannot ask {name!r}: the target is not computed from it.")
    if not chosen.channels and min(plan[name].shape[1:]) == 1:
        raise AttributionError(f"{chosen.title} needs positions, and {name} has one value a channel: choose another.")
    return name


def _check_regions(chosen: Method, call: Call) -> None:
    if "superpixels" not in chosen.reads:
        return
    regions = call.settings.superpixels
    if regions is None or regions.shape != call.image.shape[2:]:
        size = "x".join(map(str, call.image.shape[2:]))
        raise AttributionError(f"{chosen.title} takes superpixels away: give it the region of each of {size} pixels.")
    if regions.min() != 0 or len(np.unique(regions)) != regions.max() + 1:
        raise AttributionError(f"{chosen.title} needs superpixels that are numbered from 0 without gaps.")
    if chosen.draws and regions.max() == 0:
        raise AttributionError(f"{chosen.title} compares superpixels: there is only one.")


def _extent(chosen: Method, call: Call) -> Extent:
    settings, reads = call.settings, chosen.reads
    height, width = call.image.shape[2:]
    regions = settings.superpixels if "superpixels" in reads else None
    return Extent(
        size=(height, width),
        baselines=len(call.baselines),
        regions=0 if regions is None else int(regions.max()) + 1,
        steps=settings.steps if "steps" in reads else 0,
        samples=call.samples,
        window=window_of(settings, (height, width)) if "window" in reads else (1, 1),
        batch=call.batch,
        smoothed=bool(settings.noise),
    )


def _note(chosen: Method, call: Call, extent: Extent, values: Map) -> str | None:
    if "relu" in chosen.reads and call.settings.relu and not values.any():
        return "At no position does the evidence speak for the target: see what speaks against it, without the ReLU."
    if "operation" in chosen.reads and _passed_by(call.score.plan, call.operation):
        return f"Part of the evidence goes past {call.operation}: the map shows what goes through it."
    if extent.samples < chosen.fewest_samples(extent):
        return f"{extent.samples} samples cannot tell {extent.regions} superpixels apart: take more."
    return None


def _passed_by(plan: Plan, name: str) -> bool:
    """Whether the images reach the output without this operation."""
    reached = {plan.ops[0].name}
    for op in plan.ops[1:]:
        if op.name != name and reached.intersection(op.inputs):
            reached.add(op.name)
    return plan.ops[-1].name in reached
