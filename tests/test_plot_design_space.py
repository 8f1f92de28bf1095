"""Pictures of the design space, read back: the sparkline as SVG, maps and points number by number."""

import base64
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from explorer.counting.design_space import Curve, Grid, Mark, axes, curve, grid, reach
from explorer.families import PRESETS
from explorer.plots.design_space import SPARK_HEIGHT, knob_map, published_field, sparkline
from explorer.running.published import Published

RESNET = PRESETS["resnet50"]
AXES = {axis.title: axis for axis in axes(RESNET)}
WIDTH, SIZE = AXES["Width"], AXES["Input size"]
SVG = "{http://www.w3.org/2000/svg}"

# -- the small curve over a slider -------------------------------------------------------------------------------------


def image_of(html):
    """The image's attributes and the picture in it, by strict parsers."""
    (tag, *_) = ElementTree.fromstring(re.sub("(<img[^>]*)>", r"\1/>", html))
    assert tag.tag == "img"
    start = "data:image/svg+xml;base64,"
    assert tag.attrib["src"].startswith(start)
    svg = ElementTree.fromstring(base64.b64decode(tag.attrib["src"].removeprefix(start), validate=True))
    assert svg.tag == f"{SVG}svg"
    return tag.attrib, svg


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.attrib["points"].split()]


def drawn(values, costs, present, low, high, top):
    cost = dict(zip(values, costs, strict=True)).get(present, 0)
    html = sparkline(Curve(WIDTH, values, costs, present, cost), low, high, "#0072B2", top)
    attributes, svg = image_of(html)
    return attributes, points(svg.find(f"{SVG}polyline")), points(svg.find(f"{SVG}polygon")), svg.find(f"{SVG}line")


def test_the_curve_lines_up_with_its_slider():
    _, line, area, present = drawn((10, 20, 40, 110), (0, 5, 10, 40), 20, low=10, high=110, top=10)
    # a thousandth of the slider each
    assert [x for x, _ in line] == [0, 100, 300, 1000]
    assert float(present.attrib["x1"]) == float(present.attrib["x2"]) == 100
    # zero is at the bottom, the top at the top, half of it between them; what is beyond goes on above the picture
    y = [y for _, y in line]
    assert y[1] == pytest.approx((y[0] + y[2]) / 2, abs=0.1)
    assert y[0] - y[3] == pytest.approx(4 * (y[0] - y[2]), abs=0.2)
    assert 0 <= y[2] <= 2
    assert SPARK_HEIGHT - 2 <= y[0] <= SPARK_HEIGHT
    # the area is what is under the line
    assert area == [(line[0][0], SPARK_HEIGHT), *line, (line[-1][0], SPARK_HEIGHT)]
    assert (float(present.attrib["y1"]), float(present.attrib["y2"])) == (0, SPARK_HEIGHT)


def test_costs_are_in_proportion():
    values, costs = (1, 2, 3, 4, 5), (100, 250, 400, 700, 1000)
    _, line, _, _ = drawn(values, costs, 3, low=1, high=5, top=2000)
    _, zero, _, _ = drawn((1, 5), (0, 2000), 1, low=1, high=5, top=2000)
    bottom, full = zero[0][1], zero[1][1]
    for (x, y), value, cost in zip(line, values, costs, strict=True):
        assert x == 250 * (value - 1)
        assert (bottom - y) / (bottom - full) == pytest.approx(cost / 2000, abs=0.005)


def test_a_slider_may_begin_below_zero():
    _, line, _, present = drawn((-1, 4, 24), (3, 4, 5), -1, low=-1, high=24, top=10)
    assert [x for x, _ in line] == [0, 200, 1000]
    assert float(present.attrib["x1"]) == 0


def test_a_curve_of_one_value():
    _, line, area, present = drawn((7,), (3,), 7, low=7, high=7, top=6)
    assert [x for x, _ in line] == [0]
    assert float(present.attrib["x1"]) == 0
    assert len(area) == 3


def test_what_the_curve_says_to_those_who_cannot_see_it():
    attributes, *_ = drawn((4, 64, 256), (1_000, 25_557_032, 400_000_000), 64, low=4, high=256, top=1e9)
    assert attributes["alt"] == attributes["title"] == "from 1,000 to 400,000,000, now 25,557,032"


