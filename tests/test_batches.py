"""What goes through a network when its gradients are measured."""

import pytest
import torch

from explorer.analyses import gradients
from explorer.analyses.batches import Inputs, batches
from explorer.families import PRESETS, plan
from explorer.pictures.preparation import as_seen, standard_preparation, to_tensor
from explorer.pictures.samples import SAMPLES, sample

PLAN = plan(PRESETS["resnet20_cifar"])


def test_noise_is_that_of_each_seed():
    found = list(batches(PLAN, Inputs(4), range(2, 5)))
    assert len(found) == 3
    for seed, (images, labels) in zip(range(2, 5), found, strict=True):
        expected = gradients.noise(PLAN, 4, seed)
        assert torch.equal(images, expected.images)
        assert torch.equal(labels, expected.labels)


def test_one_label_for_all_images():
    (random,), (asked,) = (batches(PLAN, Inputs(8, label), [0]) for label in (-1, 3))
    assert torch.equal(random.images, asked.images)
    assert asked.labels.tolist() == [3] * 8
    assert len(set(random.labels.tolist())) > 1


def test_pictures_fill_the_batch_over_and_over():
    pictures, preparation = [sample(name) for name in list(SAMPLES)[:2]], standard_preparation(32, 3)
    first, second = batches(PLAN, Inputs(3, pictures=tuple(pictures), preparation=preparation), [0, 1])
    expected = to_tensor([as_seen(pictures[i], preparation) for i in (0, 1, 0)], preparation)
    assert torch.equal(first.images, expected)
    assert torch.equal(second.images, expected)  # labels alone are drawn for each seed
    assert not torch.equal(first.labels, second.labels)


def test_pictures_need_a_preparation():
    with pytest.raises(ValueError, match="preparation"):
        Inputs(1, pictures=(sample(next(iter(SAMPLES))),))
