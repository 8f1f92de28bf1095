"""Statistics of maps against hand arithmetic, components against numpy's SVD, stages against the papers' figures."""

import io

import numpy as np
import pytest
import torch

from explorer.analyses import activations
from explorer.analyses.activations import principal_components
from explorer.families import PRESETS, parse, plan
from explorer.plan.wiring import refined_layers, stage_ends
from explorer.running.network import build, run


def maps_of(*channels: list[list[float]]) -> np.ndarray:
    return np.array(channels, np.float32)


def random_maps(c: int, h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 2, (c, h, w)).astype(np.float32)


# --- what a network says


def test_forward_gives_logits_and_the_first_images_maps():
    network = build(plan(PRESETS["resnet20_cifar"]), seed=0)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits, maps = activations.forward(network, images, ["conv1", "layer2.0.add"])
    expected, kept = run(network, images, ["conv1", "layer2.0.add"])
    assert (logits.shape, logits.dtype) == ((2, 10), np.float32)
    np.testing.assert_array_equal(logits, expected.detach().numpy())
    assert {name: m.shape for name, m in maps.items()} == {"conv1": (16, 32, 32), "layer2.0.add": (32, 16, 16)}
    for name, m in maps.items():
        np.testing.assert_array_equal(m, kept[name][0].detach().numpy())


def test_answers_are_the_softmax():
    # e^log(n) = n: of 1, 2, 5 and 8 the shares are sixteenths
    logits = np.log(np.array([1, 5, 2, 8], np.float32))
    assert [a.number for a in activations.answers(logits)] == [3, 1, 2, 0]
    np.testing.assert_allclose([a.probability for a in activations.answers(logits)], [8 / 16, 5 / 16, 2 / 16, 1 / 16])
    assert [a.number for a in activations.answers(logits, most=2)] == [3, 1]


def test_answers_of_equal_probability_are_in_order_of_number():
    assert [a.number for a in activations.answers(np.zeros(1000, np.float32))] == [0, 1, 2, 3, 4]


def test_answers_do_not_overflow():
    first, second = activations.answers(np.array([3e38, -3e38], np.float32))
    assert (first, second) == ((0, 1.0), (1, 0.0))


def test_an_infinite_logit_takes_all():
    assert activations.answers(np.array([0, np.inf, 3], np.float32))[0] == (1, 1.0)
    assert [a.probability for a in activations.answers(np.array([0, -np.inf, 0], np.float32))] == [0.5, 0.5, 0]


@pytest.mark.parametrize("logits", [[np.nan, 1, 2], [np.nan, np.inf, 0], [np.nan] * 3])
def test_a_network_that_overflowed_answers_nothing(logits):
    found = activations.answers(np.array(logits, np.float32))
    assert np.isnan([a.probability for a in found]).tolist() == [True] * 3


# --- stages


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (
            "resnet50",
            {
                "stem": ("maxpool", (64, 56, 56)),
                "stage 1": ("layer1.2.relu3", (256, 56, 56)),
                "stage 2": ("layer2.3.relu3", (512, 28, 28)),
                "stage 3": ("layer3.5.relu3", (1024, 14, 14)),
                "stage 4": ("layer4.2.relu3", (2048, 7, 7)),
            },
        ),
        (
            # k = 32, θ = 0.5: 64 + 6·32 = 256, halved; 128 + 12·32 = 512, ...
            "densenet121",
            {
                "stem": ("features.pool0", (64, 56, 56)),
                "block 1": ("features.denseblock1.concat", (256, 56, 56)),
                "transition 1": ("features.transition1.pool", (128, 28, 28)),
                "block 2": ("features.denseblock2.concat", (512, 28, 28)),
                "transition 2": ("features.transition2.pool", (256, 14, 14)),
                "block 3": ("features.denseblock3.concat", (1024, 14, 14)),
                "transition 3": ("features.transition3.pool", (512, 7, 7)),
                "block 4": ("features.denseblock4.concat", (1024, 7, 7)),
            },
        ),
        (
            # 12 layers of 12 channels; the last block's features go to the classifier alone, pooled: 144 + 144
            "cliquenet_k12_t36",
            {
                "stem": ("conv0", (64, 32, 32)),
                "block 1": ("block1.concat", (144, 32, 32)),
                "transition 1": ("transition1.pool", (144, 16, 16)),
                "block 2": ("block2.concat", (144, 16, 16)),
                "transition 2": ("transition2.pool", (144, 8, 8)),
                "block 3": ("block3.feature.relu", (288, 8, 8)),
            },
        ),
        (
            "preresnet164_cifar",
            {
                "stem": ("conv1", (16, 32, 32)),
                "stage 1": ("layer1.17.add", (64, 32, 32)),
                "stage 2": ("layer2.17.add", (128, 16, 16)),
                "stage 3": ("layer3.17.add", (256, 8, 8)),
            },
        ),
    ],
)
def test_stage_ends(name, ends):
    found = stage_ends(plan(PRESETS[name]))
    assert {stage: (op.name, op.shape) for stage, op in found.items()} == ends


