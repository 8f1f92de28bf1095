"""How long does a plane of the loss take, and what do folded norms save?

Digits of 16 pixels, 512 of them, and a ResNet-20 of 8 channels. The plain form sets the weights of the network itself
at each point and runs it as it is.
"""

import statistics
import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from benchmarks.measure import UNPROMISED, Table, interleaved, promised, ratios, spread
from explorer.analyses.landscape import AT_ONCE, Plane, moving, random_plane, square, surface
from explorer.families import PRESETS, plan
from explorer.learning.datasets import find
from explorer.learning.training import Images
from explorer.running.network import build

IMAGES, SIDE, SMALL = 512, 25, 5
MOST = 20.0  # seconds


def tables(quick: bool) -> Iterator[Table]:
    config = PRESETS["resnet20_cifar"].adapt(width=8, stem_width=8, input_size=16, channels=1)
    data = find("digits").load(16, 1, 0, None)
    found = Images(data.train, data, "cpu")
    images, labels = found.batch(torch.arange(IMAGES)), found.labels[:IMAGES]
    network, plain = build(plan(config)), build(plan(config))
    plane, small = random_plane(network), square(SMALL)

    def folded() -> None:
        surface(network, images, labels, plane, small)

    def as_it_is() -> None:
        base = {name: weight.clone() for name, weight in moving(plain).items()}
        with torch.inference_mode():
            for x in small.xs:
                for y in small.ys:
                    _set(plain, base, plane, float(x), float(y))
                    logits = torch.cat([plain(part) for part in images.split(AT_ONCE)])
                    float(F.cross_entropy(logits.double(), labels))

    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        times = interleaved({"folded": folded, "plain": as_it_is}, 3 if quick else 15, least=3)
        began = time.perf_counter()
        surface(network, images, labels, plane, square(SIDE))
        seconds = time.perf_counter() - began
        ratio = spread(ratios(times["folded"], times["plain"]))
        rows.append([str(threads), f"{seconds:.1f} s", *promised(seconds, at_most=MOST, unit=" s")])
        rows.append(
            [f"{threads}, {SMALL} x {SMALL} points", f"{statistics.median(times['folded']):.2f} s", *UNPROMISED]
        )
        rows.append([f"{threads}, over the plain form", ratio, *UNPROMISED])
    yield Table(f"{SIDE} x {SIDE} points, {IMAGES} images, ResNet-20", ("threads", "takes", "promised", "kept"), rows)


def _set(network: torch.nn.Module, base: dict[str, torch.Tensor], plane: Plane, x: float, y: float) -> None:
    with torch.no_grad():
        for name, weight in base.items():
            network.get_parameter(name).copy_(weight + x * plane.first[name] + y * plane.second[name])
