"""Which method finds the object, as long work: one task a method, so that one more is all that is asked for anew."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controls.services import attributions
from controls.services.subject import Subject
from controls.work import Progress, Task
from explorer.analyses.attribution import localisation, request
from explorer.analyses.attribution.localisation import Located
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Options
from explorer.analyses.attribution.score import Class
from explorer.families import Config
from explorer.learning.datasets.shapes import SOURCE
from explorer.pictures.preparation import mask_as_seen
from explorer.running import weights
from explorer.running.weights import Weights


class Examined(NamedTuple):
    """A network, and on how many test images its methods are compared: all that a measurement reads beside them."""

    config: Config
    weights: Weights
    device: str
    images: int


class Examples(NamedTuple):
    """N pictures whose objects are known, as the network gets them: images (N, C, H, W), labels (N,), masks (N, H, W).
    Each subject is the network with one of them.
    """

    subjects: list[Subject]
    images: Tensor
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


def offered(config: Config, used: Weights) -> bool:
    """Whether these weights were trained on Shapes, as their class names say; of other pictures no object is known."""
    return weights.class_names(used, config.classes) == SOURCE.classes and not SOURCE.misfits(config)


def tasks(subject: Subject, methods: Sequence[str], options: Options, count: int) -> list[Task[Any]]:
    """One a method, each giving its Located; and at last what needs no network. The subject's picture is not read."""
    examined = Examined(subject.config, subject.weights, subject.device, count)
    found: list[Task[Any]] = []
    for method in methods:
        one = attributions.explanation(subject, Class(0), method, options)
        asked = request.read_by(METHODS[method], options)
        work = partial(_measure, examined, method, asked)
        found.append(Task(one.title, count * one.macs, work, count * one.calls, subject.identity))
    return [*found, Task("Edge detector", 0, partial(_references, examined))]


def _measure(examined: Examined, method: str, options: Options, progress: Progress) -> Located:
    subjects, images, labels, masks = examples(examined)
    settings_of = partial(_settings_of, subjects, method, options)
    return localisation.measure(subjects[0].network, images, labels, masks, method, settings_of, progress)


def _settings_of(subjects: Sequence[Subject], method: str, options: Options, i: int) -> Any:
    return attributions.settings_of(subjects[i], method, options)


def _references(examined: Examined, progress: Progress) -> dict[str, Located]:
    _, images, _, masks = examples(examined)
    progress(1, 1)
    return localisation.references(images, masks)


def examples(examined: Examined) -> Examples:
    """The first test images of Shapes, in the network's size."""
    config, used, device, count = examined
    drawn = SOURCE.examples(config.input_size, config.channels, range(count))
    subjects = [Subject(config, used, one.picture, device) for one in drawn]
    prepared = subjects[0].preparation
    masks = [mask for one in subjects if (mask := mask_as_seen(one.picture, prepared)) is not None]
    labels = np.array([one.label for one in drawn])
    return Examples(subjects, torch.cat([one.image for one in subjects]), labels, np.stack(masks))
