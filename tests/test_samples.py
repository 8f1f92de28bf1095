"""The sample photographs that scikit-image brings along."""

import numpy as np
import pytest

from explorer.pictures.reading import PictureError
from explorer.pictures.samples import SAMPLES, sample


@pytest.mark.parametrize("label", SAMPLES)
def test_samples_are_colour_photographs(label):
    picture = sample(label)
    assert min(picture.pixels.shape[:2]) >= 224
    assert picture.pixels.std(axis=(0, 1)).min() > 20  # not blank
    assert np.ptp(picture.pixels.astype(int), axis=2).max() > 50  # not grey
    assert sample(label) is picture


def test_an_unknown_sample_is_refused_with_the_choice():
    with pytest.raises(PictureError, match="Astronaut"):
        sample("Dog")
