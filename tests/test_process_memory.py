"""The memory limit is kept by the process as the operating system sees it, for every method of attribution."""

import sys

import pytest

from benchmarks.growth import growths
from explorer.analyses.attribution.methods import METHODS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's peak is read from /proc")


@pytest.mark.parametrize(
    ("name", "size", "limit"),
    [
        ("resnet18", 112, 150_000_000),
        ("densenet121", 64, 200_000_000),
        ("cliquenet_k36_t12", 32, 150_000_000),
    ],
)
def test_no_method_takes_more_than_the_limit(name, size, limit):
    grown = growths(name, size, limit, exact=True)
    assert set(grown) == set(METHODS)
    assert {method: grew for method, grew in grown.items() if grew > limit} == {}
