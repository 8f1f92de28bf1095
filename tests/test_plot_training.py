"""Pictures of learning: they show the tables' numbers, what no axis can show is marked, and Plotly knows every key."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from explorer.plots import training as plots
from explorer.plots.training import Curve, colours_of, confusion_matrix, curves, gradient_heat_map

NAN, INF = math.nan, math.inf
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
COLUMNS = ["step", "epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]


def metrics(*rows):
    return pd.DataFrame([*rows], columns=COLUMNS, dtype=float)


LEARNS = metrics(
    (1, 0.5, 0.1, 2.0, 0.25, NAN, NAN),
    (2, 1.0, 0.2, 1.0, 0.50, NAN, NAN),
    (2, 1.0, 0.2, NAN, NAN, 1.5, 0.75),
    (3, 1.5, 0.1, 0.5, 0.75, NAN, NAN),
    (4, 2.0, 0.0, 0.0, 1.00, NAN, NAN),
    (4, 2.0, 0.0, NAN, NAN, 1.25, 0.50),
)
BREAKS = metrics((1, 1, 0.1, 2.0, 0.25, NAN, NAN), (2, 2, 0.1, 50.0, 0.125, NAN, NAN), (3, 3, 0.1, NAN, 0.5, NAN, NAN))
NORMS = pd.DataFrame({"step": [1, 9, 17], "conv1": [1e-3, 0.0, 1e-2], "fc": [0.5, NAN, INF]})
COUNTS = np.array([[6, 2, 0], [0, 5, 0], [0, 0, 0]])


def lines(figure, axis):
    """(x, y) of the lines in a panel, in the order in which they are drawn."""
    panel = [one for one in figure["data"] if one.get("yaxis") == axis and "lines" in one["mode"]]
    return [(one["x"].tolist(), one["y"].tolist()) for one in panel if "fill" not in one]


def marks(figure, symbol):
    return [
        one for one in figure["data"] if one.get("mode", "")[:7] == "markers" and one["marker"].get("symbol") == symbol
    ]


def legend(figure):
    return [one["name"] for one in figure["data"] if one.get("showlegend")]


@pytest.mark.parametrize(
    "figure",
    [
        curves([]),
        curves([Curve("empty", BLUE, pd.DataFrame()), Curve("none", RED, [])]),
        curves([Curve("one", BLUE, LEARNS, True), Curve("seeds", RED, [LEARNS, BREAKS]), Curve("b", GREEN, BREAKS)]),
        curves([Curve("one step", BLUE, LEARNS.head(1))]),
        gradient_heat_map(NORMS),
        gradient_heat_map(NORMS, log=False),
        gradient_heat_map(NORMS, title=plots.UPDATES, reference=plots.USUAL_UPDATE),
        gradient_heat_map(pd.DataFrame()),
        confusion_matrix(COUNTS, ["a", "b", "c"]),
        confusion_matrix(np.eye(100, dtype=np.int64), [f"class {i}" for i in range(100)]),
    ],
)
def test_plotly_knows_every_key(figure):
    assert go.Figure(figure).to_dict()["data"]  # Streamlit refuses a figure without


def test_lines_are_the_tables():
    figure = curves([Curve("one", BLUE, LEARNS)])
    assert lines(figure, "y") == [([0.5, 1, 1.5, 2], [0.25, 0.5, 0.75, 1]), ([1, 2], [0.75, 0.5])]
    assert lines(figure, "y3")[0][0] == [0.5, 1, 1, 1.5, 2, 2]
    assert lines(figure, "y3")[0][1] == pytest.approx([0.1, 0.2, 0.2, 0.1, 0, 0])
    train, test = lines(figure, "y2")
    assert train[1][:3] == [2, 1, 0.5]
    assert test[1] == [1.5, 1.25]
    assert not [one for one in figure["data"] if "fill" in one]


def test_train_is_dashed_and_test_is_solid_in_one_colour():
    panel = [one for one in curves([Curve("one", BLUE, LEARNS)])["data"] if one.get("yaxis") == "y"]
    assert [one["line"]["dash"] == "solid" for one in panel] == [False, True]
    assert {one["line"]["color"] for one in panel} == {BLUE}


def test_a_loss_of_zero_is_marked_at_the_lower_edge():
    figure = curves([Curve("one", BLUE, LEARNS)])
    (zero,) = marks(figure, "triangle-down")
    assert zero["x"].tolist() == [2]
    bottom, top = figure["layout"]["yaxis2"]["range"]
    assert zero["y"].tolist() == pytest.approx([10**bottom])
    assert bottom < math.log10(0.5) < math.log10(2) < top


def test_the_best_test_accuracy_is_marked_with_its_number():
    figure = curves([Curve("one", BLUE, LEARNS)])
    (best,) = marks(figure, "circle")
    assert (best["x"].tolist(), best["y"].tolist(), best["text"]) == ([1], [0.75], ["75.0%"])
    assert legend(figure) == ["one, best 75.0%"]


def test_numbers_do_not_overlap_and_the_selected_runs_is_shown():
    figure = curves([Curve("one", BLUE, LEARNS), Curve("two", RED, LEARNS, selected=True)])
    assert [(one["marker"]["color"], "text" in one) for one in marks(figure, "circle")] == [(BLUE, False), (RED, True)]


def test_a_diverged_run_is_drawn_to_where_it_broke():
    figure = curves([Curve("one", BLUE, BREAKS)])
    accuracy, loss = marks(figure, "x")
    assert (accuracy["x"].tolist(), accuracy["y"].tolist()) == ([3], [0.5])
    assert (loss["x"].tolist(), loss["y"].tolist()) == ([3], [50])
    assert "diverged at step 3" in accuracy["hovertemplate"]
    assert lines(figure, "y2")[0] == ([1, 2], [2, 50])


def test_several_seeds_are_a_mean_in_their_range():
    other = LEARNS.assign(test_accuracy=LEARNS["test_accuracy"] / 2)
    figure = curves([Curve("both", BLUE, [LEARNS, other])])
    assert lines(figure, "y")[1] == ([1, 2], [0.5625, 0.375])
    band = [one for one in figure["data"] if "fill" in one and one["yaxis"] == "y"][1]
    assert band["x"].tolist() == [1, 2, 2, 1]
    assert band["y"].tolist() == [0.75, 0.5, 0.25, 0.375]
    assert legend(figure) == ["both, 2 seeds, best 56.2%"]


def test_a_run_that_has_just_begun_has_a_name_and_says_so():
    figure = curves([Curve("<b>new</b>", BLUE, pd.DataFrame())])
    assert legend(figure) == ["&lt;b&gt;new&lt;/b&gt;"]
    assert plots.NOTHING in [one["text"] for one in figure["layout"]["annotations"]]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.9, 1.1), (0.2, 6.4), (1e-6, 90), (1.1, 9e30)])
def test_the_loss_axis_has_two_ticks(low, high):
    table = metrics((1, 1, 0.1, low, 0.1, NAN, NAN), (2, 2, 0.1, high, 0.1, NAN, NAN))
    axis = curves([Curve("one", BLUE, table)])["layout"]["yaxis2"]
    powers = range(-40, 40)
    if axis["dtick"] == "D2":
        ticks = [power + math.log10(part) for power in powers for part in (1, 2, 5)]
    else:
        ticks = [power for power in powers if power % axis["dtick"] == 0]
    assert 2 <= sum(axis["range"][0] <= tick <= axis["range"][1] for tick in ticks) <= 8


def test_a_family_keeps_its_colour_and_its_other_runs_have_others():
    families = [BLUE, BLUE, RED, BLUE, RED, GREEN]
    found = colours_of(families)
    assert [found[i] for i in (0, 2, 5)] == [BLUE, RED, GREEN]
    assert len(set(found)) == len(found)
    assert found == colours_of(families)
    assert len(set(colours_of([BLUE] * 8))) == 8


def test_gradients_are_powers_of_ten_and_what_is_none_is_grey_and_named():
    figure = gradient_heat_map(NORMS)
    heat, grey = figure["data"]
    assert heat["y"] == ["conv1", "fc"]
    assert figure["layout"]["yaxis"]["autorange"] == "reversed"  # the first on top
    assert heat["z"][:, 0] == pytest.approx([-3, math.log10(0.5)])
    assert (heat["zmin"], heat["zmax"]) == (-3, 0)
    assert heat["colorbar"]["ticktext"] == ["1e-3", "1e-2", "1e-1", "1e0"]
    assert grey["text"] == [["", "exactly zero", ""], ["", "not a number", "infinite"]]
    assert np.array_equal(np.isnan(grey["z"]), ~np.isnan(heat["z"]))


def test_on_a_linear_scale_zero_has_its_place():
    heat, grey = gradient_heat_map(NORMS, log=False)["data"]
    assert heat["z"][0].tolist() == pytest.approx([1e-3, 0, 1e-2])
    assert (heat["zmin"], heat["zmax"]) == (0, 0.5)
    assert grey["text"][0] == ["", "", ""]


def test_the_usual_update_is_named_on_the_scale():
    heat = gradient_heat_map(NORMS, title=plots.UPDATES, reference=plots.USUAL_UPDATE)["data"][0]
    assert heat["colorbar"]["ticktext"][0] == "1e-3, usual"
    assert "1e-3" in plots.UPDATES_CAPTION


def test_tiny_norms_do_not_stretch_the_scale():
    heat = gradient_heat_map(pd.DataFrame({"step": [1, 2], "conv1": [1e-30, 1.0]}))["data"][0]
    assert (heat["zmin"], heat["zmax"], heat["colorbar"]["ticktext"][0]) == (-8, 0, "≤ 1e-8")


def test_many_layers_stay_readable():
    names = [f"features.denseblock1.denselayer{i}.conv1" for i in range(260)]
    layout = gradient_heat_map(pd.DataFrame(np.ones((2, 261)), columns=["step", *names]))["layout"]
    assert layout["height"] <= 640
    assert len(layout["yaxis"]["tickvals"]) * 14 <= layout["height"]
    assert layout["yaxis"]["ticktext"][0].endswith("denselayer0.conv1")


def test_confusion_is_shares_of_the_true_class():
    right, wrong = confusion_matrix(COUNTS, ["a", "b", "c"])["data"]
    assert right["z"][0, 0] == 0.75
    assert wrong["z"][0, 1:].tolist() == [0.25, 0]
    assert np.nansum(right["z"][:2]) + np.nansum(wrong["z"][:2]) == 2  # two rows of one
    assert np.isnan(right["z"][2]).all()  # no image of that class
    assert [right["text"][0], wrong["text"][0]] == [["75%", "", ""], ["", "25%", ""]]
    assert np.array_equal(right["customdata"], COUNTS)


def test_a_hundred_classes_have_no_numbers_and_few_errors_stay_pale():
    counts = np.diag(np.full(100, 99))
    counts[:, 0] += 1
    figure = confusion_matrix(counts, ["crane", "crane", *map(str, range(98))])
    wrong = figure["data"][1]
    assert "text" not in wrong
    assert wrong["zmax"] == 0.1
    assert len(set(wrong["x"])) == 100  # two classes of one name are two
    assert figure["layout"]["height"] <= 640
