"""Experiments whose networks are trained: each rule gives each answer, and what costs as much does cost as much.

Results are made up, so that what must come out is known beforehand.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from explorer.experiments import EXPERIMENTS, trade_off
from explorer.experiments.claims import dropout, parameters, refinement, sizes
from explorer.experiments.results import Results
from explorer.experiments.trade_off import Curve, Family
from explorer.experiments.verdict import FAILS, HOLDS, OPEN, Interval
from explorer.families import write_plan

NAMES = ("parameters", "refinement", "dropout", "sizes")
NOISE = (-0.01, 0.0, 0.01)  # of three seeds; the interval of a difference of two is then 2.3 points to both sides


def made(experiment: str, measured: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Results:
    """Arm -> quantity -> its value of each seed."""
    results = Results(experiment)
    for arm, quantities in measured.items():
        for seed, values in enumerate(zip(*quantities.values(), strict=True)):
            results = results.adding(arm, seed, dict(zip(quantities, values, strict=True)))
    return results


def around(middle: float, noise: Sequence[float] = NOISE) -> list[float]:
    return [middle + one for one in noise]


def answers(results: Results) -> list[str]:
    return [verdict.answer for verdict in EXPERIMENTS[results.experiment].verdicts(results).values()]


# Parameters and sizes: errors as powers of the cost, so that a family's curve is a straight line


class Needs(NamedTuple):
    """By how much fewer parameters and MACs than it takes at an exponent of a half a family errs as often."""

    params: float
    macs: float


def powers(experiment: str, families: Sequence[Family], needs: Sequence[Needs], noise: float = 0.02) -> Results:
    """A family that needs (1, 1) errs 10 % at 10,000 parameters, and half as often for every four times as many; one
    that needs (3, 2) as often with a third of the parameters, and half of the MACs.
    """
    measured = {}
    for family, less in zip(families, needs, strict=True):
        for i, arm in enumerate(family.arms):
            params = 10_000 * 2**i
            error = 0.1 * (less.params * params / 10_000) ** -0.5
            measured[arm.name] = {
                "params": [params] * 3,
                "macs": [10 * params * less.params / less.macs] * 3,
                "test_accuracy": [1 - error * (1 + one) for one in (-noise, 0, noise)],
            }
    return made(experiment, measured)


def families(params_factor: float, macs_factor: float, noise: float = 0.02) -> Results:
    """Of the parameters: ResNets, and DenseNet-BCs that need so many times less."""
    needs = Needs(1, 1), Needs(params_factor, macs_factor)
    return powers("parameters", (parameters.RESNET, parameters.DENSENET), needs, noise)


def test_a_family_that_needs_a_third_of_the_parameters_is_told_apart_on_each_axis():
    assert answers(families(3, 3)) == [HOLDS, HOLDS]
    assert answers(families(3, 0.5)) == [HOLDS, FAILS]
    assert answers(families(0.4, 0.4)) == [FAILS, FAILS]
    assert answers(families(1.2, 1.2, noise=0.3)) == [OPEN, OPEN]


def three(dense: float, clique: float, noise: float = 0.02) -> Results:
    """Of the sizes: ResNets, and how many times fewer parameters the two other families need."""
    needs = Needs(1, 1), Needs(dense, 1), Needs(clique, 1)
    return powers("sizes", (sizes.RESNET, sizes.DENSENET, sizes.CLIQUENET), needs, noise)


def test_of_three_families_each_is_told_from_the_one_before():
    """Whatever the MACs: a DenseNet-BC beside a ResNet, and a CliqueNet beside a DenseNet-BC, not beside a ResNet."""
    assert answers(three(3, 5)) == [HOLDS, HOLDS]
    assert answers(three(3, 2)) == [HOLDS, FAILS]
    assert answers(three(0.4, 0.9)) == [FAILS, HOLDS]
    assert answers(three(0.4, 0.2)) == [FAILS, FAILS]
    assert answers(three(1.2, 1.3, noise=0.3)) == [OPEN, OPEN]
    assert answers(three(1.2, 9, noise=0.3)) == [OPEN, HOLDS]


def test_the_sources_figures_are_had_back_from_results_that_have_them():
    """A ResNet of three times as many parameters as a DenseNet-BC; and 0.85 times its errors, 1 / sqrt(1.384)."""
    params, _, errors, *_ = EXPERIMENTS["sizes"].compared
    assert params.here(three(3, 3 * 0.85**-2, noise=0)) == "3.0 times as many"
    assert errors.here(three(3, 3 * 0.85**-2, noise=0)) == "0.85 (0.85 to 0.85) times as often"


def test_the_paper_s_figure_is_had_back_from_results_that_have_it():
    compared = EXPERIMENTS["parameters"].compared[0]
    assert compared.here(families(3, 3, noise=0)) == "3.0 times as many"
    assert "0.58 (0.58 to 0.58)" in parameters.judge("params")(families(3, 3, noise=0)).because  # 1 / sqrt(3)


def test_the_error_between_two_sizes_is_interpolated_and_averaged_by_hand():
    # log10 error falls from -1 at cost 10 to -2 at 100, and stays there to 1,000
    curve = Curve((10, 100, 1000), (0.1, 0.01, 0.01))
    # at costs 10 and 100 the means of the two halves are -1.5 and -2
    assert trade_off.mean_log_error(curve, 10, 1000) / math.log(10) == pytest.approx(-1.75)
    # from cost sqrt(10) * 10, where it is -1.5, to 100
    assert trade_off.mean_log_error(curve, 10**1.5, 100) / math.log(10) == pytest.approx(-1.75)
    assert trade_off.overlap((10, 100, 1000), (2, 30, 300)) == (10, 300)
    with pytest.raises(ValueError, match="nothing to compare"):
        trade_off.overlap((1, 2), (2, 3))


def test_an_error_of_nothing_counts_as_half_an_image_and_a_half_measured_seed_is_left_out():
    results = made("parameters", {"resnet4": {"params": [10], "test_accuracy": [1.0]}})
    (curve,) = trade_off.curves(results, ["resnet4"], "params", 397)
    assert curve.errors == [0.5 / 397]
    assert trade_off.curves(results, ["resnet4", "resnet6"], "params", 397) == []


def test_costs_at_equal_error():
    first, second = Curve((1, 4), (0.2, 0.1)), Curve((2, 8), (0.2, 0.1))  # the second needs twice as much
    assert trade_off.cost_at_equal_error([second], [first]) == pytest.approx(2)
    rising = Curve((1, 4), (0.1, 0.2))
    assert math.isnan(trade_off.cost_at_equal_error([rising], [rising]))
    assert math.isnan(trade_off.cost_at_equal_error([], []))
    assert trade_off.ratio_in_words(Interval(0.0, -math.inf, math.inf)) == "1.00 (one run)"


@pytest.mark.parametrize("families", [parameters.FAMILIES, sizes.FAMILIES], ids=["parameters", "sizes"])
def test_families_are_of_the_same_range(families):
    """Of each cost any two of them share at least half a power of ten."""
    for cost in ("params", "macs"):
        costs = [[getattr(write_plan(arm.job.config), cost) for arm in family.arms] for family in families]
        assert all(list(found) == sorted(found) for found in costs)
        for one, other in itertools.combinations(costs, 2):
            low, high = trade_off.overlap(one, other)
            assert high / low > math.sqrt(10), cost


def test_eight_sizes_of_three_families_span_a_factor_of_twenty_and_learn_by_one_recipe():
    assert [len(family.arms) for family in sizes.FAMILIES] == [8, 8, 8]
    for family in sizes.FAMILIES:
        params = [write_plan(arm.job.config).params for arm in family.arms]
        assert 20 < params[-1] / params[0] < 30
    arms = EXPERIMENTS["sizes"].arms
    assert {(arm.job.recipe, arm.job.images, arm.job.data, arm.job.threads) for arm in arms} == {
        (sizes.RECIPE, sizes.IMAGES, "shapes", 1)
    }


# Refinement


def passes(**right: float) -> Results:
    usual = dict.fromkeys((arm.name for arm in EXPERIMENTS["refinement"].arms), 0.5)
    return made("refinement", {arm: {"test_accuracy": around(value)} for arm, value in (usual | right).items()})


def test_refinement_is_told_from_width():
    assert answers(passes(one=0.4, mixed=0.5, two=0.6, one_params=0.5, one_macs=0.7)) == [HOLDS, HOLDS, FAILS]
    assert answers(passes(one=0.4, mixed=0.7, two=0.6, one_params=0.6, one_macs=0.61)) == [FAILS, OPEN, OPEN]
    assert answers(passes(one=0.4, mixed=0.41, two=0.6, one_params=0.7, one_macs=0.5)) == [OPEN, FAILS, HOLDS]


def test_the_wider_networks_cost_as_much():
    """Of all whose blocks' channels differ by at most one, none comes nearer; both to within 3 %."""
    first, *_, two = (arm.job.config for arm in refinement.COMPARED[:3])
    for cost, widths in (("params", refinement.AS_MANY_PARAMS), ("macs", refinement.AS_MANY_MACS)):
        target = getattr(write_plan(two), cost)
        away = {
            near: abs(getattr(write_plan(first.adapt(widths=near)), cost) / target - 1)
            for k in range(12, 20)
            for near in itertools.product((k, k + 1), repeat=3)
        }
        assert widths == min(away, key=away.__getitem__)
        assert away[widths] < 0.03