def test_the_picture_is_as_wide_as_its_slider_and_has_the_familys_colour():
    html = sparkline(Curve(WIDTH, (1, 2), (1, 2), 1, 1), 1, 2, "#D55E00", 2)
    attributes, svg = image_of(html)
    box = [*map(float, svg.attrib["viewBox"].split())]
    assert box == [0, 0, 1000, SPARK_HEIGHT]
    # stretched across
    assert svg.attrib["preserveAspectRatio"] == "none"
    assert f"height:{SPARK_HEIGHT}px" in attributes["style"]
    colours = {element.attrib.get(use) for element in svg.iter() for use in ("fill", "stroke", "stop-color")}
    assert colours == {"#D55E00", "none", "url(#fade)", None}


def beyond(values, costs, present):
    """What is written beside the curve, and at which side of it."""
    cost = dict(zip(values, costs, strict=True))[present]
    html = sparkline(Curve(WIDTH, values, costs, present, cost), values[0], values[-1], "#0072B2", 4 * max(1, cost))
    (_, *spans) = ElementTree.fromstring(re.sub("(<img[^>]*)>", r"\1/>", html))
    return [(span.text, re.search("(left|right):3px", span.attrib["style"])[1]) for span in spans]


def test_a_curve_that_is_cut_says_how_far_it_goes():
    assert beyond((1, 2, 4), (10, 20, 40), 1) == []  # four times as much is the edge
    assert beyond((1, 2, 4, 8), (10, 20, 45, 310), 1) == [("↑ to 31×", "right")]
    assert beyond((1, 2, 4, 8), (500, 90, 20, 10), 8) == [("↑ to 50×", "left")]
    assert beyond((1, 2, 3, 4), (0, 0, 5, 0), 1) == [("↑ to 5×", "right")]  # of nothing: of one


@pytest.mark.parametrize("name", ["resnet50", "resnet20_cifar", "densenet121", "cliquenet_s3"])
def test_curves_of_real_networks_leave_their_picture_through_the_top(name):
    config = PRESETS[name]
    for axis in axes(config):
        found = curve(config, axis, "params", count=5)
        low, high = reach(axis.knob, found.present)
        _, svg = image_of(sparkline(found, low, high, "#009E73", 2 * max(1, found.cost)))
        for (x, y), cost in zip(points(svg.find(f"{SVG}polyline")), found.costs, strict=True):
            assert 0 <= x <= 1000
            assert y <= SPARK_HEIGHT
            assert y >= 0 or cost > 2 * found.cost


# -- the map of two knobs ----------------------------------------------------------------------------------------------

SMALL = Grid(WIDTH, SIZE, (8.0, 16.0, 24.0), (32.0, 64.0), ((1_000_000, 2_000_000, None), (None, 4_500_000, 6_000_000)))
MARKS = [Mark("here", 16, 32, True), Mark("there", 16, 64, False), Mark("too", 24, 64, False)]


def clickable(figure):
    return next(trace for trace in figure.data if trace.customdata is not None)


def named(figure, name):
    return next((trace for trace in figure.data if trace.name == name), None)


def pairs(trace):
    return [*zip(trace.x, trace.y, strict=True)]


def test_cells_that_can_be_are_clickable():
    trace = clickable(knob_map(SMALL, (16, 32), MARKS, "M params", 1e6))
    expected = [(8, 32), (16, 32), (16, 64), (24, 64)]
    assert pairs(trace) == expected
    assert [tuple(pair) for pair in trace.customdata] == expected
    assert [*trace.text] == ["1 M params", "2 M params", "4.5 M params", "6 M params"]


def test_only_cells_are_clickable():
    figure = knob_map(SMALL, (16, 32), MARKS, "M params", 1e6)
    assert len([trace for trace in figure.data if trace.customdata is not None]) == 1
    assert {trace.hoverinfo for trace in figure.data if trace.type in ("heatmap", "contour")} == {"skip"}


def test_colours_begin_at_zero():
    figure = knob_map(SMALL, (16, 32), MARKS, "M params", 1e6)
    heat = figure.data[0]
    assert heat.type == "heatmap"
    assert heat.zmin == 0
    assert heat.colorscale[0] == (0, "#f7f7f7")
    assert [*heat.x] == [8, 16, 24]
    assert [*heat.y] == [32, 64]
    np.testing.assert_array_equal(np.array(heat.z, float), [[1, 2, np.nan], [np.nan, 4.5, 6]])
    assert heat.colorbar.title.text == "M params"
    contour = figure.data[1]
    np.testing.assert_array_equal(np.array(contour.z, float), np.array(heat.z, float))


