"""Pictures are read back pixel by pixel, figures number by number."""

import base64
import io
import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from explorer.analyses import activations
from explorer.counting import costs
from explorer.families import FAMILIES, PRESETS, family_of, plan
from explorer.plots import charts, mosaic
from explorer.plots.colours import GAP, SIGNED, SIGNED_TABLE, UNSIGNED_TABLE, paint

WHITE = (247, 247, 247)  # RdBu's own: a shade off the page's, so that a map of zeros is still seen to be there


def rgb(anchor: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(anchor.removeprefix("#")))


def decoded(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def painted(value: float, reach: float, signed: bool) -> tuple[int, ...]:
    return tuple(paint(np.array([value]), reach, signed)[0].tolist())


# --- colours


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("reach", [1e-30, 0.5, 1, 3.7, 1e30, 0])
def test_zero_is_white(signed, reach):
    assert painted(0.0, reach, signed) == WHITE
    assert painted(-0.0, reach, signed) == WHITE


def test_the_extremes_have_the_end_colours():
    dark_blue, dark_red = rgb("#053061"), rgb("#67001f")  # ColorBrewer, RdBu of 11 classes
    assert painted(-2.5, 2.5, signed=True) == dark_blue
    assert painted(2.5, 2.5, signed=True) == dark_red
    assert painted(2.5, 2.5, signed=False) == dark_red
    # and beyond them there is nothing
    assert painted(-99, 2.5, signed=True) == dark_blue
    assert painted(99, 2.5, signed=True) == painted(99, 2.5, signed=False) == dark_red
    assert painted(-99, 2.5, signed=False) == WHITE


@pytest.mark.parametrize("quarter", range(9))
def test_the_anchors_are_evenly_spaced(quarter):
    assert painted((quarter - 4) / 4, 1, signed=True) == rgb(SIGNED[quarter])
    if quarter >= 4:
        assert painted((quarter - 4) / 4, 1, signed=False) == rgb(SIGNED[quarter])


def test_signed_colours_are_symmetric_about_zero():
    values = np.linspace(0, 1.2, 1001)
    above, below = (paint(sign * values, 1.0, signed=True).tolist() for sign in (1, -1))
    table, zero = SIGNED_TABLE.tolist(), len(SIGNED_TABLE) // 2
    assert [table.index(a) - zero for a in above] == [zero - table.index(b) for b in below]


def test_a_map_before_and_after_its_relu_has_the_same_reds():
    steps = len(SIGNED_TABLE) // 2
    values = np.arange(steps + 1) / steps
    np.testing.assert_array_equal(paint(values, 1.0, signed=True), paint(values, 1.0, signed=False))


def test_larger_numbers_are_darker():
    luminance = UNSIGNED_TABLE @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) < 0).all()
    assert len(np.unique(SIGNED_TABLE, axis=0)) == len(SIGNED_TABLE)


