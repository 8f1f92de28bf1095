"""The dot plot of methods, number by number; and the line around an object."""

import numpy as np
import pytest

from explorer.analyses.attribution.localisation import CHANCE, EDGES, Located, Ranking
from explorer.plots import localisation as plots
from explorer.plots.attribution import outlined


def located(*energy):
    return Located(np.array(energy), np.array(energy) > 0.5, 0.1)


RANKING = Ranking(
    {
        "saliency": located(0.3, 0.5),
        "grad_cam": located(0.7, 0.9),
        "lime": located(np.nan, np.nan),
        "deconvolution": "It refuses.",
        CHANCE: located(0.1, 0.1),
        EDGES: located(0.4, 0.6),
    }
)


def test_the_best_is_on_top_and_references_are_told_from_methods():
    figure = plots.ranking(RANKING.table())
    # a category axis goes from the bottom up; what has no number is left out
    assert list(figure.layout.yaxis.categoryarray) == ["Saliency", "Edge detector", "Grad-CAM"]
    energy, edge, pointing, edge_pointing = figure.data
    assert list(energy.y) == ["Grad-CAM", "Saliency"]
    assert list(energy.x) == pytest.approx([0.8, 0.4])
    assert list(edge.y) == list(edge_pointing.y) == ["Edge detector"]
    assert list(pointing.x) == [1, 0]
    assert {energy.marker.color, pointing.marker.color} == {plots.METHOD}
    assert {edge.marker.color, edge_pointing.marker.color} == {plots.REFERENCE}


def test_lines_are_the_intervals():
    table = RANKING.table()
    for trace, measure in zip(plots.ranking(table).data[::2], plots.PANELS, strict=True):
        rows = table.set_index("title").loc[list(trace.y)]
        assert trace.x - trace.error_x.arrayminus == pytest.approx(rows[f"{measure}_low"])
        assert trace.x + trace.error_x.array == pytest.approx(rows[f"{measure}_high"])
        assert trace.customdata == pytest.approx(rows[[f"{measure}_low", f"{measure}_high"]].to_numpy())


def test_chance_is_a_line_in_both_panels():
    figure = plots.ranking(RANKING.table())
    assert [(line.x0, line.x1, line.xref, line.line.dash) for line in figure.layout.shapes] == [
        (pytest.approx(0.1), pytest.approx(0.1), "x", "dash"),
        (pytest.approx(0), pytest.approx(0), "x2", "dash"),
    ]
    assert any(note.text == "chance" for note in figure.layout.annotations)


def test_references_alone_are_drawn_too():
    figure = plots.ranking(Ranking({CHANCE: located(0.1, 0.1), EDGES: located(0.4, 0.6)}).table())
    assert list(figure.layout.yaxis.categoryarray) == ["Edge detector"]


def test_an_object_is_outlined_in_black_and_white():
    mask = np.zeros((6, 6), bool)
    mask[2:4, 2:4] = True
    picture = np.full((18, 18, 3), 100, np.uint8)
    found = outlined(picture, mask)
    assert (picture == 100).all()  # the one given is as it was
    inside = np.zeros((18, 18), bool)
    inside[6:12, 6:12] = True
    inside[7:11, 7:11] = False
    assert (found[inside] == 0).all()
    # the line is one pixel wide, on either side
    assert (found[5, 6:12] == 255).all()
    assert (found[7:11, 7:11] == 100).all()
    assert (found[:5] == 100).all()
    assert set(np.unique(found)) == {0, 100, 255}
