"""Where a map lies, by hand and by scipy's intervals; and a linear network, whose maps are known, finds its objects."""

import numpy as np
import pytest
import scipy.stats
import torch
from skimage.filters import sobel

from explorer.analyses.attribution import localisation
from explorer.analyses.attribution.localisation import (
    CHANCE,
    EDGES,
    Located,
    Ranking,
    energy_inside,
    mean_of,
    points_at,
    rank,
    references,
    share_of,
)
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import AttributionError
from explorer.plan import Recorder
from explorer.running.network import build

SIDE, CLASSES = 8, 4
CORNERS = np.zeros((CLASSES, SIDE, SIDE), bool)  # one object a class, in a corner of its own: an eighth of the image
for i in range(CLASSES):
    CORNERS[i, 5 * (i // 2) : 5 * (i // 2) + 2, 4 * (i % 2) : 4 * (i % 2) + 4] = True
LABELS = np.array([0, 1, 2, 3, 0, 1])
MASKS = CORNERS[LABELS]


def as_map(values):
    return np.array(values, np.float32)


MASK = np.array([[True, True, False, False], [False] * 4])  # a quarter


# ---- one map ----


@pytest.mark.parametrize(
    ("values", "energy", "pointing"),
    [
        (MASK, 1, 1),
        (~MASK, 0, 0),
        (np.ones((2, 4)), 1 / 4, 1 / 4),  # everywhere the same: chance
        ([[3, 0, 1, 0], [0, 0, 0, 2]], 3 / 6, 1),
        ([[1, 0, 4, 0], [0, 0, 0, 3]], 1 / 8, 0),
        ([[3, -9, 1, -9], [0, 0, 0, 0]], 3 / 4, 1),  # what speaks against the target is no evidence
        ([[-9, 0, 2, 2], [2, 0, 0, 0]], 0, 0),
        ([[2, 0, 2, 2], [0, 0, 0, 2]], 2 / 8, 1 / 4),  # four equally large, of which one is inside
        ([[-1, -2, -3, -3], [-3] * 4], None, 1),  # no evidence for the target, and yet a largest pixel
        (np.zeros((2, 4)), None, 1 / 4),
    ],
)
def test_measures_by_hand(values, energy, pointing):
    found = energy_inside(as_map(values), MASK)
    assert np.isnan(found) if energy is None else found == pytest.approx(energy)
    assert points_at(as_map(values), MASK) == pytest.approx(pointing)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_lies_nowhere(odd):
    values = as_map([[1, 2, 3, odd], [1, 1, 1, 1]])
    assert np.isnan(energy_inside(values, MASK))
    assert np.isnan(points_at(values, MASK))


def test_channels_are_summed_before_what_is_negative_is_left_out():
    # 3 - 2 = 1 inside, 1 + 0 outside; left out first, it would be 3 of 4
    values = as_map([[[3, 0, 1, 0], [0] * 4], [[-2, 0, 0, 0], [0] * 4]])
    assert energy_inside(values, MASK) == pytest.approx(1 / 2)


def test_positions_are_enlarged_to_pixels():
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = True
    # halfway between two positions the enlarged map falls off on both sides alike: three quarters of each axis' mass
    # lie on the half of its own
    left = [1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0]
    assert energy_inside(as_map([[1, 0], [0, 0]]), mask) == pytest.approx((sum(left[:4]) / sum(left)) ** 2)
    assert points_at(as_map([[1, 0], [0, 0]]), mask) == 1
    # interpolation rounds: no pixel of a constant map is larger than the others
    mask = np.random.default_rng(0).random((32, 32)) < 0.3
    assert points_at(np.full((7, 7), 0.1, np.float32), mask) == pytest.approx(mask.mean())


def test_a_mask_is_of_pixels():
    with pytest.raises(ValueError, match="expected"):
        energy_inside(as_map(MASK), MASK.astype(int))
    with pytest.raises(ValueError, match="expected"):
        points_at(as_map(MASK), MASK[None])


def test_edges_are_sobels_over_all_channels():
    image = np.random.default_rng(0).normal(size=(2, 9, 7))
    assert localisation.edges(image) == pytest.approx(sobel(image[0]) + sobel(image[1]), rel=1e-5)
    # a step between columns 3 and 4 has its edge there alone
    step = np.zeros((1, 8, 8))
    step[..., 4:] = 1
    assert np.flatnonzero(localisation.edges(step).any(0)).tolist() == [3, 4]


# ---- over images ----


@pytest.mark.parametrize("count", [2, 16, 64])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_means_interval_is_students(count, confidence):
    values = np.random.default_rng(count).beta(2, 5, count)
    ends = scipy.stats.t.interval(confidence, count - 1, values.mean(), scipy.stats.sem(values))
    assert mean_of(values, confidence) == pytest.approx((values.mean(), *ends))
    # what is not known does not count
    assert mean_of(np.append(values, np.nan), confidence) == mean_of(values, confidence)


@pytest.mark.parametrize(("hits", "count"), [(0, 16), (9, 16), (64, 64), (100, 256)])
def test_the_shares_interval_is_wilsons(hits, count):
    values = np.repeat([1.0, 0.0], [hits, count - hits])
    ends = scipy.stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
    found = share_of(values)
    assert found == pytest.approx((hits / count, ends.low, ends.high))
    assert share_of(np.append(values, np.nan)) == found


def test_of_little_little_is_known():
    assert mean_of(np.array([0.3]))[0] == 0.3
    assert np.isnan(mean_of(np.array([0.3]))[1:]).all()
    assert np.isnan(mean_of(np.array([np.nan]))).all()
    assert np.isnan(share_of(np.zeros(0))).all()


def test_methods_are_compared_image_by_image():
    # means 0.5 and 0.55 with spreads of 0.3 overlap; but one is larger by about 0.05 on every image
    draw = np.random.default_rng(0)
    energy = draw.uniform(0, 1, 64)
    ours = energy + draw.normal(0.05, 0.01, 64)
    nothing = np.full(64, np.nan)
    found = Ranking(
        {
            "gradient": Located(energy, energy, 0),
            "saliency": Located(ours, energy, 0),
            "lime": Located(nothing, nothing, 0),
        }
    )
    assert scipy.stats.ttest_rel(ours, energy).pvalue < 1e-9
    assert found.above("saliency", "gradient")
    assert not found.above("gradient", "saliency")
    assert not found.above("saliency", "saliency")
    assert not found.above("saliency", "lime")
    assert found.methods == ["saliency", "gradient"]


def test_more_comparisons_ask_for_more():
    # p = 0.029 two-sided: below 0.05, above 0.05 / 3
    draw = np.random.default_rng(4)
    one = draw.normal(0, 1, 16)
    other = one - (scipy.stats.zscore(draw.normal(0, 1, 16), ddof=1) + 0.6)
    assert 0.05 / 3 < scipy.stats.ttest_rel(one, other).pvalue < 0.05
    found = Ranking({"gradient": Located(one, one, 0), "saliency": Located(other, other, 0)})
    assert found.above("gradient", "saliency")
    assert not found.above("gradient", "saliency", comparisons=3)


# ---- a network whose maps are known ----


@pytest.fixture(scope="module")
def images():
    return torch.rand(len(LABELS), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) + 0.5


def linear(sign=1.0):
    """The score of a class is the sum, or less the sum, of its corner's values: the gradient is its mask."""
    net = Recorder(3, SIDE)
    with net.stage("head"):
        net.linear("fc", net.input, CLASSES)
    network = build(net.finish(), seed=0)
    weight = np.broadcast_to(sign * CORNERS[:, None], (CLASSES, 3, SIDE, SIDE)).reshape(CLASSES, -1)
    network.load_state_dict({"fc.weight": torch.tensor(weight.astype(np.float32)), "fc.bias": torch.zeros(CLASSES)})
    return network


def settings_of(method, i):
    return Settings(steps=4)


def test_a_linear_network_looks_where_its_weights_are(images):
    heard = []
    found = localisation.measure(
        linear(), images, LABELS, MASKS, "saliency", lambda i: Settings(), lambda *counts: heard.append(counts)
    )
    assert found.energy.tolist() == [1] * len(LABELS)
    assert found.pointing.tolist() == [1] * len(LABELS)
    assert heard[0] == (0, len(LABELS))
    assert heard[-1] == (len(LABELS), len(LABELS))
    # asked of another class, the same maps lie off the object
    found = localisation.measure(linear(), images, (LABELS + 1) % CLASSES, MASKS, "saliency", lambda i: Settings())
    assert found.energy.tolist() == found.pointing.tolist() == [0] * len(LABELS)
    # all that speaks against the class is no evidence for it, in whatever place
    found = localisation.measure(linear(-1), images, LABELS, MASKS, "gradient", lambda i: Settings())
    assert np.isnan(found.energy).all()
    assert found.pointing.tolist() == [0] * len(LABELS)


def test_methods_are_ranked_beside_what_needs_no_network(images):
    methods = ("gradient", "integrated_gradients", "guided_backprop", "layer_conductance")
    heard = []
    ranking = rank(linear(), images, LABELS, MASKS, methods, settings_of, lambda *counts: heard.append(counts))
    table = ranking.table()
    assert list(table.index) == [*methods, CHANCE, EDGES]
    for method in methods[:2]:
        assert table.loc[method, ["energy", "energy_low", "energy_high"]].tolist() == pytest.approx([1, 1, 1])
    # six hits of six
    low = scipy.stats.binomtest(6, 6).proportion_ci(0.95, "wilson").low
    assert table.loc["gradient", ["pointing", "pointing_low", "pointing_high"]].tolist() == pytest.approx([1, low, 1])
    for measure in ("energy", "pointing"):
        assert table.loc[CHANCE, [measure, f"{measure}_low", f"{measure}_high"]].tolist() == [1 / 8] * 3
    assert table.loc["guided_backprop", "refusal"] == (
        "Guided backpropagation is a rule for the gradients of ReLUs, and this network has none."
    )
    assert "channels" in table.loc["layer_conductance", "refusal"]
    assert table["refusal"].eq("").sum() == 4
    assert table["images"].tolist() == [6, 6, 0, 0, 6, 6]
    assert table.loc["gradient", "title"] == METHODS["gradient"].title
    assert set(ranking.methods) == {"gradient", "integrated_gradients"}
    assert heard[-1] == (2 * len(LABELS), 4 * len(LABELS))
    assert heard == sorted(heard)
    # the images are noise, whose edges are everywhere
    assert ranking.above("gradient", EDGES)
    assert ranking.above("gradient", CHANCE)
    assert not ranking.above("gradient", "integrated_gradients")


def test_a_map_that_is_blank_is_counted_apart(images):
    table = rank(linear(-1), images, LABELS, MASKS, ["gradient"], settings_of).table()
    assert table.loc["gradient", ["images", "blank"]].tolist() == [0, len(LABELS)]
    assert np.isnan(table.loc["gradient", "energy"])
    assert table.loc["gradient", "pointing"] == 0


def test_references_need_no_network(images):
    # bright objects before black: edges lie on both sides of the border, and nowhere else
    drawn = torch.from_numpy(np.repeat(MASKS[:, None], 3, 1).astype(np.float32))
    found = references(drawn, MASKS)
    assert found[CHANCE].energy.tolist() == MASKS.mean((1, 2)).tolist()
    assert (found[EDGES].energy > found[CHANCE].energy).all()
    assert (found[EDGES].energy < 1).all()


def test_only_maps_of_the_image_take_part(images):
    with pytest.raises(AttributionError, match="lie nowhere in the image"):
        localisation.measure(linear(), images, LABELS, MASKS, "layer_conductance", lambda i: Settings())
    with pytest.raises(ValueError, match="give as many of each"):
        localisation.measure(linear(), images, LABELS[:2], MASKS, "saliency", lambda i: Settings())


def test_it_can_be_stopped_within_an_image(images):
    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        localisation.measure(linear(), images, LABELS, MASKS, "saliency", lambda i: Settings(), stop)
