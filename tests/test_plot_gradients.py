"""Pictures of gradient flow: means and bands by hand, what has no place on a logarithmic axis, bars that add up."""

import math

import numpy as np
import pytest

from explorer.analyses.flow_reading import Line
from explorer.analyses.gradients import Matrix, Split
from explorer.analyses.paths import Paths
from explorer.plots import axes
from explorer.plots import gradients as plots
from explorer.plots.gradients import COLOURS, along_the_network

NAN, INF = math.nan, math.inf
NAMES = ("a", "b", "c")


def line(*runs, title="one", names=NAMES):
    return Line(title, names[: len(runs[0])], np.arange(1.0, len(runs[0]) + 1), np.array(runs, float))


def named(figure, name):
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def marks(figure, symbol):
    return [trace for trace in figure.data if trace.marker.symbol == symbol]


def test_a_line_is_the_geometric_mean_in_a_band_from_least_to_most():
    figure = along_the_network([line([1, 10, 100], [4, 40, 400])], "x", "y")
    assert named(figure, "one").y == pytest.approx([2, 20, 200])
    (band,) = (trace for trace in figure.data if trace.fill == "toself")
    assert band.x.tolist() == [1, 2, 3, 3, 2, 1]
    assert band.y.tolist() == [4, 40, 400, 100, 10, 1]
    assert band.mode == "lines"


def test_without_a_logarithm_it_is_the_arithmetic_mean():
    figure = along_the_network([line([-1, 0, 3], [3, 0, 5])], "x", "y", log=False)
    assert named(figure, "one").y.tolist() == [1, 0, 4]
    assert not marks(figure, "triangle-down")


def test_one_run_has_no_band():
    assert len(along_the_network([line([1, 2, 3])], "x", "y").data) == 1


def test_what_a_logarithm_cannot_show_is_marked_at_the_edges():
    figure = along_the_network([line([0, NAN, 2], [1, 8, INF])], "x", "y")
    (zero,), (odd,), (infinite,) = (marks(figure, symbol) for symbol in ("triangle-down", "x", "triangle-up"))
    assert (zero.x.tolist(), zero.y.tolist(), list(zero.customdata[0])) == ([1], [1], ["a", 0])
    assert (odd.x.tolist(), odd.y.tolist()) == ([2], [8])
    assert (infinite.x.tolist(), infinite.y.tolist()) == ([3], [8])
    # the means are those of what is left
    assert named(figure, "one").y == pytest.approx([1, 8, 2])
    low, high = figure.layout.yaxis.range
    assert low < 0 < math.log10(8) < high


def test_nothing_that_can_be_drawn_is_a_figure_all_the_same():
    figure = along_the_network([line([0, 0, 0])], "x", "y")
    assert np.isnan(named(figure, "one").y).all()
    assert marks(figure, "triangle-down")[0].x.tolist() == [1, 2, 3]
    assert not along_the_network([], "x", "y").data


def test_a_click_knows_its_operation_and_its_network():
    figure = along_the_network([line([1, 2, 3]), line([1, 2], title="other", names=("d", "e"))], "x", "y")
    assert [list(point) for point in named(figure, "other").customdata] == [["d", 1], ["e", 1]]


def test_the_selected_operation_is_marked_in_the_first_network():
    figures = [along_the_network([line([1, 2, 3])], "x", "y", selected=name) for name in ("b", "z", None)]
    assert [[shape.x0 for shape in figure.layout.shapes] for figure in figures] == [[2], [], []]


def test_lines_of_one_colour_differ_in_their_dashes():
    lines = [line([1, 2, 3], title=str(i)) for i in range(len(COLOURS) + 1)]
    traces = along_the_network(lines, "x", "y").data
    styles = [(trace.line.color, trace.line.dash) for trace in traces]
    assert len(set(styles)) == len(styles)
    assert traces[0].line.color == traces[-1].line.color


def test_bars_of_a_block_add_up_to_one():
    splits = [Split("layer1.0.add", "conv1", "identity", 4.0, 3.0, 1.0, 3.0, 1.0)]
    splits.append(Split("layer1.1.add", "layer1.0.add", "identity", 2.0, 3.0, -1.0, 3.0, 1.0))
    splits.append(Split("add", "x", "padding", 0.0, 0.0, 0.0, 0.0, 0.0))
    shortcut, branch = plots.shortcut_shares(splits).data
    assert list(shortcut.x) == ["layer1.0", "layer1.1", "add"]
    np.testing.assert_allclose(shortcut.y, [0.75, 1.5, NAN])
    np.testing.assert_allclose(branch.y, [0.25, -0.5, NAN])


