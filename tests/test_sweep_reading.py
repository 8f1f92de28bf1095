"""What a sweep has found: settings, their seeds, the Pareto front, and the means over two knobs, by hand arithmetic."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from made_sweeps import JOB, begun, by_width, ended, part, sweep

from explorer.families import PRESETS
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps.cells import BINS, MOST_CELLS, axes, cells
from explorer.learning.sweeps.directory import RESULTS, TRIALS
from explorer.learning.sweeps.reading import NETWORK, findings, front, in_order
from explorer.learning.sweeps.sweep import Range, SweepError


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))


def found(directory):
    return findings(directory, directory.results())


def test_a_settings_mean_is_over_its_seeds_and_its_best_is_a_trial():
    result = found(ended(begun(), by_width))
    small, large = result.settings
    assert (small.turns, large.turns) == ({"width": "4"}, {"width": "8"})
    # 0.4 + 0.05 * 4 with the first seed, a tenth less with the second
    assert (small.high, small.low) == pytest.approx((0.6, 0.5))
    assert (small.mean, large.mean) == pytest.approx((0.55, 0.75))
    assert (small.params, small.macs) == (400, 4000)
    assert (small.best, large.best) == (0, 1)
    assert small.trials == (0, 2)  # the second seed comes after all of the first


def test_only_what_finished_counts():
    states = iter(["finished", "early", "diverged", "finished"])
    result = found(ended(begun(), lambda trial: by_width(trial) | {"state": next(states)}))
    assert [one.trials for one in result.settings] == [(0,), (3,)]
    assert list(result.trials["state"]) == ["finished", "early", "diverged", "finished"]


def test_labels_say_what_tells_trials_apart():
    result = found(ended(begun(), by_width))
    assert result.labels[3] == "Width 8, seed 1"
    two = sweep(part("A", width=("4",)), part("B", learning_rate=("0.1", "0.2")), seeds=1)
    result = found(ended(begun(two), by_width))
    assert [result.labels[i] for i in range(3)] == [
        "A: width 4, seed 0",
        "B: learning rate 0.1, seed 0",
        "B: learning rate 0.2, seed 0",
    ]
    assert result.labels[0] == result.name(begun(two).trials[0])


def test_networks_that_differ_in_nothing_but_what_is_turned_are_one():
    other = JOB.turned({"norm": "group"})
    same = part(width=("4",)), part(learning_rate=("0.2",)), part(job=other, width=("4",))
    result = found(ended(begun(sweep(*same, seeds=1)), by_width))
    assert list(result.trials[NETWORK]) == [0, 0, 1]
    assert len(result.networks) == 2


def test_nothing_of_a_run_is_opened():
    directory = ended(begun(), by_width)
    assert not (directory.path / "trials").exists()
    assert len(found(directory).settings) == 2


# --- the front


def beats(one, other):
    """As the field defines it: no worse in both, and better in one."""
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def test_the_front_is_what_no_other_beats():
    rng = np.random.default_rng(0)
    points = [
        (int(cost), round(float(value), 1)) for cost, value in zip(rng.integers(1, 9, 60), rng.random(60), strict=True)
    ]
    costs, values = zip(*points, strict=True)
    members = [points[i] for i in front(costs, values)]
    assert members == sorted({one for one in points if not any(beats(other, one) for other in points)})


def test_the_front_of_few():
    assert front([], []) == []
    assert front([5], [0.1]) == [0]
    assert front([2, 1], [0.5, 0.5]) == [1]  # as good and cheaper


# --- two knobs


def two_knobs(outcome, **more):
    knobs = {"width": ("8", "4"), "learning_rate": ("0.1", "0.05", "0.2")} | more
    return found(ended(begun(sweep(part(**knobs))), outcome))


def test_cells_are_means_over_all_else():
    def outcome(trial):
        value = int(trial.turns["width"]) / 100 + float(trial.turns["learning_rate"]) + trial.seed / 1000
        return {"params": 1, "macs": 1, "test_accuracy": value}

    grid = cells(two_knobs(outcome), "width", "learning_rate")
    assert (grid.columns, grid.rows) == (("4", "8"), ("0.05", "0.1", "0.2"))  # by number, as not listed
    for (r, rate), (c, width) in product(enumerate((0.05, 0.1, 0.2)), enumerate((4, 8))):
        assert grid.means[r, c] == pytest.approx(width / 100 + rate + 0.0005)
        assert grid.counts[r, c] == 2
    alone = cells(two_knobs(outcome), "width")
    assert alone.rows == ("",)
    assert alone.means[0] == pytest.approx([0.04 + 0.35 / 3 + 0.0005, 0.08 + 0.35 / 3 + 0.0005])


def test_cells_without_a_trial_are_empty_and_those_stopped_early_are_told_apart():
    directory = begun(sweep(part(width=("4", "8")), seeds=3))
    states = {0: "finished", 2: "early", 4: "failed", 1: "early", 3: "early"}
    ended(directory, lambda trial: by_width(trial) | {"state": states.get(trial.number, "failed")})
    grid = cells(found(directory), "width")
    # 4: of the one that finished, 0.6, not of the one that was stopped; 8: of the two that were stopped, 0.8 and 0.7
    assert grid.means[0] == pytest.approx([0.6, 0.75])
    assert grid.counts[0].tolist() == [1, 2]
    assert grid.finished[0].tolist() == [True, False]
    assert grid.best[0].tolist() == [0, 1]
    empty = cells(found(begun(sweep(part(width=("4", "8"))))), "width")
    assert np.isnan(empty.means).all()
    assert empty.best.max() == -1


def test_many_numbers_are_put_into_bins():
    drawn = sweep(part(learning_rate=Range(0.001, 1, True)), seeds=1, sample=50)
    directory = begun(drawn)

    def outcome(trial):
        return {"params": 1, "macs": 1, "test_accuracy": float(trial.turns["learning_rate"])}

    grid = cells(found(ended(directory, outcome)), "learning_rate")
    assert len(grid.columns) == BINS < MOST_CELLS < 50
    assert grid.counts.sum() == 50
    for column, mean in zip(grid.columns, grid.means[0], strict=True):
        low, high = map(float, column.split(" – "))
        assert np.isnan(mean) or 0.99 * low <= mean <= 1.01 * high


def test_a_knob_that_a_network_lacks_leaves_it_out():
    dense = JOB.__class__(PRESETS["densenet40_12_cifar"], "digits", JOB.recipe)
    both = sweep(part("A", width=("4", "8")), part("B", job=dense, growth_rate=("4",)), seeds=1)
    result = found(ended(begun(both), by_width))
    assert cells(result, "width").counts.tolist() == [[1, 1]]
    assert axes(result) == {"width": "Width", "growth_rate": "Growth rate k", NETWORK: "Network"}
    assert cells(result, NETWORK, "width").counts.sum() == 2


def test_values_are_in_their_order():
    assert in_order(["16", "4", "8", "4"]) == ("4", "8", "16")
    assert in_order(["3-3-3", "2-4-4", "12-1-1"]) == ("2-4-4", "3-3-3", "12-1-1")
    assert in_order(["1e-05", "0.1", "0.001"]) == ("1e-05", "0.001", "0.1")
    assert in_order(["relu", "gelu"]) == ("relu", "gelu")


# --- damage


def test_no_results_yet():
    result = found(begun())
    assert result.settings == ()
    assert len(result.trials) == 0
    assert result.labels == {}


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "trial,run\n",
        "\x00\x01\x02",
        "trial,run,network,state,width\n0,t,,finished,4\n",
    ],
)
def test_damaged_results_hold_nothing(damage):
    directory = ended(begun(), by_width)
    (directory.path / RESULTS).write_text(damage)
    assert found(directory).settings == ()


def test_rows_that_make_no_sense_are_passed_over():
    directory = ended(begun(), by_width, most=1)
    with (directory.path / RESULTS).open("a") as file:
        header = (directory.path / RESULTS).read_text().splitlines()[0].split(",")
        for row in (
            {"trial": "99", "state": "finished", "test_accuracy": "0.5", "params": "1", "macs": "1"},
            {"trial": "-1", "state": "finished", "test_accuracy": "0.5"},
            {"trial": "1", "state": "finished", "test_accuracy": "much", "params": "few", "macs": ""},
            {"trial": "2", "state": "?" * 9, "test_accuracy": "inf", "params": "1", "macs": "1"},
        ):
            file.write(",".join(row.get(name, "") for name in header) + "\n")
    result = found(directory)
    assert list(result.trials.index) == [0, 1, 2]
    assert [one.trials for one in result.settings] == [(0,)]
    assert result.trials["accuracy"].notna().tolist() == [True, False, False]


def test_trials_of_networks_that_there_are_not_are_refused():
    directory = begun()
    line = {"trial": 0, "part": 7, "turn": {}, "seed": 0}
    (directory.path / TRIALS).write_text(json.dumps(line) + "\n")
    with pytest.raises(SweepError, match="networks that the sweep lacks"):
        findings(directories.read(directory.path), pd.DataFrame())