def test_what_is_not_a_number_is_grey():
    values = np.array([[np.nan, 1], [0, np.nan]])
    for signed in (True, False):
        found = paint(values, 1.0, signed)
        assert found[0, 0].tolist() == found[1, 1].tolist() == GAP.tolist()
        assert found[1, 0].tolist() == list(WHITE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_has_the_end_colours(dtype):
    values = np.array([-np.inf, np.inf], dtype)
    for reach in (1.0, np.float64(0.1)):
        assert [tuple(c) for c in paint(values, reach, signed=True).tolist()] == [rgb("#053061"), rgb("#67001f")]
        assert [tuple(c) for c in paint(values, reach, signed=False).tolist()] == [WHITE, rgb("#67001f")]


def test_each_map_can_have_a_reach_of_its_own():
    maps = np.array([[[1.0]], [[2.0]], [[0.0]]])
    assert len(np.unique(paint(maps, np.array([1.0, 2.0, 0.0])[:, None, None], signed=True)[:2], axis=0)) == 1
    assert paint(maps, np.array([1.0, 2.0, 0.0])[:, None, None], signed=True)[2].tolist() == [[list(WHITE)]]


# --- scales


def test_reach_of_the_layer_and_of_each_channel():
    maps = np.array([[[1, -3]], [[0, 0]], [[2, 2]]], np.float32)
    assert mosaic.reaches(maps, each=True).tolist() == [3, 0, 2]
    assert mosaic.reaches(maps, each=False).tolist() == [3, 3, 3]


def test_signed_is_what_has_numbers_below_zero():
    assert mosaic.is_signed(np.array([[[0, -1e-30]]], np.float32))
    assert not mosaic.is_signed(np.array([[[0, 5]]], np.float32))


def test_one_overflow_does_not_spoil_the_scale_of_the_layer():
    maps = np.array([[[1, -3]], [[np.nan, 1]], [[np.inf, 1]]], np.float32)
    assert mosaic.reaches(maps, each=False).tolist() == [3, 3, 3]
    assert mosaic.is_signed(maps)


# --- the mosaic


def constants(count: int, side: int) -> np.ndarray:
    """Map i is i everywhere."""
    return np.broadcast_to(np.arange(count, dtype=np.float32)[:, None, None], (count, side, side)).copy()


@pytest.mark.parametrize("side", [1, 7, 28, 112, 150])
@pytest.mark.parametrize("count", [1, 2, 3, 12, 13, 64, 127, 255, 256])
def test_every_tile_is_where_it_should_be(count, side):
    sheet = mosaic.mosaic(constants(count, side), max(1.0, count - 1), signed=False)
    (h, w), columns = sheet.tile, sheet.columns
    rows = math.ceil(count / columns)
    assert sheet.picture.shape == (rows * (h + 1) + 1, columns * (w + 1) + 1, 3)
    assert sheet.picture.shape[1] <= 1000
    expected = np.broadcast_to(GAP, sheet.picture.shape).copy()
    for i in range(count):
        y, x = divmod(i, columns)
        expected[1 + y * (h + 1) :, 1 + x * (w + 1) :][:h, :w] = painted(i, max(1.0, count - 1), signed=False)
    np.testing.assert_array_equal(sheet.picture, expected)


def test_maps_are_enlarged_by_whole_numbers():
    maps = np.random.default_rng(0).normal(size=(6, 5, 7)).astype(np.float32)
    sheet = mosaic.mosaic(maps, 2.0, signed=True, width=100, columns=3)
    # a tile has (100 - 1) // 3 - 1 = 32 pixels; four times 7 fit
    assert sheet.tile == (5 * 4, 7 * 4)
    y, x = 21 + 1, 2 * 29 + 1  # map 5 is the third of the second row
    tile = sheet.picture[y : y + 20, x : x + 28]
    np.testing.assert_array_equal(tile, paint(maps[5], 2.0, signed=True).repeat(4, 0).repeat(4, 1))


def test_large_maps_are_made_smaller_by_dropping_pixels():
    maps = np.random.default_rng(0).normal(size=(4, 100, 100)).astype(np.float32)
    sheet = mosaic.mosaic(maps, 2.0, signed=True, width=100, columns=2)
    # 48 pixels are there for 100: every third is kept, 34 of them
    assert sheet.tile == (34, 34)
    np.testing.assert_array_equal(sheet.picture[1:35, 1:35], paint(maps[0, ::3, ::3], 2.0, signed=True))


def test_a_mosaic_has_one_to_256_tiles():
    for count in range(1, 257):
        columns = mosaic.mosaic(np.zeros((count, 2, 2), np.float32), 1.0, signed=False).columns
        assert 1 <= columns <= count
        rows = math.ceil(count / columns)
        assert (rows - 1) * columns < count <= rows * columns
        if count > 8:
            assert 0.7 <= columns / rows <= 4
    for count in (0, 257):
        with pytest.raises(ValueError, match=f"{count} maps"):
            mosaic.mosaic(np.zeros((count, 2, 2), np.float32), 1.0, signed=False)


def test_maps_can_be_scaled_one_by_one():
    maps = constants(3, 2)
    sheet = mosaic.mosaic(maps, mosaic.reaches(maps, each=True), signed=False, columns=3)
    tiles = [sheet.picture[1, 1 + i * (sheet.tile[1] + 1)].tolist() for i in range(3)]
    assert tiles == [list(WHITE), list(rgb("#67001f")), list(rgb("#67001f"))]


def test_png_is_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8)
    np.testing.assert_array_equal(decoded(mosaic.png(picture)), picture)


# --- components and overlays


