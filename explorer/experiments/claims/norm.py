"""Does batch norm let networks train at larger learning rates? Ioffe & Szegedy, 1502.03167, section 4.2; Bjorck et al.,
1806.02375, figure 1.
"""

import math
from typing import NamedTuple

import numpy as np

from explorer.experiments.digits import RECIPE, job
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Measured, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.experiments.verdict import Interval, Verdict, above, difference, every
from explorer.families import PRESETS
from explorer.plots import claims as plots
from explorer.plots.colours import colorscale

PLACE = 4
SIDE, WIDTH = 8, 16  # pixels, channels: narrower networks hardly learn at all without norm
DEPTHS = {8: 1, 20: 3, 32: 5}  # layers -> blocks of each stage
STEP = 0.5  # powers of ten between two rates
LEARNS = 0.5  # of the training images in the last epoch
# each from where it learns to where it does not; with the norm, rates that are smaller still would say nothing more
POWERS = {"none": range(-8, 1), "batch": range(-2, 3)}  # in steps: 0.0001 to 1, 0.1 to 10
TITLES = {"none": "without", "batch": "with batch norm"}
COLOURS = {"none": plots.ORANGE, "batch": plots.BLUE}
QUICK = RECIPE.replace(epochs=5, schedule="constant")  # 105 steps


class Point(NamedTuple):
    """One of the networks at one of the rates."""

    norm: str
    depth: int
    power: int  # in steps

    @property
    def name(self) -> str:
        return f"{self.norm}{self.depth}r{self.power - POWERS['none'][0]}"

    @property
    def rate(self) -> float:
        return float(f"{10 ** (STEP * self.power):.3g}")


POINTS = tuple(Point(norm, depth, power) for norm, powers in POWERS.items() for depth in DEPTHS for power in powers)


def arm(point: Point) -> Arm:
    small = {"input_size": SIDE, "channels": 1, "classes": 10, "width": WIDTH, "stem_width": WIDTH}
    blocks = (DEPTHS[point.depth],) * 3
    config = PRESETS["resnet20_cifar"].adapt(**small, blocks=blocks, norm=point.norm)
    title = f"ResNet-{point.depth} {TITLES[point.norm]}, rate {point.rate:g}"
    return Arm(point.name, title, job(config, QUICK.replace(learning_rate=point.rate)))


def measure(trial: Trial) -> Measured:
    """No number where it diverged."""
    return {"train_accuracy": trial.train_accuracy}


def largest(results: Results, norm: str, depth: int) -> list[float]:
    """The power of ten of the largest rate at which it learns, for each seed that everything was trained with; one
    rate below the smallest where it learns at none.
    """
    points = [point for point in POINTS if (point.norm, point.depth) == (norm, depth)]
    seeds = set.intersection(*(set(results.seeds_of(point.name)) for point in POINTS))
    return [_largest(results, points, seed) for seed in sorted(seeds)]


def _largest(results: Results, points: list[Point], seed: int) -> float:
    found = {point.power: results.measured[point.name][seed]["train_accuracy"] for point in points}
    learned = [power for power, right in found.items() if right is not None and right >= LEARNS]
    return STEP * (max(learned) if learned else min(found) - 1)


def gains(results: Results, depth: int) -> list[float]:
    """Powers of ten between the largest rate with and without the norm, for each seed."""
    pairs = zip(largest(results, "batch", depth), largest(results, "none", depth), strict=True)
    return [one - other for one, other in pairs]


def times(found: Interval) -> str:
    """A difference of powers of ten as a factor."""
    middle, low, high = (f"{10**value:,.{0 if value > 1 else 1}f}" if math.isfinite(value) else "?" for value in found)
    return f"{middle} ({low} to {high})" if math.isfinite(found.low) else f"{middle} (one run)"


def larger(results: Results) -> Verdict:
    found = {depth: difference(gains(results, depth), None) for depth in DEPTHS}
    said = ", ".join(f"{times(gain)} at {depth} layers" for depth, gain in found.items())
    answer = every([above(gain, 1 - STEP / 2) for gain in found.values()])
    return Verdict(answer, f"The largest rate at which it learns is larger with batch norm by a factor of {said}.")


def deeper(results: Results) -> Verdict:
    shallow, deep = min(DEPTHS), max(DEPTHS)
    falls = {norm: difference(largest(results, norm, shallow), largest(results, norm, deep)) for norm in TITLES}
    gain = difference(gains(results, deep), gains(results, shallow))
    return Verdict(
        every([above(falls["none"], STEP / 2), above(gain, STEP / 2)]),
        f"From {shallow} to {deep} layers the largest rate falls by a factor of {times(falls['none'])} without batch "
        f"norm and of {times(falls['batch'])} with it; what is gained grows by a factor of {times(gain)}.",
    )


