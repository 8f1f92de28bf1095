"""Is the map telling the truth? Infidelity, sensitivity, deletion and insertion, and the randomisation check.

No one number decides; each measures what its paper says and nothing else. Images are (1, C, H, W), normalised. What
is drawn is drawn from `seed` alone.
"""

import copy
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import infidelity_perturb_func_decorator, sensitivity_max
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.fx import GraphModule

from explorer.analyses.attribution.attribute import Attribution, Map, attribute, fitting, on_pixels
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import AttributionError, Class, Progress, Score, Target
from explorer.plan.wiring import owner
from explorer.running.devices import within
from explorer.running.network import build, plan_of


def infidelity(
    network: GraphModule,
    image: Tensor,
    target: Target,
    method: str,
    values: Map,
    baseline: Tensor | None = None,
    deviation: float = 0.2,
    samples: int = 50,
    seed: int = 0,
    normalize: bool = True,
    progress: Progress | None = None,
) -> float:
    """How badly the map (C, H, W) or (H, W) foretells what small noise does to the score: the mean squared error.

    With `normalize` the map's scale does not matter, as the best one is taken. Zero is best; in squared units of the
    score. `deviation` is the noise's, in normalised units. Yeh et al., 1901.09392, definition 2.1 and section 2.2.
    Raises AttributionError for a map of an operation's channels.
    """
    if METHODS[method].channels:
        raise AttributionError(f"{METHODS[method].title} is a map of channels: noise on pixels does not tell of it.")
    own, given = _to(network, image), _to(network, torch.zeros_like(image) if baseline is None else baseline[:1])
    flat = values if values.shape == own.shape[1:] else on_pixels(values, _size(own))
    rates = torch.from_numpy(np.broadcast_to(flat, own.shape[1:]).copy()).to(own)[None]
    draw = torch.Generator().manual_seed(seed)

    def noisy(images: Tensor, _: object = None) -> Tensor:
        # one by one, so that what is drawn does not depend on the size of the batch
        noise = torch.stack([torch.randn(one.shape, dtype=torch.float64, generator=draw) for one in images])
        return images - (noise * deviation).to(images)

    score = Score(network, target, progress, fast=True)
    batch, needed = fitting(score.plan, str(own.device), "Infidelity", gradients=False, fast=True)
    # each batch is compared with the image once more
    score.expected = samples + -(-samples // batch)

    def measured() -> float:
        found = captum_infidelity(
            score,
            infidelity_perturb_func_decorator(METHODS[method].multiplied)(noisy),
            own,
            rates,
            baselines=given,
            n_perturb_samples=samples,
            max_examples_per_batch=min(batch, samples),
            normalize=normalize,
        )
        return float(found)

    with torch.inference_mode():
        error = within(str(own.device), score.plan, batch, needed, measured)
    if progress:
        progress(score.expected, score.expected)
    return error


def max_sensitivity(
    network: GraphModule,
    image: Tensor,
    target: Target,
    method: str,
    settings: Settings | None = None,
    radius: float = 0.02,
    samples: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> float:
    """How far the map moves, at most, when every pixel moves by up to `radius` (normalised units): the norm of the
    change over the norm of the map. Zero is best. Yeh et al., 1901.09392, definition 3.1.
    """
    draw, done = torch.Generator().manual_seed(seed), 0

    def explained(images: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        nonlocal done
        batch = images[0] if isinstance(images, tuple) else images
        maps = []
        for one in batch:
            if progress:
                progress(done, samples + 1)
            done += 1
            maps.append(torch.from_numpy(attribute(network, one[None], target, method, settings).map))
        # in a tuple: of a tensor Captum would take the rows for several inputs, and norms of each
        return (torch.stack(maps).double(),)

    def moved(images: tuple[Tensor] | Tensor, radius: float) -> Tensor:
        batch = images[0] if isinstance(images, tuple) else images
        return batch + ((2 * torch.rand(batch.shape, dtype=torch.float64, generator=draw) - 1) * radius).to(batch)

    found = sensitivity_max(explained, image, moved, radius, samples, max_examples_per_batch=1)
    if progress:
        progress(samples + 1, samples + 1)
    return float(found)


# ---- deletion and insertion ----


class Curve(NamedTuple):
    """`shares` (S + 1,) of the pixels changed, 0 to 1; `scores` (S + 1,); the area under them by trapezoids."""

    shares: NDArray[np.float64]
    scores: NDArray[np.float64]
    area: float


def deletion(
    network: GraphModule,
    image: Tensor,
    target: Target,
    values: Map,
    baseline: Tensor | None = None,
    steps: int = 50,
    seed: int = 0,
    progress: Progress | None = None,
) -> Curve:
    """The score as pixels give way to the baseline, those with the largest values first. A good map falls fast.

    Of a class the score is the probability, otherwise the target's value. Pixels of equal value go in random order.
    `values` is (C, H, W) or (h, w). Petsiuk et al., 1806.07421, section 3.3.
    """
    own, given = _to(network, image), _to(network, torch.zeros_like(image) if baseline is None else baseline[:1])
    return _curve(network, own, given, target, values, steps, seed, progress)


def insertion(
    network: GraphModule,
    image: Tensor,
    target: Target,
    values: Map,
    baseline: Tensor | None = None,
    steps: int = 50,
    seed: int = 0,
    progress: Progress | None = None,
) -> Curve:
    """The score as pixels come into the baseline, those with the largest values first. A good map rises fast.

    The paper's baseline here is the blurred image. Else as `deletion`.
    """
    own, given = _to(network, image), _to(network, torch.zeros_like(image) if baseline is None else baseline[:1])
    return _curve(network, given, own, target, values, steps, seed, progress)


def _curve(
    network: GraphModule,
    start: Tensor,
    end: Tensor,
    target: Target,
    values: Map,
    steps: int,
    seed: int,
    progress: Progress | None,
) -> Curve:
    height, width = _size(start)
    flat = on_pixels(values, (height, width)).ravel()
    # equal values in random order; else the many zeros of a map would go from the top down
    order = np.lexsort((np.random.default_rng(seed).permutation(flat.size), -flat))
    rank = np.empty_like(order)
    rank[order] = np.arange(flat.size)
    steps = min(steps, flat.size)
    counts = np.round(np.linspace(0, flat.size, steps + 1)).astype(int)
    places = torch.from_numpy(rank.reshape(1, 1, height, width)).to(start.device)
    probability = isinstance(target, Class) and target.minus is None
    score = Score(network, target, progress, probability=probability, fast=True)
    score.expected = steps + 1
    device = str(start.device)
    batch, needed = fitting(score.plan, device, "Deletion and insertion", gradients=False, fast=True)

    def scores() -> NDArray[np.float64]:
        found = []
        for first in range(0, len(counts), batch):
            some = torch.from_numpy(counts[first : first + batch]).to(start.device)
            changed = places < some.view(-1, 1, 1, 1)
            found.append(score(torch.where(changed, end, start)).double().cpu().numpy())
        return np.concatenate(found)

    with torch.inference_mode():
        found = within(device, score.plan, batch, needed, scores)
    if progress:
        progress(score.expected, score.expected)
    shares = counts / flat.size
    return Curve(shares, found, float(np.trapezoid(found, shares)))


# ---- the randomisation check ----


class Randomised(NamedTuple):
    """The map once the weights of `stage` are new, and how like the original it still is: 1 is the same.

    Rank correlations are Spearman's, over all values; SSIM is over positions, maps being divided by their largest
    magnitude. Both of the values as they are and of their magnitudes; not-a-number where a map is constant, or has
    fewer than 3 positions a side.
    """

    stage: str
    attribution: Attribution
    rank: float
    rank_absolute: float
    ssim: float
    ssim_absolute: float


def randomisation(
    network: GraphModule,
    image: Tensor,
    target: Target,
    method: str,
    settings: Settings | None = None,
    seed: int = 0,
    order: Literal["cascading", "independent"] = "cascading",
    progress: Progress | None = None,
) -> Iterator[Randomised]:
    """Does the map depend on what the network learned? One result a stage, from the classifier down.

    Cascading: all stages from the classifier to this one have fresh weights; independent: this one alone. A map that
    stays the same explains the image and not the network. Adebayo et al., 1810.03292, sections 3.1 and 3.2. The
    network is only read. Stages without weights are left out. `progress` is in maps.
    """
    plan, weight = plan_of(network), next(network.parameters())
    stages: dict[str, list[str]] = {}
    for op in reversed(plan.ops):
        # of a shared kernel the parameters count once, with the operation that runs first
        if op.params or owner(op) != op.name:
            stages.setdefault(op.stage, []).append(owner(op))
    total = len(stages) + 1

    def explained(altered: GraphModule, done: int) -> Attribution:
        def heard(_: int, __: int) -> None:
            if progress:
                progress(done, total)

        return attribute(altered, image, target, method, settings, heard)

    original = explained(network, 0)
    fresh = build(plan, seed, weight.device).to(weight.dtype)
    altered = copy.deepcopy(network)
    for done, (stage, names) in enumerate(stages.items(), start=1):
        if order == "independent":
            altered.load_state_dict(network.state_dict())
        for name in names:
            altered.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
        found = explained(altered, done)
        ours, theirs = original.map, found.map
        yield Randomised(
            stage=stage,
            attribution=found,
            rank=rank_correlation(ours, theirs),
            rank_absolute=rank_correlation(np.abs(ours), np.abs(theirs)),
            ssim=similarity(ours, theirs),
            ssim_absolute=similarity(np.abs(ours), np.abs(theirs)),
        )
    if progress:
        progress(total, total)


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's, -1..1; equal values share the mean of their ranks.

    Not-a-number where all values are equal, or some are not finite.
    """
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    x, y = (rank - rank.mean() for rank in (_ranks(one), _ranks(other)))
    norms = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norms) if norms else float("nan")


def similarity(one: Map, other: Map) -> float:
    """SSIM of two maps (H, W) or (C, H, W), each divided by its largest magnitude.

    Windows are 7x7, or as large as fits. Not-a-number where a map is zero, is not finite, or has fewer than 3
    positions a side. Wang et al., 10.1109/TIP.2003.819861.
    """
    scales = [np.abs(values).max() for values in (one, other)]
    window = min(7, *(side - 1 + side % 2 for side in one.shape[-2:]))
    if window < 3 or not all(scale > 0 and np.isfinite(scale) for scale in scales):
        return float("nan")
    x, y = (values / scale for values, scale in zip((one, other), scales, strict=True))
    signed = min(one.min(), other.min()) < 0
    return float(
        structural_similarity(
            x, y, win_size=window, data_range=2.0 if signed else 1.0, channel_axis=0 if one.ndim == 3 else None
        )
    )


def _ranks(values: Map) -> NDArray[np.float64]:
    """From 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = (counts.cumsum() - (counts - 1) / 2)[place.ravel()]
    return means


def _to(network: GraphModule, images: Tensor) -> Tensor:
    weight = next(network.parameters())
    return images.detach().to(weight.device, weight.dtype)


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[2]), int(image.shape[3])
