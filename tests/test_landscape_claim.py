"""Do shortcuts smooth the loss? The rules on results that are made up, and the pictures of those that came out."""

import numpy as np
import plotly.graph_objects as go
import pytest

from explorer.experiments import EXPERIMENTS
from explorer.experiments.results import Results, shipped
from explorer.experiments.verdict import FAILS, HOLDS, OPEN

CONVEX, LOW = "With shortcuts the loss is nearer to convex", "With shortcuts the loss stays lower around"
EXPERIMENT = EXPERIMENTS["landscape"]


def results(plain, resnet, densenet, spread=0.01):
    """Each (nonconvexity, ring), with three seeds about it."""
    found = Results("landscape")
    for arm, (nonconvexity, ring) in zip(EXPERIMENT.arms, (plain, resnet, densenet), strict=True):
        for seed in range(3):
            off = (seed - 1) * spread
            found = found.adding(arm.name, seed, {"nonconvexity": nonconvexity + off, "ring": ring + off})
    return found


def answers(found):
    verdicts = EXPERIMENT.verdicts(found)
    return [next(v for title, v in verdicts.items() if title.startswith(words)).answer for words in (CONVEX, LOW)]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (results((0.5, 6), (0.1, 2), (0.1, 3)), [HOLDS, HOLDS]),
        (results((0.5, 2), (0.1, 2), (0.1, 3)), [HOLDS, FAILS]),
        (results((0.5, 6), (0.1, 2), (0.5, 3)), [FAILS, HOLDS]),  # of one of the two alone it is not enough
        (results((0.5, 6), (0.1, 2), (0.1, 3), spread=2.0), [OPEN, OPEN]),
        # less than a factor of two is none: 10^0.25 is 1.8
        (results((0.5, 2.25), (0.1, 2), (0.1, 2)), [HOLDS, FAILS]),
    ],
)
def test_the_rules(measured, expected):
    assert answers(measured) == expected


def test_without_a_network_it_is_open():
    assert answers(Results("landscape")) == [OPEN, OPEN]


def test_a_network_that_diverged_leaves_it_open():
    found = results((0.5, 6), (0.1, 2), (0.1, 3)).adding("plain56", 1, {"train_accuracy": float("nan")})
    assert answers(found) == [OPEN, OPEN]


@pytest.mark.parametrize("picture", EXPERIMENT.pictures, ids=lambda one: one.title)
def test_pictures_of_nothing_of_a_part_and_of_all(picture):
    for found in (Results("landscape"), results((0.5, 6), (0.1, 2), (0.1, 3)), shipped("landscape")):
        assert go.Figure(picture.draw(found)).data


def test_what_came_out_is_complete():
    found = shipped("landscape")
    assert {arm: found.seeds_of(arm) for arm in found.measured} == {arm.name: (0, 1, 2) for arm in EXPERIMENT.arms}
    for arm in EXPERIMENT.arms:
        height = np.array(found.each(arm.name, "height")[0])
        assert height.shape == (13, 13)
        # the middle is the trained network
        assert 10 ** height[6, 6] == pytest.approx(found.numbers(arm.name, "base_loss")[0], rel=2e-3)
