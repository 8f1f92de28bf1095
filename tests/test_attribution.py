"""Maps against Captum called directly, axioms, finite differences and hand computation; and nothing is left behind."""

import dataclasses
import threading
import warnings
from functools import partial

import captum.attr as captum
import numpy as np
import pytest
import torch
from captum.attr._core.lime import get_exp_kernel_similarity_function
from captum.attr._utils import visualization
from possible import EXAMPLES, small
from torch import nn

from controls.services.localisations import Examined, examples
from explorer.analyses.attribution import checks
from explorer.analyses.attribution.attribute import attribute, default_operation, fitting, on_pixels
from explorer.analyses.attribution.baselines import TITLES, baseline, superpixels
from explorer.analyses.attribution.display import clipped
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import AttributionError, Channel, Class, Score
from explorer.analyses.attribution.surrogate import Surrogate
from explorer.counting.budget import BudgetError
from explorer.families import FAMILIES, PRESETS, plan
from explorer.pictures.preparation import standard_preparation
from explorer.plan import Recorder
from explorer.running.network import build, plan_of, run
from explorer.running.project_weights import all_trained

# Captum warns of its hooks; ours are silent, its own as they are called here are not
pytestmark = pytest.mark.filterwarnings("ignore:Setting")

STEPS, SAMPLES, SEED = 6, 5, 3


def trained(config, seed=0, dtype=torch.float64):
    """A network whose norms and biases are not those of a fresh one: those hide what goes wrong."""
    network, draw = build(plan(config), seed=seed), torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.dim() == 1 and value.is_floating_point():
            value.add_(torch.randn(value.shape, generator=draw), alpha=0.3)
    return network.to(dtype)


def random_images(network, count=1, seed=1):
    draw, weight = torch.Generator().manual_seed(seed), next(network.parameters())
    return torch.randn(count, *plan_of(network).ops[0].shape, generator=draw, dtype=torch.float64).to(weight)


