"""What the numbers of a map say, by hand."""

import io

import numpy as np
import pytest

from explorer.analyses.attribution import reading
from explorer.analyses.attribution.attribute import Attribution
from explorer.analyses.attribution.display import common_reach


def attribution(values, signed=True, delta=None):
    return Attribution(np.array(values, np.float32), signed, 0.1, delta, None, "conv1")


def test_a_map_is_complete_where_its_values_sum_to_the_scores_change():
    # 1 + 2 + 4 = 7 where the score changes by 8: an eighth is missing
    found = reading.completeness(attribution([[1, 2], [4, 0]], delta=-1.0))
    assert found == (7.0, 8.0, -1.0, 0.125)
    assert not found.holds
    assert reading.completeness(attribution([[4, 4]], delta=0.0)).holds
    # a twentieth is within, and a little more is not
    assert reading.completeness(attribution([[19, 0]], delta=-1.0)).holds
    assert not reading.completeness(attribution([[18, 0]], delta=-1.0)).holds
    assert reading.completeness(attribution([[1, 2]])) is None
    assert reading.completeness(attribution([[1, 1]], delta=2.0)).share == float("inf")


@pytest.mark.parametrize(
    ("values", "signed", "finite", "zero", "against"),
    [
        ([[0, 0]], True, True, True, True),
        ([[0, 0]], False, True, True, False),
        ([[-1, 0]], True, True, False, True),
        ([[-1, 1]], True, True, False, False),
        ([[np.nan, 1]], True, False, False, False),
        ([[np.inf, 1]], False, False, False, False),
    ],
)
def test_what_a_map_says(values, signed, finite, zero, against):
    found = attribution(values, signed)
    assert reading.is_finite(found) == finite
    assert reading.is_zero(found) == zero
    assert reading.is_against(found) == against


def test_a_map_is_taken_along_as_numpy_reads_it():
    found = attribution([[1.5, -2]])
    with np.load(io.BytesIO(reading.npz(found, "saliency"))) as file:
        assert np.array_equal(file["map"], found.map)
        assert (str(file["method"]), str(file["operation"])) == ("saliency", "conv1")


def test_one_scale_is_the_largest_of_all():
    # of each map all but 2 % of the sum of magnitudes lies within its largest value here
    maps = [np.array([1.0, 2.0], np.float32), np.array([-3.0, 1.0], np.float32), np.array([np.nan, 0.5], np.float32)]
    assert common_reach(maps) == 3.0
    assert common_reach([np.zeros(3, np.float32)]) == 0.0
    assert common_reach([]) == 0.0
