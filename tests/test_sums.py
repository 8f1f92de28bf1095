"""Sums in rows against float64 from end to end, and against numbers that are known."""

import pytest
import torch

from explorer.analyses import sums

SHAPES = [(1,), (3, 5), (1023,), (1024,), (8, 64, 56, 56), (2, 3, 100, 101)]


def numbers(shape, scale=1.0, offset=0.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))) * scale + offset


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 3e18])
def test_norms_are_float64s(shape, scale):
    values = numbers(shape, scale)
    assert float(sums.norm(values)) == pytest.approx(float(values.double().norm()), rel=1e-7)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
def test_means_and_deviations_are_float64s(shape, offset):
    values = numbers(shape, offset=offset)
    wide = values.double()
    mean = sums.mean(values)
    assert float(mean) == pytest.approx(float(wide.mean()), rel=1e-7, abs=1e-7 * float(wide.abs().mean()))
    # an offset of 1e4 leaves float32 numbers four digits of what they spread by, and the sums none the fewer
    assert float(sums.deviation(values, mean)) == pytest.approx(float(wide.std(unbiased=False)), rel=1e-6, abs=1e-7)


def test_a_sum_of_squares_of_float32_would_be_wrong_by_a_thousandth():
    """Ones, of which float32 cannot count more than 2^24 one by one; their norm is the root of how many there are."""
    count = 4097 * 8192
    assert float(sums.norm(torch.ones(count))) == pytest.approx(count**0.5, rel=1e-12)


def test_a_view_that_is_not_contiguous():
    values = numbers((64, 64, 33)).transpose(0, 2)
    assert float(sums.norm(values)) == pytest.approx(float(values.double().norm()), rel=1e-7)
    assert float(sums.norm(torch.ones(1, 1).expand(300, 300))) == pytest.approx(300, rel=1e-12)


def test_what_is_not_finite_stays_so():
    values = torch.tensor([1.0, torch.inf])
    assert float(sums.norm(values)) == float("inf")
    assert not torch.isfinite(sums.mean(torch.tensor([torch.nan, 1.0])))
    assert not torch.isfinite(sums.deviation(values, sums.mean(values)))
