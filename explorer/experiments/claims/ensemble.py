"""Do residual networks behave like ensembles of shallow ones? Veit et al., 1605.06431, section 4."""

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.analyses import sums
from explorer.experiments.digits import CHANCE, job, narrow
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Measured, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.experiments.verdict import Verdict, below, every, mean, percent, points, share, wrong
from explorer.plan.lesions import Part, lesioned, parts
from explorer.plots import claims as plots
from explorer.running.network import run, sharing

PLACE = 5
COUNTS = (1, 2, 3, 5, 8, 12, 16, 20)  # of blocks that are removed together
DRAWS = 8  # of each count
IMAGES = 128  # of which a block's change is measured
HARDLY = 0.1  # of accuracy
FALLEN = 2 * CHANCE
CLIFF = 0.25  # of all that is lost

RESNET = Arm("resnet56", "ResNet-56", job(narrow("resnet56_cifar")))
PLAIN = Arm("plain20", "Plain-20", job(narrow("plain20_cifar")))
DEEP_PLAIN = Arm("plain56", "Plain-56", job(narrow("plain56_cifar")))
ARMS = (RESNET, PLAIN, DEEP_PLAIN)
COLOURS = {"resnet56": plots.BLUE, "plain20": plots.ORANGE, "plain56": plots.RED}

Values = NDArray[np.float64]


def measure(trial: Trial) -> Measured:
    """`without`: accuracy without each block in turn. `random`: without as many random ones as COUNTS says, as far as
    there are, mean over draws. `change`: what each residual block adds, over what it adds it to.
    """
    found: Measured = {"test_accuracy": trial.test_accuracy}
    if trial.diverged:
        return found
    there, images = parts(trial.plan), trial.images(test=True)
    names = [part.name for part in there]
    draw = np.random.default_rng(trial.seed)
    counts = [count for count in COUNTS if count < len(names)]
    random = [
        np.mean([accuracy(trial, images, draw.choice(names, count, replace=False).tolist()) for _ in range(DRAWS)])
        for count in counts
    ]
    return found | {
        "whole": accuracy(trial, images, ()),
        "without": [accuracy(trial, images, (name,)) for name in names],
        "random": random,
        "change": changes(trial, there),
    }


def accuracy(trial: Trial, images: tuple[Tensor, Tensor], removed: Collection[str]) -> float:
    """On test images, without these blocks; nothing learns anew, and norms keep their statistics."""
    network = sharing(trial.network, lesioned(trial.plan, branches=removed))
    with torch.inference_mode():
        return float((network(images[0]).argmax(1) == images[1]).double().mean())


def changes(trial: Trial, there: Collection[Part]) -> list[float]:
    """||f(x)|| / ||x|| of each block with branch f and shortcut, over all images and positions together."""
    blocks = [part for part in there if part.role == "residual"]
    wanted = [name for part in blocks for name in (part.through, part.around)]
    with torch.inference_mode():
        _, kept = run(trial.network, trial.images(test=True, most=IMAGES)[0], list(dict.fromkeys(wanted)))
        return [float(sums.norm(kept[part.through]) / sums.norm(kept[part.around])) for part in blocks]


# --- what is judged


def lost(results: Results, arm: str) -> list[float]:
    """Of each seed, what the median block costs when it is removed."""
    pairs = zip(results.numbers(arm, "whole"), results.each(arm, "without"), strict=True)
    return [whole - float(np.median(without)) for whole, without in pairs if without]


def kept(results: Results, arm: str) -> list[float]:
    """Of each seed, the accuracy that is left without the median block."""
    return [float(np.median(without)) for without in results.each(arm, "without") if without]


def steepest(whole: float, random: list[float]) -> float:
    """The most that one block more costs, as a share of what all of them together cost."""
    curve, counts = np.array([whole, *random]), np.array([0, *COUNTS[: len(random)]])
    one_more = -np.diff(curve) / np.diff(counts)
    return float(one_more.max() / max(curve[0] - curve[-1], 1e-9))


def one_removed(results: Results) -> Verdict:
    residual, plain = mean(lost(results, RESNET.name)), share(kept(results, PLAIN.name))
    return Verdict(
        every([below(residual, HARDLY), below(plain, FALLEN)]),
        f"Without one block ResNet-56 loses {points(residual)} of accuracy; Plain-20 is left with {percent(plain)}.",
    )


def smoothly(results: Results) -> Verdict:
    pairs = zip(results.numbers(RESNET.name, "whole"), results.each(RESNET.name, "random"), strict=True)
    found = mean([steepest(whole, random) for whole, random in pairs if random])
    return Verdict(
        below(found, CLIFF),
        f"Where ResNet-56's accuracy falls most, one block more costs {percent(found)} of all that {COUNTS[-1]} cost.",
    )


# --- what is drawn


