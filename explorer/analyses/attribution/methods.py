"""The methods of attribution: each is one entry, and nothing else knows any of them by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import captum.attr as captum
from captum.attr._core.lime import get_exp_kernel_similarity_function

from explorer.analyses.attribution.method import Call, Extent, Method, Part, Setting, window_of
from explorer.analyses.attribution.score import AttributionError
from explorer.analyses.attribution.surrogate import Surrogate
from explorer.plan import Plan
from explorer.plan.kinds.activation import functions_of

_METHODS: dict[str, Method] = {}
METHODS: Mapping[str, Method] = MappingProxyType(_METHODS)
FIRST = ("saliency", "integrated_gradients", "grad_cam")  # for who has chosen none

Parts = Callable[[Call], list[Part]]


def method(
    title: str, paper: str, reads: tuple[Setting, ...] = (), passes: Callable[[Extent], int] = lambda _: 1, **facts: Any
) -> Callable[[Parts], Parts]:
    """Enters a function under its own name; `facts` are further fields of Method."""

    def enter(parts: Parts) -> Parts:
        name = parts.__name__
        _METHODS[name] = Method(name, title, paper, parts, passes, frozenset(reads), **facts)
        return parts

    return enter


# ---- the gradient of the score with respect to the image ----


@method("Saliency", "Simonyan et al., 1312.6034", reads=("noise", "precision"), signed=False)
def saliency(call: Call) -> list[Part]:
    return [Part(captum.Saliency(call.score), {"abs": True})]


@method("Gradient", "Simonyan et al., 1312.6034", reads=("noise", "precision"))
def gradient(call: Call) -> list[Part]:
    return [Part(captum.Saliency(call.score), {"abs": False})]


@method("Input × Gradient", "Shrikumar et al., 1605.01713", reads=("noise", "precision"), multiplied=True)
def input_x_gradient(call: Call) -> list[Part]:
    return [Part(captum.InputXGradient(call.score), {})]


@method(
    "Integrated Gradients",
    "Sundararajan et al., 1703.01365",
    reads=("baseline", "steps", "noise", "precision"),
    passes=lambda of: of.steps + (0 if of.smoothed else 2),  # two ends, for the delta
    complete=True,
    multiplied=True,
)
def integrated_gradients(call: Call) -> list[Part]:
    return [Part(captum.IntegratedGradients(call.score), call.path | {"return_convergence_delta": True})]


@method(
    "Gradient SHAP",
    "Lundberg & Lee, 1705.07874; Erion et al., 1906.10670",
    reads=("baselines", "samples", "precision"),
    passes=lambda of: 3 * of.samples,
    complete=True,
    multiplied=True,
    draws=True,
    samples=20,
)
def gradient_shap(call: Call) -> list[Part]:
    # Captum takes all samples at once; a mean of several calls takes less memory
    arguments = {"baselines": call.baselines, "return_convergence_delta": True}
    counts = [min(call.batch, call.samples - start) for start in range(0, call.samples, call.batch)]
    return [Part(captum.GradientShap(call.score), {**arguments, "n_samples": count}, count) for count in counts]


# ---- rules of their own for the way back ----

DEEP_LIFT = (
    "A pixel that is the largest of several overlapping windows of a max pool gets what all of them give it. Captum "
    "keeps one of them, and its contributions then miss the score's change by 77 % on ResNet-18, 55 % on ResNet-50 and "
    "45 % on DenseNet-121 (fresh weights, 64x64); these miss none. Gates and group norms have rules too, which Captum "
    "lacks."
)


@method(
    "DeepLift",
    "Shrikumar et al., 1704.02685",
    reads=("baseline",),
    passes=lambda of: 4,
    complete=True,
    multiplied=True,
    rescales=True,
    departs=DEEP_LIFT,
)
def deep_lift(call: Call) -> list[Part]:
    arguments = {"baselines": call.baseline, "return_convergence_delta": True}
    return [Part(captum.DeepLift(call.score), arguments)]


@method(
    "DeepLift SHAP",
    "Lundberg & Lee, 1705.07874",
    reads=("baselines",),
    passes=lambda of: 4 * of.baselines,
    complete=True,
    multiplied=True,
    rescales=True,
    departs=DEEP_LIFT,
)
def deep_lift_shap(call: Call) -> list[Part]:
    count = len(call.baselines)
    if call.batch == 1 and count > 1:
        # Captum's own takes two at least; it is the mean of DeepLift over the baselines
        arguments = [{"baselines": one[None], "return_convergence_delta": True} for one in call.baselines]
        return [Part(captum.DeepLift(call.score), given) for given in arguments]
    if count < 2:
        raise AttributionError("DeepLift SHAP averages over baselines: give it two or more, such as draws of noise.")
    # no fewer than two at once, as Captum wants them
    parts = call.baselines.tensor_split(min(-(-count // call.batch), count // 2))
    return [
        Part(captum.DeepLiftShap(call.score), {"baselines": part, "return_convergence_delta": True}, len(part))
        for part in parts
    ]


@method("Guided Backpropagation", "Springenberg et al., 1412.6806", reads=("noise",), hooks=True)
def guided_backprop(call: Call) -> list[Part]:
    _only_relu(call.score.plan, "Guided backpropagation")
    return [Part(captum.GuidedBackprop(call.score), {})]


@method("Deconvolution", "Zeiler & Fergus, 1311.2901", reads=("noise",), hooks=True)
def deconvolution(call: Call) -> list[Part]:
    _only_relu(call.score.plan, "Deconvolution")
    return [Part(captum.Deconvolution(call.score), {})]


def _only_relu(plan: Plan, title: str) -> None:
    # the gate of squeeze-and-excitation is a sigmoid, and not meant by the papers
    functions = functions_of(plan) - {"sigmoid"}
    if functions != {"relu"}:
        has = "has none" if not functions else f"has {', '.join(sorted(functions))}"
        raise AttributionError(f"{title} is a rule for the gradients of ReLUs, and this network {has}.")


# ---- by way of one operation ----


@method("Grad-CAM", "Selvaraju et al., 1610.02391", reads=("operation", "relu", "precision"), of="positions")
def grad_cam(call: Call) -> list[Part]:
    return [Part(captum.LayerGradCam(call.score, call.layer), {"relu_attributions": call.settings.relu})]


@method(
    "Guided Grad-CAM",
    "Selvaraju et al., 1610.02391",
    reads=("operation",),
    passes=lambda of: 2,
    departs="Grad-CAM's map is enlarged bilinearly, as the paper says; Captum repeats pixels unless told otherwise.",
)
def guided_grad_cam(call: Call) -> list[Part]:
    _only_relu(call.score.plan, "Guided Grad-CAM")
    # as in section 3.2 of the paper
    return [Part(captum.GuidedGradCam(call.score, call.layer), {"interpolate_mode": "bilinear"})]


def _detached(attribute: Callable[..., Any]) -> Callable[..., Any]:
    """Captum's sum over batches would otherwise keep the graph of the first one while the others run."""

    def found(*arguments: Any, **more: Any) -> Any:
        values = attribute(*arguments, **more)
        return tuple(one.detach() for one in values) if isinstance(values, tuple) else values.detach()

    return found


