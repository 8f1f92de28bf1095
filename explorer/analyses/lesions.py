"""How well does a network answer with parts taken away? Right or wrong, image by image.

`explorer.plan.lesions` takes the parts away, `explorer.running.network.sharing` gives the network of what is left.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule

from explorer.plan.lesions import lesioned
from explorer.running.fast_form import fast_form
from explorer.running.network import plan_of, sharing

Hits = NDArray[np.bool_]  # (N,), whether the answer to each image is right
Progress = Callable[[int, int], None]  # images done, of how many


class Removed(NamedTuple):
    """A network without one part's branch, by the part's name."""

    name: str
    hits: Hits


def hits(network: GraphModule, images: Tensor, labels: NDArray[np.int64], batch: int, progress: Progress) -> Hits:
    """Which of the images (N, C, H, W) get their label (N,), the most probable class being the answer.

    `batch` images go through at once. Nothing of the network is changed; its fast form is asked.
    """
    found: list[Hits] = []
    form = fast_form(network)
    for start in range(0, len(images), batch):
        with torch.inference_mode():
            said = form(images[start : start + batch]).argmax(1).cpu().numpy()
        found.append(said == labels[start : start + batch])
        progress(min(start + batch, len(images)), len(images))
    return np.concatenate(found)


def each_removed(
    network: GraphModule,
    names: Sequence[str],
    images: Tensor,
    labels: NDArray[np.int64],
    batch: int,
    progress: Progress,
) -> list[Removed]:
    """What is left where each of these parts is taken away by itself: figure 3 of Veit et al. (1605.06431)."""
    plan, total = plan_of(network), len(names) * len(images)
    found = []
    for i, name in enumerate(names):

        def further(done: int, _: int, before: int = i * len(images)) -> None:
            progress(before + done, total)

        left = sharing(network, lesioned(plan, (name,)))
        found.append(Removed(name, hits(left, images, labels, batch, further)))
    return found
