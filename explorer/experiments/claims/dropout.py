"""Does dropout help where data are few? Srivastava et al., JMLR 15, 2014, figure 10; Huang et al., 1608.06993."""

from collections.abc import Callable

import numpy as np

from explorer.experiments import shapes
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Measured, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial, ended
from explorer.experiments.verdict import Interval, Verdict, above, difference, every, points
from explorer.learning.recipe import Recipe
from explorer.plots import claims as plots

PLACE = 8
A_CLASS = (20, 100, 500)  # images
FEW = A_CLASS[:2]
CLASSES, BATCH, STEPS = 10, 50, 400
RATES = {"without": 0.0, "with": 0.2}  # as in the paper of DenseNet
COLOURS = {"without": plots.ORANGE, "with": plots.BLUE}


def _arm(kind: str, each: int) -> Arm:
    images = CLASSES * each
    recipe = Recipe(epochs=STEPS * BATCH // images, batch_size=BATCH, learning_rate=0.1)
    config = shapes.small("densenet40_12_cifar", blocks=(3, 3, 3), dropout=RATES[kind])
    return Arm(_name(kind, each), f"{kind} dropout, {each} images a class", shapes.job(config, recipe, images))


def _name(kind: str, each: int) -> str:
    return f"{kind}{each}"


ARMS = tuple(_arm(kind, each) for each in A_CLASS for kind in RATES)


def measure(trial: Trial) -> Measured:
    """Both accuracies of the trained network, without dropout, which a test does not have either."""
    return ended(trial) | ({} if trial.diverged else {"train_accuracy": trial.right_on(test=False)})


def gain(results: Results, each: int) -> Interval:
    """Of test accuracy by dropout."""
    return difference(*(results.numbers(_name(kind, each), "test_accuracy") for kind in ("with", "without")))


def narrowing(results: Results, each: int) -> Interval:
    """By how much the gap between training and test is smaller with dropout."""
    return difference(*(gaps(results, kind, each) for kind in ("without", "with")))


def gaps(results: Results, kind: str, each: int) -> list[float]:
    train, test = (results.numbers(_name(kind, each), f"{split}_accuracy") for split in ("train", "test"))
    return [one - other for one, other in zip(train, test, strict=True)]


def judge_gain(each: int) -> Callable[[Results], Verdict]:
    def judge(results: Results) -> Verdict:
        found = gain(results, each)
        return Verdict(above(found, 0), f"Dropout changes test accuracy by {points(found)}.")

    return judge


def judge_gap(results: Results) -> Verdict:
    found = {each: narrowing(results, each) for each in FEW}
    said = [f"{points(one)} with {each} images a class" for each, one in found.items()]
    answer = every([above(one, 0) for one in found.values()])
    return Verdict(answer, f"Without dropout the gap is larger by {' and by '.join(said)}.")


def accuracies(results: Results) -> Figure:
    found = []
    for kind in RATES:
        for split in ("train", "test"):
            right = results.table([_name(kind, each) for each in A_CLASS], f"{split}_accuracy")
            line = plots.Line(
                f"{split}, {kind} dropout",
                COLOURS[kind],
                np.array(A_CLASS, float),
                right,
                split == "train",
                points=True,
            )
            found += [line] if np.isfinite(right).any() else []
    across = plots.Axis("images of each class to learn from", log=True)
    return plots.lines(found, across, plots.Axis("right", share=True), [plots.Level("guessing", shapes.CHANCE)])


def gap_bars(results: Results) -> Figure:
    return plots.bars(
        [
            plots.Bar(f"{each} a class, {kind}", COLOURS[kind], np.array(gaps(results, kind, each)))
            for each in A_CLASS
            for kind in RATES
            if results.seeds_of(_name(kind, each))
        ],
        plots.Axis("training accuracy less test accuracy", share=True),
    )


def _claim(each: int) -> Claim:
    return Claim(
        f"With {each} images a class test accuracy rises",
        "It holds where the accuracy on test images is higher with dropout than without, with the whole 95 % "
        "interval of the difference over seeds (Welch) above zero; it does not hold where the whole "
        "interval lies below zero.",
        judge_gain(each),
    )


def _compared(each: int, size: str, paper: str) -> Compared:
    return Compared(f"Change of test accuracy, {size}", paper, lambda results: points(gain(results, each)))


EXPERIMENT = Experiment(
    name="dropout",
    question="Does dropout help where data are few?",
    claim="Dropout keeps a network from learning its training images by heart: the gap to the test images shrinks, and "
    "test accuracy rises where data are few. With very few it gives nothing, since a large network overfits in "
    "spite of it, and with many its gain declines.",
    source="Srivastava et al. 2014, section 7.4 and figure 10; the rate is Huang et al.'s 2016, section 4.2",
    url="https://jmlr.org/papers/v15/srivastava14a.html",
    differs="Drawn shapes of 32 pixels in place of MNIST; a DenseNet-13 (k=12) of 78,000 parameters and its paper's "
    "rate of 0.2, where Srivastava et al. take fully connected networks of millions of weights and a rate of 0.5; "
    "400 steps of 50 images for every size, so 5,000 images are seen four times and 200 images a hundred times.",
    arms=ARMS,
    measure=measure,
    claims=(
        Claim(
            "With 20 and with 100 images a class the gap shrinks",
            "It holds where, for both sizes, the accuracy on training images less that on test images is smaller with "
            "dropout, with the whole 95 % interval of the difference over seeds (Welch) above zero. It does not "
            "hold where one of the two intervals lies below zero. Both are measured after training, with dropout "
            "switched off.",
            judge_gap,
        ),
        *map(_claim, A_CLASS),
    ),
    pictures=(
        Picture(
            "Training and test, with dropout and without",
            "Four curves of the accuracy over the number of training images a class: on training images and on test "
            "images, each with dropout and without",
            accuracies,
        ),
        Picture("The gap", "A bar for the gap between training and test accuracy of each network", gap_bars),
    ),
    compared=(
        _compared(20, "200 images here, 100 and 500 there", "drawn only: no gain"),
        _compared(100, "1,000 images", "drawn only: a gain"),
        _compared(500, "5,000 images", "drawn only: a gain, which declines with still more"),
    ),
)
