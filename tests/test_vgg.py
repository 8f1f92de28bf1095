"""VGG against torchvision's, tensor by tensor, and against what its paper says."""

import pytest
import torch
import torchvision

from explorer.analyses import gradients
from explorer.counting.costs import receptive_field
from explorer.families import FAMILIES, PRESETS, ConfigError, parse, plan
from explorer.running.network import blank, build, run

DEPTHS = (11, 13, 16, 19)
PUBLISHED = [f"vgg{depth}{norm}" for depth in DEPTHS for norm in ("", "_bn")]


def theirs(name, seed=0, **fields):
    torch.manual_seed(seed)
    return torchvision.models.get_model(name, weights=None, **fields).eval()


@pytest.mark.parametrize("side", [32, 50, 224])
@torch.no_grad()
def test_logits_are_torchvisions_whatever_the_size(side):
    """At 32 the pooled map repeats its one pixel, at 50 too; at 224 it is read as it is."""
    expected, ours = theirs("vgg11"), blank(plan(PRESETS["vgg11"].replace(input_size=side)))
    ours.load_state_dict(expected.state_dict(), strict=True, assign=True)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
    assert torch.equal(ours(images), expected(images))


@pytest.mark.parametrize("depth", DEPTHS)
def test_cifar_networks_are_torchvisions_features(depth):
    """With a classifier of one pixel: 512 to 512 to 512 to 10."""
    features = {
        name: tuple(value.shape)
        for name, value in torch_on_meta(f"vgg{depth}_bn").features.state_dict(prefix="features.").items()
    }
    classifier = {}
    for i, out in ((0, 512), (3, 512), (6, 10)):
        classifier |= {f"classifier.{i}.weight": (out, 512), f"classifier.{i}.bias": (out,)}
    ours = blank(plan(PRESETS[f"vgg{depth}_bn_cifar"])).state_dict()
    assert {name: tuple(value.shape) for name, value in ours.items()} == features | classifier


def torch_on_meta(name):
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None)


@pytest.mark.parametrize("name", PUBLISHED)
def test_dropout_is_torchvisions(name):
    expected = {n: m.p for n, m in torch_on_meta(name).named_modules() if isinstance(m, torch.nn.Dropout)}
    ours = blank(plan(PRESETS[name]))
    assert {n: m.p for n, m in ours.named_modules() if isinstance(m, torch.nn.Dropout)} == expected


def test_convolutions_keep_their_bias_beside_a_norm():
    network = blank(plan(PRESETS["vgg11_bn"]))
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 8
    assert all(module.bias is not None for module in convolutions)


def test_names_go_on_without_what_is_not_written():
    """Without dropout the linear layers keep torchvision's numbers, so that its state dicts fit."""
    network = blank(plan(PRESETS["vgg16"].replace(dropout=0.0)))
    network.load_state_dict(torch_on_meta("vgg16").state_dict(), strict=True, assign=True)
    assert "classifier.2" not in plan(PRESETS["vgg16"].replace(dropout=0.0))


def test_two_convolutions_see_five_pixels_and_three_seven():
    """Section 2.3: so far they see before the next pool; a stage of one, two or three."""
    for layers, seen in ((1, 3), (2, 5), (3, 7)):
        config = parse({"family": "vgg", "layers": (layers, 1, 1), "widths": (4, 4, 4)})
        last = [op for op in plan(config).ops if op.stage == "stage 1" and op.kind == "conv"][-1]
        assert last.receptive_field == seen
    # by hand, from the last map back: 5 stages of 2, 2, 3, 3, 3 convolutions
    field = 1
    for layers in (3, 3, 3, 2, 2):
        field = (field - 1) * 2 + 2  # 2x2, stride 2
        field += 2 * layers
    pooled = plan(PRESETS["vgg16"])["features.30"]
    assert (pooled.kind, pooled.receptive_field, field) == ("max_pool", 212, 212)
    assert receptive_field(plan(PRESETS["vgg16"])) >= 212


def test_most_weights_are_in_the_first_layer_of_the_classifier():
    """512 channels of 7x7, each to 4096: 103 of VGG-16's 138 million."""
    assert plan(PRESETS["vgg16"])["classifier.0"].params == 512 * 49 * 4096 + 4096


def test_without_hidden_layers_the_features_are_classified():
    config = PRESETS["vgg11"].replace(hidden=0, dropout=0.5)
    assert [op.name for op in plan(config).ops if op.kind == "linear"] == ["classifier"]
    with pytest.raises(ConfigError, match=r"dropout=0.2 does nothing here: the classifier has no hidden layer"):
        config.replace(dropout=0.2)
    assert PRESETS["vgg11"].replace(dropout=0.2).adapt(hidden=0).dropout == 0.5


def test_lists_are_of_one_length():
    config = PRESETS["vgg11"]
    assert config.adapt(layers=(1, 1, 1)).widths == (64, 128, 256)
    assert config.adapt(layers=(1, 1, 1)).adapt(widths=(8,) * 5).layers == (1,) * 5
    with pytest.raises(ConfigError, match="layers=1-1-1 is for 3 stages and widths=64-128-256-512-512 for 5"):
        config.replace(layers=(1, 1, 1))


def test_a_deep_plain_network_loses_the_gradient_without_kaiming():
    """He et al., 1502.01852, section 2.2: 30 layers converge with their initialisation, and stall with 1/sqrt(3 n),
    which shrinks the signal by 1/sqrt(6) a layer. So it does here: from the last convolution to the first.
    """
    layers = (4, 4, 4)
    ratio = {}
    for init in ("kaiming", "default"):
        config = parse(
            {"family": "vgg", "layers": layers, "widths": (32, 32, 32), "hidden": 0, "pool_size": 1, "input_size": 32}
            | {"classes": 10, "init": init}
        )
        here = plan(config)
        found = gradients.flow(
            gradients.fresh(here, range(2), "train"), (gradients.noise(here, 8, s) for s in range(2))
        )
        norms = dict(zip(found.operations, found.activation.mean(0), strict=True))
        convolutions = [op.name for op in here.ops if op.kind == "conv"]
        ratio[init] = norms[convolutions[0]] / norms[convolutions[-1]]
    # 11 layers between them; the bias and the borders take a little more
    shrunk = ratio["default"] / ratio["kaiming"]
    assert (1 / 6) ** (11 / 2) / 20 < shrunk < (1 / 6) ** (11 / 2) * 20


@torch.no_grad()
def test_every_tensor_of_the_classifier_has_the_plans_shape():
    """Also of the linear layers that are not last: (N, width, 1, 1)."""
    config = FAMILIES["vgg"].examples[0]
    names = [op.name for op in plan(config).ops]
    logits, kept = run(build(plan(config)), torch.zeros(2, 3, 32, 32), names)
    assert kept["classifier.0"].shape == kept["classifier.4"].shape == (2, 16, 1, 1)
    assert logits.shape == (2, 5)