def quarters(network):
    """Four superpixels."""
    side = plan_of(network).ops[0].shape[1]
    half = (np.arange(side) >= side // 2).astype(np.int64)
    return 2 * half[:, None] + half


def settings_of(network, **fields):
    given = {"baseline": random_images(network, 3, seed=7) * 0.2, "superpixels": quarters(network)}
    return Settings(**given | {"steps": STEPS, "seed": SEED} | fields)


def facts(network):
    """All that a use of the network could change."""
    hooks = [
        (name, kind, list(hooks))
        for name, module in network.named_modules()
        for kind, hooks in vars(module).items()
        if kind.endswith("_hooks") and isinstance(hooks, dict)
    ]
    weights = [
        (name, weight.grad, weight.requires_grad, weight.data_ptr()) for name, weight in network.named_parameters()
    ]
    modules = [(name, module.training, sorted(vars(module))) for name, module in network.named_modules()]
    return hooks, weights, modules


@pytest.fixture(scope="module", params=FAMILIES)
def network(request):
    return trained(small(request.param, classes=10))


# --- the same as Captum, called directly on a network of its own


class Apart(nn.Module):
    def forward(self, x):
        return x.clone()


def direct(method, own, image, baselines, target=5):
    """Captum on the plain network, with the target in Captum's own words."""
    for name, module in list(own.named_modules()):
        if isinstance(module, nn.MaxPool2d) and method.startswith("deep_lift"):
            # Captum's rule for a pool hooks what goes in, which is otherwise also what its rule for a ReLU hooks
            own.set_submodule(name, nn.Sequential(Apart(), module))
    layer = own.get_submodule(default_operation(plan_of(own)))
    regions = {"feature_mask": torch.from_numpy(quarters(own)).expand(image.shape), "baselines": baselines[:1]}
    path = {"baselines": baselines[:1], "n_steps": STEPS, "target": target}
    shap = captum.KernelShap(own)
    shap.interpretable_model = Surrogate()
    lime = captum.Lime(own, Surrogate(ridge=1), get_exp_kernel_similarity_function("cosine", kernel_width=0.25))
    window = {"sliding_window_shapes": (3, 4, 4), "strides": (3, 3, 3), "baselines": baselines[:1]}
    calls = {
        "saliency": lambda: captum.Saliency(own).attribute(image, target=target),
        "gradient": lambda: captum.Saliency(own).attribute(image, target=target, abs=False),
        "input_x_gradient": lambda: captum.InputXGradient(own).attribute(image, target=target),
        "integrated_gradients": lambda: captum.IntegratedGradients(own).attribute(image, **path),
        "gradient_shap": lambda: captum.GradientShap(own).attribute(image, baselines, n_samples=SAMPLES, target=target),
        "deep_lift": lambda: captum.DeepLift(own).attribute(image, baselines[:1], target=target),
        "deep_lift_shap": lambda: captum.DeepLiftShap(own).attribute(image, baselines, target=target),
        "guided_backprop": lambda: captum.GuidedBackprop(own).attribute(image, target=target),
        "deconvolution": lambda: captum.Deconvolution(own).attribute(image, target=target),
        "grad_cam": lambda: captum.LayerGradCam(own, layer).attribute(image, target=target, relu_attributions=True),
        "guided_grad_cam": lambda: captum.GuidedGradCam(own, layer).attribute(
            image, target=target, interpolate_mode="bilinear"
        ),
        "layer_conductance": lambda: captum.LayerConductance(own, layer).attribute(image, **path),
        "internal_influence": lambda: captum.InternalInfluence(own, layer).attribute(image, **path),
        "occlusion": lambda: captum.Occlusion(own).attribute(image, target=target, **window),
        "feature_ablation": lambda: captum.FeatureAblation(own).attribute(image, target=target, **regions),
        "lime": lambda: lime.attribute(image, target=target, n_samples=SAMPLES, **regions),
        "kernel_shap": lambda: shap.attribute(image, target=target, n_samples=SAMPLES, **regions),
    }
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002
        return calls[method]()[0].detach().numpy()


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_captums(network, method):
    image, fields = random_images(network).requires_grad_(), {"window": 4, "stride": 3, "samples": SAMPLES}
    settings = settings_of(network, **fields)
    for target in range(5, 10):
        expected = direct(method, trained_like(network), image, settings.baseline, target)
        if expected.any():  # of few positions, all may speak against a class, and Grad-CAM then shows none
            break
    found = attribute(network, image, Class(target), method, settings)
    assert found.map.dtype == np.float32
    if METHODS[method].of in ("regions", "positions"):
        assert (expected == expected[:1]).all()
        expected = expected[0]
    elif METHODS[method].channels:
        assert found.map.shape == plan_of(network)[found.operation].shape
    np.testing.assert_allclose(found.map, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert np.abs(expected).max() > 0
    assert found.signed or found.map.min() >= 0
    assert (found.delta is not None) == METHODS[method].complete


def trained_like(network):
    """A network built anew, with the same weights."""
    twin = build(plan_of(network)).double()
    twin.load_state_dict(network.state_dict())
    return twin


@pytest.mark.parametrize("noise", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.noise])
def test_noise_is_captums_noise_tunnel(method, noise):
    network = trained(small("resnet", classes=10))
    image, own = random_images(network), trained_like(network)
    settings = settings_of(network, noise=noise, noise_samples=SAMPLES, noise_level=0.1, batch=2)
    algorithm, arguments = {
        "saliency": (captum.Saliency(own), {}),
        "gradient": (captum.Saliency(own), {"abs": False}),
        "input_x_gradient": (captum.InputXGradient(own), {}),
        "integrated_gradients": (
            captum.IntegratedGradients(own),
            {"baselines": settings.baseline[:1], "n_steps": STEPS},
        ),
        "guided_backprop": (captum.GuidedBackprop(own), {}),
        "deconvolution": (captum.Deconvolution(own), {}),
    }[method]
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        expected = captum.NoiseTunnel(algorithm).attribute(
            image,
            nt_type=noise,
            nt_samples=SAMPLES,
            nt_samples_batch_size=1 if method == "integrated_gradients" else 2,
            stdevs=0.1 * (image.max() - image.min()).item(),
            target=2,
            **arguments,
        )
    found = attribute(network, image, Class(2), method, settings)
    np.testing.assert_allclose(
        found.map, expected[0].detach().numpy(), rtol=1e-5, atol=1e-6 * expected.abs().max().item()
    )
    assert found.signed == (noise == "smoothgrad" and METHODS[method].signed)
    assert found.delta is None


@pytest.mark.parametrize("place", [0, 3, -1])
def test_operations_with_a_shared_kernel_are_asked_one_by_one(place):
    """Grad-CAM by hand, from autograd and the tensors by name; a hook on the kernel would see all its operations."""
    network = trained(small("cliquenet", classes=10))
    name = [op.name for op in plan_of(network).ops if getattr(op.attributes, "shared", "")][place]
    image = random_images(network)
    expected = grad_cam_by_hand(network, image, 1, name)
    for relu in (False, True):
        found = attribute(network, image, Class(1), "grad_cam", Settings(operation=name, relu=relu))
        np.testing.assert_allclose(found.map, np.maximum(expected, 0) if relu else expected, rtol=1e-5, atol=1e-9)
        assert found.signed != relu


def grad_cam_by_hand(network, image, number, name):
    logits, kept = run(network, image, [name])
    (gradient,) = torch.autograd.grad(logits[0, number], kept[name])
    return (gradient.mean((2, 3), keepdim=True) * kept[name]).sum(1)[0].detach().numpy()


def test_a_dead_map_says_so():
    """Behind a ReLU all is positive: a class of positive weights has all evidence for it, one of negative none."""
    network = trained(small("resnet"))
    weights = network.get_parameter("fc.weight").data
    weights[0].abs_()
    weights[1] = -weights[0]
    speaks, against = (attribute(network, random_images(network), Class(number), "grad_cam") for number in (0, 1))
    assert speaks.map.any()
    assert speaks.note is None
    assert not against.map.any()
    assert "without the ReLU" in against.note


# --- targets


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "occlusion", "grad_cam", "deep_lift"])
def test_the_difference_of_two_classes_is_explained_by_the_difference_of_their_maps(network, method):
    """Linear in the score; DeepLift too, as the rescale rule's multipliers do not depend on the target."""
    image, settings = random_images(network), settings_of(network, relu=False, window=4)
    one, other, both = (
        attribute(network, image, target, method, settings).map for target in (Class(1), Class(4), Class(1, 4))
    )
    np.testing.assert_allclose(both, one - other, rtol=1e-4, atol=1e-6 * np.abs(both).max())


