"""Do shortcuts smooth the loss? Li et al., 1712.09913, figures 1, 5 and 7."""

import math
from collections.abc import Callable

import numpy as np

from explorer.analyses.landscape import random_plane, square, surface
from explorer.analyses.landscape_reading import logarithm, roughness
from explorer.experiments.digits import CHANCE, job, narrow, small
from explorer.experiments.experiment import Arm, Claim, Experiment, Figure, Measured, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.experiments.verdict import Verdict, above, difference, every, in_words
from explorer.plots import claims as plots
from explorer.plots import landscape as shapes

PLACE = 6
SIDE, REACH, IMAGES = 13, 1.0, 128  # points along a side; of a filter's norm; of the training images
CLASSES = round(1 / CHANCE)
LESS_CONVEX = 0.05  # of the nonconvexity, which is between 0 and 1
HIGHER = math.log10(2)  # of the loss's power of ten: twice the loss
COLOURS = {"plain56": plots.RED, "resnet56": plots.BLUE, "densenet40": plots.GREEN}
ARMS = (
    Arm("plain56", "Plain-56", job(narrow("plain56_cifar"))),
    Arm("resnet56", "ResNet-56", job(narrow("resnet56_cifar"))),
    Arm("densenet40", "DenseNet-BC-40", job(small("densenet_bc40_12_cifar", growth_rate=6))),
)
PLAIN, WITH_SHORTCUTS = ARMS[0], ARMS[1:]


def measure(trial: Trial) -> Measured:
    """The surface on a random plane of the run's own seed, and how rough it is."""
    well = {"train_accuracy": trial.train_accuracy, "test_accuracy": trial.test_accuracy}
    if trial.diverged:  # without finite weights there is no surface, and its numbers stay open
        return well
    network, grid = trial.network, square(SIDE, REACH)
    images, labels = trial.images(test=False, most=IMAGES)
    found = surface(network, images, labels, random_plane(network, trial.seed), grid)
    rough = roughness(found.xs, found.ys, found.loss, CLASSES)
    own: Measured = {"base_loss": found.base_loss, **rough._asdict()}
    if trial.seed == 0:  # the one that is drawn
        own["height"] = np.round(logarithm(found.loss), 3)
    return well | own


def more(results: Results, quantity: str, least: float) -> tuple[Verdict, list[str]]:
    """Whether the plain network has more of a quantity than each of the others, and in words by how much."""
    plain = results.numbers(PLAIN.name, quantity)
    gaps = [difference(plain, results.numbers(arm.name, quantity)) for arm in WITH_SHORTCUTS]
    words = [f"{in_words(gap, digits=2)} than {arm.title}" for gap, arm in zip(gaps, WITH_SHORTCUTS, strict=True)]
    return Verdict(every([above(gap, least) for gap in gaps]), ""), words


def judge_convexity(results: Results) -> Verdict:
    verdict, words = more(results, "nonconvexity", LESS_CONVEX)
    return verdict._replace(because=f"Plain-56's nonconvexity is higher by {' and by '.join(words)}.")


def judge_height(results: Results) -> Verdict:
    verdict, words = more(results, "ring", HIGHER)
    return verdict._replace(because=f"Plain-56's loss is higher by a power of ten of {' and of '.join(words)}.")


def first_of_each(results: Results) -> list[shapes.Shape]:
    line = square(SIDE, REACH).xs
    found = []
    for arm in ARMS:
        heights = results.each(arm.name, "height")
        if heights and heights[0] is not None:
            found.append(shapes.shape(arm.title, line, line, heights[0]))
    return found


def contours(results: Results) -> Figure:
    return shapes.contours(first_of_each(results), math.log10(math.log(CLASSES)))


def surfaces(results: Results) -> Figure:
    return shapes.surfaces(first_of_each(results))


def bars(quantity: str, title: str) -> Callable[[Results], Figure]:
    def draw(results: Results) -> Figure:
        return plots.bars(
            [
                plots.Bar(arm.title, COLOURS[arm.name], np.array(results.numbers(arm.name, quantity)))
                for arm in ARMS
                if results.seeds_of(arm.name)
            ],
            plots.Axis(title),
        )

    return draw


EXPERIMENT = Experiment(
    name="landscape",
    question="Do shortcuts smooth the loss?",
    claim="About a deep network without shortcuts the loss is chaotic: high, and far from convex. With the shortcuts "
    "of a ResNet or a DenseNet it is a smooth and nearly convex bowl.",
    source="Li et al. 2018, sections 5 and 6, figures 1, 5 and 7",
    url="https://arxiv.org/abs/1712.09913",
    differs="1,400 digits of 16 pixels and 210 steps in place of CIFAR-10 and 300 epochs, so that Plain-56 has hardly "
    "learned when its surface is looked at; half as many channels, a DenseNet of 40 layers in place of 121; 13 x 13 "
    "points on 128 training images in place of 51 x 51 on 50,000; the Hessian is that of the plane, from differences "
    "of neighbouring points, and not that of all weights.",
    arms=ARMS,
    measure=measure,
    claims=(
        Claim(
            "With shortcuts the loss is nearer to convex",
            "The nonconvexity of a surface is the mean, over the inner points of the grid, of |smallest / largest| "
            "eigenvalue of the plane's Hessian where the smallest is negative, at most 1, and of 0 elsewhere. The "
            f"claim holds where Plain-56's is higher than ResNet-56's by more than {LESS_CONVEX}, and than "
            "DenseNet-BC-40's as well, each with the whole 95 % interval of the difference over seeds (Welch). It does "
            "not hold where one of the two intervals lies on the other side.",
            judge_convexity,
        ),
        Claim(
            "With shortcuts the loss stays lower around the trained network",
            "Compared is the median loss of the points at distance 1, at which every filter has moved by about its own "
            "norm. The claim holds where Plain-56's is more than twice ResNet-56's, and more than twice "
            "DenseNet-BC-40's (a power of ten higher by more than 0.30), each with the whole 95 % interval of the "
            "difference of powers of ten over seeds (Welch). It does not hold where one of the two intervals lies on "
            "the other side.",
            judge_height,
        ),
    ),
    pictures=(
        Picture(
            "The loss's contours, first seed",
            "Contours of the loss on a random plane through each trained network, all with the same colours",
            contours,
        ),
        Picture("The same as surfaces", "The loss on the same planes as hills, all to the same height", surfaces),
        Picture(
            "How far from convex",
            "A bar for each network's nonconvexity",
            bars("nonconvexity", "nonconvexity: 0 in a bowl"),
        ),
        Picture(
            "How high around the trained network",
            "A bar for each network's median power of ten of the loss at distance 1",
            bars("ring", "log<sub>10</sub> loss at distance 1"),
        ),
    ),
)
