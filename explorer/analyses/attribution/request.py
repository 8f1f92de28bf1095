"""What is asked of a method, as a value: with the network, the picture and the target it decides a map.

A page collects Options; `read_by` leaves of them what a method reads, so that a map can be remembered by just that;
`settings` makes the tensors that the method is run with.
"""

from typing import NamedTuple

from torch import Tensor

from explorer.analyses.attribution import baselines
from explorer.analyses.attribution.baselines import Baseline
from explorer.analyses.attribution.method import Extent, Method, Noise, Precision, Settings, window_of
from explorer.pictures.preparation import Preparation, as_seen, to_tensor
from explorer.pictures.reading import Picture
from explorer.plan import Plan

DRAWS = 8  # baselines for the methods that take several
SMOOTHING = Settings.noise_samples  # noisy copies of an image


class Compared(NamedTuple):
    """With what the image is compared; `other` is the other image, `seed` the noise's."""

    kind: Baseline = "mean"
    other: Picture | None = None
    seed: int = 0


def compared(kind: Baseline, other: Picture | None, seed: int) -> Compared:
    """The baseline with what it reads: only noise is drawn from a seed, and only another image is another image."""
    return Compared(kind, other if kind == "image" else None, seed if kind == "noise" else 0)


class Options(NamedTuple):
    """What a visitor has set for all methods together. `operation` is "" for the last feature map, `samples` 0 for
    each method's own number; `superpixels` is about how many there are to be.
    """

    baseline: Compared = Compared()
    operation: str = ""
    relu: bool = True
    steps: int = 50
    samples: int = 0
    superpixels: int = 50
    noise: Noise = ""
    seed: int = 0
    precision: Precision = "float32"


def read_by(method: Method, options: Options) -> Options:
    """The options that decide this method's map; the others are at their defaults."""
    nothing, reads = Options(), method.reads
    noise = options.noise if method.noise else nothing.noise
    return Options(
        baseline=options.baseline if method.compares else nothing.baseline,
        operation=options.operation if "operation" in reads else nothing.operation,
        relu=options.relu if "relu" in reads else nothing.relu,
        steps=options.steps if "steps" in reads else nothing.steps,
        samples=options.samples or method.samples if "samples" in reads else nothing.samples,
        superpixels=options.superpixels if "superpixels" in reads else nothing.superpixels,
        noise=noise,
        seed=options.seed if method.draws or noise else nothing.seed,
        precision=options.precision if method.half else nothing.precision,
    )


def image_of(picture: Picture, preparation: Preparation) -> Tensor:
    """The picture as the network's input, (1, C, H, W), normalised."""
    return to_tensor([as_seen(picture, preparation)], preparation)


def baseline_of(asked: Compared, image: Tensor, preparation: Preparation, count: int = 1) -> Tensor:
    """(count, C, H, W), normalised."""
    other = image_of(asked.other, preparation) if asked.other else None
    return baselines.baseline(asked.kind, image, preparation, count, asked.seed, other)


def settings(method: Method, options: Options, picture: Picture, preparation: Preparation) -> Settings:
    """What a method is run with on a picture. What it does not read is left out."""
    asked, image = read_by(method, options), image_of(picture, preparation)
    given, regions = None, None
    if method.compares:
        given = baseline_of(asked.baseline, image, preparation, DRAWS if "baselines" in method.reads else 1)
    if "superpixels" in method.reads:
        regions = baselines.superpixels(as_seen(picture, preparation), asked.superpixels)
    return Settings(
        baseline=given,
        operation=asked.operation,
        relu=asked.relu,
        superpixels=regions,
        steps=asked.steps,
        samples=asked.samples,
        noise=asked.noise,
        seed=asked.seed,
        precision=asked.precision,
    )


def passes(plan: Plan, method: Method, options: Options) -> int:
    """How many images go through the network; about as many as superpixels where these are taken away."""
    asked, (_, height, width) = read_by(method, options), plan.ops[0].shape
    extent = Extent(
        size=(height, width),
        baselines=DRAWS if "baselines" in method.reads else 1,
        regions=asked.superpixels,
        steps=asked.steps,
        samples=asked.samples,
        window=window_of(Settings(), (height, width)),
        smoothed=bool(asked.noise),
    )
    return method.passes(extent) * (SMOOTHING if asked.noise else 1)


def macs(plan: Plan, method: Method, options: Options) -> float:
    """Multiply-accumulates; a backward pass is one more forward pass, since weights need no gradients."""
    return float(plan.macs) * passes(plan, method, options) * (2 if method.gradients else 1)