def test_no_step_of_the_second_pass_is_no_second_pass():
    """So the curve over its steps may begin with the I+I."""
    one, _, two = (arm.job.config for arm in refinement.COMPARED[:3])
    none = write_plan(two.adapt(second_pass_steps=0))
    assert (none.params, none.macs) == (write_plan(one).params, write_plan(one).macs)
    every_step = write_plan(two.adapt(second_pass_steps=refinement.LAYERS))
    assert (every_step.params, every_step.macs) == (write_plan(two).params, write_plan(two).macs)


# Dropout


def learned(**pairs: tuple[float, float]) -> Results:
    """Accuracies on training and on test images; elsewhere 1.0 and 0.5."""
    usual = dict.fromkeys((arm.name for arm in EXPERIMENTS["dropout"].arms), (1.0, 0.5))
    return made(
        "dropout",
        {
            arm: {"train_accuracy": [train] * 3, "test_accuracy": around(test)}
            for arm, (train, test) in (usual | pairs).items()
        },
    )


def test_dropout_s_gain_and_the_gap_are_judged_apart():
    # the gap, then the gain with 20, 100 and 500 images
    assert answers(learned()) == [OPEN, OPEN, OPEN, OPEN]
    assert answers(learned(with20=(0.8, 0.5), with100=(0.8, 0.6))) == [HOLDS, OPEN, HOLDS, OPEN]
    assert answers(learned(with20=(1.0, 0.4), with500=(0.5, 0.4))) == [FAILS, FAILS, OPEN, FAILS]