def each_removed(results: Results) -> Figure:
    return plots.lines(
        [over_blocks(arm, results.array(arm.name, "without")) for arm in ARMS if results.seeds_of(arm.name)],
        plots.Axis("removed block, from the input"),
        plots.Axis("right on test images", share=True),
        [plots.Level("guessing", CHANCE)],
    )


def over_blocks(arm: Arm, values: Values) -> plots.Line:
    blocks = np.arange(1.0, values.shape[1] + 1)
    return plots.Line(arm.title, COLOURS[arm.name], blocks, values, dashed=arm is PLAIN, points=True)


def many_removed(results: Results) -> Figure:
    found = []
    for arm in ARMS:
        if results.seeds_of(arm.name):
            values = np.column_stack([results.numbers(arm.name, "whole"), results.array(arm.name, "random")])
            counts = np.array([0.0, *COUNTS[: values.shape[1] - 1]])
            found.append(plots.Line(arm.title, COLOURS[arm.name], counts, values, dashed=arm is PLAIN, points=True))
    every_count = np.arange(COUNTS[-1] + 1.0)
    left = np.array([[paths_left(int(count)) for count in every_count]])
    return plots.lines(
        [*found, plots.Line("paths left in a ResNet", plots.GREY, every_count, left)] if found else [],
        plots.Axis("blocks removed at random"),
        plots.Axis("right on test images", share=True),
        [plots.Level("guessing", CHANCE)],
    )


def paths_left(removed: int) -> float:
    """Share of the 2^n paths through n residual blocks that go through the branch of none of those removed."""
    return 2.0**-removed


def change(results: Results) -> Figure:
    found = [over_blocks(RESNET, results.array(RESNET.name, "change"))] if results.seeds_of(RESNET.name) else []
    return plots.lines(found, plots.Axis("block, from the input"), plots.Axis("‖f(x)‖ / ‖x‖", log=True))


def error_without(arm: str, results: Results) -> str:
    return wrong(kept(results, arm))


def error(arm: str, results: Results) -> str:
    return wrong(results.numbers(arm, "whole"))


EXPERIMENT = Experiment(
    name="ensemble",
    question="Do residual networks behave like ensembles of shallow ones?",
    claim="One block taken out of a trained residual network hardly changes its error, though half of all paths go "
    "with it, while a plain network is left guessing; with more blocks taken out the error grows smoothly, as an "
    "ensemble's does that loses members.",
    source="Veit et al. 2016, sections 4.1 and 4.2, figures 3 and 5",
    url="https://arxiv.org/abs/1605.06431",
    differs="1,400 digits of 16 pixels in place of CIFAR-10, 27 residual blocks of half as many channels in place of "
    "54, 210 steps. The plain network is the same without shortcuts, in place of VGG-16, and what is taken out of it "
    "are its pairs of layers; where these change the shape, zero padding and every second pixel stand in for them. In "
    "so few steps Plain-56 itself learns little.",
    arms=ARMS,
    measure=measure,
    claims=(
        Claim(
            "One block removed: a residual network hardly notices, a plain one is lost",
            "Each block is removed in turn, and the median over blocks counts. It holds where ResNet-56 loses less "
            "than 10 points of test accuracy, and where Plain-20 is left with less than 20 %, twice what guessing "
            "gives, each with the whole 95 % interval of the mean over seeds. It does not hold where one of the two "
            "intervals lies above.",
            one_removed,
        ),
        Claim(
            "With the number removed, the error grows smoothly",
            "Of ResNet-56 so many random blocks are removed as the second picture shows, mean of 8 draws each. "
            "Between two numbers next to each other, what one block more costs is the difference in accuracy over the "
            "difference in blocks. It holds where the most that one block more costs anywhere is less than a quarter "
            "of what 20 blocks cost, with the whole 95 % interval over seeds: there is no cliff. It does not hold "
            "where the interval lies above.",
            smoothly,
        ),
    ),
    pictures=(
        Picture(
            "Accuracy without each block",
            "Lines over the removed block, one for each network, with a dotted line for guessing",
            each_removed,
        ),
        Picture(
            "Accuracy without several blocks",
            "Lines over the number of removed blocks, one for each network, and a grey one for the share of paths left",
            many_removed,
        ),
        Picture(
            "How much each block of ResNet-56 changes",
            "A line over the blocks: the size of what each adds, over the size of what it adds it to",
            change,
        ),
    ),
    compared=(
        Compared(
            "Error of the whole residual network",
            "6.43 % (ResNet-110, by He et al. 2015)",
            lambda results: error(RESNET.name, results),
        ),
        Compared(
            "Error without one block, residual",
            "a curve, about that of the whole one",
            lambda results: error_without(RESNET.name, results),
        ),
        Compared(
            "Error without one layer, plain",
            "chance, which is 90 %",
            lambda results: error_without(PLAIN.name, results),
        ),
        Compared("Paths left without one block, residual", "half", lambda _: f"{paths_left(1):.0%}"),
    ),
)