@pytest.mark.parametrize(
    ("values", "signed", "ends"),
    [([[1, NAN], [2, 4]], True, (0, 4)), ([[-8, 1], [2, 4]], True, (-8, 8)), ([[0, 0], [0, 0]], False, (0, 1))],
)
def test_a_matrix_is_about_zero_where_it_has_a_sign(values, signed, ends):
    one = Matrix("stage", ("a", "b"), ("c", "d"), np.array(values, float))
    (heat,) = plots.matrix(one, "share", signed).data
    assert (heat.zmin, heat.zmax) == ends
    np.testing.assert_array_equal(heat.z, one.values)
    assert (list(heat.x), list(heat.y)) == (["a", "b"], ["c", "d"])


def test_shares_of_a_matrix_are_on_0_to_1():
    one = Matrix("stage", ("a",), ("c", "d"), np.array([[0.2], [0.1]]))
    (heat,) = plots.matrix(one, "share", signed=True, share=True).data
    assert (heat.zmin, heat.zmax) == (0, 1)


def test_paths_by_length():
    found = Paths(2, (0, 1, 2), np.array([[4.0, 4.0], [1.0, 3.0], [0.0, 0.0]]))
    frequency, carried, single, mean = plots.path_lengths(found).data
    assert list(frequency.y) == [0.25, 0.5, 0.25]  # one path, two paths, one path of four
    assert list(carried.y) == pytest.approx([0.5, 0.5, 0])  # 1·4 and 2·2
    np.testing.assert_array_equal(single.y, [4, 4, 1, 3, NAN, NAN])
    np.testing.assert_array_equal(mean.y, [4, 2, NAN])


@pytest.mark.parametrize(("blocks", "sampled"), [(2, (0, 1, 2)), (27, (0, 13, 27)), (600, (0, 300, 600))])
def test_bars_of_paths_are_at_whole_lengths_without_gaps(blocks, sampled):
    figure = plots.path_lengths(Paths(blocks, sampled, np.ones((3, 1))))
    for bars in (figure.data[0], figure.data[1]):
        assert list(bars.x) == list(range(blocks + 1))
        assert sum(bars.y) == pytest.approx(1)
    for axis in (figure.layout.xaxis, figure.layout.xaxis2, figure.layout.xaxis3):
        assert axis.dtick == int(axis.dtick)
        assert 2 <= blocks / axis.dtick <= 10


@pytest.mark.parametrize(
    ("low", "high"),
    [(3.0, 3.0), (2.9, 3.5), (9.5, 10.5), (1.0, 2.0), (0.5, 40.0), (3e-7, 4e-7), (1e-300, 1e300), (1e-5, 1e4)],
)
def test_a_logarithmic_axis_has_numbers_whatever_its_range(low, high):
    axis = axes.logarithmic(low, high)
    bottom, top = axis["range"]
    assert bottom < math.log10(low) <= math.log10(high) < top
    assert 2 <= len(axis["tickvals"]) <= 13
    for value, text in zip(axis["tickvals"], axis["ticktext"], strict=True):
        assert bottom <= math.log10(value) <= top
        mantissa, _, power = text.replace("</sup>", "").rpartition("10<sup>")
        said = float(mantissa.rstrip("·") or 1) * 10.0 ** int(power) if "sup" in text else float(text)
        assert said == pytest.approx(value)


def test_shares_are_on_0_to_1_and_further_where_they_work_against_each_other():
    splits = [Split("a.add", "x", "identity", 4.0, 3.0, 1.0, 3.0, 1.0)]
    low, high = plots.shortcut_shares(splits).layout.yaxis.range
    assert (low, high) == pytest.approx((0, 1), abs=0.05)
    splits.append(Split("b.add", "x", "identity", 2.0, 3.0, -1.0, 3.0, 1.0))
    low, high = plots.shortcut_shares(splits).layout.yaxis.range
    assert low < -0.5
    assert high > 1.5
    dead = along_the_network([line([0, 0, 0])], "x", "y", log=False, share=True)
    assert list(dead.layout.yaxis.range) == pytest.approx([0, 1], abs=0.05)