def test_published_networks_are_marked():
    figure = knob_map(SMALL, (16, 32), MARKS, "M params", 1e6)
    exact, others = named(figure, "published"), named(figure, "published, other knobs differ")
    assert (pairs(exact), [*exact.text]) == ([(16, 32)], ["here"])
    assert (pairs(others), [*others.text]) == ([(16, 64), (24, 64)], ["there", "too"])
    assert exact.marker.symbol != others.marker.symbol
    bare = knob_map(SMALL, (16, 32), [], "M params", 1e6)
    assert named(bare, "published") is named(bare, "published, other knobs differ") is None


def test_the_present_network_is_on_the_map():
    figure = knob_map(SMALL, (16, 32), MARKS, "M params", 1e6)
    assert pairs(named(figure, "this network")) == [(16, 32)]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Width", "Input size")
    for low, high, values in ((*figure.layout.xaxis.range, SMALL.xs), (*figure.layout.yaxis.range, SMALL.ys)):
        assert low < values[0]
        assert values[-1] < high


def test_a_map_of_a_real_network():
    found = grid(RESNET, WIDTH, SIZE, "MACs", count=4)
    trace = clickable(knob_map(found, (64, 224), [], "G MACs", 1e9))
    expected = {
        (x, y): f"{cost / 1e9:.4g} G MACs"
        for y, row in zip(found.ys, found.costs, strict=True)
        for x, cost in zip(found.xs, row, strict=True)
        if cost is not None
    }
    assert dict(zip(map(tuple, trace.customdata), trace.text, strict=True)) == expected
    assert expected[64, 224] == "4.089 G MACs"  # torchvision's metadata


# -- the published field -----------------------------------------------------------------------------------------------

NETWORKS = [
    Published("a", "A", "One", "#0072B2", 2_000_000, 500_000_000, 30.0),
    Published("b", "B", "Other", "#D55E00", 40_000_000, 8_000_000_000, 22.5),
    Published("c", "C", "One", "#0072B2", 10_000_000, 1_000_000_000, 25.0),
]


def test_every_network_is_a_point_in_both_fields():
    figure = published_field(NETWORKS, 5_000_000, 2_000_000_000)
    one, other = ([trace for trace in figure.data if trace.name == name] for name in ("One", "Other"))
    assert [pairs(trace) for trace in one] == [[(2, 30), (10, 25)], [(0.5, 30), (1, 25)]]
    assert [pairs(trace) for trace in other] == [[(40, 22.5)], [(8, 22.5)]]
    assert [[*trace.text] for trace in one] == [["A", "C"]] * 2
    assert {trace.marker.color for trace in one} == {"#0072B2"}
    assert {trace.marker.color for trace in other} == {"#D55E00"}
    assert len(figure.data) == 4
    # each family once in the legend; parameters to the left, MACs to the right
    assert [trace.showlegend for trace in (*one, *other)] == [True, False, True, False]
    assert [trace.xaxis for trace in one] == ["x", "x2"]
    assert figure.layout.xaxis.title.text == "parameters, millions"
    assert figure.layout.xaxis2.title.text == "MACs, billions"
    assert figure.layout.yaxis.title.text == "top-1 error, %"


def test_lines_mark_the_present_network():
    figure = published_field(NETWORKS, 5_000_000, 2_000_000_000)
    lines = {line.xref: (line.x0, line.x1) for line in figure.layout.shapes}
    # a shape on a logarithmic axis is placed by its number, and not by the number's logarithm
    assert {figure.layout.xaxis.type, figure.layout.xaxis2.type} == {"log"}
    assert lines == {"x": (5, 5), "x2": (2, 2)}


def test_the_tag_has_nothing_that_ends_it_early():
    html = sparkline(Curve(WIDTH, (1, 2), (1, 2), 1, 1), 1, 2, "#D55E00", 2)
    assert re.fullmatch(r'<div style="[^"<>]*"><img( [a-z]+="[^"<>]*")+></div>', html)