def test_a_stage_of_single_pixels_has_no_end_to_look_at():
    # 32 pixels, halved five times
    assert "stage 4" not in stage_ends(plan(PRESETS["resnet18"].replace(input_size=32)))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_stages_to_look_at(name):
    p = plan(PRESETS[name])
    ends = stage_ends(p)
    assert [op.stage for op in ends.values()] == list(ends)
    assert list(ends) == [s for s in dict.fromkeys(op.stage for op in p.ops[1:]) if s != "head"]


# --- channels

MAPS = maps_of(
    [[0, 0], [0, 0]],
    [[1, 2], [3, 4]],
    [[-8, 0], [0, 0]],
    [[4, 2], [3, 1]],
)


def test_channel_statistics_by_hand():
    stats = activations.channels(MAPS)
    assert stats.mean.tolist() == [0, 2.5, -2, 2.5]
    assert stats.variance.tolist() == [0, 1.25, 12, 1.25]  # (36 + 3·4) / 4 = 12: of the population
    assert stats.maximum.tolist() == [0, 4, 0, 4]
    assert stats.zeros.tolist() == [1, 0, 0.75, 0]
    assert stats.dead.tolist() == [True, False, False, False]
    assert (stats.dead_count, stats.zero_share) == (1, 7 / 16)


def test_statistics_of_large_numbers_do_not_overflow():
    stats = activations.channels(maps_of([[3e38, 3e38], [-3e38, -3e38]]))
    assert stats.mean.tolist() == [0]
    assert stats.variance[0] == pytest.approx(9e76)


@pytest.mark.parametrize(
    ("by", "expected"),
    # ties stay in order of number
    [("index", [0, 1, 2, 3]), ("mean", [1, 3, 0, 2]), ("variance", [2, 1, 3, 0]), ("maximum", [1, 3, 0, 2])],
)
def test_order(by, expected):
    assert activations.order(MAPS, by).tolist() == expected


def test_strongest_by_absolute_value():
    # mean absolute values 0, 2.5, 2, 2.5
    assert activations.strongest(MAPS, 4).tolist() == [1, 3, 2, 0]
    assert activations.strongest(MAPS, 2).tolist() == [1, 3]
    assert activations.strongest(MAPS, 9).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (255, 1), (256, 1), (257, 2), (512, 2), (2048, 8)])
def test_pages(count, pages):
    assert activations.pages(count, 256) == pages


def test_channels_of_a_page():
    numbers = np.array([4, 2, 0, 1, 3])
    assert [activations.on_page(numbers, page, 2).tolist() for page in (1, 2, 3)] == [[4, 2], [0, 1], [3]]


def test_layers_that_are_computed_twice_are_counted_in_each_stage():
    here = plan(PRESETS["cliquenet_k12_t36"].replace(widths=(4, 4, 4), layers=(3, 2, 2)))
    found = refined_layers(here)
    assert list(found) == [
        *("block 1, layer 1", "block 1, layer 2", "block 1, layer 3"),
        *("block 2, layer 1", "block 2, layer 2"),
        *("block 3, layer 1", "block 3, layer 2"),
    ]
    for label, (first, second) in found.items():
        stage, number = label.split(", layer ")
        assert [(here[name].stage, here[name].block) for name in (first, second)] == [
            (stage, f"first {number}"),
            (stage, f"second {number}"),
        ]


def test_refinement_by_hand():
    first = maps_of([[1, 2]], [[0, 0]], [[5, 5]])
    second = maps_of([[1, 3]], [[-9, 0]], [[7, 7]])
    # the change: mean absolute values 0.5, 4.5, 2
    three, reach = activations.refinement(first, second, most=2)
    assert three.tolist() == [[[[0, 0]], [[5, 5]]], [[[-9, 0]], [[7, 7]]], [[[-9, 0]], [[2, 2]]]]
    assert reach == 9


