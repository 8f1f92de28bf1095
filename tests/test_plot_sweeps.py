"""Pictures of sweeps: they show the table's numbers, every point carries its trial, and Plotly knows every key."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest
from made_sweeps import JOB, begun, by_width, ended, part, sweep

from explorer.families import FAMILIES, PRESETS
from explorer.learning.sweeps.cells import cells
from explorer.learning.sweeps.reading import findings
from explorer.learning.sweeps.sweep import Range
from explorer.plots.plain import PlainFigure
from explorer.plots.sweep_lines import parallel
from explorer.plots.sweep_maps import knob_map
from explorer.plots.sweeps import groups, trade_off

DENSE = JOB.__class__(PRESETS["densenet40_12_cifar"].replace(input_size=16, channels=1), "digits", JOB.recipe)
STATES = {4: "early", 5: "diverged", 6: "failed"}
WIDTHS = ("4", "8", "12")


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))


def outcome(trial):
    """Wider is dearer and better, the second rate is worse, and so is the second seed."""
    width = int(trial.turns.get("width") or trial.turns.get("growth_rate") or 8)
    found = by_width(trial) | {"params": 100 * width, "macs": 1000 * width}
    return found | {"test_accuracy": 0.3 + 0.05 * width - 0.1 * trial.seed - float(trial.turns.get("learning_rate", 0))}


def broken(trial):
    found = outcome(trial) | {"state": STATES.get(trial.number, "finished")}
    return found | ({"test_accuracy": ""} if found["state"] == "failed" else {})


def read(of, result=outcome):
    directory = ended(begun(of), result)
    return findings(directory, directory.results())


def usual():
    return read(sweep(part(width=WIDTHS, learning_rate=("0.1", "0.2"))))


def many():
    drawn = part(width=Range(4, 60), learning_rate=Range(0.001, 0.2, True), norm=("batch", "none"))
    return read(sweep(drawn, sample=60, seeds=1))


def networks():
    return read(sweep(part("A <b>", width=WIDTHS), part("B", job=DENSE, growth_rate=WIDTHS), seeds=2), broken)


FOUND = {
    "usual": usual,
    "many": many,
    "networks": networks,
    "none": lambda: read(sweep(), lambda trial: {"state": "failed"}),
    "seeds alone": lambda: read(sweep(part(), seeds=3)),
    "one trial": lambda: read(sweep(part(width=("8",)), seeds=1)),
    "all alike": lambda: read(sweep(part(width=WIDTHS)), lambda trial: by_width(trial) | {"test_accuracy": 0.5}),
    "all right": lambda: read(sweep(part(width=WIDTHS)), lambda trial: by_width(trial) | {"test_accuracy": 1.0}),
    "stopped early": lambda: read(sweep(part(width=WIDTHS)), lambda trial: outcome(trial) | {"state": "early"}),
}


@pytest.mark.parametrize("measure", ["accuracy", "error"])
@pytest.mark.parametrize("name", FOUND)
def test_plotly_knows_every_key(name, measure):
    found = FOUND[name]()
    figures = [trade_off(found, measure, 0, 0.1), parallel(found, measure, 0)]
    for across in found.turned:
        others = [name for name in found.turned if name != across]
        figures.append(knob_map(cells(found, across, *others[:1]), across, *(others[:1] or [""]), measure))
    for figure in figures:
        go.Figure(figure)
        assert figure["data"]
        PlainFigure(figure)


# --- accuracy over costs


def over(figure, axis, mode="markers"):
    return [
        one
        for one in figure["data"]
        if one.get("xaxis") == axis and one["mode"] == mode and one.get("hoverinfo") != "skip"
    ]


def test_each_trial_and_each_mean_stands_where_the_table_says():
    found = usual()
    figure = trade_off(found, "accuracy")
    for axis, factor in (("x", 100), ("x2", 1000)):
        trials, means = over(figure, axis)
        assert trials["customdata"] == list(range(12))
        for trial, x, y in zip(trials["customdata"], trials["x"], trials["y"], strict=True):
            row = found.trials.loc[trial]
            assert x == factor * int(row["width"])
            assert y == pytest.approx(row["accuracy"])
        for setting, x, y, best in zip(found.settings, means["x"], means["y"], means["customdata"], strict=True):
            width, rate = int(setting.turns["width"]), float(setting.turns["learning_rate"])
            assert x == factor * width
            assert y == pytest.approx(0.3 + 0.05 * width - rate - 0.05)  # between the two seeds
            assert found.trials.loc[best, "seed"] == 0  # the better one
        spread = means["error_y"]
        assert spread["array"] == pytest.approx([0.05] * 6)
        assert spread["arrayminus"] == pytest.approx([0.05] * 6)


def test_the_front_goes_up_in_steps_and_on_to_the_dearest():
    found = read(
        sweep(part(width=("4", "8", "12", "16"))),
        lambda trial: (
            by_width(trial) | {"test_accuracy": {"4": 0.5, "8": 0.4, "12": 0.7, "16": 0.6}[trial.turns["width"]]}
        ),
    )
    (front,) = [
        one for one in trade_off(found, "accuracy")["data"] if one.get("line", {}).get("shape") and one["xaxis"] == "x"
    ]
    assert front["x"] == [400, 1200, 1600]
    assert front["y"] == [0.5, 0.7, 0.7]
    assert front["line"]["shape"] == "hv"
    *_, means = over(trade_off(found, "accuracy"), "x")
    assert ["on the Pareto front" in text for text in means["text"]] == [True, False, True, False]
    (falling,) = [
        one for one in trade_off(found, "error")["data"] if one.get("line", {}).get("shape") and one["xaxis"] == "x"
    ]
    assert falling["y"] == pytest.approx([0.5, 0.3, 0.3])


def test_families_have_their_colours_and_networks_of_one_are_told_apart():
    found = networks()
    assert [group.colour for group in groups(found)] == [FAMILIES[name].colour for name in ("resnet", "densenet")]
    twice = read(sweep(part("a", width=WIDTHS), part("b", job=JOB.turned({"norm": "none"}), width=WIDTHS)))
    assert len({group.colour for group in groups(twice)}) == 2
    dozen = [part(f"{i}", job=JOB.turned({"batch_size": str(10 + i)}), width=("4",)) for i in range(12)]
    (group,) = groups(read(sweep(*dozen, seeds=1)))
    assert (group.title, group.colour) == (FAMILIES["resnet"].title, FAMILIES["resnet"].colour)
    assert len(group.networks) == 12


def test_names_are_no_markup():
    figure = trade_off(networks(), "accuracy")
    text = [word for one in figure["data"] for word in [*one.get("text", []), one.get("name") or ""]]
    assert any("A &lt;b&gt;" in word for word in text)
    assert not any("<b>" in word for word in text)


def test_what_did_not_finish_looks_otherwise_and_is_in_the_legend():
    figure = trade_off(networks(), "accuracy")
    symbols = {
        trial: symbol
        for one in over(figure, "x")
        if isinstance(one["marker"]["symbol"], list) and one["marker"].get("opacity")
        for trial, symbol in zip(one["customdata"], one["marker"]["symbol"], strict=True)
    }
    assert symbols[4] == "circle-open"
    assert symbols[5] == "x-thin-open"
    assert 6 not in symbols  # which has no accuracy
    names = [one["name"] for one in figure["data"] if one.get("showlegend")]
    assert names == ["A &lt;b&gt;", "B", "stopped early", "diverged", "Pareto front"]


def test_none_wrong_is_drawn_on_an_axis_without_zero():
    figure = trade_off(FOUND["all right"](), "error")
    assert all((np.array(one["y"], float) > 0).all() for one in over(figure, "x"))


def test_the_open_trial_has_a_ring():
    found = usual()
    (ring,) = [
        one
        for one in trade_off(found, "accuracy", 7)["data"]
        if one.get("marker", {}).get("size") == 19 and one["xaxis"] == "x"
    ]
    assert (ring["x"][0], ring["y"][0]) == (found.trials.loc[7, "params"], found.trials.loc[7, "accuracy"])


# --- over two knobs


def test_a_cell_shows_its_mean_and_carries_its_best_trial():
    found = usual()
    heat, clicked = knob_map(cells(found, "width", "learning_rate"), "Width", "Learning rate", "accuracy")["data"]
    assert (heat["x"], heat["y"]) == (list(WIDTHS), ["0.1", "0.2"])
    assert heat["z"][0].tolist() == pytest.approx([0.35, 0.55, 0.75])  # 0.3 + 0.05 w - 0.1 of the rate - 0.05
    assert heat["text"][0] == ["35.0%", "55.0%", "75.0%"]
    assert (heat["zmin"], heat["zmax"]) == (heat["z"].min(), heat["z"].max())
    for x, y, trial in zip(clicked["x"], clicked["y"], clicked["customdata"], strict=True):
        row = found.trials.loc[trial]
        assert (row["width"], row["learning_rate"], row["seed"]) == (x, y, 0)


def test_an_error_is_as_far_from_one_and_what_is_better_has_the_same_colour():
    grid = cells(usual(), "width", "learning_rate")
    right, wrong = (knob_map(grid, "a", "b", measure)["data"][0] for measure in ("accuracy", "error"))
    assert wrong["z"] == pytest.approx(1 - right["z"])
    assert [colour for _, colour in wrong["colorscale"]] == [colour for _, colour in right["colorscale"]][::-1]


def test_an_empty_cell_stays_empty_and_a_star_marks_what_was_stopped():
    states = {0: "finished", 1: "early"}
    found = read(
        sweep(part(width=WIDTHS), seeds=1), lambda trial: outcome(trial) | {"state": states.get(trial.number, "failed")}
    )
    heat, clicked = knob_map(cells(found, "width"), "Width", "", "accuracy")["data"]
    assert heat["text"] == [["50.0%", "70.0%*", ""]]
    assert math.isnan(heat["z"][0, 2])
    assert clicked["customdata"] == [0, 1]


# --- all knobs side by side


def places(figure):
    """Trial -> where its line crosses each axis, of the lines that are drawn, by their ends."""
    ends = figure["data"][-1]
    lines = [one for one in figure["data"] if one["mode"] == "lines"]
    rows = np.concatenate([one["y"].reshape(-1, 3) for one in lines])
    return ends, rows


def test_a_line_goes_through_what_its_trial_has():
    found = usual()
    figure = parallel(found, "accuracy")
    ends, rows = places(figure)
    assert sorted(ends["customdata"]) == list(range(12))
    assert list(ends["x"]) == [3] * 12  # width, rate, parameters, accuracy
    accuracies = found.trials.loc[ends["customdata"], "accuracy"].to_numpy()
    assert ends["y"] == pytest.approx((accuracies - accuracies.min()) / np.ptp(accuracies))
    assert len(rows) == 12 * 3  # from axis to axis
    # the knob's three values are thirds of its axis, and lines of one value lie close together
    first = np.sort(rows[::3, 0])
    assert first == pytest.approx(np.repeat([0, 0.5, 1], 4), abs=0.04)
    titles = [one["text"] for one in figure["layout"]["annotations"] if one["text"].startswith("<b>")]
    assert titles == ["<b>Width</b>", "<b>Learning rate</b>", "<b>Parameters</b>", "<b>Test accuracy</b>"]


def test_a_network_that_lacks_a_knob_passes_below_its_values():
    notes = [one["text"] for one in parallel(networks(), "accuracy")["layout"]["annotations"]]
    assert notes.count("not turned") == 2
    assert "<b>Network</b>" in notes


def test_the_open_trials_line_is_thick():
    widths = [one["line"]["width"] for one in parallel(usual(), "accuracy", 3)["data"] if one["mode"] == "lines"]
    assert max(widths) == widths[-1] > widths[0]
