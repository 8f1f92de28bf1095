"""One number's arithmetic as it is shown: every number on the page adds up, by a calculator that reads the page."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from test_arithmetic import small

from explorer.analyses import arithmetic
from explorer.plan import Recorder
from explorer.plan.receptive_field import Field
from explorer.plots import positions
from explorer.plots.arithmetic import formula, html
from explorer.plots.colours import GAP, KERNEL_TABLE, SIGNED_TABLE, paint, paint_kernel
from explorer.plots.plain import PlainFigure
from explorer.running.arithmetic import Arithmetic, Formula
from explorer.running.network import build

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def said(words: str, **numbers: float) -> str:
    return formula(Arithmetic("", (), Formula(words, numbers), 0.0))


def words(page: str) -> str:
    """What is read of a piece of HTML."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)).strip()


def test_convolution_norm_and_relu_are_read():
    _, network, image = small()
    read = words(html(arithmetic.of_image(network, image, "conv", 0, 0, 0)))
    # the patch, zeros beyond the border; the kernel; their product, which adds 77
    assert read.startswith("channel 0 adds 77 0 0 0 0 1.00 2.00 0 3.00 4.00 × 1.00 2.00 3.00")
    # a variance of 4 - 1e-5 has the four digits of 4
    assert "conv sum 77 + bias 10 = 87 → norm (87 − 17) / √(4 + 0.00001) · 3 − 100 = 5 → relu max(0, 5) = 5" in read


def test_the_channels_shown_and_the_others_come_to_the_sum():
    net = Recorder(3, 8)
    net.conv("thin", net.conv("wide", net.input, 40, kernel=3, bias=False), 2, kernel=3, bias=False)
    network = build(net.finish())
    found = arithmetic.of_image(network, IMAGE, "thin", 1, 3, 0)
    rows = re.findall(r"<tr>.*?</tr>", html(found))
    numbers = [float(words(row).split()[-1].replace("−", "-")) for row in rows]
    assert len(rows) == 6 + 1 + 1
    assert words(rows[-2]).startswith("34 other channels")
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.005)
    assert numbers[-1] == pytest.approx(found.steps[0].computed, abs=0.005)


def test_signs_are_a_students():
    assert said("({x} - {mean}) · {scale} + {offset}", x=1.5, mean=-0.25, scale=-2, offset=-3) == (
        "(1.5 + 0.25) · (−2) − 3"
    )
    assert said("{x} / (1 + exp({minus}))", x=-2, minus=2) == "−2 / (1 + exp(2))"


def test_what_a_stranger_has_named_is_text():
    net = Recorder(1, 4)
    net.linear("fc", net.conv("conv", net.input, 2, kernel=3), 2)
    network = build(net.finish())
    found = arithmetic.of_image(network, IMAGE[:, :1, :4, :4], "conv", 0, 0, 0)
    op = found.steps[0].op._replace(name="<img src=x>")
    page = html(found._replace(steps=(found.steps[0]._replace(op=op),)))
    assert "<img" not in page
    assert "&lt;img" in page


def test_numbers_that_are_none_are_shown_all_the_same():
    _, network, image = small()
    image[0, 0, 0, 0], image[0, 0, 0, 1] = float("nan"), float("inf")
    assert "nan" in words(html(arithmetic.of_image(network, image, "conv", 0, 0, 0)))


# -- colours ----------------------------------------------------------------------------------------------------------


def test_a_kernel_has_its_own_scale_and_the_same_zero():
    values = np.array([-1.0, 0, 1, np.nan])
    brown, zero, green, none = paint_kernel(values, 1.0)
    assert (brown == KERNEL_TABLE[0]).all()
    assert len({*map(int, zero)}) == 1  # a grey
    assert (green == KERNEL_TABLE[-1]).all()
    assert (none == GAP).all()


def test_painting_a_single_number_leaves_the_scale_as_it_is():
    before = SIGNED_TABLE.copy()
    assert (paint(np.array(np.nan), 1.0, signed=True) == GAP).all()
    assert (before == SIGNED_TABLE).all()


# -- maps and frames --------------------------------------------------------------------------------------------------


def test_the_picture_is_faint_outside_the_field():
    seen = np.full((8, 8, 3), 255, np.uint8)
    framed = positions.framed_picture(seen, Field(-3, 4, 4, 12))
    times = len(framed) // 8
    assert framed[2 * times, 6 * times].tolist() == [255, 255, 255]
    # 0.35 · 255 + 0.65 · 128
    assert framed[6 * times, times].tolist() == [172, 172, 172]


def test_a_patch_beyond_the_border_shows_the_border():
    framed = positions.framed_map(np.ones((4, 4)), 1.0, True, range(-1, 2), range(2, 5))
    times = len(framed) // 6
    assert Image.fromarray(framed).size == (6 * times, 6 * times)
    assert framed[times // 2, times // 2].tolist() == GAP.tolist()
    assert framed[times * 2, times * 2].tolist() == SIGNED_TABLE[-1].tolist()


@pytest.mark.parametrize(("side", "clicked"), [(8, 8), (32, 32), (56, 28), (112, 28)])
def test_large_maps_are_clicked_at_every_nth_position(side, clicked):
    values = np.arange(side * side, dtype=np.float32).reshape(side, side)
    figure = positions.clickable_map(values, 1.0, True, 0, 0)
    (markers,) = figure["data"]
    assert len(markers["customdata"]) == clicked**2
    # the number at the marker is the one that a click selects
    assert (markers["marker"]["color"] == markers["customdata"]).all()
    assert (markers["customdata"] == markers["y"] * side + markers["x"]).all()
    assert PlainFigure(figure).to_dict()["layout"]["height"]