def test_components_are_red_green_and_blue_about_grey():
    components = np.zeros((3, 1, 4), np.float32)
    components[0, 0] = [0, 2.5, -2.5, 99]
    components[2, 0] = [0, 0, 2.5, -99]
    grey = 128  # 127.5, rounded
    picture = mosaic.components_picture(components, 4)
    assert picture.tolist() == [[[grey, grey, grey], [255, grey, grey], [0, grey, 255], [255, grey, 0]]]
    assert mosaic.components_picture(components, 9).shape == (2, 8, 3)


def test_components_of_maps_that_overflowed_are_a_picture():
    maps = np.full((5, 4, 4), np.nan, np.float32)
    assert len(np.unique(mosaic.components_picture(activations.principal_components(maps), 4))) == 1


def test_overlay_goes_from_the_grey_image_to_the_map():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    one = np.random.default_rng(1).integers(0, 256, (2, 4, 3), np.uint8)
    luminance = np.asarray(Image.fromarray(image).convert("L"))
    # 8 pixels are shown as 320, each 40 wide: a browser would blur what it enlarged itself
    grey = np.stack([luminance] * 3, 2).repeat(40, 0).repeat(40, 1)
    large = one.repeat(160, 0).repeat(80, 1)
    np.testing.assert_array_equal(mosaic.overlay(image, one, 0), grey)
    np.testing.assert_array_equal(mosaic.overlay(image, one, 1), large)
    np.testing.assert_allclose(mosaic.overlay(image, one, 0.25), 0.75 * grey + 0.25 * large, atol=0.51)


def test_overlay_on_a_grey_image():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
    one = np.zeros((8, 8, 3), np.uint8)
    np.testing.assert_array_equal(mosaic.overlay(image, one, 0), image.repeat(3, 2).repeat(40, 0).repeat(40, 1))


# --- charts


