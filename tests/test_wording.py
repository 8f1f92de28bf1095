"""Numbers as people write them, by hand."""

import pytest

from explorer.wording import ending, gigabytes, many, number, shape, size


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


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 MB"), (123_456, "0.1 MB"), (99_900_000, "99.9 MB"), (100_000_000, "0.1 GB"), (4_270_000_000, "4.3 GB")],
)
def test_gigabytes(count, text):
    assert gigabytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0"), (64_000, "64,000"), (999_999, "999,999"), (2_560_000, "2.56 million")),
        *((40**4 * 64, "164 million"), (999_900_000, "1,000 million"), (5_451_776_000, "5.45 billion")),
        *((8**5 * 128**5, "1.13 × 10^15"), (9_999 * 10**12, "1 × 10^16")),
    ],
)
def test_numbers_beyond_all_counting(count, text):
    assert many(count) == text


def test_a_long_name_keeps_its_end():
    assert ending("layer1.0.conv1") == "layer1.0.conv1"
    assert ending("features.denseblock1.denselayer2.concat", 30) == "…enseblock1.denselayer2.concat"
    assert len(ending("x" * 31, 30)) == 30


def test_a_shape():
    assert shape((64, 56, 56)) == "64×56×56"
    assert shape((10,)) == "10"
