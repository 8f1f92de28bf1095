"""What is swept, from a file to its trials; a sweep's directory; what is written down of trials; the command of one."""

import json
import math
import re
import shlex
import tomllib
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.command_line import program
from explorer.errors import ExplorerError
from explorer.families import FAMILIES, PRESETS
from explorer.learning import runs, trial_names, worker
from explorer.learning.command import train_command
from explorer.learning.job import Job
from explorer.learning.recipe import RECIPES, Recipe
from explorer.learning.runs import RunError
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import file
from explorer.learning.sweeps.directory import Results
from explorer.learning.sweeps.engines import Where
from explorer.learning.sweeps.sweep import Range, SweepError, trials

SMALL = {"network": "resnet20_cifar", "data": "digits", "set": {"input_size": 16, "channels": 1, "stem_width": 4}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def sweep(**table):
    return file.of_table(SMALL | table)


# ---- which trials there are ----


def test_every_combination_with_every_seed():
    found = trials(sweep(turn={"width": [4, 8, 16], "learning_rate": [0.1, 0.2]}, seeds=2))
    assert not found.impossible
    assert [trial.number for trial in found.trials] == list(range(12))
    assert [trial.seed for trial in found.trials] == [0] * 6 + [1] * 6  # a picture of all of it comes first
    each = {(trial.turns["width"], trial.turns["learning_rate"], trial.seed) for trial in found.trials}
    assert each == {(w, r, s) for w in ("4", "8", "16") for r in ("0.1", "0.2") for s in (0, 1)}


def test_a_trial_is_the_job_that_its_knobs_say():
    one = sweep(turn={"blocks": [[1, 1, 1], "2-2-2"], "norm": ["batch", "none"], "momentum": [0]}, images=100)
    job = trials(one).trials[3].job(one)
    assert job == Job(
        PRESETS["resnet20_cifar"].adapt(input_size=16, channels=1, stem_width=4, blocks=(2, 2, 2), norm="none"),
        "digits",
        Recipe(momentum=0),
        images=100,
    )
    assert job.title == "blocks 2-2-2, norm none, momentum 0, seed 0"


def test_of_several_networks_each_has_its_own_knobs_and_those_of_all():
    one = sweep(
        turn={"epochs": [1, 2]},
        parts=[
            {"turn": {"width": [4, 8]}},
            {"name": "dense", "network": "densenet_bc100_12_cifar", "set": {"growth_rate": 4}},
        ],
    )
    found = [(trial.job(one).config.family, dict(trial.turns)) for trial in trials(one).trials]
    assert len(found) == 6
    assert found[0] == ("resnet", {"epochs": "1", "width": "4"})
    assert found[4] == ("densenet", {"epochs": "1"})
    assert trials(one).trials[5].title(one) == "dense: epochs 2, seed 0"
    assert directories.turned(one) == ("epochs", "width")


def test_what_cannot_be_is_left_out_and_said():
    found = trials(sweep(turn={"width": [8, 100_000], "input_size": [16, 1], "norm": ["batch", "none"]}))
    assert [dict(trial.turns)["norm"] for trial in found.trials] == ["batch", "none"]
    assert sum(count for count, _ in found.impossible.values()) == 6
    why, (_, example) = next(iter(found.impossible.items()))
    assert "1 to 64" in why or "input_size" in why or "width" in why
    assert example.startswith("width 8")


def test_networks_that_do_not_fit_the_data_are_said():
    with pytest.raises(SweepError, match=r"None of the combinations can be: Digits needs 10 classes, not 1000"):
        trials(file.of_table({"network": "resnet18", "data": "digits", "turn": {"width": [8]}}))
    assert len(trials(file.of_table({"network": "resnet18", "data": "digits", "fit": True})).trials) == 1


def test_a_sample_is_drawn_within_its_ranges_and_goes_on_as_it_began():
    turn = {"learning_rate": {"from": 0.001, "to": 1, "log": True}, "width": {"from": 4, "to": 32}, "norm": ["batch"]}
    few, more = (trials(sweep(turn=turn, sample=count, draw=3)).trials for count in (20, 200))
    assert [trial.turns for trial in few] == [trial.turns for trial in more[:20]]
    rates = [float(trial.turns["learning_rate"]) for trial in more]
    widths = [int(trial.turns["width"]) for trial in more]
    assert min(rates) >= 0.001
    assert max(rates) <= 1
    assert set(widths) <= set(range(4, 33))
    assert len(set(widths)) > 20
    # alike in their logarithms: a third of them in each factor of ten, give or take four deviations of such a count
    below = sum(rate < 0.01 for rate in rates)
    assert abs(below - 200 / 3) < 4 * math.sqrt(200 * 2 / 9)
    assert trials(sweep(turn=turn, sample=20, draw=4)).trials[0].turns != few[0].turns


def test_no_combination_is_drawn_twice():
    found = trials(sweep(turn={"width": [4, 8], "norm": ["batch", "none"]}, sample=50)).trials
    assert len(found) == 4
    assert len({tuple(trial.turns.items()) for trial in found}) == 4


WRONG = {
    "no network": ({"network": None}, "network=None"),
    "no such network": ({"network": "resnet19"}, "a preset's name"),
    "no such knob": ({"turn": {"depht": [1]}}, "'depht' is no knob"),
    "the seed": ({"turn": {"seed": [1]}}, "seed is not turned"),
    "no values": ({"turn": {"width": []}}, "width has 0 values"),
    "a value twice": ({"turn": {"width": [4, "4"]}}, "a value twice"),
    "no list": ({"turn": {"width": 4}}, "give a list of values"),
    "a strange value": ({"turn": {"width": [None]}}, "no value of a knob"),
    "a range of all": ({"turn": {"width": {"from": 4, "to": 8}}}, "say how many trials are drawn"),
    "a range that is none": ({"turn": {"width": {"from": 8, "to": 4}}, "sample": 2}, "a lower and a higher end"),
    "half a range": ({"turn": {"width": {"from": 8}}, "sample": 2}, "a range is written"),
    "a range without numbers": ({"turn": {"width": {"from": 4.2, "to": 4.8}}, "sample": 2}, "no whole number"),
    "logarithms of zero": ({"turn": {"momentum": {"from": 0, "to": 1, "log": True}}, "sample": 2}, "above 0"),
    "a range of words": ({"turn": {"norm": {"from": 0, "to": 1}}, "sample": 2}, "norm has no range"),
    "no seeds": ({"seeds": 0}, "1 to 100 seeds"),
    "seeds twice": ({"seeds": [1, 1]}, "each once"),
    "seeds of words": ({"seeds": ["a"]}, "seeds="),
    "a strange word": ({"sedes": 3}, "'sedes' is not known of a sweep"),
    "a knob in the wrong place": ({"width": [4]}, "'width' is not known of a sweep"),
    "two budgets": ({"budget": {"seconds": 1, "gpu_hours": 1}}, "budget: either"),
    "no budget": ({"budget": {"seconds": "much"}}, "budget: either"),
    "a negative budget": ({"budget": -1}, "budget=-1"),
    "no data": ({"data": "imagenet21k"}, "no data set 'imagenet21k'"),
    "no recipe": ({"recipe": "secret"}, "recipe='secret'"),
    "an impossible recipe": ({"set": {"epochs": 0}}, "epochs"),
    "too many": ({"turn": {"width": list(range(1, 300)), "stem_width": list(range(1, 300))}}, "20,000 are the limit"),
    "no grace": ({"early": {"grace": 0}}, "grace"),
    "parts that are none": ({"parts": []}, "1 to 200 tables"),
    "a part that is none": ({"parts": [3]}, "as a table"),
    "a sweep in a part": ({"parts": [{"seeds": 3}]}, "not known of a part"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_refused_in_one_sentence(name):
    table, words = WRONG[name]
    with pytest.raises(ExplorerError) as refusal:
        trials(sweep(**table))
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from((*file.OF_A_SWEEP, *file.OF_A_PART))


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_whatever_a_file_says_it_is_a_sweep_or_refused(table):
    with suppress(ExplorerError):  # and nothing else
        assert len(trials(file.of_table(SMALL | table)).trials) > 0


# ---- the file ----

TOML = """
title = "growth"
network = "densenet_bc100_12_cifar"
data = "digits"
fit = true
seeds = [3, 5]
sample = 4
budget = { gpu_hours = 2 }
early = { grace = 2 }
set = { epochs = 2, blocks = "2-2-2" }
[turn]
growth_rate = [4, 8]
learning_rate = { from = 0.01, to = 0.1, log = true }
"""


def test_a_file_is_read_and_comes_back_from_its_json(tmp_path):
    (tmp_path / "a.toml").write_text(TOML)
    found = file.read(tmp_path / "a.toml")
    assert (found.title, found.seeds, found.sample, found.budget) == ("growth", (3, 5), 4, 7200)
    assert (found.early.grace, found.early.factor) == (2, 3)
    (part,) = found.parts
    assert part.turned == {"growth_rate": ("4", "8"), "learning_rate": Range(0.01, 0.1, True)}
    assert (part.job.config.blocks, part.job.config.classes, part.job.recipe.epochs) == ((2, 2, 2), 10, 2)
    (tmp_path / "b.json").write_text(json.dumps(file.to_table(found)))
    assert file.read(tmp_path / "b.json") == found


@pytest.mark.parametrize("text", ["", "[", '{"a": }', "\xff" * 10, "[" * 20_000])
@pytest.mark.parametrize("name", ["a.toml", "a.json"])
def test_files_that_are_none_are_refused(text, name, tmp_path):
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(ExplorerError):
        file.read(tmp_path / name)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SweepError, match="no such file"):
        file.read(tmp_path / "none.toml")


# ---- the directory ----


def test_a_sweep_comes_back_from_its_directory(folder):
    made = directories.create(sweep(turn={"width": [4, 8]}, seeds=2), Where("ray", gpus=0.5), "somebody")
    found = directories.read(made.path)
    assert (found.sweep, found.where, found.owner) == (made.sweep, made.where, "somebody")
    assert found.trials == trials(made.sweep).trials
    assert directories.named(made.name).path == made.path
    assert directories.listed() == (made.path,)
    assert found.results().empty
    with pytest.raises(SweepError, match="no sweep"):
        directories.named("../../etc")


@pytest.mark.parametrize("name", ["sweep.json", "trials.jsonl"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"trial": 0}\n', b"\xff", b"nonsense", b"[" * 20_000])
def test_damaged_directories_are_refused(name, data):
    made = directories.create(sweep())
    (made.path / name).write_bytes(data)
    if (name, data) == ("trials.jsonl", b""):
        assert directories.read(made.path).trials == ()
        return
    with pytest.raises(SweepError):
        assert directories.read(made.path).trials


def test_a_trial_is_found_by_its_name_alone(folder):
    made = directories.create(sweep(turn={"width": [4, 8]}, seeds=[*range(100)]))
    trial = made.trials[123]
    path = made.run_of(trial)
    runs.create(trial.job(made.sweep), path)
    assert path.parent.name == "001"
    assert runs.named(path.name) == path
    assert runs.read(runs.named(path.name)).is_trial
    assert trial_names.begun(made.path) == {123}
    letters = path.name.rpartition("-")[2]
    for strange in (f"t124-{letters}", f"t0123-{letters}", f"x123-{letters}", "t123-aaaaaaaaaaaaaaaa"):
        with pytest.raises(RunError, match="no run"):
            runs.named(strange)
    assert runs.listed() == ()  # a thousand trials are not a thousand runs
    with pytest.raises(RunError, match="part of a sweep"):
        runs.delete(path)


def test_trials_are_added_that_are_not_there_yet():
    made = directories.create(sweep(turn={"width": [4, 8]}, seeds=2))
    Results(made).add(made.trials[1], {"state": "finished", "run": "t1", "test_accuracy": 0.5})
    same, none = directories.extend(made, made.sweep)
    assert (none, same.trials) == (0, made.trials)
    more, count = directories.extend(made, sweep(turn={"width": [8, 16], "momentum": [0.9, 0.5]}, seeds=3, budget=9))
    # width 8 with the usual momentum is there with two of three seeds
    assert count == 4 * 3 - 2
    assert more.trials[:4] == made.trials
    assert [trial.number for trial in more.trials] == list(range(14))
    again = directories.read(made.path)
    jobs = [trial.job(again.sweep) for trial in again.trials]
    assert len(set(jobs)) == 14
    assert jobs[:4] == [trial.job(made.sweep) for trial in made.trials]
    assert again.sweep.budget == 9
    table = again.results()
    assert list(table["momentum"].isna()) == [True]
    assert list(table["test_accuracy"]) == [0.5]
    more, count = directories.extend(again, file.of_table(SMALL | {"network": "plain20_cifar", "sample": 1}))
    assert count == 1
    assert more.trials[-1].job(more.sweep).config.shortcut == "none"


def test_what_is_written_down_of_a_trial_is_read_by_pandas_alone():
    made = directories.create(sweep(turn={"blocks": ["1-1-1", "2-2-2"], "width": [4]}))
    results = Results(made)
    results.add(made.trials[1], {"state": "failed", "run": "t1", "message": 'It broke, "so".', "seconds": 2.5})
    results.add(made.trials[0], {"state": "finished", "run": "t0", "params": 123, "test_accuracy": 0.25})
    results.add(made.trials[1], {"state": "finished", "run": "t1", "test_accuracy": math.nan, "seconds": 4.0})
    plain = pd.read_csv(made.path / "results.csv")
    assert list(plain["trial"]) == [1, 0, 1]
    assert list(plain["blocks"]) == ["2-2-2", "1-1-1", "2-2-2"]
    assert plain["message"][0] == 'It broke, "so".'
    table = made.results()
    assert list(table["state"]) == ["finished", "finished"]
    assert list(table["params"]) == [123] or table["params"][0] == 123
    assert (results.states(), results.seconds()) == ({0: "finished", 1: "finished"}, 4.0)


def test_a_row_that_is_half_written_is_left_out_and_the_next_is_whole():
    made = directories.create(sweep(turn={"width": [4, 8, 16]}))
    Results(made).add(made.trials[0], {"state": "finished", "run": "t0"})
    with (made.path / "results.csv").open("a") as table:
        table.write("1,t1,,fini")
    assert list(made.results()["trial"]) == [0]
    Results(made).add(made.trials[2], {"state": "finished", "run": "t2"})
    assert list(made.results()["trial"]) == [0, 2]


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"\xff\xfe", b"trial\n1\n", b"x" * 100])
def test_a_table_that_is_none_is_an_empty_one(data):
    made = directories.create(sweep())
    (made.path / "results.csv").write_bytes(data)
    assert made.results().empty
    Results(made).add(made.trials[0], {"state": "finished", "run": "t0"})
    assert list(made.results()["trial"]) == [0]


# ---- the command that trains one anew ----


def typed(command, monkeypatch):
    """The job that a command as it is printed makes, without training it."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "explorer"]
    made = []
    monkeypatch.setattr(worker, "train", lambda path, *_, **__: made.append(runs.read(path).job))
    assert program.main(words[3:]) == 0
    return made[0]


EXAMPLES = [config for family in FAMILIES.values() for config in family.examples]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_command_makes_the_very_job(number, tmp_path, monkeypatch):
    config = EXAMPLES[number].adapt(classes=10, input_size=max(16, EXAMPLES[number].input_size))
    for recipe in (Recipe(seed=7, learning_rate=0.0123, augmentation="flip and crop"), RECIPES["densenet"].recipe):
        job = Job(config, "shapes", recipe, images=300, threads=2, most_seconds=60)
        command = train_command(job, str(tmp_path / f"it's {recipe.seed}"))
        assert typed(command, monkeypatch) == job


def test_a_published_network_is_named(tmp_path):
    command = train_command(Job(PRESETS["plain20_cifar"], "shapes", Recipe()), "here")
    assert "--network plain20_cifar --data shapes" in command
    assert "blocks" not in command
    assert "--recipe" not in command


# ---- what is said of it ----

DOCS = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text(encoding="utf-8")


def test_the_file_that_is_shown_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    found = trials(file.of_table(tomllib.loads(text)))
    assert len(found.trials) == 3 * 2 * 3
    assert found.trials[0].job(file.of_table(tomllib.loads(text))).config.blocks == (4, 4, 4)
    shown = re.findall(r"`([a-z_]+ = [^`]*)`", DOCS)
    assert len(shown) >= 4
    for line in shown:  # each of the further words, beside those of the file
        one = tomllib.loads(line)
        assert set(one) <= {*file.OF_A_SWEEP, "learning_rate"}
        table = {"sample": 9, "turn": one} if "learning_rate" in one else one
        file.of_table(tomllib.loads(text) | table)
