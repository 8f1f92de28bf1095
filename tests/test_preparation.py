"""What a network gets of a picture: expected pixels are set by hand or come from torchvision's own transform."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from explorer.pictures import preparation as module
from explorer.pictures.preparation import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preparation,
    as_seen,
    mask_as_seen,
    standard_preparation,
    to_tensor,
)
from explorer.pictures.reading import Picture

PREPARATIONS = [
    standard_preparation(224),
    standard_preparation(32),
    standard_preparation(97),
    Preparation(224, 232, IMAGENET_MEAN, IMAGENET_STD),
    Preparation(200, 255, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "bicubic"),
]
SHAPES = [(300, 451), (451, 300), (1024, 683), (256, 256), (37, 100), (1, 1), (5, 211), (1024, 30), (224, 225)]


def pictured(height: int, width: int) -> Picture:
    noise = np.random.default_rng(height * 2000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture("noise", f"{height} x {width}", noise)


def torchvision_transform(preparation: Preparation) -> ImageClassification:
    return ImageClassification(
        crop_size=preparation.size,
        resize_size=preparation.resize,
        mean=preparation.mean,
        std=preparation.std,
        interpolation=InterpolationMode(preparation.interpolation),
    )


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda p: f"{p.size} of {p.resize} {p.interpolation}")
def test_preparation_is_torchvisions(preparation):
    transform = torchvision_transform(preparation)
    for height, width in SHAPES:
        picture = pictured(height, width)
        ours = to_tensor([as_seen(picture, preparation)], preparation)
        assert torch.equal(ours[0], transform(Image.fromarray(picture.pixels))), (height, width)


def test_grey_is_torchvisions_on_the_luminance():
    preparation, picture = standard_preparation(64, 1), pictured(90, 70)
    seen = as_seen(picture, preparation)
    assert seen.shape == (64, 64, 1)
    theirs = torchvision_transform(preparation)(Image.fromarray(picture.pixels).convert("L"))
    assert torch.equal(to_tensor([seen], preparation)[0], theirs)


def test_long_strips_are_cropped_while_they_are_resized(monkeypatch):
    preparation, picture = standard_preparation(224), pictured(40, 900)
    exact = as_seen(picture, preparation).astype(int)
    monkeypatch.setattr(module, "MOST_RESIZED", 1000)
    assert abs(as_seen(picture, preparation) - exact).max() <= 1
    assert as_seen(pictured(1, 1024), standard_preparation(1024)).shape == (1024, 1024, 3)
    strip = Picture("x", "0", np.full((1, 1024, 3), 7, np.uint8))
    assert (as_seen(strip, preparation) == 7).all()


# ---- the object's pixels ----


def with_object(mask: np.ndarray) -> Picture:
    """The object is white before black."""
    return Picture("x", "0", np.repeat(mask[..., None] * np.uint8(255), 3, 2), mask)


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda p: f"{p.size} of {p.resize} {p.interpolation}")
def test_a_mask_goes_the_way_of_its_picture(preparation):
    for height, width in SHAPES:
        mask = np.zeros((height, width), bool)
        mask[height // 3 : -(-height * 2 // 3), width // 3 : -(-width * 2 // 3)] = True
        seen = as_seen(with_object(mask), preparation)[..., 0]
        found = mask_as_seen(with_object(mask), preparation)
        assert found.shape == seen.shape
        # but for the border, where interpolation mixes
        assert found[seen == 255].all()
        assert not found[seen == 0].any()


def test_a_mask_of_the_size_is_kept_and_a_smaller_one_asks_for_half():
    mask = np.random.default_rng(0).random((32, 32)) < 0.5
    assert np.array_equal(mask_as_seen(with_object(mask), standard_preparation(32)), mask)
    quarters = mask.reshape(16, 2, 16, 2).mean((1, 3))
    assert np.array_equal(mask_as_seen(with_object(mask), standard_preparation(16, 1)), quarters >= 0.5)


def test_of_most_pictures_no_object_is_known():
    assert mask_as_seen(pictured(5, 5), standard_preparation(8)) is None
    with pytest.raises(ValueError, match=r"expected \(5, 5\) bool"):
        Picture("x", "0", np.zeros((5, 5, 3), np.uint8), np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match="uint8"):
        Picture("x", "0", np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), np.uint8))


# ---- tensors ----


def test_tensor_by_hand():
    preparation = Preparation(1, 1, (0.5, 0.0, 1.0), (0.5, 1.0, 2.0))
    seen = [np.array([[[255, 0, 51]]], np.uint8), np.array([[[0, 255, 255]]], np.uint8)]
    tensor = to_tensor(seen, preparation)
    assert tensor.shape == (2, 3, 1, 1)
    assert tensor.dtype == torch.float32
    assert tensor.flatten().tolist() == pytest.approx([1.0, 0.0, -0.4, -1.0, 1.0, 0.0])


def test_tensor_of_nothing_or_of_another_size_is_refused():
    preparation = standard_preparation(32)
    with pytest.raises(ValueError, match="no pictures"):
        to_tensor([], preparation)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"):
        to_tensor([np.zeros((32, 32, 1), np.uint8)], preparation)


def test_standard_preparations():
    assert [standard_preparation(size).resize for size in (8, 32, 64, 128, 224, 448)] == [8, 32, 64, 146, 256, 512]
    grey = standard_preparation(32, 1)
    assert grey.channels == 1
    assert grey.mean == pytest.approx((0.145015 + 0.267672 + 0.046284,))
    assert grey.std == pytest.approx((0.068471 + 0.131488 + 0.02565,))


@pytest.mark.parametrize(
    ("size", "resize", "mean", "std"),
    [(0, 5, (0.5,), (1.0,)), (6, 5, (0.5,), (1.0,)), (5, 5, (0.5,) * 2, (1.0,) * 2), (5, 5, (0.5,), (0.0,))],
)
def test_impossible_preparations_are_refused(size, resize, mean, std):
    with pytest.raises(ValueError, match="="):
        Preparation(size, resize, mean, std)
