"""Experiments: how sure a difference is, what is kept, how one is carried out; and every experiment that there is."""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from explorer.experiments import EXPERIMENTS, carrying_out, claims, record, verdict
from explorer.experiments import results as kept
from explorer.experiments.claims import degradation
from explorer.experiments.digits import job, narrow
from explorer.experiments.experiment import Arm, Claim, Experiment, Picture
from explorer.experiments.record import ExperimentError
from explorer.experiments.results import Results, ResultsError
from explorer.experiments.verdict import FAILS, HOLDS, OPEN, Interval, Verdict
from explorer.families import plan
from explorer.learning import datasets, driving, runs, session
from explorer.learning.recipe import Recipe
from explorer.learning.runs import RunError
from explorer.plots.claims import Axis, Bar, Line, bars, cells, lines
from explorer.plots.plain import PlainFigure

# ---- how sure ----


def test_an_interval_of_a_mean_is_students():
    # 1, 2, 3: deviation 1, standard error 1/√3; Student's t for two degrees of freedom is 4.303 in every table
    found = verdict.mean([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert 2 - found.low == pytest.approx(found.high - 2)


def test_an_interval_of_a_difference_is_welchs():
    one, other = [0.99, 0.98, 1.0, 0.97], [0.4, 0.7, 0.55]
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    found = verdict.difference(one, other)
    assert found == pytest.approx((np.mean(one) - np.mean(other), expected.low, expected.high))


def test_one_run_or_no_number_leave_it_open():
    for found in (verdict.mean([0.9]), verdict.difference([0.9], [0.1, 0.2]), verdict.mean([0.9, math.nan])):
        assert (found.low, found.high) == (-math.inf, math.inf)
        assert verdict.above(found, -5) == verdict.below(found, 5) == OPEN
    assert verdict.in_words(verdict.mean([0.9])) == "0.9 (one run)"
    assert verdict.in_words(verdict.mean([math.nan])) == "no number"


def test_equal_measurements_have_no_spread():
    assert verdict.difference([0.5, 0.5], [0.2, 0.2]) == pytest.approx((0.3, 0.3, 0.3))


def test_the_whole_interval_decides():
    assert verdict.above(Interval(3, 2, 4), 1) == HOLDS
    assert verdict.above(Interval(3, 2, 4), 5) == FAILS
    assert verdict.above(Interval(3, 2, 4), 3) == OPEN
    assert verdict.below(Interval(3, 2, 4), 5) == HOLDS
    assert verdict.below(Interval(3, 2, 4), 1) == FAILS
    assert verdict.below(Interval(3, 2, 4), 3) == OPEN


def test_a_claim_of_several_parts_fails_with_one():
    assert verdict.every([HOLDS, HOLDS]) == HOLDS
    assert verdict.every([HOLDS, OPEN]) == OPEN
    assert verdict.every([OPEN, FAILS, HOLDS]) == FAILS


def test_numbers_in_words():
    assert verdict.percent(Interval(0.5, 0.25, 0.75)) == "50.0 % (25.0 to 75.0)"
    assert verdict.points(Interval(-0.001, -0.02, 0.0)) == "−0.1 points (−2.0 to 0.0)"
    assert verdict.share([0.99, 1.0, 0.98]).high <= 1


# ---- what is kept ----


def test_results_come_back_from_their_file(tmp_path):
    measured = Results("degradation", 0.5).adding("a", 1, {"right": np.float64(0.123456789), "curve": np.arange(3.0)})
    measured = measured.adding("a", 0, {"right": math.nan, "curve": [1.0, math.inf, 2.0]}).adding("b", 0, {"right": 1})
    path = tmp_path / "results.json"
    path.write_text(kept.now(measured, "make", 2, "2026-01-01").to_json())
    found = kept.read(path)
    assert found.seeds_of("a") == (0, 1)
    assert found.numbers("a", "right") == pytest.approx([math.nan, 0.12346], nan_ok=True)
    assert found.array("a", "curve").tolist()[1] == [0, 1, 2]
    assert math.isnan(found.array("a", "curve")[0, 1])
    assert (found.scale, found.command, found.cores, found.runs, found.seeds) == (0.5, "make", 2, 3, (0, 1))
    assert "torch" in found.versions


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measured": []}', '{"measured": {"a": {"x": {}}}}', "[" * 10_000])
def test_results_that_are_none_are_refused(text, tmp_path):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ResultsError):
        kept.read(tmp_path / "results.json")


# ---- how one is carried out ----


def right(trial):
    return {"right": trial.test_accuracy, "params": trial.plan.params}


SMALL = narrow("resnet20_cifar", blocks=(1, 1, 1))
TINY = Experiment(
    name="tiny",
    question="Is more training better?",
    claim="It is",
    source="Nobody",
    url="https://example.org",
    differs="Nothing",
    arms=(
        Arm("short", "Short", job(SMALL, Recipe(epochs=1, batch_size=50, learning_rate=0.02), images=100)),
        Arm("long", "Long", job(SMALL, Recipe(epochs=4, batch_size=50, learning_rate=0.02), images=200)),
    ),
    measure=right,
    claims=(Claim("More is better", "It always holds", lambda results: Verdict(HOLDS, "So it is.")),),
    pictures=(Picture("Nothing", "nothing", lambda results: bars([], Axis("x"))),),
    seeds=2,
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(record, "EXPERIMENTS", {"tiny": TINY})
    monkeypatch.setattr(session, "settle", lambda device, threads: None)  # this process is not the worker's alone
    return TINY


def nothing(text: str) -> None:
    pass


def test_every_arm_is_trained_with_every_seed_and_measured(tiny):
    begun = record.create(tiny, 2, 0.5)
    assert carrying_out.carry_out(begun.path, nothing, processes=1) == "finished"
    found = record.read(begun.path).results
    assert {arm.name: found.seeds_of(arm.name) for arm in tiny.arms} == {"short": (0, 1), "long": (0, 1)}
    for arm, seed in begun.trials:
        run = runs.read(begun.run_of(arm, seed))
        assert runs.status(run.path).state == "finished"
        # an ordinary run, with this seed, as long as the scale says
        assert (run.job.recipe.seed, run.job.experiment) == (seed, begun.name)
        assert run.job.recipe.epochs == max(1, round(0.5 * tiny.arm(arm).job.recipe.epochs))
        told = runs.predictions(run.path)
        share = float((told.label == told.predicted).mean())
        assert found.measured[arm][seed]["right"] == pytest.approx(share, abs=1e-4)
    assert found.numbers("long", "params") == [plan(SMALL).params] * 2
    assert tiny.verdicts(found)["More is better"].answer == HOLDS
    assert found.seconds > 0


def test_what_was_stopped_goes_on_where_it_was(tiny, monkeypatch):
    begun = record.create(tiny, 1, 1)
    measure = carrying_out.trial

    def stopping(path, arm, seed):
        found = measure(path, arm, seed)
        runs.ask_to_stop(path)
        return found

    monkeypatch.setattr(carrying_out, "trial", stopping)
    assert carrying_out.carry_out(begun.path, nothing, processes=1) == "stopped"
    assert begun.results.runs == 1
    assert tiny.verdicts(begun.results)["More is better"].answer == OPEN  # whatever its rule says
    runs.take_back_stop(begun.path)
    again = []
    monkeypatch.setattr(carrying_out, "trial", lambda *asked: again.append(asked[1:]) or measure(*asked))
    assert carrying_out.carry_out(begun.path, nothing, processes=1) == "finished"
    assert again == [("long", 0)]
    assert begun.results.runs == 2


def test_a_network_that_cannot_be_trained_ends_it_with_a_sentence(tiny, monkeypatch):
    begun = record.create(tiny, 1, 1)
    monkeypatch.setattr("explorer.learning.session.Session._data", lambda self: 1 / 0)
    assert carrying_out.carry_out(begun.path, nothing, processes=1) == "failed"
    assert "Short, seed 0: It broke off (ZeroDivisionError" in runs.status(begun.path).message


def test_nobody_carries_out_what_another_does(tiny):
    begun = record.create(tiny, 1, 1)
    with driving._alone(begun.path), pytest.raises(RunError, match="already"):
        carrying_out.carry_out(begun.path, nothing, processes=1)


def test_a_record_is_found_by_its_name_alone(tiny):
    begun = record.create(tiny, 3, 2)
    assert record.named(begun.name) == begun
    assert record.listed() == (begun.path,)
    assert runs.listed() == ()  # it is no run
    for name in ("", "..", "../.experiments", f"{begun.name}/", "tiny-aaaaaaaaaaaaaaaa"):
        with pytest.raises(ExperimentError):
            record.named(name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 0}, "seeds"),
        ({"scale": "x"}, "cannot be read"),
        ({"scale": 1000}, "times as long"),
        ({"experiment": "other"}, "no experiment"),
        ({"runs": {"short 0": "../../etc"}}, "cannot be read"),
        ({"runs": {}}, "other networks"),
        ({"runs": []}, "cannot be read"),
    ],
)
def test_a_damaged_record_is_refused_in_a_sentence(tiny, changes, said):
    begun = record.create(tiny, 1, 1)
    file = begun.path / runs.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ExperimentError, match=said):
        record.read(begun.path)


