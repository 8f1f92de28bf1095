"""Does a DenseNet need fewer parameters than a ResNet, and fewer MACs? Huang et al., 1608.06993, figure 4."""

from collections.abc import Callable

from explorer.experiments import trade_off
from explorer.experiments.digits import job, small
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Picture
from explorer.experiments.results import Results
from explorer.experiments.trade_off import Family
from explorer.experiments.trial import ended
from explorer.experiments.verdict import Verdict, wrong
from explorer.learning.datasets import SOURCES
from explorer.learning.recipe import Recipe
from explorer.plots import claims as plots

PLACE = 2
IMAGES = 300  # with all 1,400 every network is right on 97 to 98 %, and a few test images decide
TESTED = SOURCES["digits"].images[1]
# 225 steps of 32 images: 25 times through the 300
RECIPE = Recipe(epochs=25, batch_size=32, learning_rate=0.05, schedule="cosine", weight_decay=1e-4)
SIZES = (4, 6, 8, 12)  # of each family


def _resnet(width: int) -> Arm:
    """With pre-activation, as in the figure."""
    config = small("resnet20_cifar", blocks=(2, 2, 2), width=width, stem_width=width, order="pre")
    return Arm(f"resnet{width}", f"ResNet-14, width {width}", job(config, RECIPE, IMAGES))


def _densenet(k: int) -> Arm:
    config = small("densenet_bc100_12_cifar", blocks=(3, 3, 3), growth_rate=k, stem_width=2 * k)
    return Arm(f"densenet{k}", f"DenseNet-BC-22, k={k}", job(config, RECIPE, IMAGES))


RESNET = Family("ResNet", plots.BLUE, tuple(map(_resnet, SIZES)))
DENSENET = Family("DenseNet-BC", plots.RED, tuple(map(_densenet, SIZES)))
FAMILIES = (RESNET, DENSENET)


def rule(cost: str) -> str:
    return trade_off.rule(DENSENET, RESNET, cost)


def judge(cost: str) -> Callable[[Results], Verdict]:
    return trade_off.judge(DENSENET, RESNET, cost, TESTED)


def drawn(cost: str) -> Callable[[Results], Figure]:
    return trade_off.drawn(FAMILIES, cost, TESTED)


def error(arm: str) -> Callable[[Results], str]:
    return lambda results: wrong(results.numbers(arm, "test_accuracy"))


EXPERIMENT = Experiment(
    name="parameters",
    question="Does a DenseNet need less than a ResNet?",
    claim="Since each layer reads all earlier features and adds only a few, a DenseNet with bottlenecks and "
    "compression reaches a ResNet's accuracy with about a third of its parameters; on ImageNet with about half of "
    "its computation.",
    source="Huang et al. 2016, section 5 and figure 4 (parameters), section 4.4 and figure 3 (computation), table 2",
    url="https://arxiv.org/abs/1608.06993",
    differs="300 digits of 16 pixels in place of 50,000 pictures of CIFAR-10 and ImageNet; 9,000 to 97,000 "
    "parameters in place of millions; sizes of one depth that differ in width, where the paper varies depth too; "
    "225 steps for all, no augmentation, and one recipe for both families. The test images are the same 397 for all "
    "seeds: an interval says what other seeds would give, not what other images would.",
    arms=(*DENSENET.arms, *RESNET.arms),
    measure=ended,
    claims=(
        Claim("Fewer errors for as many parameters", rule("params"), judge("params")),
        Claim("Fewer errors for as many MACs", rule("macs"), judge("macs")),
    ),
    pictures=(
        Picture(
            "Test error over parameters",
            "Two curves of the test error over the number of parameters, one for each family",
            drawn("params"),
        ),
        Picture(
            "Test error over MACs",
            "Two curves of the test error over multiply-accumulates, one for each family",
            drawn("macs"),
        ),
    ),
    compared=(
        Compared(
            "Parameters of a ResNet that errs as often as a DenseNet-BC",
            "about 3 times as many",
            trade_off.times_as_many(RESNET, DENSENET, "params", TESTED),
        ),
        Compared("Test error of the largest DenseNet-BC", "3.46 % (25.6 M parameters)", error("densenet12")),
        Compared("Test error of the largest ResNet", "4.62 % (10.2 M parameters)", error("resnet12")),
    ),
    seeds=5,
)
