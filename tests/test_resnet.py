"""ResNets against timm's: its counts, its state dicts by their own names, its logits."""

import re

import pytest
import safetensors.torch
import timm
import torch
from random_weights import random_state

from explorer.families import PRESETS, Config, plan
from explorer.running.network import blank
from explorer.running.weights import read_checkpoint

RESNET50D = PRESETS["resnet50d"]
# its name -> our configuration, its parameters
TIMM: dict[str, tuple[Config, int]] = {
    "resnet18d": (PRESETS["resnet18d"], 11_708_744),
    "resnet34d": (PRESETS["resnet34d"], 21_816_904),
    "resnet50d": (RESNET50D, 25_576_264),
    "resnet101d": (PRESETS["resnet101d"], 44_568_392),
    "resnet152d": (PRESETS["resnet152d"], 60_212_040),
    "resnet200d": (RESNET50D.replace(blocks=(3, 24, 36, 3)), 64_693_064),
    "resnet50c": (RESNET50D.replace(shortcut="B"), 25_576_264),
    "resnet26t": (RESNET50D.replace(blocks=(2, 2, 2, 2), stem="tiered"), 16_011_872),
    "seresnet18": (PRESETS["resnet18"].replace(squeeze_excitation=16, squeeze_in_eights=True), 11_779_624),
    "seresnet50": (PRESETS["resnet50"].replace(squeeze_excitation=16, squeeze_in_eights=True), 28_088_024),
}
PREACTIVATION: dict[str, tuple[Config, int]] = {
    "resnetv2_18": (PRESETS["preresnet18"], 11_687_720),
    "resnetv2_34": (PRESETS["preresnet34"], 21_795_880),
    "resnetv2_50": (PRESETS["preresnet50"], 25_549_352),
    "resnetv2_50d": (PRESETS["preresnet50"].replace(stem="deep", shortcut="D"), 25_568_584),
}


def timms(name: str) -> torch.nn.Module:
    """Its network, in eval mode, with weights in which no norm is the identity."""
    with torch.device("meta"):
        network: torch.nn.Module = timm.create_model(name, pretrained=False).eval()
    network.load_state_dict(random_state(network), assign=True)
    return network


def images(side: int) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TIMM)
@torch.no_grad()
def test_timms_state_dicts_load_by_their_own_names_and_give_timms_logits(name):
    config, params = TIMM[name]
    theirs, ours = timms(name), blank(plan(config))
    assert plan(config).params == params == sum(weight.numel() for weight in theirs.parameters())
    file = safetensors.torch.save(theirs.state_dict())
    ours.load_state_dict(read_checkpoint(file, f"{name}.safetensors", ours.state_dict()), strict=True, assign=True)
    for side in (32, 50):  # stages of 8, 4, 2, 1 and, with a pixel left over three times, of 13, 7, 4, 2
        logits = ours(images(side))
        assert logits.std() > 0
        assert torch.equal(logits, theirs(images(side)))


# names of timm's resnetv2, which has norms that end in their activation -> ours
RENAMED = {
    r"^stem\.conv\.": "conv1.",
    r"^stem\.conv1\.": "conv1.0.",
    r"^stem\.norm1\.": "conv1.1.",
    r"^stem\.conv2\.": "conv1.3.",
    r"^stem\.norm2\.": "conv1.4.",
    r"^stem\.conv3\.": "conv1.6.",
    r"^stages\.0\.blocks\.": "layer1.",
    r"^stages\.1\.blocks\.": "layer2.",
    r"^stages\.2\.blocks\.": "layer3.",
    r"^stages\.3\.blocks\.": "layer4.",
    r"\.norm([123])\.": r".bn\1.",
    r"^norm\.": "bn.",
    r"^head\.fc\.": "fc.",
}


def renamed(state: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    projection = "downsample.1." if config.model_dump()["shortcut"] == "D" else "downsample.0."
    names = RENAMED | {r"downsample\.conv\.": projection}
    found = {}
    for name, tensor in state.items():
        for theirs, ours in names.items():
            name = re.sub(theirs, ours, name)
        found[name] = tensor.flatten(1) if name == "fc.weight" else tensor  # its classifier is a 1x1 convolution
    return found


@pytest.mark.parametrize("name", PREACTIVATION)
@torch.no_grad()
def test_preactivation_is_timms(name):
    config, params = PREACTIVATION[name]
    theirs, ours = timms(name), blank(plan(config))
    assert plan(config).params == params == sum(weight.numel() for weight in theirs.parameters())
    ours.load_state_dict(renamed(theirs.state_dict(), config), strict=True, assign=True)
    for side in (32, 50):
        logits, expected = ours(images(side)), theirs(images(side))
        # to rounding: timm's classifier is a convolution, ours a matrix
        assert (logits - expected).norm() <= 1e-5 * expected.norm()


@torch.no_grad()
def test_where_the_first_shortcut_splits_is_in_no_parameter_and_in_all_logits():
    """The appendix of 1603.05027 has the first shortcut after the activation, timm before it."""
    config = PRESETS["preresnet18"]
    theirs, ours = timms("resnetv2_18"), blank(plan(config.replace(first_split="after")))
    ours.load_state_dict(renamed(theirs.state_dict(), config), strict=True, assign=True)
    expected = theirs(images(50))
    assert (ours(images(50)) - expected).norm() > 0.1 * expected.norm()


@pytest.mark.parametrize(
    ("channels", "width"), [(64, 8), (128, 8), (192, 16), (256, 16), (512, 32), (16, 8), (1024, 64)]
)
def test_squeeze_widths_are_timms(channels, width):
    """timm's make_divisible(channels / 16, 8, round_limit=0); and by hand."""
    from timm.layers import SEModule

    config = PRESETS["resnet18"].replace(
        squeeze_excitation=16, squeeze_in_eights=True, width=channels, blocks=(1, 1, 1), stem_width=8
    )
    assert plan(config)["layer1.0.se.fc1"].shape[0] == SEModule(channels).fc1.out_channels == width


def test_presets_say_where_their_first_shortcut_splits():
    """Of the published pre-activation networks those whose first block keeps its shape have a choice."""
    chosen = {
        name: config.model_dump()["first_split"]
        for name, config in PRESETS.items()
        if "first_split" in type(config).model_fields and "first_split" not in config.unused()
    }
    assert chosen == {"preresnet18": "before", "preresnet34": "before", "preresnet110_cifar": "after"}