def test_the_change_of_the_gap_by_hand():
    results = learned(without100=(1.0, 0.5), with100=(0.9, 0.6))
    assert dropout.narrowing(results, 100).mean == pytest.approx(0.2)  # from 0.5 to 0.3
    assert dropout.gain(results, 100).mean == pytest.approx(0.1)


def test_every_size_of_the_data_is_learned_from_in_as_many_steps():
    for arm in EXPERIMENTS["dropout"].arms:
        recipe = arm.job.recipe
        assert recipe.epochs * (arm.job.images // recipe.batch_size) == dropout.STEPS
        assert arm.job.images % recipe.batch_size == 0


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_diverged_leaves_the_claim_open(name: str):
    right = dict.fromkeys(("train_accuracy", "test_accuracy"), [None] * 3)
    results = made(
        name,
        {
            arm.name: right | {cost: [getattr(write_plan(arm.job.config), cost)] * 3 for cost in ("params", "macs")}
            for arm in EXPERIMENTS[name].arms
        },
    )
    assert set(answers(results)) == {OPEN}
    assert all(compared.here(results) for compared in EXPERIMENTS[name].compared)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_drawn_of_results_that_are_not_whole(name: str):
    """None measured; one arm; and one that has a seed more than the others."""
    experiment = EXPERIMENTS[name]
    every = {"train_accuracy": [0.9, 0.8], "test_accuracy": [0.7, 0.6], "params": [5, 5], "macs": [6, 6]}
    one = {quantity: values[:1] for quantity, values in every.items()}
    first, *others = (arm.name for arm in experiment.arms)
    parts = [{}, {first: every}, {first: every, **dict.fromkeys(others, one)}]
    for picture, part in itertools.product(experiment.pictures, parts):
        figure = picture.draw(made(name, part))
        assert figure["data"], picture.title
        for trace in figure["data"]:
            assert len(np.atleast_1d(trace["x"])) == len(np.atleast_1d(trace["y"]))
