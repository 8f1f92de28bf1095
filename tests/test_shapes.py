"""The generated pictures: each shape is what its name says, nothing but the shape tells the class, and they last."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from skimage.measure import regionprops_table
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from explorer.learning.datasets.dataset import DataError
from explorer.learning.datasets.shapes import SOURCE
from explorer.pictures import shapes
from explorer.pictures.geometry import SHAPES
from explorer.pictures.shapes import CLASSES, draw, scenes


def inside(name: str, x: float, y: float) -> bool:
    return bool(SHAPES[name].distance(np.full((1, 1, 1), x, np.float32), np.full((1, 1, 1), y, np.float32)) < 0)


# By hand, for area 1: circle of radius 0.564; square of half side 0.5; triangle from -0.877 to 0.439, half as wide as
# 0.760; star of radii 0.851 and 0.400; cross with arms of half width 0.224 that reach 0.671; ring from 0.326 to 0.651;
# hexagon of radius 0.620, flat at 0.537 to the right
INSIDE = {
    "circle": [(0, 0), (0.55, 0), (0.39, -0.39)],
    "square": [(0, 0), (0.49, 0.49), (-0.49, 0.49)],
    "triangle": [(0, -0.86), (0, 0.43), (0.73, 0.43), (-0.73, 0.43)],
    "star": [(0, -0.83), (0, 0.38), (0.79, -0.255), (-0.223, -0.307)],
    "cross": [(0.66, 0.21), (-0.21, -0.66), (0, 0)],
    "ring": [(0.34, 0), (0, -0.64), (-0.35, -0.35)],
    "crescent": [(-0.3, 0), (0.35, 0.5), (0.35, -0.5)],
    "heart": [(0, 0.65), (0.3, -0.3), (-0.3, -0.3), (0, 0)],
    "arrow": [(0, -0.8), (0.6, -0.1), (-0.6, -0.1), (0.2, 0.7), (-0.2, 0.7)],
    "hexagon": [(0, -0.61), (0.53, 0), (0.52, 0.3)],
}
OUTSIDE = {
    "circle": [(0.57, 0), (0.41, 0.41)],
    "square": [(0.51, 0), (0, -0.51), (0.51, 0.51)],
    "triangle": [(0, -0.89), (0, 0.45), (0.5, -0.3), (-0.5, -0.3)],
    "star": [(0, -0.87), (0, 0.42), (0.247, -0.34), (-0.247, -0.34), (0.6, 0.3)],
    "cross": [(0.25, 0.25), (0.69, 0), (-0.25, 0.6)],
    "ring": [(0, 0), (0.3, 0), (0, 0.66)],
    "crescent": [(0.35, 0), (0.2, 0.1), (-0.7, 0), (0.7, 0.5)],
    "heart": [(0, -0.5), (0.5, 0.4), (-0.5, 0.4), (0.6, -0.6)],
    "arrow": [(0.4, 0.3), (-0.4, 0.3), (0.5, -0.5), (0, 0.9)],
    "hexagon": [(0, -0.63), (0.55, 0), (0.4, 0.5)],
}


@pytest.mark.parametrize("name", CLASSES)
def test_points_placed_by_hand_are_inside_or_outside(name):
    assert [inside(name, *point) for point in INSIDE[name]] == [True] * len(INSIDE[name])
    assert [inside(name, *point) for point in OUTSIDE[name]] == [False] * len(OUTSIDE[name])


@pytest.mark.parametrize("name", CLASSES)
def test_a_shape_has_area_1_about_its_centre_of_mass_and_reaches_as_far_as_it_says(name):
    step = 1 / 256
    x, y = np.meshgrid(np.arange(-1.1, 1.1, step, dtype=np.float32), np.arange(-1.1, 1.1, step, dtype=np.float32))
    within = SHAPES[name].distance(x[None], y[None])[0] < 0
    assert within.sum() * step**2 == pytest.approx(1, abs=0.005)
    assert (x[within].mean(), y[within].mean()) == pytest.approx((0, 0), abs=0.005)
    assert np.hypot(x, y)[within].max() == pytest.approx(SHAPES[name].reach, abs=0.02)


def test_masks_have_the_area_and_the_place_that_were_drawn_for_them():
    numbers = np.arange(60)
    masks, thing = draw(numbers, 3, 224).masks, scenes(numbers, 3).thing
    areas = masks.mean(axis=(1, 2))
    assert areas == pytest.approx(thing.size.ravel() ** 2, rel=0.01)
    across, down = masks.sum(axis=1), masks.sum(axis=2)
    centres = (np.arange(224) + 0.5) / 224
    assert across @ centres / across.sum(axis=1) == pytest.approx(thing.x.ravel(), abs=0.002)
    assert down @ centres / down.sum(axis=1) == pytest.approx(thing.y.ravel(), abs=0.002)


def test_masks_are_one_piece_inside_the_image_and_have_the_holes_and_hollows_of_their_class():
    drawn = draw(np.arange(200), 3, 64)
    border = np.pad(np.zeros((62, 62), bool), 1, constant_values=True)
    assert not drawn.masks[:, border].any()
    found = [regionprops_table(mask.astype(int), properties=("euler_number", "solidity")) for mask in drawn.masks]
    for label, name in enumerate(CLASSES):
        these = found[label::10]
        assert {table["euler_number"].item() for table in these} == {0 if name == "ring" else 1}
        solid = np.mean([table["solidity"].item() for table in these])  # area over the area of the convex hull
        assert (solid > 0.9) == (name in {"circle", "square", "triangle", "hexagon", "heart"}), (name, solid)


def test_the_object_is_clearly_lighter_or_darker_than_what_is_behind_it():
    drawn = draw(np.arange(1000), 3, 32, 1)
    own = np.array([image[0][mask].mean() for image, mask in zip(drawn.images, drawn.masks, strict=True)])
    behind = np.array([image[0][~mask].mean() for image, mask in zip(drawn.images, drawn.masks, strict=True)])
    assert np.abs(own - behind).min() > 0.08 * 255
    assert np.median(np.abs(own - behind)) > 0.3 * 255
    assert 0.45 < (own > behind).mean() < 0.55


def test_an_image_is_the_same_in_any_batch():
    together = draw(np.arange(300), 5, 32)
    for numbers in ([5], [299, 131, 5], [128]):
        alone = draw(np.array(numbers), 5, 32)
        for one, other in zip(alone, together, strict=True):
            assert np.array_equal(one, other[numbers])
    assert draw(np.arange(0), 5, 32).images.shape == (0, 3, 32, 32)


def test_an_image_is_the_same_scene_at_any_size():
    numbers = np.arange(200)
    large = draw(numbers, 5, 64).images.astype(float).reshape(200, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    small = draw(numbers, 5, 32).images
    differences = np.abs(large - small).mean(axis=(1, 2, 3))
    assert differences.max() < 5  # of 255, while another image differs by 60 or so
    assert np.abs(large[1:] - small[:-1]).mean() > 40


def test_one_channel_is_the_luminance():
    numbers = np.arange(20)
    colour, grey = draw(numbers, 5, 48, 3).images, draw(numbers, 5, 48, 1).images
    for image, luminance in zip(colour, grey, strict=True):
        pillows = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")).astype(int)
        assert np.abs(pillows - luminance[0]).max() <= 1


def test_random_numbers_are_splitmix64():
    """The first numbers from seed 1234567, as many implementations give them (Rosetta Code, "Splitmix64")."""
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * shapes._Dice.STEP
    assert shapes._Dice._mixed(state).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_images_are_the_same_on_every_machine():
    """A pin, not a proof that they are right: runs on other machines, and tomorrow's numpy, must find these bytes.

    Whoever changes what is drawn writes the new digest, and says in CHANGELOG.md that earlier results are of others.
    """
    digest = hashlib.sha256()
    for size, channels in ((16, 3), (33, 1), (224, 3)):
        drawn = draw(np.arange(40), 2**40 + 7, size, channels)
        digest.update(drawn.images.tobytes() + drawn.masks.tobytes())
    assert digest.hexdigest() == "b888022d8ae0b7567252d2ade9fc2b93428301ff9be94f434cb5ce3cb3561028"


@pytest.mark.parametrize(("size", "channels"), [(15, 3), (225, 3), (0, 3), (32, 2), (32, 4)])
def test_other_sizes_and_channels_are_refused(size, channels):
    with pytest.raises(ValueError, match="size=" if channels == 3 else "channels="):
        draw(np.arange(3), 0, size, channels)


# What tells the class, and what does not: chance is 0.1, and 0.135 is 5 deviations of a share of 2,000 images above it.
CHANCE = 0.135


@pytest.fixture(scope="module")
def data():
    return SOURCE.load(32, 3, 3000, None)


def test_a_linear_classifier_of_pixels_guesses(data):
    train, test = (np.float32(split.images).reshape(-1, 3 * 32 * 32) / 255 - 0.5 for split in (data.train, data.test))
    model = RidgeClassifier(alpha=1000).fit(train, data.train.labels)
    assert model.score(test, data.test.labels) < CHANCE


def histograms(images: np.ndarray) -> np.ndarray:
    """(N, 64 + 16): how much of each image has which colour, in four steps of each channel; and which luminance."""
    levels = (images // 64).astype(int)
    colours = levels[:, 0] * 16 + levels[:, 1] * 4 + levels[:, 2]
    grey = 64 + (images.astype(int) * np.array([299, 587, 114])[:, None, None]).sum(axis=1) // 16000
    both = np.concatenate([colours, grey], axis=1).reshape(len(images), -1)
    return np.stack([np.bincount(one, minlength=80) for one in both])


def test_a_linear_classifier_of_colour_histograms_guesses(data):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    model.fit(histograms(data.train.images), data.train.labels)
    assert model.score(histograms(data.test.images), data.test.labels) < CHANCE


def test_place_area_and_colour_of_the_object_do_not_tell_its_class():
    drawn = draw(np.arange(4000), 3, 32)
    pixels = drawn.masks.sum(axis=(1, 2))
    places = (np.arange(32) + 0.5) / 32
    rows = np.column_stack(
        [
            (drawn.masks * places).sum(axis=(1, 2)) / pixels,
            (drawn.masks * places[:, None]).sum(axis=(1, 2)) / pixels,
            pixels / 32**2,
            (drawn.images * drawn.masks[:, None]).sum(axis=(2, 3)) / pixels[:, None] / 255,
        ]
    )
    for model in (RidgeClassifier(), KNeighborsClassifier(25)):
        pipeline = make_pipeline(StandardScaler(), model).fit(rows[:2000], drawn.labels[:2000])
        assert pipeline.score(rows[2000:], drawn.labels[2000:]) < CHANCE


def test_the_shape_of_the_object_tells_its_class():
    """So that the guesses above are the data's doing: few numbers of the masks, and the nearest neighbours, know."""
    drawn = draw(np.arange(500), 3, 64)
    names = ("perimeter", "area", "solidity", "eccentricity", "moments_hu")
    tables = [regionprops_table(mask.astype(int), properties=names) for mask in drawn.masks]
    rows = np.array([[value.item() for value in table.values()] for table in tables])
    rows[:, 0] /= np.sqrt(rows[:, 1])
    rows = np.delete(rows, 1, axis=1)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(5)).fit(rows[:300], drawn.labels[:300])
    assert model.score(rows[300:], drawn.labels[300:]) > 0.9


