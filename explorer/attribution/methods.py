"""The methods of attribution, as data, and the one function that runs any of them. All are Captum's own.

A method works on a `Score`, a private network on shared weights, so visitors need not wait for one another, except
for two kinds: methods that set hooks take turns on a device, and methods that draw from the process-wide
generators take turns in the process, and leave the generators as they were.
"""

import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import captum.attr as captum
import numpy as np
import torch
from captum._utils.models.model import Model
from captum.attr._core.lime import get_exp_kernel_similarity_function
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional as F

from explorer.attribution.score import AttributionError, Progress, Score, Target, for_deep_lift
from explorer.budget import BudgetError, gigabytes
from explorer.devices import device_limits, within
from explorer.memory import BYTES, forward_bytes, training_bytes
from explorer.network import plan_of
from explorer.plan import Plan

Map = NDArray[np.float32]
Noise = Literal["", "smoothgrad", "smoothgrad_sq", "vargrad"]


@dataclass(frozen=True, eq=False)
class Settings:
    """What a visitor may choose; a method reads what applies to it. Zero and "" stand for the method's own choice.

    baseline (B, C, H, W), normalised: what the image is compared with; None is zeros, the data's mean colour. The
    methods that are SHAP by a distribution of baselines take all B, the others the first. superpixels (H, W): the
    region of each pixel, from 0. window and stride are in pixels. noise_level is the noise's deviation as a share
    of the image's range (Smilkov et al., 1706.03825, section 3).
    """

    baseline: Tensor | None = None
    operation: str = ""
    relu: bool = True  # of Grad-CAM: only what speaks for the target
    superpixels: NDArray[np.int64] | None = None
    steps: int = 50  # along the path from baseline to image
    samples: int = 0
    window: int = 0
    stride: int = 0
    noise: Noise = ""
    noise_level: float = 0.15
    noise_samples: int = 20
    seed: int = 0
    batch: int = 0  # images in one forward pass; fewer where memory is short


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


class _Part(NamedTuple):
    """A call of Captum's, and its weight in the mean of all."""

    algorithm: Any
    arguments: dict[str, Any]
    weight: int = 1