def test_a_layer_of_one_position_repeated_is_not_looked_at():
    """VGG at 32x32: its five pools leave 1x1, which is pooled to 7x7; the last map with positions is 2x2."""
    vgg = PRESETS["vgg11"]
    assert default_operation(plan(vgg)) == "avgpool"
    small = plan(vgg.replace(input_size=32))
    assert small["avgpool"].shape == (512, 7, 7)
    assert default_operation(small) == "features.19"
    assert small["features.19"].shape == (512, 2, 2)


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "deep_lift", "guided_backprop"])
def test_a_channel_is_explained_as_captum_explains_a_neuron(network, method):
    own, image = trained_like(network), random_images(network)
    name = default_operation(plan_of(network))
    layer, settings = own.get_submodule(name), settings_of(network)
    given = settings.baseline[:1]

    def channel(output):
        return output[:, 3].mean((1, 2))

    calls = {
        "gradient": lambda: captum.NeuronGradient(own, layer).attribute(image, channel),
        "integrated_gradients": lambda: captum.NeuronIntegratedGradients(own, layer).attribute(
            image, channel, given, n_steps=STEPS
        ),
        "deep_lift": lambda: captum.NeuronDeepLift(own, layer).attribute(image, channel, given),
        "guided_backprop": lambda: captum.NeuronGuidedBackprop(own, layer).attribute(image, channel),
    }
    image.requires_grad_()
    expected = calls[method]()[0].detach().numpy()
    found = attribute(network, image, Channel(name, 3), method, settings).map
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_the_private_network_computes_what_the_shared_one_does(network):
    image = random_images(network, 2)
    logits, kept = run(network, image, ["avgpool"] if "avgpool" in plan_of(network) else [])
    assert torch.equal(Score(network, Class(3))(image), logits[:, 3])
    assert torch.equal(Score(network, Class(3, 1))(image), logits[:, 3] - logits[:, 1])
    torch.testing.assert_close(Score(network, Class(3), probability=True)(image), logits.softmax(1)[:, 3])
    for name, value in kept.items():
        torch.testing.assert_close(Score(network, Channel(name, 2))(image), value[:, 2].mean((1, 2)))


def test_the_private_network_shares_the_weights_memory_and_nothing_else(network):
    score = Score(network, Class(0))
    shared = {weight.data_ptr() for weight in network.parameters()}
    assert {weight.data_ptr() for weight in score.parameters()} == shared
    assert not any(weight.requires_grad for weight in score.parameters())
    assert {id(module) for module in score.modules()}.isdisjoint(id(module) for module in network.modules())
    modules = list(score.modules_of_steps)
    assert len({id(module) for module in modules}) == len(plan_of(network).ops) - 1
    handle = modules[0].register_forward_hook(lambda *_: None)
    assert not any(module._forward_hooks for module in network.modules())
    handle.remove()


# --- axioms


def change(network, target, image, baseline):
    with torch.no_grad():
        return float(Score(network, target)(image) - Score(network, target)(baseline))


@pytest.mark.parametrize("family", FAMILIES)
def test_integrated_gradients_are_complete(family):
    network = trained(small(family, activation="tanh"))
    image, baseline = random_images(network), random_images(network, seed=5)
    if any(op.kind == "max_pool" for op in plan_of(network).ops):
        # the gradient jumps where another pixel becomes the largest: a way so short that none does
        baseline = image + 1e-5 * baseline
    settings = Settings(baseline=baseline, steps=64)
    found = attribute(network, image, Class(0, 3), "integrated_gradients", settings)
    whole = change(network, Class(0, 3), image, settings.baseline)
    # Captum's weights of the steps are float32
    rounding = 1e-6 * float(np.abs(found.map).sum())
    assert found.map.sum(dtype=np.float64) == pytest.approx(whole, abs=rounding)
    assert abs(found.delta) < rounding < 0.01 * abs(whole)


AWKWARD = {
    "norm": {"norm": "none"},
    "group": {"norm": "group"},
    "silu": {"activation": "silu"},
    "gelu": {"activation": "gelu"},
    "elu": {"activation": "elu"},
    "leaky": {"activation": "leaky_relu"},
}


# each example as it is, and the first of each family with whatever could be awkward
WHOLE = [
    *EXAMPLES,
    *(pytest.param(small(one).adapt(**AWKWARD[how]), id=f"{one}-{how}") for one in FAMILIES for how in AWKWARD),
]


@pytest.mark.parametrize("config", WHOLE)
def test_deep_lift_is_complete_on_every_family(config):
    network = trained(config)
    image, settings = random_images(network), Settings(baseline=random_images(network, 2, seed=5))
    whole = [change(network, Class(2), image, given[None]) for given in settings.baseline]
    found = attribute(network, image, Class(2), "deep_lift", settings)
    assert found.map.sum(dtype=np.float64) == pytest.approx(whole[0], rel=1e-4, abs=1e-6)
    assert abs(found.delta) < 1e-9 * max(1, abs(whole[0]))
    found = attribute(network, image, Class(2), "deep_lift_shap", settings)
    assert found.map.sum(dtype=np.float64) == pytest.approx(np.mean(whole), rel=1e-4, abs=1e-6)


def test_conductance_is_complete_where_all_goes_through():
    network = trained(small("resnet", activation="tanh"))
    image, settings = random_images(network), Settings(operation="layer2.0.tanh2", steps=400)
    found = attribute(network, image, Class(0), "layer_conductance", settings)
    whole = change(network, Class(0), image, torch.zeros_like(image))
    assert found.note is None
    assert found.map.shape == plan_of(network)["layer2.0.tanh2"].shape
    assert found.map.sum(dtype=np.float64) == pytest.approx(whole, rel=0.02)
    beside = attribute(network, image, Class(0), "layer_conductance", Settings(operation="layer2.1.conv1", steps=2))
    assert "past layer2.1.conv1" in beside.note


def test_shap_values_of_a_linear_network_are_exact():
    """Each superpixel's effect is weight times change, whatever else is there."""
    network, image, given, weights = linear()
    effects = (weights[1] * (image - given)[0]).sum(0)
    regions = quarters(network)
    expected = np.array([effects[torch.from_numpy(regions == i)].sum() for i in range(4)])[regions]
    settings = Settings(baseline=given, superpixels=regions, samples=40)
    for method in ("kernel_shap", "feature_ablation"):
        found = attribute(network, image, Class(1), method, settings)
        np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-6)


