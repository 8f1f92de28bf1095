"""Numbers as people write them, by hand."""

import pytest

from explorer.wording import number, shape, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (0.12345, "0.1235"),
        (1000, "1 k"),
        (25_557_032, "25.56 M"),
        (4_089_184_256, "4.089 G"),
        (-4_089_184_256, "-4.089 G"),
        (2.5e12, "2.5 T"),
    ],
)
def test_four_digits_and_a_unit(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (102_228_128, "102.2 MB")])
def test_bytes_in_powers_of_a_thousand(value, text):
    assert size(value) == text


def test_a_shape():
    assert shape((64, 56, 56)) == "64×56×56"
    assert shape((10,)) == "10"