class _Call(NamedTuple):
    score: Score
    image: Tensor
    baselines: Tensor  # (B, C, H, W)
    settings: Settings
    samples: int
    batch: int
    operation: str

    @property
    def baseline(self) -> Tensor:
        return self.baselines[:1]

    @property
    def path(self) -> dict[str, Any]:
        """From the baseline to the image."""
        # the layer methods need two steps at once, for their differences
        batch = max(2, self.batch)
        return {"baselines": self.baseline, "n_steps": self.settings.steps, "internal_batch_size": batch}

    @property
    def layer(self) -> torch.nn.Module:
        return self.score.layer(self.operation)

    @property
    def regions(self) -> dict[str, Any]:
        mask = torch.from_numpy(self.settings.superpixels).to(self.image.device).expand(self.image.shape)
        return {"baselines": self.baseline, "feature_mask": mask, "perturbations_per_eval": self.batch}

    @property
    def window(self) -> tuple[int, int]:
        """Side and stride of what is occluded: at most an eighth of the image, moved by its half."""
        side = self.settings.window or max(1, min(self.image.shape[2:]) // 8)
        return side, self.settings.stride or max(1, side // 2)


Parts = tuple[list[_Part], int]  # what is called, and how many images that takes


class Method(NamedTuple):
    """`of` says what the values belong to. A method with `hooks` sets some on the network that it works on; one with
    `draws` draws from the process-wide generators. `complete`: the values sum to the score's change from baseline
    to image. `multiplied`: they are contributions relative to the baseline; without it, rates of change.
    """

    name: str
    title: str
    paper: str
    parts: Callable[[_Call], Parts]
    of: Literal["pixels", "regions", "positions", "channels"] = "pixels"
    signed: bool = True
    baseline: Literal["none", "one", "many"] = "none"
    operation: bool = False
    superpixels: bool = False
    complete: bool = False
    multiplied: bool = False
    noise: bool = False  # may be smoothed with noise
    gradients: bool = True
    hooks: bool = False
    draws: bool = False
    samples: int = 0

    @property
    def channels(self) -> bool:
        """Whether the map is of an operation's channels, and not of the image."""
        return self.of == "channels"


# ---- the methods ----


def _saliency(call: _Call) -> Parts:
    return [_Part(captum.Saliency(call.score), {"abs": True})], 1


def _gradient(call: _Call) -> Parts:
    return [_Part(captum.Saliency(call.score), {"abs": False})], 1


def _input_x_gradient(call: _Call) -> Parts:
    return [_Part(captum.InputXGradient(call.score), {})], 1


def _integrated_gradients(call: _Call) -> Parts:
    arguments = call.path | {"internal_batch_size": call.batch, "return_convergence_delta": True}
    return [_Part(captum.IntegratedGradients(call.score), arguments)], call.settings.steps + 2


def _gradient_shap(call: _Call) -> Parts:
    # Captum takes all samples at once; a mean of several calls takes less memory
    arguments = {"baselines": call.baselines, "return_convergence_delta": True}
    counts = _shares(call.samples, call.batch)
    return [
        _Part(captum.GradientShap(call.score), {**arguments, "n_samples": count}, count) for count in counts
    ], 3 * call.samples


def _deep_lift(call: _Call) -> Parts:
    arguments = {"baselines": call.baseline, "return_convergence_delta": True}
    return [_Part(captum.DeepLift(call.score), arguments)], 4


def _deep_lift_shap(call: _Call) -> Parts:
    count = len(call.baselines)
    if count < 2:
        raise AttributionError("DeepLift SHAP averages over baselines: give it two or more, such as draws of noise.")
    # no fewer than two at once, as Captum wants them
    parts = call.baselines.tensor_split(max(1, count // max(2, call.batch)))
    return [
        _Part(captum.DeepLiftShap(call.score), {"baselines": part, "return_convergence_delta": True}, len(part))
        for part in parts
    ], 4 * count


def _guided_backprop(call: _Call) -> Parts:
    _only_relu(call.score.plan, "Guided backpropagation")
    return [_Part(captum.GuidedBackprop(call.score), {})], 1


def _deconvolution(call: _Call) -> Parts:
    _only_relu(call.score.plan, "Deconvolution")
    return [_Part(captum.Deconvolution(call.score), {})], 1


def _grad_cam(call: _Call) -> Parts:
    return [_Part(captum.LayerGradCam(call.score, call.layer), {"relu_attributions": call.settings.relu})], 1


def _guided_grad_cam(call: _Call) -> Parts:
    _only_relu(call.score.plan, "Guided Grad-CAM")
    # enlarged bilinearly, as in section 3.2 of the paper
    return [_Part(captum.GuidedGradCam(call.score, call.layer), {"interpolate_mode": "bilinear"})], 2


def _layer_conductance(call: _Call) -> Parts:
    arguments = call.path | {"return_convergence_delta": True}
    # each batch begins with the image at which the last one ended
    again = call.settings.steps // (arguments["internal_batch_size"] - 1)
    return [_Part(captum.LayerConductance(call.score, call.layer), arguments)], call.settings.steps + 3 + again


def _internal_influence(call: _Call) -> Parts:
    return [_Part(captum.InternalInfluence(call.score, call.layer), call.path)], call.settings.steps


def _occlusion(call: _Call) -> Parts:
    channels, *sides = call.image.shape[1:]
    side, stride = call.window
    if not 1 <= stride <= side <= min(sides):
        raise AttributionError(
            f"A window of {side} pixels moved by {stride} does not cover an image of {sides[0]}x{sides[1]}: choose a "
            f"window of at most {min(sides)} and a stride of at most the window."
        )
    positions = np.prod([-(-(length - side) // stride) + 1 for length in sides])
    arguments = {
        "baselines": call.baseline,
        "sliding_window_shapes": (channels, side, side),
        "strides": (channels, stride, stride),
        "perturbations_per_eval": call.batch,
    }
    return [_Part(captum.Occlusion(call.score), arguments)], int(positions) + 1


def _feature_ablation(call: _Call) -> Parts:
    return [_Part(captum.FeatureAblation(call.score), call.regions)], _regions(call) + 1


def _lime(call: _Call) -> Parts:
    # the kernel's width and the ridge are those of the authors' lime_image, and so is the distance but that it is
    # between pictures here and not between lists of superpixels
    similarity = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)
    lime = captum.Lime(call.score, Surrogate(ridge=1), similarity)
    return [_Part(lime, {**call.regions, "n_samples": call.samples})], call.samples


def _kernel_shap(call: _Call) -> Parts:
    shap = captum.KernelShap(call.score)
    shap.interpretable_model = Surrogate()  # its own needs scikit-learn
    return [_Part(shap, {**call.regions, "n_samples": call.samples})], call.samples


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("saliency", "Saliency", "Simonyan et al., 1312.6034", _saliency, signed=False, noise=True),
            Method("gradient", "Gradient", "Simonyan et al., 1312.6034", _gradient, noise=True),
            Method("input_x_gradient", "Input × Gradient", "Shrikumar et al., 1605.01713", _input_x_gradient,
                   multiplied=True, noise=True),
            Method("integrated_gradients", "Integrated Gradients", "Sundararajan et al., 1703.01365",
                   _integrated_gradients, baseline="one", complete=True, multiplied=True, noise=True),
            Method("gradient_shap", "Gradient SHAP", "Lundberg & Lee, 1705.07874; Erion et al., 1906.10670",
                   _gradient_shap, baseline="many", complete=True, multiplied=True, draws=True, samples=20),
            Method("deep_lift", "DeepLift", "Shrikumar et al., 1704.02685", _deep_lift, baseline="one",
                   complete=True, multiplied=True, hooks=True),
            Method("deep_lift_shap", "DeepLift SHAP", "Lundberg & Lee, 1705.07874", _deep_lift_shap,
                   baseline="many", complete=True, multiplied=True, hooks=True),
            Method("guided_backprop", "Guided Backpropagation", "Springenberg et al., 1412.6806", _guided_backprop,
                   hooks=True, noise=True),
            Method("deconvolution", "Deconvolution", "Zeiler & Fergus, 1311.2901", _deconvolution, hooks=True,
                   noise=True),
            Method("grad_cam", "Grad-CAM", "Selvaraju et al., 1610.02391", _grad_cam, of="positions",
                   operation=True, hooks=True),
            Method("guided_grad_cam", "Guided Grad-CAM", "Selvaraju et al., 1610.02391", _guided_grad_cam,
                   operation=True, hooks=True),
            Method("layer_conductance", "Layer Conductance", "Dhamdhere et al., 1805.12233", _layer_conductance,
                   of="channels", baseline="one", operation=True, complete=True, multiplied=True, hooks=True),
            Method("internal_influence", "Internal Influence", "Leino et al., 1802.03788", _internal_influence,
                   of="channels", baseline="one", operation=True, hooks=True),
            Method("occlusion", "Occlusion", "Zeiler & Fergus, 1311.2901", _occlusion, of="regions",
                   baseline="one", multiplied=True, gradients=False),
            Method("feature_ablation", "Feature Ablation", "Meyes et al., 1901.08644", _feature_ablation,
                   of="regions", baseline="one", superpixels=True, multiplied=True, gradients=False),
            Method("lime", "LIME", "Ribeiro et al., 1602.04938", _lime, of="regions", baseline="one",
                   superpixels=True, multiplied=True, gradients=False, draws=True, samples=300),
            Method("kernel_shap", "Kernel SHAP", "Lundberg & Lee, 1705.07874", _kernel_shap, of="regions",
                   baseline="one", superpixels=True, multiplied=True, gradients=False, draws=True, samples=300),
        )
    }
)  # fmt: skip


# ---- running one ----


def attribute(
    network: GraphModule,
    image: Tensor,
    target: Target,
    method: str,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Attribution:
    """How much each part of an image (1, C, H, W), normalised, has to do with the target, by one of METHODS.

    The network is only read. `progress(done, total)` is called before each forward pass, in images, and while
    others are waited for; what it raises stops the method, and leaves nothing behind. Random methods depend on the
    seed, and on the batch where samples are drawn by the batch (noise, Gradient SHAP), but on nothing else.

    Raises AttributionError where the method cannot run on this network, KeyError for an unknown method, ValueError
    for other than one image, and BudgetError where one image is too large for the device's memory.
    """
    chosen, settings = METHODS[method], settings or Settings()
    plan, weight = plan_of(network), next(network.parameters())
    if image.shape != (1, *plan.ops[0].shape):
        raise ValueError(f"image {tuple(image.shape)}: the network takes one of {(1, *plan.ops[0].shape)}")
    replace = for_deep_lift if method in ("deep_lift", "deep_lift_shap") else lambda module: module
    score = Score(network, target, progress, replace)
    batch, needed = _batch(score.plan, weight.device, chosen, settings)
    operation = _operation(score.plan, chosen, settings)
    # in inference mode no gradient could be recorded
    with torch.inference_mode(False):
        own = image.detach().to(weight.device, weight.dtype, copy=True)
        samples = settings.samples or chosen.samples
        call = _Call(score, own, _baselines(settings, own), settings, samples, batch, operation)
        _check_regions(chosen, call)
        parts, score.expected = chosen.parts(call)
        if settings.noise:
            parts = [_noisy(part, chosen, call) for part in parts]
            score.expected *= settings.noise_samples
        with ExitStack() as turns:
            if chosen.hooks:
                turns.enter_context(_turn(_hooking[str(weight.device)], score))
            if chosen.draws or settings.noise:
                turns.enter_context(_turn(_drawing, score))
                turns.enter_context(_seeded(weight.device, settings.seed))
            start = time.perf_counter()
            values, delta = within(
                str(weight.device), score.plan, batch, needed, lambda: _run(parts, own, chosen.gradients)
            )
            result = values.float().cpu().numpy()
            seconds = time.perf_counter() - start
    if progress:
        progress(score.expected, score.expected)
    signed = chosen.signed and not (method == "grad_cam" and settings.relu) and settings.noise in ("", "smoothgrad")
    return Attribution(_shaped(result, chosen, score.plan, operation), signed, seconds, delta,
                       _note(chosen, call), operation)  # fmt: skip


def default_operation(plan: Plan) -> str:
    """The last operation before the final one whose output has height and width; "" where there is none."""
    return next((op.name for op in reversed(plan.ops[1:-1]) if min(op.shape[1:]) > 1), "")


def on_pixels(values: Map, size: tuple[int, int], mode: Literal["bilinear", "nearest"] = "bilinear") -> Map:
    """A map (h, w) or (C, h, w) as one of the image (H, W): channels are summed, and positions enlarged."""
    flat = values if values.ndim == 2 else values.sum(0)
    if flat.shape == size:
        return flat
    large = captum.LayerAttribution.interpolate(torch.from_numpy(flat)[None, None], size, mode)
    enlarged: Map = large[0, 0].numpy()
    return enlarged


class Surrogate(Model):  # type: ignore[misc]
    """The linear model that LIME and Kernel SHAP fit: weighted least squares with an intercept, in closed form.

    `ridge` is the weight of the squared coefficients, without the intercept's. Where samples are too few to decide,
    the coefficients are the smallest that fit.
    """

    def __init__(self, ridge: float = 0) -> None:
        self.ridge = ridge
        self.coefficients = torch.empty(0)

    def fit(self, train_data: Any, **_: object) -> None:
        (features, values, weights), *_ = train_data
        x, y, w = (t.double().cpu().numpy() for t in (features, values, weights))
        # centred, so that the intercept needs no column, which the ridge would shrink too
        x, y, root = x - np.average(x, 0, w), y - np.average(y, 0, w), np.sqrt(w)[:, None]
        count = x.shape[1]
        rows = np.vstack([x * root, self.ridge**0.5 * np.eye(count)])
        solved = np.linalg.lstsq(rows, np.concatenate([y * root[:, 0], np.zeros(count)]), rcond=None)[0]
        self.coefficients = torch.from_numpy(solved)

    def representation(self) -> Tensor:
        return self.coefficients

    def __call__(self, x: Tensor) -> Tensor:
        return x.to(self.coefficients) @ self.coefficients


def _run(parts: list[_Part], image: Tensor, gradients: bool) -> tuple[Tensor, float | None]:
    """The weighted mean of the parts' maps, and of their deltas."""
    _silence()
    total = sum(part.weight for part in parts)
    # without gradients: LIME would keep the graphs of all its forward passes
    with torch.set_grad_enabled(gradients):
        results = []
        for part in parts:
            found = part.algorithm.attribute(image.clone().requires_grad_(gradients), **part.arguments)
            values, delta = found if isinstance(found, tuple) else (found, None)
            share = part.weight / total
            results.append((values.detach() * share, None if delta is None else float(delta.mean()) * share))
    deltas = [delta for _, delta in results if delta is not None]
    return torch.stack([values for values, _ in results]).sum(0), sum(deltas) if deltas else None


def _noisy(part: _Part, chosen: Method, call: _Call) -> _Part:
    """The mean, mean square or variance of the map over copies of the image with noise."""
    if not chosen.noise:
        raise AttributionError(f"{chosen.title} is not smoothed with noise: choose a method of gradients.")
    arguments = {key: value for key, value in part.arguments.items() if key != "return_convergence_delta"}
    # a method that takes batches of its own gets one noisy image at a time
    at_once = 1 if "internal_batch_size" in arguments else call.batch
    spread = float(call.image.max() - call.image.min())
    return _Part(
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
    match chosen.of:
        case "regions":
            return result[0, 0]
        case "positions":
            return result[0, 0]
        case "channels":
            return result.reshape(plan[operation].shape)
    return result[0]


# ---- turns ----

_hooking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_drawing = threading.Lock()


@contextmanager
def _turn(lock: threading.Lock, score: Score) -> Iterator[None]:
    while not lock.acquire(timeout=0.1):
        if score.progress:
            score.progress(0, score.expected)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's and numpy's process-wide generators begin at `seed`, and go on afterwards as if nothing had been."""
    cuda = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # not torch.manual_seed, which would seed other visitors' devices too
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        if device.type == "mps":
            torch.mps.manual_seed(seed)
        state = np.random.get_state()  # noqa: NPY002  Captum draws from it
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def _silence() -> None:
    """Captum warns whenever it sets hooks. Not warnings.catch_warnings, by which two threads disturb each other."""
    for message in ("Setting forward, backward hooks", "Setting backward hooks on ReLU"):
        warnings.filterwarnings("ignore", message)


# ---- what fits, and what makes sense ----

MOST_AT_ONCE = {"cpu": 8, "mps": 16, "cuda": 32}  # more images in a pass are no faster


def _batch(plan: Plan, device: torch.device, chosen: Method, settings: Settings) -> tuple[int, int]:
    """How many images go through the network at once, and how many bytes that takes."""
    count = training_bytes if chosen.gradients else forward_bytes
    each = count(plan, 2) - count(plan, 1)
    if chosen.name.startswith("deep_lift"):
        each *= 4  # images and baselines, and a copy of what goes into and comes out of activations
    memory = device_limits(str(device)).memory
    fitting = (memory - BYTES * plan.params) // each
    if fitting < 1:
        raise BudgetError(
            f"{chosen.title} of one image would take about {gigabytes(each + BYTES * plan.params)}; "
            f"the limit is {gigabytes(memory)}: use a smaller input or fewer channels."
        )
    batch = min(settings.batch or MOST_AT_ONCE[device.type], fitting)
    return batch, each * batch + BYTES * plan.params


def _baselines(settings: Settings, image: Tensor) -> Tensor:
    if settings.baseline is None:
        return torch.zeros_like(image)
    if settings.baseline.shape[1:] != image.shape[1:] or not len(settings.baseline):
        raise ValueError(f"baseline {tuple(settings.baseline.shape)}: expected (B, {', '.join(map(str, image.shape[1:]))})")
    return settings.baseline.detach().to(image)


def _operation(plan: Plan, chosen: Method, settings: Settings) -> str:
    if not chosen.operation:
        return ""
    name = settings.operation or default_operation(plan)
    if not name:
        raise AttributionError(f"{chosen.title} needs a feature map, and this target is computed from none.")
    if name not in plan or plan[name].kind == "input":
        raise AttributionError(f"{chosen.title} cannot ask {name!r}: the target is not computed from it.")
    if not chosen.channels and min(plan[name].shape[1:]) == 1:
        raise AttributionError(f"{chosen.title} needs positions, and {name} has one value a channel: choose another.")
    return name


def _check_regions(chosen: Method, call: _Call) -> None:
    if not chosen.superpixels:
        return
    regions = call.settings.superpixels
    if regions is None or regions.shape != call.image.shape[2:]:
        size = "x".join(map(str, call.image.shape[2:]))
        raise AttributionError(f"{chosen.title} takes superpixels away: give it the region of each of {size} pixels.")
    if regions.min() != 0 or len(np.unique(regions)) != regions.max() + 1:
        raise AttributionError(f"{chosen.title} needs superpixels that are numbered from 0 without gaps.")
    if chosen.draws and regions.max() == 0:
        raise AttributionError(f"{chosen.title} compares superpixels: there is only one.")


def _regions(call: _Call) -> int:
    assert call.settings.superpixels is not None
    return int(call.settings.superpixels.max()) + 1


def _only_relu(plan: Plan, title: str) -> None:
    # the gate of squeeze-and-excitation is a sigmoid, and not meant by the papers
    functions = {op.attributes.function for op in plan.ops if op.kind == "activation"} - {"sigmoid"}  # type: ignore[union-attr]
    if functions != {"relu"}:
        has = "has none" if not functions else f"has {', '.join(sorted(functions))}"
        raise AttributionError(f"{title} is a rule for the gradients of ReLUs, and this network {has}.")


def _note(chosen: Method, call: _Call) -> str | None:
    if chosen.operation and _passed_by(call.score.plan, call.operation):
        return f"Part of the evidence goes past {call.operation}: the map shows what goes through it."
    if chosen.name == "kernel_shap" and call.samples < _regions(call) + 2:
        return f"{call.samples} samples cannot tell {_regions(call)} superpixels apart: take more."
    return None


def _passed_by(plan: Plan, name: str) -> bool:
    """Whether the images reach the output without this operation."""
    reached = {plan.ops[0].name}
    for op in plan.ops[1:]:
        if op.name != name and reached.intersection(op.inputs):
            reached.add(op.name)
    return plan.ops[-1].name in reached


def _shares(count: int, most: int) -> list[int]:
    return [min(most, count - start) for start in range(0, count, most)]
