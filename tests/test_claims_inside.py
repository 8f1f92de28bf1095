"""Experiments that look inside trained networks, or ask whether they train at all: each rule gives each answer, and the
numbers behind it are those of arithmetic by hand.

Results are made up, so that what must come out is known beforehand.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from explorer.analyses.evenness import effective_number, evenness
from explorer.experiments import EXPERIMENTS
from explorer.experiments.claims import ensemble, norm, reuse
from explorer.experiments.results import Results
from explorer.experiments.verdict import FAILS, HOLDS, OPEN
from explorer.families import plan
from explorer.network import build
from explorer.plan.lesions import parts
from explorer.running.network import plan_of, run

NAMES = ("norm", "ensemble", "reuse")


def made(experiment: str, measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> Results:
    """Arm -> what each seed has."""
    results = Results(experiment)
    for arm, seeds in measured.items():
        for seed, values in enumerate(seeds):
            results = results.adding(arm, seed, values)
    return results


def answers(results: Results) -> list[str]:
    return [verdict.answer for verdict in EXPERIMENTS[results.experiment].verdicts(results).values()]


# Evenness


def test_as_many_equal_parts_are_counted_as_there_are():
    assert effective_number([3, 3, 3, 3]) == pytest.approx(4)
    assert effective_number([0, 5, 0]) == pytest.approx(1)
    assert effective_number([1, 1, 0, 0]) == pytest.approx(2)
    # shares of 1/2, 1/4, 1/4 have an entropy of 1.5 bits
    assert effective_number([2, 1, 1]) == pytest.approx(2**1.5)
    assert evenness([2, 1, 1]) == pytest.approx(2**1.5 / 3)


@pytest.mark.parametrize("values", [[], [0, 0], [1, -1], [1, math.nan]])
def test_what_is_no_sharing_out_has_no_evenness(values):
    assert math.isnan(effective_number(values))
    assert math.isnan(evenness(values))


# Norm: the largest rates that learn, as powers of ten, of each seed


def rates(largest: Mapping[tuple[str, int], Sequence[float | None]]) -> Results:
    """None: it learns at no rate. Beyond the largest one it diverges."""
    measured = {
        point.name: [
            {"train_accuracy": 0.9 if most is not None and norm.STEP * point.power <= most + 1e-9 else None}
            for most in largest[point.norm, point.depth]
        ]
        for point in norm.POINTS
    }
    return made("norm", measured)


def depths(norm_8: float, norm_20: float, norm_32: float, none_8: float, none_20: float, none_32: float) -> Results:
    every = dict(
        zip(norm.DEPTHS, zip((norm_8, norm_20, norm_32), (none_8, none_20, none_32), strict=True), strict=True)
    )
    return rates(
        {(kind, depth): [pair[i]] * 3 for depth, pair in every.items() for i, kind in enumerate(("batch", "none"))}
    )


def test_ten_times_the_rate_at_each_depth_is_told_from_three_times():
    assert answers(depths(0.5, 0, 0, -0.5, -1, -1.5)) == [HOLDS, HOLDS]  # by 10, 10 and 30; down by a factor of ten
    assert answers(depths(0.5, 0, 0, -0.5, -0.5, -1.5)) == [FAILS, HOLDS]  # at 20 layers by 3 alone
    assert answers(depths(0.5, 0, -0.5, -0.5, -1, -1.5)) == [HOLDS, FAILS]  # the gain is the same at all depths


def test_seeds_that_differ_by_three_rates_leave_it_open():
    largest = {(kind, depth): [at] * 3 for kind, at in (("batch", 0.5), ("none", -1.5)) for depth in norm.DEPTHS}
    assert answers(rates(largest | {("none", 32): [-2.5, -1.0, -0.5]}))[0] == OPEN


def test_a_network_that_never_learns_counts_as_one_rate_below_the_smallest():
    largest = {(kind, depth): [None] * 3 for kind in norm.TITLES for depth in norm.DEPTHS}
    results = rates(largest)
    assert norm.largest(results, "none", 20) == [-4.5] * 3  # from 10 ** -4 on, half a power apart
    assert norm.largest(results, "batch", 20) == [-1.5] * 3


def test_a_network_that_is_mostly_wrong_has_not_learned():
    results = depths(0.5, 0.5, 0.5, -1, -1, -1)
    top = norm.Point("batch", 8, 1)
    for seed in range(3):
        results = results.adding(top.name, seed, {"train_accuracy": 0.49})
    assert norm.largest(results, "batch", 8) == [0.0] * 3


def test_a_cross_marks_each_run_that_diverged_and_no_other():
    figure = norm.learned_where(depths(0.5, 0, 0, -0.5, -1, -1.5))
    crosses = {(y, x) for trace in figure["data"][1:] for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert ("8 with batch norm", "10") in crosses
    assert ("8 with batch norm", "3") not in crosses
    assert ("32 without", "0.1") in crosses
    assert len(crosses) == sum(
        norm.STEP * p.power > limit
        for p in norm.POINTS
        for limit in [
            {"batch8": 0.5, "batch20": 0, "batch32": 0, "none8": -0.5, "none20": -1, "none32": -1.5}[
                f"{p.norm}{p.depth}"
            ]
        ]
    )


# Ensemble


def removed(residual: Sequence[float], plain: Sequence[float], random: Sequence[Sequence[float]]) -> Results:
    """What is left without the median block, of each seed; what is left without several of ResNet-56's."""
    blocks = {"resnet56": 27, "plain20": 9, "plain56": 27}
    left = {"resnet56": residual, "plain20": plain, "plain56": [0.1] * len(plain)}
    return made(
        "ensemble",
        {
            arm: [
                {"whole": 0.96, "without": [0.1] + [one] * (count - 2) + [0.96], "random": curve, "test_accuracy": 0.96}
                for one, curve in zip(left[arm], random, strict=True)
            ]
            for arm, count in blocks.items()
        },
    )


