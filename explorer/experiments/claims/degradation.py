"""Do deep plain networks degrade, and residual ones not? He et al., 1512.03385, figure 6."""

import numpy as np

from explorer.experiments.digits import CHANCE, job, narrow
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import learned
from explorer.experiments.verdict import Verdict, above, below, difference, every, points, wrong
from explorer.plots import claims as plots

PLACE = 1
MARGIN = 0.01  # of training accuracy: less than this is no loss worth the word
COLOURS = {"plain20": plots.ORANGE, "plain56": plots.RED, "resnet20": plots.SKY, "resnet56": plots.BLUE}
ARMS = (
    Arm("plain20", "Plain-20", job(narrow("plain20_cifar"))),
    Arm("plain56", "Plain-56", job(narrow("plain56_cifar"))),
    Arm("resnet20", "ResNet-20", job(narrow("resnet20_cifar"))),
    Arm("resnet56", "ResNet-56", job(narrow("resnet56_cifar"))),
)


def judge(results: Results) -> Verdict:
    right = {arm.name: results.numbers(arm.name, "train_accuracy") for arm in ARMS}
    plain = difference(right["plain20"], right["plain56"])
    residual = difference(right["resnet20"], right["resnet56"])
    answer = every([above(plain, MARGIN), below(residual, MARGIN)])
    return Verdict(
        answer,
        f"With 36 layers more a plain network loses {points(plain)} of training accuracy, "
        f"a residual one {points(residual)}.",
    )


def curves(results: Results) -> Figure:
    return plots.lines(
        [
            plots.Line(
                arm.title,
                COLOURS[arm.name],
                results.array(arm.name, "steps").mean(0),
                1 - results.array(arm.name, "train_curve"),
                dashed=arm.name.endswith("20"),
            )
            for arm in ARMS
            if results.seeds_of(arm.name)
        ],
        plots.Axis("step"),
        plots.Axis("training error", share=True),
        [plots.Level("guessing", 1 - CHANCE)],
    )


def test_accuracy(results: Results) -> Figure:
    return plots.bars(
        [
            plots.Bar(arm.title, COLOURS[arm.name], np.array(results.numbers(arm.name, "test_accuracy")))
            for arm in ARMS
            if results.seeds_of(arm.name)
        ],
        plots.Axis("right on test images", share=True),
    )


def error(arm: str, results: Results) -> str:
    return wrong(results.numbers(arm, "test_accuracy"))


EXPERIMENT = Experiment(
    name="degradation",
    question="Do deep plain networks degrade, and residual ones not?",
    claim="Made deeper, a plain network learns its own training images worse, so it is no overfitting; with identity "
    "shortcuts around every two layers the deeper network is the better one.",
    source="He et al. 2015, section 4.2, figure 6 and table 6",
    url="https://arxiv.org/abs/1512.03385",
    differs="1,400 digits of 16 pixels in place of 50,000 pictures of CIFAR-10, half as many channels, 210 steps in "
    "place of 64,000, no augmentation. In so few steps a network that learns slowly counts as one that does not.",
    arms=ARMS,
    measure=learned,
    claims=(
        Claim(
            "Plain networks degrade, residual ones do not",
            "It holds where Plain-56 ends with a lower training accuracy than Plain-20 by more than one point, and "
            "ResNet-56 with one that is not lower than ResNet-20's by more than one point, each with the whole 95 % "
            "interval of the difference over seeds (Welch). It does not hold where one of the two intervals lies on "
            "the other side.",
            judge,
        ),
    ),
    pictures=(
        Picture(
            "Training error while they learn",
            "Four curves of the training error: those of plain-20, ResNet-20 and ResNet-56 fall, that of plain-56 "
            "stays high",
            curves,
        ),
        Picture("On test images", "A bar for each network's accuracy on test images", test_accuracy),
    ),
    compared=(
        Compared("Test error of ResNet-20", "8.75 %", lambda results: error("resnet20", results)),
        Compared("Test error of ResNet-56", "6.97 %", lambda results: error("resnet56", results)),
        Compared("Test error of Plain-20", "a curve, no number", lambda results: error("plain20", results)),
        Compared("Test error of Plain-56", "a curve, above Plain-20's", lambda results: error("plain56", results)),
    ),
)