# The data set


def test_classes_are_as_frequent_as_each_other_and_no_image_is_in_both_splits(data):
    assert np.bincount(data.train.labels).tolist() == [300] * 10
    assert np.bincount(data.test.labels).tolist() == [200] * 10
    assert data.train.labels.dtype == np.int64
    pictures = [image.tobytes() for split in (data.train, data.test) for image in split.images]
    assert len(set(pictures)) == 5000


def test_images_are_those_of_seed_0_to_train_and_of_seed_1_to_test(data):
    assert np.array_equal(data.train.images[990:1010], draw(np.arange(990, 1010), 0, 32).images)
    assert np.array_equal(data.test.images[-10:], draw(np.arange(1990, 2000), 1, 32).images)


def test_mean_and_deviation_are_those_of_the_training_images(data):
    values = data.train.images[:2000] / 255
    assert data.mean == pytest.approx(values.mean(axis=(0, 2, 3)), rel=1e-9)
    assert data.std == pytest.approx(values.std(axis=(0, 2, 3)), rel=1e-9)


def test_0_images_are_the_usual_number_and_progress_is_told():
    told = []
    data = SOURCE.load(16, 1, 0, lambda done, total: told.append((done, total)))
    assert data.train.images.shape == (10_000, 1, 16, 16)
    assert (data.size, data.channels, len(data.mean)) == (16, 1, 1)
    assert told == sorted(told)
    assert told[-1] == (12_000, 12_000)
    assert len(told) >= 10


@pytest.mark.parametrize(
    ("size", "channels", "images", "words"),
    [
        (224, 3, 10_000, r"more than 1.5 GB.*at most 7,\d{3}, or a smaller size"),
        (128, 3, 100_000, "smaller size"),
        (32, 3, 100_001, "1 to 100,000"),
        (32, 3, -1, "1 to 100,000"),
        (12, 3, 100, "16 to 224 px"),
        (32, 2, 100, "1 or 3"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_way_out(size, channels, images, words):
    with pytest.raises(DataError, match=words):
        SOURCE.load(size, channels, images, None)