def test_the_file_has_the_maps_and_the_operations_name():
    maps = random_maps(4, 3, 2)
    with np.load(io.BytesIO(activations.npz("layer1.0.add", maps)), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["maps"], maps)
        assert str(file["operation"]) == "layer1.0.add"


# --- principal components


def by_svd(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components (n, H·W) and their weights (n, C), n <= 3, of the centred channels; signs are as they come."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    u, s, vt = np.linalg.svd(flat - flat.mean(1, keepdims=True), full_matrices=False)
    components = s[:3, None] * vt[:3]
    return components / components[0].std(), u[:, :3].T


@pytest.mark.parametrize(
    "shape",
    [(8, 16, 16), (48, 7, 7), (49, 7, 7), (50, 7, 7), (512, 7, 7), (3, 5, 4), (4, 1, 9), (64, 2, 3), (200, 14, 14)],
)
def test_components_are_those_of_the_svd(shape):
    maps = random_maps(*shape)
    found = principal_components(maps)
    expected, weights = by_svd(maps)
    assert (found.shape, found.dtype) == ((3, *shape[1:]), np.float32)
    # the sign that makes the largest weight positive
    signs = np.sign(weights[np.arange(3), np.abs(weights).argmax(1)])
    np.testing.assert_allclose(found.reshape(3, -1), signs[:, None] * expected, atol=1e-4)


def test_both_ways_round_agree():
    # ten channels of zeros change nothing but which Gram matrix is the smaller
    maps = random_maps(20, 5, 5)
    more = np.concatenate([maps, np.zeros((10, 5, 5), np.float32)])
    np.testing.assert_allclose(principal_components(maps), principal_components(more), atol=1e-5)


def test_the_first_component_is_measured_in_its_own_deviations():
    components = principal_components(random_maps(30, 9, 9)).reshape(3, -1)
    deviations = components.std(1)
    assert deviations[0] == pytest.approx(1, abs=1e-5)
    assert 1 >= deviations[1] >= deviations[2] > 0
    np.testing.assert_allclose(components.mean(1), 0, atol=1e-5)


def test_components_do_not_depend_on_the_scale():
    maps = random_maps(16, 6, 6)
    expected = principal_components(maps)
    for scale in (1e-20, 1e20):
        np.testing.assert_allclose(principal_components(maps * np.float32(scale)), expected, atol=1e-3)


@pytest.mark.parametrize("channels", [4, 60])
def test_of_rank_one_there_is_one_component(channels):
    weights = np.linspace(-1, 2, channels, dtype=np.float32)
    one = np.arange(25, dtype=np.float32).reshape(5, 5)
    components = principal_components(weights[:, None, None] * one)
    np.testing.assert_allclose(components[0], (one - 12) / one.std(), atol=1e-5)
    np.testing.assert_allclose(components[1:], 0, atol=1e-5)


def test_two_channels_have_two_components():
    components = principal_components(random_maps(2, 6, 6))
    assert components[1].std() > 0
    assert not components[2].any()


@pytest.mark.parametrize("value", [0, 1, 0.1, -1e30, 3e-39])
@pytest.mark.parametrize("shape", [(4, 7, 7), (100, 7, 7), (5, 3, 3), (64, 1, 1), (1, 9, 9), (333, 14, 14)])
def test_constant_maps_have_no_components(shape, value):
    assert not principal_components(np.full(shape, value, np.float32)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [3, 40])
def test_maps_that_overflowed_have_no_components(channels, bad):
    maps = random_maps(channels, 4, 4)
    maps[1, 2, 3] = bad
    assert not np.nan_to_num(principal_components(maps)).any()


# --- a network whose values grow too large, as deep ones without norms do


def test_statistics_of_maps_that_overflowed():
    maps = np.concatenate([MAPS, maps_of([[np.nan, 1], [0, 0]], [[np.inf, 1], [-np.inf, 0]])])
    stats = activations.channels(maps)
    assert stats.zeros.tolist() == [1, 0, 0.75, 0, 0.5, 0.25]
    for by in ("index", "mean", "variance", "maximum"):
        assert sorted(activations.order(maps, by).tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(activations.strongest(maps, 6).tolist()) == [0, 1, 2, 3, 4, 5]


def test_a_family_of_ones_own_is_looked_at_too():
    config = parse({"family": "densenet", "blocks": (2, 2, 2), "stem": "cifar", "input_size": 16, "growth_rate": 4})
    ends = stage_ends(plan(config))
    # 64 + 2·4 = 72, halved, and 8 more, ..
    assert [op.shape[0] for op in ends.values()] == [64, 72, 36, 44, 22, 30]
