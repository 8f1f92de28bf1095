"""Does a map find the object? How much of it lies where the object is known to be, over many images.

Two measures of a map, what chance and an edge detector reach by them, and means over images with their intervals.
They say how a map and the object agree, not who is to blame where they do not: a network that looks elsewhere is
rightly explained by a map that lies elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit
from skimage.filters import sobel
from torch import Tensor
from torch.fx import GraphModule

from explorer.analyses.attribution.attribute import Map, attribute, on_pixels
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import AttributionError, Class, Progress

Mask = NDArray[np.bool_]  # (H, W), true on the object
Values = NDArray[np.float64]  # (N,), one an image

CHANCE, EDGES = "chance", "edges"  # what needs no network, among the names of methods
REFERENCES: Mapping[str, str] = {CHANCE: "Chance", EDGES: "Edge detector"}
CONFIDENCE = 0.95
SAME = 1e-6  # of the largest value: enlarged by interpolation, equal values come out as far apart


# ---- of one map ----


def energy_inside(values: Map, mask: Mask) -> float:
    """The share of a map's positive values, by their sum, that lies on the object, 0..1; chance is the mask's share.

    values (C, H, W) or (h, w): channels are summed, then positions enlarged to pixels, and negative values, which
    speak against the target, are left out last. Not-a-number where nothing is positive or some value is not finite.
    The energy-based pointing game of Wang et al., 1910.01279, section 4.3, with the object's pixels in the place of a
    box around it.
    """
    flat = _on(mask, values)
    if not np.isfinite(flat).all():
        return float("nan")
    positive = np.maximum(flat, 0)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else float("nan")


def points_at(values: Map, mask: Mask) -> float:
    """Whether a map is largest on the object: 1 or 0. Of several pixels that are equally large, the share that lies
    on it, so that a map which is the same everywhere scores chance: the mask's share.

    values as for `energy_inside`; not-a-number where some are not finite. The pointing game of Zhang et al.,
    1608.00507, without its tolerance of 15 pixels around the object, which is half of a small image.
    """
    flat = _on(mask, values)
    if not np.isfinite(flat).all():
        return float("nan")
    largest = flat >= flat.max() - SAME * abs(flat.max())
    return float(mask[largest].mean())


def edges(image: NDArray[np.floating]) -> Map:
    """The magnitude of Sobel's gradient of an image (C, H, W), summed over channels: (H, W).

    What a map looks like that knows nothing of any network (Adebayo et al., 1810.03292): one that does not find the
    object better than this has shown nothing about the network. One that does may still know nothing of what was
    learned, as guided backpropagation does on fresh weights: that is for `checks.randomisation` to say.
    """
    found: Map = np.sum([sobel(channel) for channel in image.astype(np.float64)], axis=0).astype(np.float32)
    return found


def _on(mask: Mask, values: Map) -> Values:
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"mask {mask.shape} {mask.dtype}: expected (H, W) bool")
    return on_pixels(values, (mask.shape[0], mask.shape[1])).astype(np.float64)


# ---- over images ----


class Interval(NamedTuple):
    """A mean, and the ends between which the true one lies; all not-a-number where nothing was measured."""

    mean: float
    low: float
    high: float


def mean_of(values: Values, confidence: float = CONFIDENCE) -> Interval:
    """By Student's t, which over 16 shares keeps its promise where a percentile bootstrap gives too short intervals.

    Values that are not a number are left out; of a single one the ends are not known.
    """
    known = values[~np.isnan(values)]
    count, mean = len(known), float(known.mean()) if len(known) else float("nan")
    if count < 2:
        return Interval(mean, float("nan"), float("nan"))
    reach = stdtrit(count - 1, (1 + confidence) / 2) * known.std(ddof=1) / count**0.5
    return Interval(mean, float(mean - reach), float(mean + reach))


def share_of(values: Values, confidence: float = CONFIDENCE) -> Interval:
    """Of hits and misses, 1 and 0, by Wilson's score interval (10.1080/01621459.1927.10502953).

    Values between, of maps with several largest pixels, vary less than hits and misses of the same mean: then the
    interval is rather too long. Values that are not a number are left out.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    count, mean = len(known), float(known.mean())
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (mean + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z * (mean * (1 - mean) / count + (z / (2 * count)) ** 2) ** 0.5 / (1 + z**2 / count)
    return Interval(mean, centre - reach, centre + reach)


@dataclass(frozen=True, eq=False)
class Located:
    """One method on N images, in their order: `energy` (N,) and `pointing` (N,) of each map, seconds an image."""

    energy: Values
    pointing: Values
    seconds: float


def measure(
    network: GraphModule,
    images: Tensor,
    labels: NDArray[np.int64],
    masks: NDArray[np.bool_],
    method: str,
    settings_of: Callable[[int], Settings],
    progress: Progress | None = None,
) -> Located:
    """How well a method's maps of each image's own class find the object.

    images (N, C, H, W), normalised; labels (N,); masks (N, H, W); `settings_of(i)` is what the method is run with on
    image i. `progress` is in images, and may stop it within one. Raises AttributionError as `attribute` does, and for
    methods whose values are of channels and lie nowhere in the image.
    """
    chosen, count = METHODS[method], len(images)
    if chosen.channels:
        raise AttributionError(f"{chosen.title} is a map of an operation's channels, which lie nowhere in the image.")
    if not len(labels) == len(masks) == count > 0:
        raise ValueError(
            f"{count} images, {len(labels)} labels, {len(masks)} masks: give as many of each, at least one"
        )
    maps, seconds = [], 0.0
    for i, (label, mask) in enumerate(zip(labels, masks, strict=True)):
        heard = partial(_heard, progress, i, count)
        found = attribute(network, images[i : i + 1], Class(int(label)), method, settings_of(i), heard)
        maps.append((energy_inside(found.map, mask), points_at(found.map, mask)))
        seconds += found.seconds
    if progress:
        progress(count, count)
    energy, pointing = np.array(maps).T
    return Located(energy, pointing, seconds / count)


def _heard(progress: Progress | None, done: int, count: int, *_: int) -> None:
    if progress:
        progress(done, count)


def references(images: Tensor, masks: NDArray[np.bool_]) -> dict[str, Located]:
    """What is reached without a network: by a map that is the same everywhere, and by an edge detector."""
    drawn = [edges(image) for image in images.cpu().numpy()]
    shares = masks.mean((1, 2))
    energy = np.array([energy_inside(one, mask) for one, mask in zip(drawn, masks, strict=True)])
    pointing = np.array([points_at(one, mask) for one, mask in zip(drawn, masks, strict=True)])
    return {CHANCE: Located(shares, shares, 0.0), EDGES: Located(energy, pointing, 0.0)}


def rank(
    network: GraphModule,
    images: Tensor,
    labels: NDArray[np.int64],
    masks: NDArray[np.bool_],
    methods: Iterable[str],
    settings_of: Callable[[str, int], Settings],
    progress: Progress | None = None,
) -> "Ranking":
    """All these methods on the same images, beside what needs no network; `settings_of(method, i)`, `progress` and the
    arrays as for `measure`. A method that refuses is listed with its sentence.
    """
    names, found = list(methods), dict[str, Located | str]()
    for name in names:
        before = len(found) * len(images)

        def heard(done: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + done, len(names) * len(images))

        try:
            found[name] = measure(network, images, labels, masks, name, partial(settings_of, name), heard)
        except AttributionError as refusal:
            found[name] = str(refusal)
    return Ranking(found | references(images, masks))


# ---- methods beside each other ----


@dataclass(frozen=True, eq=False)
class Ranking:
    """What was measured on the same images, by the names of METHODS and REFERENCES; a sentence where one refused."""

    found: Mapping[str, Located | str]

    @property
    def located(self) -> dict[str, Located]:
        """Without those that refused."""
        return {name: one for name, one in self.found.items() if isinstance(one, Located)}

    @property
    def methods(self) -> list[str]:
        """Those with something to compare, the largest mean energy first; without the references."""
        means = {name: mean_of(one.energy).mean for name, one in self.located.items() if name not in REFERENCES}
        return sorted((name for name, mean in means.items() if not np.isnan(mean)), key=lambda name: -means[name])

    def above(self, one: str, other: str, comparisons: int = 1) -> bool:
        """Whether one's mean energy is larger than the other's by more than chance: the interval of the differences,
        image by image, lies above zero. It is as much wider as there are more comparisons (Bonferroni).
        """
        differences = self.located[one].energy - self.located[other].energy
        return mean_of(differences, 1 - (1 - CONFIDENCE) / comparisons).low > 0

    def table(self) -> pd.DataFrame:
        """One row a method and reference, by name, in the order given.

        `title`; `energy` and `pointing`, means over images with their ends `_low` and `_high`, 0..1; `images` with a
        positive value in their map, which are those that count for energy, and `blank` ones without; `seconds` an
        image; `refusal`, a sentence or "".
        """
        return pd.DataFrame.from_dict({name: _row(name, one) for name, one in self.found.items()}, orient="index")


def title_of(name: str) -> str:
    return REFERENCES[name] if name in REFERENCES else METHODS[name].title


def _row(name: str, one: Located | str) -> dict[str, object]:
    refusal = one if isinstance(one, str) else ""
    located = Located(np.zeros(0), np.zeros(0), float("nan")) if isinstance(one, str) else one
    # chance hits and misses nothing: it is a share of each image
    energy, pointing = mean_of(located.energy), (mean_of if name == CHANCE else share_of)(located.pointing)
    blank = int(np.isnan(located.energy).sum())
    return {
        "title": title_of(name),
        "energy": energy.mean,
        # Student's t knows nothing of the ends of the scale
        "energy_low": max(energy.low, 0.0),
        "energy_high": min(energy.high, 1.0),
        "pointing": pointing.mean,
        "pointing_low": pointing.low,
        "pointing_high": pointing.high,
        "images": len(located.energy) - blank,
        "blank": blank,
        "seconds": located.seconds,
        "refusal": refusal,
    }