@method(
    "Layer Conductance",
    "Dhamdhere et al., 1805.12233",
    reads=("baseline", "operation", "steps"),
    # each batch begins with the image at which the last one ended
    passes=lambda of: of.steps + 3 + of.steps // (of.batch - 1),
    of="channels",
    complete=True,
    multiplied=True,
    fewest=2,  # for the differences between steps
)
def layer_conductance(call: Call) -> list[Part]:
    arguments = call.path | {"return_convergence_delta": True}
    algorithm = captum.LayerConductance(call.score, call.layer)
    algorithm._attribute = _detached(algorithm._attribute)
    return [Part(algorithm, arguments)]


@method(
    "Internal Influence",
    "Leino et al., 1802.03788",
    reads=("baseline", "operation", "steps"),
    passes=lambda of: of.steps,
    of="channels",
)
def internal_influence(call: Call) -> list[Part]:
    return [Part(captum.InternalInfluence(call.score, call.layer), call.path)]


# ---- what is taken away ----


def _positions(of: Extent) -> int:
    """Of the window that occludes, which reaches the image's far ends too."""
    side, stride = of.window
    rows, columns = (-(-(length - side) // stride) + 1 for length in of.size)
    return rows * columns


@method(
    "Occlusion",
    "Zeiler & Fergus, 1311.2901",
    reads=("baseline", "window"),
    passes=lambda of: _positions(of) + 1,
    of="regions",
    multiplied=True,
    gradients=False,
)
def occlusion(call: Call) -> list[Part]:
    channels, height, width = call.image.shape[1:]
    side, stride = window_of(call.settings, (height, width))
    if not 1 <= stride <= side <= min(height, width):
        raise AttributionError(
            f"A window of {side} pixels moved by {stride} does not cover an image of {height}x{width}: choose a "
            f"window of at most {min(height, width)} and a stride of at most the window."
        )
    arguments = {
        "baselines": call.baseline,
        "sliding_window_shapes": (channels, side, side),
        "strides": (channels, stride, stride),
        "perturbations_per_eval": call.batch,
    }
    return [Part(captum.Occlusion(call.score), arguments)]


@method(
    "Feature Ablation",
    "Meyes et al., 1901.08644",
    reads=("baseline", "superpixels"),
    passes=lambda of: of.regions + 1,
    of="regions",
    multiplied=True,
    gradients=False,
)
def feature_ablation(call: Call) -> list[Part]:
    return [Part(captum.FeatureAblation(call.score), call.regions)]


@method(
    "LIME",
    "Ribeiro et al., 1602.04938",
    reads=("baseline", "superpixels", "samples"),
    passes=lambda of: of.samples,
    of="regions",
    multiplied=True,
    gradients=False,
    draws=True,
    samples=300,
    departs="The surrogate is the ridge regression of the authors' lime_image, in closed form; Captum fits a lasso.",
)
def lime(call: Call) -> list[Part]:
    # the kernel's width and the ridge are those of the authors' lime_image, and so is the distance but that it is
    # between pictures here and not between lists of superpixels
    similarity = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)
    algorithm = captum.Lime(call.score, Surrogate(ridge=1), similarity)
    return [Part(algorithm, {**call.regions, "n_samples": call.samples})]


@method(
    "Kernel SHAP",
    "Lundberg & Lee, 1705.07874",
    reads=("baseline", "superpixels", "samples"),
    passes=lambda of: of.samples,
    of="regions",
    multiplied=True,
    gradients=False,
    draws=True,
    samples=300,
    fewest_samples=lambda of: of.regions + 2,
    departs="The surrogate is fitted in closed form; Captum does it with scikit-learn.",
)
def kernel_shap(call: Call) -> list[Part]:
    algorithm = captum.KernelShap(call.score)
    algorithm.interpretable_model = Surrogate()  # its own needs scikit-learn
    return [Part(algorithm, {**call.regions, "n_samples": call.samples})]