# 0.96 without none; then without 1, 2, 3, 5, 8, 12, 16, 20
SMOOTH = [0.91, 0.86, 0.81, 0.71, 0.56, 0.36, 0.16, 0.1]
CLIFF = [0.95, 0.4, 0.3, 0.2, 0.15, 0.1, 0.1, 0.1]


def test_the_median_block_decides_what_one_removed_block_costs():
    assert answers(removed([0.93, 0.92, 0.94], [0.1, 0.11, 0.1], [SMOOTH] * 3)) == [HOLDS, HOLDS]
    assert answers(removed([0.8, 0.81, 0.79], [0.1, 0.11, 0.1], [SMOOTH] * 3))[0] == FAILS  # 16 points are not few
    assert answers(removed([0.93, 0.92, 0.94], [0.5, 0.55, 0.45], [SMOOTH] * 3))[0] == FAILS  # it still knows a lot
    assert answers(removed([0.93, 0.92, 0.94], [0.1, 0.4, 0.1], [SMOOTH] * 3))[0] == OPEN


def test_a_cliff_is_told_from_a_slope():
    good = [0.93, 0.92, 0.94], [0.1, 0.11, 0.1]
    assert answers(removed(*good, [CLIFF] * 3))[1] == FAILS
    assert answers(removed(*good, [SMOOTH, CLIFF, SMOOTH]))[1] == OPEN
    # of 0.86 in all, at most 0.05 for one more block; and 0.55 from one block to two
    assert ensemble.steepest(0.96, SMOOTH) == pytest.approx(0.05 / 0.86)
    assert ensemble.steepest(0.96, CLIFF) == pytest.approx(0.55 / 0.86)


def test_half_of_the_paths_are_left_without_a_block():
    """Counted: each path is the set of blocks whose branch it takes."""
    blocks, gone = 6, {1, 4}
    paths = [{i for i in range(blocks) if number >> i & 1} for number in range(2**blocks)]
    assert sum(not path & gone for path in paths) / len(paths) == ensemble.paths_left(len(gone)) == 1 / 4


def test_a_block_s_change_compares_the_two_inputs_of_its_sum():
    config = ensemble.narrow("resnet20_cifar")
    network = build(plan(config), seed=1)
    there = parts(plan_of(network))
    assert [part.role for part in there] == ["residual"] * 9
    image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    part = there[1]  # no change of shape
    with torch.inference_mode():
        _, kept = run(network, image, [part.through, part.around, part.op])
    assert torch.allclose(kept[part.op], kept[part.through] + kept[part.around], atol=1e-5)


# Reuse


def even(sources: int) -> list[float]:
    return [1.0] * sources


def on_one(sources: int, place: int = 0) -> list[float]:
    return [float(sources) if i == place else 0.0 for i in range(sources)]


def little_on_the_first(sources: int) -> list[float]:
    return even(1) if sources == 1 else [0.5, *[(sources - 0.5) / (sources - 1)] * (sources - 1)]


def dense(row: Any, last: Sequence[float], transition: Any = even) -> list[reuse.Rows]:
    """Three blocks whose layers all read by `row`; the transitions by `transition`, the classifier as `last` says."""
    layers = [row(sources) for sources in range(1, reuse.LAYERS + 1)]
    return [[*layers, transition(reuse.LAYERS)], [*layers, transition(reuse.LAYERS)], [*layers, list(last)]]


RISING = [i / 6 for i in range(13)]
FALLING = RISING[::-1]
PASSES = {"fresh first": 1.0, "fresh second": 1.0}


def weights(blocks: Sequence[list[reuse.Rows]], gains: Sequence[tuple[float, float]] = ((0.1, 0.1),) * 3) -> Results:
    """`gains`: how much more even a clique's second pass is, by weights and by gradient, for each seed."""
    fresh = dense(even, even(13))
    clique = [
        PASSES | {"trained first": 0.6, "trained second": 0.6 + one, "flow first": 0.5, "flow second": 0.5 + other}
        for one, other in gains
    ]
    seeds = [{"trained": one, "fresh": fresh, "test_accuracy": 0.98} for one in blocks]
    return made("reuse", {"densenet": seeds, "clique": [values | {"test_accuracy": 0.98} for values in clique]})


