"""What goes through a network when its gradients are measured: noise or pictures, and the classes asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from explorer.analyses.gradients import Batch, noise
from explorer.pictures.preparation import Preparation, as_seen, to_tensor
from explorer.pictures.reading import Picture
from explorer.plan import Plan

RANDOM = -1  # label


@dataclass(frozen=True)
class Inputs:
    """The same for every network of a comparison, as far as their sizes allow."""

    count: int  # images of a batch
    label: int = RANDOM  # class of all images, or a random one for each
    pictures: tuple[Picture, ...] = ()  # over and over until the batch is full; none: noise
    preparation: Preparation | None = None  # of the pictures

    def __post_init__(self) -> None:
        if self.pictures and not self.preparation:
            raise ValueError("Pictures need a preparation to become a network's input.")


def batches(plan: Plan, inputs: Inputs, seeds: Iterable[int], device: str = "cpu") -> Iterator[Batch]:
    """One batch a seed: images (count, C, H, W), labels (count,). Noise and random labels depend on the seed."""
    for seed in seeds:
        images, labels = noise(plan, inputs.count, seed, device)
        if inputs.pictures and inputs.preparation:
            chosen = [inputs.pictures[i % len(inputs.pictures)] for i in range(inputs.count)]
            images = to_tensor([as_seen(one, inputs.preparation) for one in chosen], inputs.preparation).to(device)
        if inputs.label != RANDOM:
            labels = torch.full_like(labels, inputs.label)
        yield Batch(images, labels)