def learned_where(results: Results) -> Figure:
    powers = sorted({point.power for point in POINTS})
    rows = [(norm, depth) for norm in reversed(POWERS) for depth in DEPTHS]
    values = np.full((len(rows), len(powers)), np.nan)
    broken = np.zeros(values.shape, bool)
    for point in POINTS:
        if results.seeds_of(point.name):
            right = np.array(results.numbers(point.name, "train_accuracy"))
            place = rows.index((point.norm, point.depth)), powers.index(point.power)
            broken[place] = np.isnan(right).any()
            values[place] = np.nan if np.isnan(right).all() else np.nanmean(right)
    return plots.cells(
        values,
        [f"{float(f'{10 ** (STEP * power):.1g}'):g}" for power in powers],
        [f"{depth} {TITLES[norm]}" for norm, depth in rows],
        "learning rate",
        "layers",
        colorscale(signed=False),
        "right in the last epoch",
        broken=broken,
    )


def largest_rates(results: Results) -> Figure:
    depths = np.array(list(DEPTHS), np.float64)
    found = []
    for norm, title in TITLES.items():
        each = [largest(results, norm, depth) for depth in DEPTHS]
        seeds = min(map(len, each))
        values = np.array([[10 ** depth[seed] for depth in each] for seed in range(seeds)])
        found.append(plots.Line(title, COLOURS[norm], depths, values, points=True))
    return plots.lines(found, plots.Axis("layers"), plots.Axis("largest rate that learns", log=True))


def largest_here(norm: str, results: Results) -> str:
    found = difference(largest(results, norm, max(DEPTHS)), None)
    return f"about {10**found.mean:.2g}"


EXPERIMENT = Experiment(
    name="norm",
    question="Does batch norm let networks train at larger learning rates?",
    claim="Without batch norm large steps make the loss diverge, the sooner the deeper the network, since activations "
    "grow with depth; with it, learning rates ten times as large and more train, and the deepest networks too.",
    source="Bjorck et al. 2018, section 3 and figure 1; Ioffe & Szegedy 2015, section 4.2",
    url="https://arxiv.org/abs/1806.02375",
    differs="1,400 digits of 8 pixels and 105 steps in place of CIFAR-10 and its 165 epochs, networks of 8 to 32 "
    "layers in place of 110, one rate from the first step to the last. To learn is to be right on half of the "
    "training images, which is far from having learned. The ranges of rates were chosen after a look at seeds that "
    "are not among these. A first attempt, with networks half as wide on 16 pixels, and 20 % right for to learn, could "
    "not tell: without batch norm they hardly learned in so few steps, at any rate.",
    arms=tuple(map(arm, POINTS)),
    measure=measure,
    claims=(
        Claim(
            "Rates ten times as large train with batch norm",
            "A network learns at a rate where it is right on at least half of the training images "
            "in the last epoch; where it diverged it does not. Rates are a factor of 3.2 apart, so ten times as "
            "large is two rates further. It holds where, at each depth, the largest rate at which a network learns is "
            "more than one and a half rates further with batch norm than without, with the whole 95 % interval of the "
            "mean over seeds (Student's t; a point where all seeds agree). It does not hold where at some depth the "
            "whole interval is below that. A network that learns at no rate counts as one rate below the smallest.",
            larger,
        ),
        Claim(
            "The deeper the network, the more is gained",
            "It holds where, from 8 to 32 layers, the largest rate falls by more than half a rate without batch norm, "
            "and what batch norm gains grows by more than half a rate, each with the whole 95 % interval over seeds "
            "(Welch). It does not hold where one of the two intervals lies below.",
            deeper,
        ),
    ),
    pictures=(
        Picture(
            "What learned at which rate",
            "A cell for each network and learning rate with its accuracy; where it diverged stands a cross",
            learned_where,
        ),
        Picture(
            "The largest rate at which each depth learns",
            "Two lines over the number of layers, with batch norm and without, on a logarithmic scale",
            largest_rates,
        ),
    ),
    compared=(
        Compared("Largest rate without it, deepest network", "0.0001", lambda results: largest_here("none", results)),
        Compared("Largest rate with it, deepest network", "0.1", lambda results: largest_here("batch", results)),
    ),
)