def test_each_claim_about_dense_blocks_holds_and_fails():
    assert answers(weights([dense(little_on_the_first, RISING)] * 3)) == [HOLDS] * 4
    # one source has everything, which is the first: of 2 to 12 sources a half and less is read
    assert answers(weights([dense(on_one, FALLING)] * 3))[:3] == [FAILS, FAILS, FAILS]
    assert answers(weights([dense(little_on_the_first, RISING, transition=on_one)] * 3))[0] == FAILS


def test_seeds_that_disagree_leave_each_claim_open():
    yes, no = dense(little_on_the_first, RISING), dense(on_one, FALLING)
    assert answers(weights([yes, no, yes], [(0.1, 0.1), (-0.1, 0.1), (0.1, 0.1)])) == [OPEN] * 4


def test_a_second_pass_must_be_more_even_by_weights_and_by_gradient():
    some = [dense(even, RISING)] * 3
    assert answers(weights(some, [(0.1, -0.1), (0.1, -0.11), (0.1, -0.1)]))[3] == FAILS
    assert answers(weights(some, [(0.1, 0.1), (0.11, 0.1), (0.1, 0.11)]))[3] == HOLDS


def test_the_rows_of_a_dense_network_are_those_of_its_wiring():
    network = build(plan(reuse.DENSE.job.config), seed=2)
    blocks = reuse.dense_blocks(network)
    layers = list(range(1, 13))
    assert [[len(row) for row in rows] for rows in blocks] == [[*layers, 12], [*layers, 12], [*layers, 13]]
    assert all(np.mean(row) == pytest.approx(1, abs=1e-3) for rows in blocks for row in rows)
    # of the classifier, by hand: block 3 is entered by the channels of block 2, and each of 12 layers adds 6
    weight = network.get_parameter("classifier.weight").detach().abs().mean(0).numpy()
    entering = len(weight) - 12 * 6
    by_hand = [weight[:entering].mean(), *weight[entering:].reshape(12, 6).mean(1)]
    assert blocks[2][12] == pytest.approx(by_hand / np.mean(by_hand), abs=1e-3)


def test_a_layer_that_is_told_to_read_one_source_is_found_out():
    network = build(plan(reuse.CLIQUE.job.config), seed=2)
    before = reuse.pass_evenness(reuse.reuse(network), "first")
    with torch.no_grad():
        network.get_parameter("block1.layer4.conv1.weight")[:, :64] *= (
            1e6  # of the block's input, which has 64 channels
        )
    found = reuse.pass_evenness(reuse.reuse(network), "first")
    # the fourth layer of the first pass reads four sources, of which one counts now; nine layers have a choice
    assert before == pytest.approx(1, abs=0.01)
    assert found == pytest.approx(before - (1 - 1 / 4) / 9, abs=0.01)
    assert reuse.pass_evenness(reuse.reuse(network), "second") == pytest.approx(1, abs=0.01)  # does not read the input


def test_triangles_stand_beside_and_below_each_other_on_one_scale():
    figure = reuse.triangles(weights([dense(little_on_the_first, RISING)] * 3))
    assert [trace["coloraxis"] for trace in figure["data"]] == ["coloraxis"] * 6
    layout = figure["layout"]
    across = [layout[f"xaxis{n}"]["domain"] for n in ("", 2, 3)]
    assert all(one[1] < other[0] for one, other in itertools.pairwise(across))
    assert layout["yaxis"]["domain"][0] > layout["yaxis4"]["domain"][1]  # trained above fresh
    trained = np.array(figure["data"][0]["z"])
    assert trained[1, 0] == pytest.approx(0.5)  # the second layer on the block's input
    assert np.isnan(trained[1, 2])


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_nothing_measured_is_drawn_without_an_error(name):
    for picture in EXPERIMENTS[name].pictures:
        figure = picture.draw(Results(name))
        assert figure["data"]
        assert figure["layout"]


@pytest.mark.parametrize(
    "results",
    [
        depths(0.5, 0, 0, -0.5, -1, -1.5),
        removed([0.93, 0.92, 0.94], [0.1, 0.11, 0.1], [SMOOTH] * 3),
        weights([dense(little_on_the_first, RISING)] * 3),
    ],
    ids=NAMES,
)
def test_what_is_measured_is_drawn_and_compared(results):
    if results.experiment == "ensemble":
        for seed in results.seeds_of("resnet56"):
            results = results.adding("resnet56", seed, results.measured["resnet56"][seed] | {"change": [0.5] * 27})
    experiment = EXPERIMENTS[results.experiment]
    for picture in experiment.pictures:
        assert picture.draw(results)["data"]
    for compared in experiment.compared:
        assert compared.here(results)
