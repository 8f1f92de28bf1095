"""The loss's shape as figures: what is where, and that all networks share their scales."""

import numpy as np
import plotly.graph_objects as go
import pytest

from explorer.plots import landscape as plots
from explorer.plots.landscape import shape

LINE = [-1.0, 0.0, 1.0]
LOW = shape("low <b>", LINE, LINE, [[0.5, 0.2, 0.5], [0.3, -2.0, 0.3], [0.5, 0.2, 0.6]])
HIGH = shape("high", LINE, LINE, [[5.5, 2, 5], [3, 0.1, 3], [5, 2, 6.0]], path=[[0.9, 0.5], [0.4, 0.1]])


def traces(figure, kind):
    return [trace for trace in figure["data"] if trace["type"] == kind]


@pytest.mark.parametrize("draw", [plots.contours, plots.surfaces])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_plotly_takes_the_figures(draw, count):
    figure = go.Figure(draw([LOW, HIGH, LOW, HIGH, LOW, HIGH, LOW][:count]))
    assert figure.data


def test_colours_and_heights_are_shared():
    flat, deep = plots.contours([LOW, HIGH]), plots.surfaces([LOW, HIGH])
    for figure, kind in ((flat, "contour"), (deep, "surface")):
        assert {trace["coloraxis"] for trace in traces(figure, kind)} == {"coloraxis"}
        assert figure["layout"]["coloraxis"]["cmin"] <= -2
        assert figure["layout"]["coloraxis"]["cmax"] >= 6
    heights = {tuple(deep["layout"][name]["zaxis"]["range"]) for name in ("scene", "scene2")}
    assert heights == {(deep["layout"]["coloraxis"]["cmin"], deep["layout"]["coloraxis"]["cmax"])}
    assert "log" in deep["layout"]["scene"]["zaxis"]["title"]["text"]
    assert "log" in flat["layout"]["coloraxis"]["colorbar"]["title"]["text"]


@pytest.mark.parametrize("heights", [(0.0, 0.0), (-2.3, 11.9), (0.31, 0.36), (-6.0, 12.0)])
def test_the_scale_has_a_few_round_numbers_that_hold_all(heights):
    height = np.full((3, 3), heights[0])
    height[0, 0] = heights[1]
    axis = plots.contours([shape("one", LINE, LINE, height)])["layout"]["coloraxis"]
    ticks = axis["colorbar"]["tickvals"]
    assert axis["cmin"] <= heights[0] <= heights[1] <= axis["cmax"] + 1e-9
    assert 2 <= len(ticks) <= 14
    assert [float(text) for text in axis["colorbar"]["ticktext"]] == pytest.approx(ticks, abs=0.006)


def test_centre_path_and_guessing_are_marked():
    figure = plots.contours([HIGH], chance=0.36)
    levels = [trace for trace in traces(figure, "contour") if trace["contours"].get("type") == "constraint"]
    assert [trace["contours"]["value"] for trace in levels] == [0.36]
    path, centre = traces(figure, "scatter")
    assert np.array_equal(path["x"], [0.9, 0.4, 0.0])  # to the trained network
    assert np.array_equal(path["y"], [0.5, 0.1, 0.0])
    assert (centre["x"], centre["y"]) == ([0], [0])
    # where all is higher than that there is no such line
    assert len(traces(plots.contours([HIGH], chance=0.0), "contour")) == 1


def test_what_is_not_computed_yet_is_left_out():
    """Every second point is there: the picture is drawn of those, without gaps."""
    height = np.full((5, 5), None, object)
    height[::2, ::2] = 1.0
    line = np.linspace(-1, 1, 5).tolist()
    found = shape("coarse", line, line, height.tolist()).computed
    assert found.height.shape == (3, 3)
    assert np.isfinite(found.height).all()
    assert found.xs.tolist() == found.ys.tolist() == [-1, 0, 1]


def test_rows_are_the_second_direction():
    height = np.zeros((3, 3))
    height[2, 0] = 9  # y = 1, x = -1
    (trace,) = traces(plots.contours([shape("one", LINE, LINE, height)]), "contour")
    assert trace["z"][list(trace["y"]).index(1), list(trace["x"]).index(-1)] == 9


def test_titles_are_no_markup():
    text = [note["text"] for note in plots.contours([LOW])["layout"]["annotations"]]
    assert text == ["low &lt;b&gt;"]


def test_no_two_networks_overlap():
    figure = plots.contours([LOW] * 7)
    boxes = [
        (*figure["layout"][f"xaxis{n}"]["domain"], *figure["layout"][f"yaxis{n}"]["domain"])
        for n in ("", *map(str, range(2, 8)))
    ]
    assert all(0 <= edge <= 1 for box in boxes for edge in box)
    for i, (left, right, bottom, top) in enumerate(boxes):
        for other in boxes[:i]:
            apart = right <= other[0] or other[1] <= left or top <= other[2] or other[3] <= bottom
            assert apart
