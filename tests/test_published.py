"""Every published network has the parameters and multiply-accumulates that were published for it."""

import re

import pytest
from published import PUBLISHED, TORCHVISION, equals
from torchvision.models import get_model_weights

from explorer.families import PRESETS, TITLES, plan

PLAIN_CIFAR = (20, 32, 44, 56, 110)
RESNET_CIFAR = (*PLAIN_CIFAR, 1202)


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def test_the_table_is_whole():
    assert len(PUBLISHED) == 58
    assert len(TORCHVISION) == 22


def test_every_published_network_is_a_preset_with_a_title():
    wanted = {*PUBLISHED, "densenet264", "plain18", "plain34", *(f"plain{d}_cifar" for d in PLAIN_CIFAR)}
    assert wanted <= set(PRESETS)
    assert set(TITLES) == set(PRESETS)
    assert len(set(TITLES.values())) == len(TITLES)


@pytest.mark.parametrize("row", named(PUBLISHED.values()))
def test_parameters_are_the_published_ones(row):
    assert plan(PRESETS[row["name"]]).params == int(row["params"])


@pytest.mark.parametrize("row", named(row for row in PUBLISHED.values() if row["macs"]))
def test_macs_are_the_published_ones(row):
    assert equals(plan(PRESETS[row["name"]]).macs, row["macs"])


@pytest.mark.parametrize("row", named(TORCHVISION.values()))
def test_the_table_says_what_torchvision_says(row):
    weights = get_model_weights(row["name"])["IMAGENET1K_V1" if row["name"] != "resnext101_64x4d" else "DEFAULT"]
    assert int(row["params"]) == weights.meta["num_params"]
    assert float(row["macs"]) == pytest.approx(weights.meta["_ops"] * 1e9, rel=1e-12)


@pytest.mark.parametrize("row", named(PUBLISHED.values()))
def test_the_preset_is_the_network_that_the_table_describes(row):
    config = PRESETS[row["name"]]
    assert config.family == row["family"]
    assert f"{config.channels}x{config.input_size}x{config.input_size}" == row["input"]
    assert config.classes == int(row["classes"])
    words = row["configuration"]
    described = {
        "blocks": r"\bblocks (\d+(?:-\d+)+)",
        "layers": r"\blayers (\d+(?:-\d+)+)",
        "widths": r"\bk (\d+(?:-\d+)+)",
        "growth_rate": r"\bk=(\d+)",
        "stem_width": r"\bstem (\d+)(?!k)\b",
        "cardinality": r"\bcardinality (\d+)",
        "group_width": r"\bgroup width (\d+)",
        "width": r"\b(?<!group )width (\d+)",
    }
    found = {field: match[1] for field, pattern in described.items() if (match := re.search(pattern, words))}
    if config.family == "cliquenet":
        found |= {"attention": "True"} if "attention" in words else {}
        if "k=" in words:
            found["widths"] = "-".join([found.pop("growth_rate")] * 3)
    assert found
    for field, value in found.items():
        ours = getattr(config, field)
        assert value == ("-".join(map(str, ours)) if isinstance(ours, tuple) else str(ours)), field


# -- by arithmetic --------------------------------------------------------------------------------------------------


def densenet_params(k: int, blocks: tuple[int, ...], stem: int, b: int, theta: float, classes: int) -> int:
    """Of the ImageNet form, from section 3 of 1608.06993: a norm has two numbers a channel, a convolution no bias."""
    total, c = 3 * stem * 7 * 7 + 2 * stem, stem
    for number, layers in enumerate(blocks, start=1):
        for _ in range(layers):
            total += 2 * c + c * b * k  # norm, 1x1
            total += 2 * b * k + b * k * k * 3 * 3  # norm, 3x3
            c += k
        if number < len(blocks):
            total += 2 * c + c * int(theta * c)
            c = int(theta * c)
    return total + 2 * c + c * classes + classes


def test_densenet264():
    # the arithmetic is right: it gives what torchvision publishes for its DenseNets
    assert densenet_params(32, (6, 12, 24, 16), 64, 4, 0.5, 1000) == 7978856
    assert densenet_params(48, (6, 12, 36, 24), 96, 4, 0.5, 1000) == 28681000
    by_hand = densenet_params(32, (6, 12, 64, 48), 64, 4, 0.5, 1000)
    assert plan(PRESETS["densenet264"]).params == by_hand == 33337704


@pytest.mark.parametrize(("name", "counted"), [("plain18", 11689512), ("plain34", 21797672)])
def test_plain_networks_are_residual_ones_without_projections(name, counted):
    projections = sum(c * 2 * c + 2 * 2 * c for c in (64, 128, 256))  # 1x1 to twice the channels, and its norm
    assert plan(PRESETS[name]).params == counted - projections


def cifar_params(n: int) -> int:
    """3x3 convolutions: one to 16 channels, then 2n for each of 16, 32, 64; a norm each; a classifier (6n+2 layers)."""
    stem = 3 * 16 * 9 + 2 * 16
    sixteen = 2 * n * (16 * 16 * 9 + 2 * 16)
    thirty_two = 16 * 32 * 9 + (2 * n - 1) * 32 * 32 * 9 + 2 * n * 2 * 32
    sixty_four = 32 * 64 * 9 + (2 * n - 1) * 64 * 64 * 9 + 2 * n * 2 * 64
    return stem + sixteen + thirty_two + sixty_four + 64 * 10 + 10


def cifar_macs(n: int) -> int:
    """Half the side and twice the channels cost the same, but for the two that go from the one to the other: half."""
    each = 16 * 16 * 9 * 32 * 32
    return 3 * 16 * 9 * 32 * 32 + (6 * n - 2) * each + 2 * each // 2 + 64 * 10


@pytest.mark.parametrize("depth", RESNET_CIFAR)
def test_resnets_of_cifar(depth):
    counted = plan(PRESETS[f"resnet{depth}_cifar"])
    n = (depth - 2) // 6
    assert (counted.params, counted.macs) == (cifar_params(n), cifar_macs(n))


def test_a_preactivation_network_of_cifar_has_as_many_parameters():
    """Norms stand before the convolutions: none after the stem (2 x 16), two of half the width where it doubles
    (2 x 16 and 2 x 32 fewer), one more at the end (2 x 64).
    """
    fewer, more = 2 * 16 + 2 * 16 + 2 * 32, 2 * 64
    counted = plan(PRESETS["preresnet110_cifar"])
    assert (counted.params, counted.macs) == (cifar_params(18) - fewer + more, cifar_macs(18))


@pytest.mark.parametrize("depth", PLAIN_CIFAR)
def test_plain_networks_of_cifar_cost_what_zero_padded_shortcuts_do(depth):
    counted = plan(PRESETS[f"plain{depth}_cifar"])
    n = (depth - 2) // 6
    assert (counted.params, counted.macs) == (cifar_params(n), cifar_macs(n))


def densenet_cifar_macs(k: int, layers: int) -> int:
    """Without bottleneck: 3x3 from all channels so far to k; transitions 1x1 that keep them all; stem of 16."""
    total, c = 3 * 16 * 9 * 32 * 32, 16
    for side in (32, 16, 8):
        total += sum((c + i * k) * k * 9 * side**2 for i in range(layers))
        c += layers * k
        if side > 8:
            total += c * c * side**2
    return total + c * 10


@pytest.mark.parametrize(("depth", "k"), [(40, 12), (100, 12), (100, 24)])
def test_macs_of_densenets_of_cifar(depth, k):
    assert plan(PRESETS[f"densenet{depth}_{k}_cifar"]).macs == densenet_cifar_macs(k, (depth - 4) // 3)
