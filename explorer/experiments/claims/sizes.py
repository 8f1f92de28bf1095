"""Error over parameters: does a DenseNet-BC need fewer than a ResNet (Huang et al., 1608.06993, figure 4), and a
CliqueNet fewer than a DenseNet (Yang et al., 1802.10419)? Eight sizes of each: this takes longer than the others.
"""

import math
from collections.abc import Callable

from explorer.experiments import shapes, trade_off
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Picture
from explorer.experiments.results import Results
from explorer.experiments.trade_off import Family
from explorer.experiments.trial import ended
from explorer.experiments.verdict import wrong
from explorer.families import Config
from explorer.learning.datasets import SOURCES
from explorer.learning.recipe import Recipe
from explorer.plots import claims as plots

PLACE = 9
IMAGES = 10_000
TESTED = SOURCES["shapes"].images[1]
# batch, rate, momentum and decay of DenseNet's and CliqueNet's papers; 624 steps
RECIPE = Recipe(epochs=4, batch_size=64, learning_rate=0.1, weight_decay=1e-4)
SIZES = (4, 5, 6, 8, 10, 13, 17, 22)  # channels of a ResNet's first stage, or of a layer of the others


def _resnet(width: int) -> Arm:
    """With pre-activation, as in the figure."""
    config = shapes.small("resnet20_cifar", blocks=(2, 2, 2), width=width, stem_width=width, order="pre")
    return _arm(f"resnet{width}", f"ResNet-14, width {width}", config)


def _densenet(k: int) -> Arm:
    config = shapes.small("densenet_bc100_12_cifar", blocks=(3, 3, 3), growth_rate=k, stem_width=2 * k)
    return _arm(f"densenet{k}", f"DenseNet-BC-22, k={k}", config)


def _cliquenet(k: int) -> Arm:
    """Without attention, bottlenecks and compression, as in the paper's comparison; as wide a stem as DenseNet-BC's."""
    config = shapes.small("cliquenet_k12_t12", layers=(3, 3, 3), widths=(k, k, k), stem_width=2 * k)
    return _arm(f"cliquenet{k}", f"CliqueNet, k={k}, T=9", config)


def _arm(name: str, title: str, config: Config) -> Arm:
    return Arm(name, title, shapes.job(config, RECIPE, IMAGES))


RESNET = Family("ResNet", plots.BLUE, tuple(map(_resnet, SIZES)))
DENSENET = Family("DenseNet-BC", plots.RED, tuple(map(_densenet, SIZES)))
CLIQUENET = Family("CliqueNet", plots.GREEN, tuple(map(_cliquenet, SIZES)))
FAMILIES = (RESNET, DENSENET, CLIQUENET)


def times_as_often(results: Results) -> str:
    """A CliqueNet's errors at a DenseNet-BC's parameters."""
    found = trade_off.ratio(results, CLIQUENET, DENSENET, "params", TESTED)
    return "no number" if math.isnan(found.mean) else f"{trade_off.ratio_in_words(found)} times as often"


def error(arm: str) -> Callable[[Results], str]:
    return lambda results: wrong(results.numbers(arm, "test_accuracy"))


def _claim(one: Family, other: Family) -> Claim:
    return Claim(
        f"{one.title} errs less often than a {other.title} of as many parameters",
        trade_off.rule(one, other, "params"),
        trade_off.judge(one, other, "params", TESTED),
    )


def _picture(cost: str) -> Picture:
    return Picture(
        f"Test error over {trade_off.COSTS[cost]}",
        f"Three curves of the test error over the number of {trade_off.COSTS[cost]}, one for each family, and a point "
        "for every network of every seed",
        trade_off.drawn(FAMILIES, cost, TESTED, each_seed=True),
    )


EXPERIMENT = Experiment(
    name="sizes",
    question="Which family makes the most of its parameters?",
    claim="A DenseNet-BC reaches a pre-activation ResNet's accuracy with about a third of its parameters (Huang et "
    "al.). A CliqueNet errs less often than a DenseNet of as many parameters where neither has bottlenecks or "
    "compression (Yang et al.); here it is held against DenseNet-BC.",
    source="Huang et al. 2016, figure 4 and table 2; Yang et al. 2018 (1802.10419), section 4, on CIFAR-10",
    url="https://arxiv.org/abs/1608.06993",
    differs="10,000 drawn shapes of 32 pixels in place of 50,000 pictures of CIFAR-10, behind a stem that halves them "
    "twice: blocks see 8, 4 and 2 pixels, where the papers' see 32, 16 and 8. 8,000 to 330,000 parameters in place of "
    "0.8 to 27 million; sizes of one depth that differ in width, where the papers vary depth too. 624 steps of one "
    "recipe for all, where the papers' networks learn for 64,000 to 235,000; no augmentation, which figure 4 has and "
    "Yang et al. have not. A ResNet's stem has as many channels as its first stage, the others' twice as many as a "
    "layer adds. They compare with DenseNets without bottlenecks and compression: beside the 5.92 % of a "
    "DenseNet-BC of 0.8 million parameters (Huang et al., table 2) their 5.93 % with 0.94 million is not less, so that "
    "the second claim asks for more than was published. The setting was chosen by how well one DenseNet-BC "
    "(k=10) learns: on 16 pixels, behind the papers' one convolution, it is wrong twice as often after as long. Once "
    "the rules were fixed, the smallest and the largest network of each family were tried with seed 0, to see that "
    "they learn. The test images are the same 2,000 for all seeds: an interval says what other seeds would give, not "
    "what other images would.",
    arms=tuple(arm for of_a_size in zip(*(family.arms for family in FAMILIES), strict=True) for arm in of_a_size),
    measure=ended,
    claims=(_claim(DENSENET, RESNET), _claim(CLIQUENET, DENSENET)),
    pictures=(_picture("params"), _picture("macs")),
    compared=(
        Compared(
            "Parameters of a ResNet that errs as often as a DenseNet-BC",
            "about 3 times as many",
            trade_off.times_as_many(RESNET, DENSENET, "params", TESTED),
        ),
        Compared(
            "Errors of a CliqueNet, beside a DenseNet of as many parameters without bottlenecks and compression",
            "0.85 times as often (5.93 %, 7.00 %)",
            lambda results: "not measured",
        ),
        Compared(
            "Errors of a CliqueNet, beside a DenseNet-BC of as many parameters",
            "as often (5.93 %, 5.92 %), by two papers",
            times_as_often,
        ),
        Compared("Test error of the largest ResNet", "4.62 % (10.2 M parameters, augmentation)", error("resnet22")),
        Compared(
            "Test error of the largest DenseNet-BC", "3.46 % (25.6 M parameters, augmentation)", error("densenet22")
        ),
        Compared("Test error of the largest CliqueNet", "5.06 % (10.1 M parameters)", error("cliquenet22")),
    ),
)