@pytest.mark.parametrize("count", [1, 5, 64, 256])
def test_a_click_on_a_tile_selects_its_channel(count):
    maps = constants(count, 14)
    numbers = [1000 + i for i in range(count)]
    sheet = mosaic.mosaic(maps, float(max(1, count - 1)), signed=False)
    figure = charts.clickable(sheet, [f"channel {n}" for n in numbers], numbers)
    (markers,) = figure.data
    (image,) = figure.layout.images
    assert [int(n) for n in markers.customdata] == numbers
    assert list(markers.text) == [f"channel {n}" for n in numbers]
    assert len(markers.x) == len(markers.y) == count
    h, w = sheet.tile
    for i, (x, y) in enumerate(zip(markers.x, markers.y, strict=True)):
        row, column = divmod(i, sheet.columns)
        assert (x, y) == (column * (w + 1) + 1 + w / 2, row * (h + 1) + 1 + h / 2)
        assert sheet.picture[int(y), int(x)].tolist() == list(painted(i, max(1, count - 1), signed=False))
    # the picture lies under the markers, in the same coordinates, a pixel a unit, its first row at the top
    assert (image.x, image.y, image.sizex, image.sizey) == (0, 0, sheet.picture.shape[1], sheet.picture.shape[0])
    assert tuple(figure.layout.xaxis.range) == (0, sheet.picture.shape[1])
    assert tuple(figure.layout.yaxis.range) == (sheet.picture.shape[0], 0)
    assert image.layer == "below"
    data = base64.b64decode(image.source.removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(decoded(data), sheet.picture)


def test_labels_tell_the_statistics():
    stats = activations.channels(np.array([[[0, 0], [0, 0]], [[0, 1], [2, 3]]], np.float32))
    assert charts.channel_labels(stats, np.array([1, 0])) == [
        "channel 1<br>mean 1.5, max 3<br>zeros 25%",
        "channel 0<br>mean 0, max 0<br>zeros 100%",
    ]


@pytest.mark.parametrize("shape", [(256, 56, 56), (256, 32, 32), (256, 7, 7)])
def test_figures_are_small_enough_to_send(shape):
    # noise, which compresses worst
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    stats, numbers = activations.channels(maps), np.arange(len(maps))
    sheet = mosaic.mosaic(maps, mosaic.reaches(maps, each=False), signed=True)
    sent = charts.clickable(sheet, charts.channel_labels(stats, numbers), numbers.tolist()).to_json()
    assert len(sent) < 2_000_000
    json.loads(sent)


@pytest.mark.parametrize(("signed", "ends"), [(True, (-2.0, 2.0)), (False, (0.0, 2.0))])
def test_the_scale_says_which_number_has_which_colour(signed, ends):
    figure = charts.colour_scale(2.0, signed)
    (bar,) = figure.data
    assert (bar.x[0], bar.x[-1]) == ends
    np.testing.assert_array_equal(bar.x, bar.z[0])
    for place, colour in bar.colorscale:
        value = ends[0] + place * (ends[1] - ends[0])
        assert rgb(colour) == painted(value, 2.0, signed)
    ticks = figure.layout.xaxis
    assert [float(text) for text in ticks.ticktext] == list(ticks.tickvals)
    assert (ticks.tickvals[0], ticks.tickvals[-1]) == ends
    assert 0 in ticks.tickvals


def test_a_scale_of_nothing_is_a_scale():
    for signed in (True, False):
        charts.colour_scale(0.0, signed).to_json()


def counted(figure: go.Figure) -> dict[str, int]:
    return {bar.name: int(sum(bar.y)) for bar in figure.data}


@pytest.mark.parametrize(
    ("values", "rest", "zeros"),
    [
        ([0, 0, 0, 0], 0, 4),
        ([0, 1, 2, 3], 3, 1),
        ([-1, -0.0, 0, 5], 2, 2),
        ([7, 7, 7, 7], 4, 0),
        ([1e-38, 2e-38, 0, 0], 2, 2),
        ([1, np.nextafter(np.float32(1), np.float32(2)), 1, 1], 4, 0),
        ([1e6, np.nextafter(np.float32(1e6), np.float32(2e6)), 0, 0], 2, 2),
        ([1e-45, 0, 0, 0], 1, 3),
        ([-3e38, 3e38, 0, 1], 3, 1),
    ],
)
def test_a_histogram_counts_every_position(values, rest, zeros):
    figure = charts.histogram(np.array(values, np.float32).reshape(2, 2), "#0072B2")
    found = counted(figure)
    assert (found.get("not zero", 0), found.get("exactly zero", 0)) == (rest, zeros)
    figure.to_json()


def test_a_histogram_is_numpys():
    values = np.random.default_rng(0).normal(size=(28, 28)).astype(np.float32)
    values[values < 0] = 0
    figure = charts.histogram(values, "#0072B2")
    counts, edges = np.histogram(values[values > 0].astype(np.float64), bins=40)
    bars = next(bar for bar in figure.data if bar.name == "not zero")
    assert sum(counted(figure).values()) == 28 * 28
    np.testing.assert_array_equal(bars.y, counts)
    np.testing.assert_allclose(bars.x, (edges[1:] + edges[:-1]) / 2, rtol=1e-5)
    np.testing.assert_allclose(bars.width, np.diff(edges), rtol=1e-4)


@pytest.mark.parametrize("values", [[np.nan] * 4, [np.nan, 1, 2, 0], [np.inf, 1, 0, 3], [np.inf, -np.inf, 0, 0]])
def test_a_histogram_leaves_out_what_is_no_number(values):
    values = np.array(values, np.float32)
    figure = charts.histogram(values.reshape(2, 2), "#0072B2")
    assert sum(counted(figure).values()) == np.isfinite(values).sum()
    figure.to_json()


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "cliquenet_s0", "resnet1202_cifar"])
def test_stage_bars_add_up_to_the_network(name):
    config = PRESETS[name]
    p = plan(config)
    rows = costs.table(p, "stage")
    figure = go.Figure(charts.stage_bars(rows, family_of(config).colour))  # which Plotly checks
    params, macs, memory = figure.data
    assert sum(params.x) == p.params
    assert sum(macs.x) == p.macs
    assert sum(memory.x) == pytest.approx(4 * sum(math.prod(op.shape) for op in p.ops[1:]) / 1e6)
    for bars, total in ((params, p.params), (macs, p.macs)):
        assert list(bars.y) == list(dict.fromkeys(op.stage for op in p.ops[1:]))
        for value, text in zip(bars.x, bars.text, strict=True):
            assert text == ("" if value / total < 0.005 else f"{100 * value / total:.0f}%")
    assert figure.layout.yaxis.autorange == "reversed"  # the input at the top


def test_families_have_colours_of_their_own():
    assert len({family.colour for family in FAMILIES.values()}) == len(FAMILIES)
