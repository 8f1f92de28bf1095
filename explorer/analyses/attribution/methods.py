"""The methods of attribution, as data: what each is called, what it needs, and which calls of Captum it is."""

from collections.abc import Callable, Mapping
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

from explorer.analyses.attribution.score import AttributionError, Score
from explorer.plan import Plan
from explorer.plan.kinds.activation import functions_of

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


class Part(NamedTuple):
    """A call of Captum's, and its weight in the mean of all."""

    algorithm: Any
    arguments: dict[str, Any]
    weight: int = 1


class Call(NamedTuple):
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


Parts = tuple[list[Part], int]  # what is called, and how many images that takes


class Method(NamedTuple):
    """`of` says what the values belong to. A method with `hooks` sets some on the network that it works on; one with
    `draws` draws from the process-wide generators. `complete`: the values sum to the score's change from baseline
    to image. `multiplied`: they are contributions relative to the baseline; without it, rates of change.
    """

    name: str
    title: str
    paper: str
    parts: Callable[[Call], Parts]
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


def _saliency(call: Call) -> Parts:
    return [Part(captum.Saliency(call.score), {"abs": True})], 1


def _gradient(call: Call) -> Parts:
    return [Part(captum.Saliency(call.score), {"abs": False})], 1


def _input_x_gradient(call: Call) -> Parts:
    return [Part(captum.InputXGradient(call.score), {})], 1


def _integrated_gradients(call: Call) -> Parts:
    arguments = call.path | {"internal_batch_size": call.batch, "return_convergence_delta": True}
    ends = 0 if call.settings.noise else 2  # for the delta
    return [Part(captum.IntegratedGradients(call.score), arguments)], call.settings.steps + ends


def _gradient_shap(call: Call) -> Parts:
    # Captum takes all samples at once; a mean of several calls takes less memory
    arguments = {"baselines": call.baselines, "return_convergence_delta": True}
    counts = _shares(call.samples, call.batch)
    return [
        Part(captum.GradientShap(call.score), {**arguments, "n_samples": count}, count) for count in counts
    ], 3 * call.samples


def _deep_lift(call: Call) -> Parts:
    arguments = {"baselines": call.baseline, "return_convergence_delta": True}
    return [Part(captum.DeepLift(call.score), arguments)], 4


def _deep_lift_shap(call: Call) -> Parts:
    count = len(call.baselines)
    if count < 2:
        raise AttributionError("DeepLift SHAP averages over baselines: give it two or more, such as draws of noise.")
    # no fewer than two at once, as Captum wants them
    parts = call.baselines.tensor_split(min(-(-count // call.batch), count // 2))
    return [
        Part(captum.DeepLiftShap(call.score), {"baselines": part, "return_convergence_delta": True}, len(part))
        for part in parts
    ], 4 * count


def _guided_backprop(call: Call) -> Parts:
    _only_relu(call.score.plan, "Guided backpropagation")
    return [Part(captum.GuidedBackprop(call.score), {})], 1


def _deconvolution(call: Call) -> Parts:
    _only_relu(call.score.plan, "Deconvolution")
    return [Part(captum.Deconvolution(call.score), {})], 1


def _grad_cam(call: Call) -> Parts:
    return [Part(captum.LayerGradCam(call.score, call.layer), {"relu_attributions": call.settings.relu})], 1


def _guided_grad_cam(call: Call) -> Parts:
    _only_relu(call.score.plan, "Guided Grad-CAM")
    # enlarged bilinearly, as in section 3.2 of the paper
    return [Part(captum.GuidedGradCam(call.score, call.layer), {"interpolate_mode": "bilinear"})], 2


def _layer_conductance(call: Call) -> Parts:
    arguments = call.path | {"return_convergence_delta": True}
    # each batch begins with the image at which the last one ended
    again = call.settings.steps // (arguments["internal_batch_size"] - 1)
    return [Part(captum.LayerConductance(call.score, call.layer), arguments)], call.settings.steps + 3 + again


def _internal_influence(call: Call) -> Parts:
    return [Part(captum.InternalInfluence(call.score, call.layer), call.path)], call.settings.steps


def _occlusion(call: Call) -> Parts:
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
    return [Part(captum.Occlusion(call.score), arguments)], int(positions) + 1


def _feature_ablation(call: Call) -> Parts:
    return [Part(captum.FeatureAblation(call.score), call.regions)], regions_of(call) + 1


def _lime(call: Call) -> Parts:
    # the kernel's width and the ridge are those of the authors' lime_image, and so is the distance but that it is
    # between pictures here and not between lists of superpixels
    similarity = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)
    lime = captum.Lime(call.score, Surrogate(ridge=1), similarity)
    return [Part(lime, {**call.regions, "n_samples": call.samples})], call.samples


def _kernel_shap(call: Call) -> Parts:
    shap = captum.KernelShap(call.score)
    shap.interpretable_model = Surrogate()  # its own needs scikit-learn
    return [Part(shap, {**call.regions, "n_samples": call.samples})], call.samples


def regions_of(call: Call) -> int:
    assert call.settings.superpixels is not None
    return int(call.settings.superpixels.max()) + 1


def _only_relu(plan: Plan, title: str) -> None:
    # the gate of squeeze-and-excitation is a sigmoid, and not meant by the papers
    functions = functions_of(plan) - {"sigmoid"}
    if functions != {"relu"}:
        has = "has none" if not functions else f"has {', '.join(sorted(functions))}"
        raise AttributionError(f"{title} is a rule for the gradients of ReLUs, and this network {has}.")


def _shares(count: int, most: int) -> list[int]:
    return [min(most, count - start) for start in range(0, count, most)]


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