def test_the_surrogate_is_weighted_ridge_regression():
    """The normal equations with a column of ones, whose coefficient is not shrunk."""
    rng = np.random.default_rng(0)
    x, y, w = rng.integers(0, 2, (30, 4)).astype(float), rng.normal(size=30), rng.uniform(0.1, 1, 30)
    full = np.column_stack([x, np.ones(30)])
    expected = np.linalg.solve(full.T @ (w[:, None] * full) + np.diag([2.0] * 4 + [0]), full.T @ (w * y))[:4]
    surrogate = Surrogate(ridge=2)
    surrogate.fit([(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(w))])
    np.testing.assert_allclose(surrogate.representation(), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_finite_differences(family):
    network = trained(small(family, activation="tanh"))
    image = random_images(network)
    found = attribute(network, image, Class(1), "gradient").map
    for place in [(0, 0, 0), (1, 5, 7), (2, 11, 3)]:
        step = torch.zeros_like(image)
        step[(0, *place)] = 1e-4
        slope = change(network, Class(1), image + step, image - step) / 2e-4
        assert found[place] == pytest.approx(slope, rel=1e-4, abs=1e-8)
    np.testing.assert_array_equal(attribute(network, image, Class(1), "saliency").map, np.abs(found))


def test_occlusion_is_the_mean_loss_over_windows(network):
    image, given = random_images(network), random_images(network, seed=5)
    side = image.shape[-1]
    total, count = np.zeros((side, side)), np.zeros((side, side))
    for top in range(0, side - 2, 4):
        for left in range(0, side - 2, 4):
            covered = image.clone()
            where = (..., slice(top, min(top + 6, side)), slice(left, min(left + 6, side)))
            covered[where] = given[where]
            total[where] += change(network, Class(1), image, covered)
            count[where] += 1
    found = attribute(network, image, Class(1), "occlusion", Settings(baseline=given, window=6, stride=4))
    np.testing.assert_allclose(found.map, total / count, rtol=1e-5, atol=1e-8)


# --- what cannot be


@pytest.mark.parametrize(
    ("method", "target", "fields", "told"),
    [
        ("guided_backprop", Class(0), {}, "ReLUs, and this network has silu"),
        ("deconvolution", Class(0), {}, "has silu"),
        ("guided_grad_cam", Class(0), {}, "has silu"),
        ("saliency", Class(5), {}, "no number 5 among the classes: 0 to 4"),
        ("saliency", Class(0, -1), {}, "no number -1"),
        ("saliency", Channel("layer1.0.conv1", 8), {}, "channels of layer1.0.conv1: 0 to 7"),
        ("saliency", Channel("layer9", 0), {}, "no operation 'layer9'"),
        ("grad_cam", Class(0), {"operation": "avgpool"}, "avgpool has one value a channel"),
        ("grad_cam", Class(0), {"operation": "layer9"}, "not computed from it"),
        ("grad_cam", Class(0), {"operation": "input"}, "not computed from it"),
        ("layer_conductance", Channel("layer1.0.conv1", 0), {"operation": "layer3.0.conv1"}, "not computed from it"),
        ("grad_cam", Channel("conv1", 0), {}, "computed from none"),
        ("deep_lift_shap", Class(0), {}, "two or more"),
        ("lime", Class(0), {}, "region of each of 12x12 pixels"),
        ("kernel_shap", Class(0), {"superpixels": np.zeros((12, 12), np.int64)}, "only one"),
        ("feature_ablation", Class(0), {"superpixels": np.ones((12, 12), np.int64)}, "without gaps"),
        ("occlusion", Class(0), {"window": 13}, "at most 12"),
        ("occlusion", Class(0), {"window": 2, "stride": 3}, "stride of at most"),
        ("occlusion", Class(0), {"noise": "smoothgrad"}, "not smoothed"),
    ],
)
def test_what_a_method_cannot_say_is_told_in_a_sentence(method, target, fields, told):
    network = trained(small("resnet", activation="silu", input_size=12))
    with pytest.raises(AttributionError, match=told) as error:
        attribute(network, random_images(network), target, method, Settings(**fields))
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_one_image_of_the_networks_shape():
    network = trained(small("resnet", input_size=12))
    for images in (random_images(network, 2), torch.zeros(1, 3, 8, 8)):
        with pytest.raises(ValueError, match="the network takes one of"):
            attribute(network, images, Class(0), "saliency")
    with pytest.raises(ValueError, match="expected \\(B, 3, 12, 12\\)"):
        attribute(network, random_images(network), Class(0), "deep_lift", Settings(baseline=torch.zeros(1, 3, 8, 8)))
    with pytest.raises(KeyError):
        attribute(network, random_images(network), Class(0), "lrp")


def test_memory_decides_the_batch(monkeypatch):
    network = trained(small("resnet"), dtype=torch.float32)
    image, sizes = random_images(network), []

    def batches(method):
        sizes.clear()
        attribute(network, image, Class(0), method, settings_of(network), lambda done, _: sizes.append(done))
        return max(np.diff(sizes))

    assert batches("integrated_gradients") == STEPS
    most, needed = fitting(plan_of(network), "cpu", "", gradients=True, most=2, fast=True)
    assert most == 2
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", str(needed))
    assert batches("integrated_gradients") == 2
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", str(4 * plan_of(network).params + 10))
    with pytest.raises(BudgetError, match="Integrated Gradients of one image would take"):
        batches("integrated_gradients")


@pytest.mark.filterwarnings("ignore")
def test_deep_lift_shap_with_one_baseline_at_a_time_is_captums_mean():
    network = trained(small("resnet"))
    image, settings = random_images(network), settings_of(network, batch=1)
    score = Score(network, Class(0), for_deep_lift=True)
    theirs = captum.DeepLiftShap(score).attribute(image.clone().requires_grad_(), baselines=settings.baseline)
    ours = attribute(network, image, Class(0), "deep_lift_shap", settings).map
    np.testing.assert_allclose(ours, theirs[0].detach().numpy(), rtol=1e-5, atol=1e-6)


# --- nothing is left, and progress is told


class Stopped(Exception):
    pass


def stop(done, total):
    raise Stopped


def legacy_state():
    return np.random.get_state()  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_shared_network(network, method):
    image, settings = random_images(network), settings_of(network, samples=20)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    before, draws, numbers = facts(network), torch.get_rng_state(), legacy_state()

    told = []
    whole = attribute(network, image, Class(1), method, settings, lambda *images: told.append(images))
    for call in {0, len(told) // 2, len(told) - 1}:
        left = [*told[:call], None]

        def stopping(*_, left=left):
            if left.pop(0) is None:
                raise Stopped

        with pytest.raises(Stopped):
            attribute(network, image, Class(1), method, settings, stopping)
    with torch.inference_mode():
        again = attribute(network, image.clone(), Class(1), method, settings)
    np.testing.assert_array_equal(again.map, whole.map)
    assert facts(network) == before
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(np.array_equal(one, other) for one, other in zip(legacy_state(), numbers, strict=True))
    assert not image.requires_grad
    assert image.grad is None


@pytest.mark.parametrize(
    ("method", "noise"),
    [(name, noise) for name, method in METHODS.items() for noise in ("", "smoothgrad") if method.noise or not noise],
)
def test_progress_counts_images_to_the_end(method, noise):
    network, heard = trained(small("resnet")), []
    settings = settings_of(network, samples=20, steps=21, noise=noise)
    attribute(network, random_images(network), Class(1), method, settings, lambda *told: heard.append(told))
    done, totals = zip(*heard, strict=True)
    assert len(set(totals)) == 1
    assert done[0] == 0
    assert list(done) == sorted(done)
    # the last pass was one batch; DeepLift's is of images and baselines
    assert done[-1] == totals[0]
    assert 0 < totals[0] - done[-2] <= 16


def test_two_threads_run_grad_cam_on_one_network():
    network = trained(small("cliquenet"), dtype=torch.float32)
    names = [op.name for op in plan_of(network).ops[1:-1] if min(op.shape[1:]) > 1][::4]
    calls = {
        number: [
            (random_images(network, seed=1000 * number + i), names[(7 * i + number) % len(names)]) for i in range(80)
        ]
        for number in range(2)
    }
    found, start = {}, threading.Barrier(2)

    def visitor(number):
        start.wait()
        found[number] = [
            attribute(network, image, Class(number), "grad_cam", Settings(operation=name, relu=False)).map
            for image, name in calls[number]
        ]

    threads = [threading.Thread(target=visitor, args=(number,)) for number in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, asked in calls.items():
        for (image, name), ours in zip(asked, found[number], strict=True):
            expected = grad_cam_by_hand(network, image, number, name)
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize("method", ["gradient_shap", "lime", "kernel_shap", "saliency"])
def test_random_methods_depend_on_the_seed_alone(method):
    network = trained(small("resnet"))
    image, outcomes = random_images(network), {0: [], 1: []}
    noise = "smoothgrad" if method == "saliency" else ""

    def visitor(seed):
        settings = settings_of(network, samples=12, noise=noise, noise_samples=4, seed=seed)
        outcomes[seed] += [attribute(network, image, Class(1), method, settings).map for _ in range(6)]

    threads = [threading.Thread(target=visitor, args=(seed,)) for seed in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for maps in outcomes.values():
        assert all(np.array_equal(maps[0], other) for other in maps)
    assert not np.array_equal(outcomes[0][0], outcomes[1][0])


@pytest.mark.parametrize("method", ["deep_lift", "deep_lift_shap", "guided_backprop", "guided_grad_cam"])
def test_captums_warnings_of_hooks_are_not_heard(method):
    network = trained(small("resnet"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attribute(network, random_images(network), Class(1), method, settings_of(network)).map.any()


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize(("name", "missed"), [("resnet18", 0.77), ("resnet50", 0.55), ("densenet121", 0.45)])
def test_deep_lift_over_max_pools_departs_from_captums_by_what_is_said(name, missed):
    network = build(plan(PRESETS[name].replace(input_size=64))).double()
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    baseline = torch.zeros_like(image)
    change = (network(image) - network(baseline))[0, 2].item()
    for ours, expected in ((False, missed), (True, 0)):
        score = Score(network, Class(2), for_deep_lift=ours)
        _, delta = captum.DeepLift(score).attribute(image, baseline, return_convergence_delta=True)
        assert abs(delta.item() / change) == pytest.approx(expected, abs=0.005)
    assert f"{missed:.0%}".replace("%", " %") in METHODS["deep_lift"].departs


@pytest.mark.parametrize("slow", ["lime", "gradient_shap", "saliency", "deep_lift", "grad_cam"])
def test_nobody_waits_for_another_visitor(slow):
    """One stands still in the middle of a method; meanwhile another runs every method, and neither changes a map."""
    network = trained(small("resnet"))
    image = random_images(network)
    alone = {name: _noisy_map(network, image, name) for name in METHODS}
    reached, go_on, found = threading.Event(), threading.Event(), {}

    def stand_still(done, total):
        if done and not reached.is_set():
            reached.set()
            assert go_on.wait(60)

    def visitor():
        found[slow] = _noisy_map(network, image, slow, stand_still)
        reached.set()

    thread = threading.Thread(target=visitor)
    thread.start()
    assert reached.wait(60)
    meanwhile = {name: _noisy_map(network, image, name) for name in METHODS}
    go_on.set()
    thread.join()
    for name in METHODS:
        np.testing.assert_array_equal(meanwhile[name], alone[name], err_msg=name)
    np.testing.assert_array_equal(found[slow], alone[slow])


def _noisy_map(network, image, method, progress=None):
    noise = "smoothgrad" if METHODS[method].noise else ""
    settings = settings_of(network, samples=12, noise=noise, noise_samples=4, batch=2)
    return attribute(network, image, Class(1), method, settings, progress).map


# --- baselines and superpixels


def test_baselines_are_in_the_networks_space():
    preparation = standard_preparation(16)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (preparation.mean, preparation.std))
    image = torch.from_numpy((np.full((1, 3, 16, 16), 0.25) - mean) / std).float()

    def pixels(kind, **fields):
        made = baseline(kind, image, preparation, **fields)
        assert made.dtype == image.dtype
        return made.numpy() * std + mean

    np.testing.assert_allclose(pixels("black"), 0, atol=1e-6)
    np.testing.assert_allclose(pixels("mean"), np.broadcast_to(mean, (1, 3, 16, 16)), atol=1e-6)
    np.testing.assert_allclose(pixels("blurred"), 0.25, atol=1e-6)
    noise = pixels("noise", count=40)
    assert noise.shape == (40, 3, 16, 16)
    assert 0 <= noise.min() < 0.001 < 0.999 < noise.max() <= 1
    # mean and deviation of the uniform distribution
    assert noise.mean() == pytest.approx(0.5, abs=5 * 12**-0.5 / noise.size**0.5)
    assert noise.std() == pytest.approx(12**-0.5, rel=0.02)
    np.testing.assert_array_equal(pixels("noise", count=40), noise)
    assert not np.array_equal(pixels("noise", count=40, seed=1), noise)
    other = torch.stack([image[0] + 1, image[0] + 2])
    made = baseline("image", image, preparation, count=3, other=other)
    assert torch.equal(made, other[[0, 1, 0]])
    assert set(TITLES) == {"black", "mean", "blurred", "noise", "image"}
    for wrong in (None, torch.zeros(1, 3, 8, 8)):
        with pytest.raises(ValueError, match="another image of shape"):
            baseline("image", image, preparation, other=wrong)


def test_blur_is_a_gaussian():
    """A single bright pixel becomes the kernel, of which the sum stays and the variance is the formula's."""
    preparation = standard_preparation(56)
    image = torch.zeros(1, 3, 56, 56)
    image[..., 28, 28] = 1
    made = baseline("blurred", image, preparation)[0, 0].double().numpy()
    places = np.arange(56) - 28
    assert made.sum() == pytest.approx(1, rel=1e-4)
    assert (made.sum(0) * places**2).sum() == pytest.approx((10 / 224 * 56) ** 2, rel=0.02)


def test_superpixels_follow_colours():
    seen = np.zeros((32, 32, 3), np.uint8)
    seen[:, 16:] = [200, 30, 30]
    seen[20:, :] += 40
    found = superpixels(seen, 16)
    assert found.shape == (32, 32)
    assert 8 <= found.max() + 1 <= 32
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))
    for number in range(found.max() + 1):
        assert len(np.unique(seen[found == number], axis=0)) == 1
    np.testing.assert_array_equal(superpixels(seen, 16), found)


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_exist_in_any_picture(channels):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, channels)).astype(np.uint8)
    for seen in (noise, np.zeros_like(noise)):
        assert 20 <= superpixels(seen, 40).max() + 1 <= 80
    for count in (3, 501):
        with pytest.raises(ValueError, match=f"count={count}"):
            superpixels(noise, count)


# --- is the map telling the truth


def linear():
    """A network that is one weighted sum: (network, image, baseline, weights (2, 3, 4, 4)), float64."""
    recorder = Recorder(3, 4)
    recorder.linear("fc", recorder.input, 2)
    network = build(recorder.finish()).double()
    draw = torch.Generator().manual_seed(0)
    image, given = (torch.randn(1, 3, 4, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    return network, image, given, network.get_parameter("fc.weight").detach().view(2, 3, 4, 4)


def test_infidelity_of_a_linear_network():
    network, image, given, weights = linear()
    rates = weights[1].numpy()
    score = partial(checks.infidelity, network, image, Class(1))
    # what a weighted sum does to noise its weights foretell
    assert score("gradient", rates, deviation=0.3, normalize=False) == pytest.approx(0, abs=1e-20)
    contributions = rates * (image - given)[0].numpy()
    assert score("integrated_gradients", contributions, given, normalize=False) == pytest.approx(0, abs=1e-20)
    # the best scale is taken; without it, errors are six times the change, whose variance is |w|² deviation²
    assert score("gradient", 7 * rates) == pytest.approx(0, abs=1e-15)
    variance = 0.3**2 * (rates**2).sum()
    found = score("gradient", 7 * rates, deviation=0.3, samples=2000, normalize=False)
    assert found == pytest.approx(36 * variance, rel=5 * (2 / 2000) ** 0.5)
    # a map of zeros foretells nothing
    found = score("gradient", np.zeros((4, 4), np.float32), deviation=0.3, samples=2000)
    assert found == pytest.approx(variance, rel=5 * (2 / 2000) ** 0.5)
    assert score("gradient", np.zeros((4, 4)), seed=1) != score("gradient", np.zeros((4, 4)), seed=2)
    with pytest.raises(AttributionError, match="channels"):
        score("layer_conductance", rates)


def test_sensitivity_of_a_linear_network():
    network, image, _, weights = linear()
    assert checks.max_sensitivity(network, image, Class(1), "gradient") == 0
    # the map is weight times pixel: it moves by weight times step, each step at most the radius
    found = checks.max_sensitivity(network, image, Class(1), "input_x_gradient", radius=0.1, samples=30)
    largest = (0.1 * weights[1].norm() / (weights[1] * image[0]).norm()).item()
    assert 0.3 * largest < found < largest
    # of uniform steps the mean square is a third of the largest one's
    assert found == pytest.approx(largest / 3**0.5, rel=0.3)


def test_deletion_and_insertion_of_a_linear_network():
    network, image, given, weights = linear()
    difference = weights[1] - weights[0]
    effects = (difference * (image - given)[0]).sum(0).numpy().ravel()
    order = np.argsort(-effects)
    ends = [change(network, Class(1, 0), each, torch.zeros_like(image)) for each in (image, given)]
    bias = Score(network, Class(1, 0))(torch.zeros_like(image)).item()
    falling = ends[0] + bias - np.concatenate([[0], np.cumsum(effects[order])])
    rising = ends[1] + bias + np.concatenate([[0], np.cumsum(effects[order])])
    values = effects.reshape(4, 4).astype(np.float32)
    for check, expected in ((checks.deletion, falling), (checks.insertion, rising)):
        curve = check(network, image, Class(1, 0), values, given, steps=16)
        np.testing.assert_allclose(curve.shares, np.arange(17) / 16)
        np.testing.assert_allclose(curve.scores, expected, rtol=1e-9)
        assert curve.area == pytest.approx(((expected[1:] + expected[:-1]) / 2).mean())
        # of every fourth pixel's curve the points are the same
        np.testing.assert_allclose(check(network, image, Class(1, 0), values, given, steps=4).scores, expected[::4])
    # no other order falls faster
    other = checks.deletion(network, image, Class(1, 0), -values, given, steps=16)
    assert other.area > checks.deletion(network, image, Class(1, 0), values, given, steps=16).area


def test_of_a_class_the_curves_show_probabilities():
    network, image, given, _ = linear()
    heard = []
    curve = checks.deletion(
        network, image, Class(1), np.zeros((4, 4), np.float32), given, steps=40, progress=lambda *t: heard.append(t)
    )
    probabilities = [network(each).softmax(1)[0, 1].item() for each in (image, given)]
    assert [curve.scores[0], curve.scores[-1]] == pytest.approx(probabilities)
    assert len(curve.scores) == 17  # there are no more pixels than that
    assert heard[-1] == (17, 17)
    # equal values go in an order that only the seed decides
    again = checks.deletion(network, image, Class(1), np.zeros((4, 4), np.float32), given, steps=40)
    np.testing.assert_array_equal(again.scores, curve.scores)
    other = checks.deletion(network, image, Class(1), np.zeros((4, 4), np.float32), given, steps=40, seed=1)
    assert not np.array_equal(other.scores, curve.scores)


def test_coarse_maps_are_enlarged():
    flat = np.array([[0, 1], [2, 3]], np.float32)
    # bilinear, the corners' pixels being the corners' halves: torch.nn.functional.interpolate's convention
    expected = np.array([0, 0.25, 0.75, 1])
    np.testing.assert_allclose(on_pixels(flat, (4, 4)), expected + 2 * expected[:, None])
    np.testing.assert_array_equal(on_pixels(flat, (4, 4), "nearest"), flat.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(on_pixels(np.stack([flat, flat]), (2, 2)), 2 * flat)


def ignoring():
    """A network in which what the stage "early" computes is multiplied by zero, also once it is drawn anew."""
    recorder = Recorder(3, 12)
    with recorder.stage("early"):
        early = recorder.norm("norm1", recorder.conv("conv1", recorder.input, 8, 3), zero=True)
    with recorder.stage("late"):
        late = recorder.activation("tanh", recorder.conv("conv2", recorder.input, 8, 3), "tanh")
        x = recorder.add("add", early, late)
        x = recorder.activation("tanh2", recorder.conv("conv3", x, 8, 3), "tanh")
    with recorder.stage("head"):
        recorder.linear("fc", recorder.global_pool("pool", x), 4)
    return build(recorder.finish()).double()


def test_randomising_what_a_network_ignores_changes_nothing():
    network = ignoring()
    image, before = random_images(network), facts(network)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    check = partial(checks.randomisation, network, image, Class(1), "gradient", seed=5)
    head, late, early = check(order="independent")
    assert [head.stage, late.stage, early.stage] == ["head", "late", "early"]
    assert [early.rank, early.rank_absolute, early.ssim, early.ssim_absolute] == pytest.approx([1] * 4)
    for found in (head, late):
        assert abs(found.rank) < 0.5
        assert abs(found.rank_absolute) < 0.5
        assert max(found.ssim, found.ssim_absolute) < 0.6
    cascade = list(check())
    np.testing.assert_array_equal(cascade[0].attribution.map, head.attribution.map)
    np.testing.assert_array_equal(cascade[2].attribution.map, cascade[1].attribution.map)
    # once all is new, the map is that of a fresh network
    fresh = attribute(build(plan_of(network), seed=5).double(), image, Class(1), "gradient").map
    np.testing.assert_allclose(cascade[2].attribution.map, fresh)
    assert facts(network) == before
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cascade_ends_with_a_fresh_network(family):
    """Also where kernels are shared and norms have statistics."""
    network = trained(small(family))
    image, heard = random_images(network), []
    results = list(
        checks.randomisation(network, image, Class(1), "saliency", seed=9, progress=lambda *told: heard.append(told))
    )
    fresh = attribute(build(plan_of(network), seed=9).double(), image, Class(1), "saliency").map
    np.testing.assert_array_equal(results[-1].attribution.map, fresh)
    stages = [op.stage for op in reversed(plan_of(network).ops) if op.params]
    assert [found.stage for found in results] == list(dict.fromkeys(stages))
    assert heard[-1] == (len(results) + 1, len(results) + 1)


def test_rank_correlation():
    # 1 - 6 Σd² / n(n² - 1) = 1 - 12 / 60
    assert checks.rank_correlation(np.array([1, 2, 3, 4.0]), np.array([10, 30, 20, 40.0])) == pytest.approx(0.8)
    # ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 1.5, variances 1.5 and 2
    assert checks.rank_correlation(np.array([5, 5, 9.0]), np.array([1, 2, 3.0])) == pytest.approx(1.5 / 3**0.5)
    assert checks.rank_correlation(np.array([[1, 2], [3, 4.0]]), -np.array([[1, 2], [3, 4.0]])) == pytest.approx(-1)
    assert np.isnan(checks.rank_correlation(np.zeros(4), np.arange(4.0)))
    assert np.isnan(checks.rank_correlation(np.array([1, np.nan]), np.arange(2.0)))


def test_similarity():
    one = np.random.default_rng(0).normal(size=(3, 9, 9)).astype(np.float32)
    assert checks.similarity(one, 5 * one) == pytest.approx(1)
    assert checks.similarity(one, -one) < 0.5
    assert checks.similarity(np.abs(one), np.abs(-one)) == pytest.approx(1)
    assert checks.similarity(one[0, :4, :4], one[0, :4, :4]) == pytest.approx(1)
    for other in (np.zeros_like(one), np.full_like(one, np.nan)):
        assert np.isnan(checks.similarity(one, other))
    assert np.isnan(checks.similarity(one[0, :2, :2], one[0, :2, :2]))


# --- display


def test_clipping_by_cumulative_mass():
    values = np.array([[-1, 1], [1, 97]], np.float32)
    assert clipped(values)[1:] == (97, 0)
    # within ±1 lie 3 of 100, of which 2.5 are asked; a quarter of the values is beyond
    found = clipped(values, outliers=0.975)
    assert (found.reach, found.share) == (1, 0.25)
    np.testing.assert_array_equal(found.map, [[-1, 1], [1, 1]])
    assert clipped(np.zeros((2, 2), np.float32))[1:] == (0, 0)
    for outliers in (-0.1, 1):
        with pytest.raises(ValueError, match="outliers"):
            clipped(values, outliers)
    for wrong in (np.array([1, np.nan], np.float32), np.array([], np.float32)):
        with pytest.raises(ValueError, match="no scale"):
            clipped(wrong)


def test_clipping_is_captums():
    values = np.random.default_rng(0).standard_t(2, (50, 50))
    for outliers in (0.02, 0.1, 0.5):
        found = clipped(values, outliers)
        expected = visualization._normalize_attr(values, "all", 100 * outliers)
        np.testing.assert_allclose(found.map / found.reach, expected, rtol=1e-6)
        assert found.share == (np.abs(values) > found.reach).mean()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.draws])
def test_cuda_gives_the_same_maps(network, method):
    image, settings = random_images(network), settings_of(network)
    expected = attribute(network, image, Class(1), method, settings).map
    found = attribute(trained_like(network).cuda(), image, Class(1), method, settings).map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# --- in bfloat16


HALF = [name for name, method in METHODS.items() if method.half]


def in_both(network, method, **fields):
    settings = settings_of(network, **fields)
    ask = partial(attribute, network, random_images(network), Class(1), method)
    return ask(settings), ask(dataclasses.replace(settings, precision="bfloat16"))


def test_what_takes_parts_away_or_has_rules_of_its_own_is_never_computed_in_bfloat16():
    chosen = [METHODS[name] for name in HALF]
    assert chosen
    assert all(method.gradients and not method.rescales and not method.hooks for method in chosen)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_changes_a_map_a_little_where_the_method_offers_it_and_not_a_bit_elsewhere(family, method):
    # a smooth function: a ReLU whose input is near zero turns a small difference into a large one of the gradient
    smooth = method in HALF
    network = trained(small(family, classes=10, activation="silu" if smooth else "relu"), dtype=torch.float32)
    single, half = in_both(network, method, samples=SAMPLES, relu=False)
    assert half.map.dtype == np.float32
    assert np.array_equal(single.map, half.map) == (not smooth)
    assert cosine(single.map, half.map) > 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_contributions_sum_to_the_change_but_for_its_rounding(family):
    network = trained(small(family, classes=10, activation="silu"), dtype=torch.float32)
    image, settings = random_images(network), settings_of(network, steps=50)
    single, half = in_both(network, "integrated_gradients", steps=50)
    with torch.inference_mode():
        ends = run(network, torch.cat([image, settings.baseline[:1]]))[0][:, 1].tolist()
    # eight bits: a few roundings, of 2**-8 each, of the two scores and of all that is added up
    rounding = 2**-6 * (abs(ends[0]) + abs(ends[1]) + float(np.abs(half.map).sum()))
    assert abs(float(half.map.sum()) - (ends[0] - ends[1])) < abs(single.delta) + rounding
    assert abs(half.delta) < abs(single.delta) + rounding


@pytest.mark.parametrize("trained", all_trained(), ids=lambda one: one.weights.identity)
def test_maps_of_trained_networks_in_bfloat16_are_like_those_in_float32(trained):
    subject = examples(Examined(trained.config, trained.weights, "cpu", 1)).subjects[0]
    for method in ("gradient", "integrated_gradients", "grad_cam"):
        ask = partial(attribute, subject.network, subject.image, Class(0), method)
        single, half = (ask(Settings(steps=8, relu=False, precision=name)) for name in ("float32", "bfloat16"))
        assert cosine(single.map, half.map) > 0.95


def cosine(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))
