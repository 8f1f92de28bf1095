"""How often a network is right without some of its parts, as long work: on test images of what it learned from."""

from collections.abc import Hashable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from controls.services import built, data
from controls.services.subject import Subject
from controls.services.trained_on import learned_from
from controls.work import Progress, Task
from explorer.analyses import lesions
from explorer.analyses.lesions import Hits, Removed
from explorer.counting import budget, effort
from explorer.counting.memory import fast_form_bytes, forward_bytes
from explorer.families import Config, plan
from explorer.learning import datasets
from explorer.learning.datasets import DataError
from explorer.pictures.preparation import as_seen, to_tensor
from explorer.plan import Plan
from explorer.plan.lesions import Lesions, lesioned, parts
from explorer.running import devices
from explorer.running.network import sharing
from explorer.running.weights import Weights

IMAGES, OF_LARGE, LARGE = 400, 100, 64  # how many are asked; fewer where a side has more pixels than this
AT_ONCE = 50


class Examined(NamedTuple):
    """A network, and the first `images` test images of the data set that it learned from."""

    config: Config
    weights: Weights
    device: str
    data: str
    images: int


def examined(subject: Subject) -> Examined | None:
    """None where it is not known here what the weights have learned from, or where that does not fit the network."""
    with suppress(DataError):
        source = datasets.find(learned_from(subject.weights))
        if not source.misfits(subject.config):
            most = IMAGES if subject.config.input_size <= LARGE else OF_LARGE
            images = min(most, source.images[1])
            return Examined(subject.config, subject.weights, subject.device, source.name, images)
    return None


def right(asked: Examined, without: Lesions) -> Task[Hits]:
    """Which images it is right on."""
    left = lesioned(plan(asked.config), *without)
    title = "With lesions" if without else "Whole"
    return Task(title, _macs(asked, left), partial(_right, asked, without), _calls(asked, left), _identity(asked))


def each(asked: Examined) -> Task[list[Removed]]:
    """The same without each part in turn."""
    whole = plan(asked.config)
    count, (drawing, starts) = len(parts(whole)), effort.building(whole)
    macs, calls = _macs(asked, whole) + drawing, _calls(asked, whole) + starts
    return Task("Each block in turn", count * macs, partial(_each, asked), count * calls, _identity(asked))


def _identity(asked: Examined) -> Hashable:
    return built.identity(asked.config, asked.weights, asked.device)


def _macs(asked: Examined, left: Plan) -> float:
    return asked.images * effort.slowness(left) * left.macs


def _calls(asked: Examined, left: Plan) -> float:
    return asked.images / AT_ONCE * len(left.ops)


def _right(asked: Examined, without: Lesions, progress: Progress) -> Hits:
    whole = plan(asked.config)
    network = sharing(built.network(*asked[:3]), lesioned(whole, *without))
    images, labels = _images(asked)
    batch = _batch(asked)
    work = partial(lesions.hits, network, images, labels, batch, progress)
    return devices.within(asked.device, whole, batch, forward_bytes(whole, batch) + fast_form_bytes(whole), work)


def _each(asked: Examined, progress: Progress) -> list[Removed]:
    whole, network = plan(asked.config), built.network(*asked[:3])
    images, labels = _images(asked)
    batch, names = _batch(asked), [part.name for part in parts(whole)]
    work = partial(lesions.each_removed, network, names, images, labels, batch, progress)
    return devices.within(asked.device, whole, batch, forward_bytes(whole, batch) + fast_form_bytes(whole), work)


def _batch(asked: Examined) -> int:
    fits = budget.fitting_batch(plan(asked.config), devices.device_limits(asked.device))
    return max(1, min(AT_ONCE, fits))


def _images(asked: Examined) -> tuple[Tensor, NDArray[np.int64]]:
    """(N, C, H, W) as the network gets them, and labels (N,). Raises DataError."""
    size, channels = asked.config.input_size, asked.config.channels
    examples = data.examples(asked.data, size, channels, range(asked.images))
    prepared = built.preparation(asked.config, asked.weights)
    images = to_tensor([as_seen(one.picture, prepared) for one in examples], prepared)
    return images.to(asked.device), np.array([one.label for one in examples])