def test_seeds_and_length_have_limits(tiny):
    for seeds, scale in ((0, 1), (11, 1), (1, 0.01), (1, 11), (1, math.nan)):
        with pytest.raises(ExperimentError):
            record.create(tiny, seeds, scale)


# ---- every experiment ----

EVERY = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)


def test_each_file_is_an_experiment_under_its_name():
    files = {path.stem for path in Path(claims.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(EXPERIMENTS)
    places = [importlib.import_module(f"{claims.__name__}.{file}").PLACE for file in files]
    assert len(set(places)) == len(places)


@EVERY
def test_its_networks_fit_their_data_and_have_names_of_their_own(experiment):
    names = [arm.name for arm in experiment.arms]
    assert len(set(names)) == len(names) == len({arm.title for arm in experiment.arms})
    for arm in experiment.arms:
        source = datasets.find(arm.job.data)
        assert source.misfits(arm.job.config) == (), arm.name
        assert arm.job.images <= source.most_images
        assert arm.trained(3, 0.1).recipe.seed == 3


@EVERY
def test_it_says_what_it_claims_and_how_that_is_judged(experiment):
    for text in (experiment.question, experiment.claim, experiment.source, experiment.differs):
        assert len(text) > 10
    assert experiment.question.endswith("?")
    assert experiment.url.startswith("https://")
    assert all(len(claim.rule) > 40 for claim in experiment.claims)
    assert len({claim.title for claim in experiment.claims}) == len(experiment.claims)
    assert all(len(picture.alt) > 20 for picture in experiment.pictures)


@EVERY
def test_before_anything_is_measured_it_says_so(experiment):
    empty = Results(experiment.name)
    assert {found.answer for found in experiment.verdicts(empty).values()} == {OPEN}
    for picture in experiment.pictures:
        go.Figure(picture.draw(empty))  # which refuses what Plotly does not know


@EVERY
def test_what_comes_with_the_project_is_whole_and_small(experiment):
    found = kept.shipped(experiment.name)
    assert found is not None
    assert (kept.FOLDER / f"{experiment.name}.json").stat().st_size < 40_000
    assert found.experiment == experiment.name
    assert f"experiment {experiment.name}" in found.command
    assert {arm.name for arm in experiment.arms} == set(found.measured)
    for arm in experiment.arms:
        assert found.seeds_of(arm.name) == tuple(range(experiment.seeds))
    assert found.scale == 1


@EVERY
def test_its_pictures_and_figures_are_drawn_from_what_comes_with_the_project(experiment):
    found = kept.shipped(experiment.name)
    for picture in experiment.pictures:
        figure = picture.draw(found)
        go.Figure(figure)
        PlainFigure(figure)
    for said in experiment.verdicts(found).values():
        assert said.answer in (HOLDS, FAILS, OPEN)
        assert "nan" not in said.because.lower()
        assert said.because.endswith(".")
    for one in experiment.compared:
        assert one.here(found)


# ---- degradation's own rule ----


def made_up(**accuracies):
    found = Results("degradation")
    for arm, values in accuracies.items():
        for seed, value in enumerate(values):
            found = found.adding(arm, seed, {"train_accuracy": value})
    return found


def test_degradation_has_three_answers():
    good, bad = [0.99, 0.992, 0.991], [0.5, 0.45, 0.55]
    judge = degradation.judge
    assert judge(made_up(plain20=good, plain56=bad, resnet20=good, resnet56=good)).answer == HOLDS
    # no plain network is worse; a residual one is
    assert judge(made_up(plain20=good, plain56=good, resnet20=good, resnet56=good)).answer == FAILS
    assert judge(made_up(plain20=good, plain56=bad, resnet20=good, resnet56=bad)).answer == FAILS
    # seeds that disagree, and a single one
    torn = [0.99, 0.3, 0.98]
    assert judge(made_up(plain20=good, plain56=torn, resnet20=good, resnet56=good)).answer == OPEN
    one = {arm: [0.9] for arm in ("plain20", "plain56", "resnet20", "resnet56")}
    assert judge(made_up(**one)).answer == OPEN


# ---- the pictures' own arithmetic ----


def test_a_line_is_the_mean_in_a_band_from_least_to_most():
    values = np.array([[1.0, 2.0, math.nan], [3.0, 6.0, math.nan]])
    low, high, mean = lines([Line("a", "#0072B2", np.arange(3.0), values)], Axis("x"), Axis("y"))["data"]
    assert (low["y"].tolist(), high["y"].tolist(), mean["y"].tolist()) == ([1, 2], [3, 6], [2, 4])
    assert mean["x"].tolist() == [0, 1]  # where nothing is measured nothing is drawn


def test_a_line_may_show_each_seed():
    values = np.array([[1.0, 2.0], [3.0, math.nan]])
    *_, points, mean = lines([Line("a", "#0072B2", np.arange(2.0), values, each_seed=True)], Axis("x"), Axis("y"))[
        "data"
    ]
    assert sorted(zip(points["x"].tolist(), points["y"].tolist(), strict=True)) == [(0, 1), (0, 3), (1, 2)]
    assert (points["mode"], points["showlegend"]) == ("markers", False)
    assert mean["y"].tolist() == [2, 2]


def test_a_bar_is_the_mean_with_every_seed_on_it():
    bar, points = bars([Bar("<a>", "#0072B2", np.array([0.2, 0.4]))], Axis("x", share=True))["data"]
    assert bar["x"] == pytest.approx([0.3])
    assert points["x"].tolist() == [0.2, 0.4]
    assert bar["y"] == ["&lt;a&gt;"]


def test_a_cell_without_a_number_stays_blank():
    (found,) = cells(np.array([[0.5, math.nan]]), ["1", "2"], ["3"], "x", "y", "Blues", "right")["data"]
    assert found["text"] == [["50%", ""]]
