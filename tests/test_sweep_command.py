"""`explorer sweep`, as somebody types it: what it costs, training, going on, more trials, failed ones, the results."""

import json

import pandas as pd
import pytest

from explorer.command_line import program
from explorer.experiments import EXPERIMENTS, swept
from explorer.experiments.experiment import Arm, Claim, Experiment
from explorer.experiments.verdict import HOLDS, Verdict
from explorer.learning import runs
from explorer.learning.sweeps import directory, estimate, file
from explorer.learning.sweeps.directory import Results
from explorer.learning.sweeps.estimate import Rate

TINY = """
title = "widths"
network = "resnet20_cifar"
data = "digits"
images = 64
set = { input_size = 8, channels = 1, stem_width = 4, blocks = "1-1-1", epochs = 1, batch_size = 32 }
[turn]
width = [4, 8]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A machine whose speed is known: at a millisecond an image."""
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(estimate, "measure", lambda jobs, places: Rate((estimate.work(jobs[0].config),), (0.001,)))
    (tmp_path / "a.toml").write_text(TINY)
    return tmp_path


def said(capsys, *words):
    """What it prints; it must not fail."""
    code = program.main(["sweep", *map(str, words)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def refused(capsys, *words):
    assert program.main(["sweep", *map(str, words)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def made():
    return directory.read(directory.listed()[0])


def test_it_says_what_it_costs_and_trains_nothing(capsys, folder):
    (folder / "b.toml").write_text(TINY.replace("[4, 8]", "[4, 8, 100000]") + "learning_rate = [0.1, 0.2]\n")
    out = said(capsys, folder / "b.toml", "--show", "--processes", 1)
    assert "4 trials: 4 networks and recipes with 1 seed." in out
    assert "2 combinations cannot be, as width 100000, learning_rate 0.1: width=" in out
    assert "of training by this machine's speed" in out
    assert directory.listed() == ()


def test_it_trains_and_goes_on_and_writes_the_results(capsys, folder):
    out = said(capsys, folder / "a.toml", "--processes", 1, "--output", folder / "a.csv")
    assert str(made().path) in out
    assert "2 of 2: width 8, seed 0: finished. Right on" in out
    assert out.rstrip().endswith("2 finished.")
    table = pd.read_csv(folder / "a.csv")
    assert list(table["width"]) == [4, 8]
    assert "widths: finished, 2 of 2 trials ended." in said(
        capsys, made().path, "--show", "--output", folder / "a.parquet"
    )
    assert pd.read_parquet(folder / "a.parquet")["test_accuracy"].tolist() == pytest.approx(
        table["test_accuracy"].tolist()
    )
    (folder / "a.toml").write_text(TINY.replace("[4, 8]", "[8, 16]"))
    out = said(capsys, folder / "a.toml", "--into", made().path)
    assert "1 trials are added to the 2 of widths." in out
    assert "3 of 3: width 16" in out
    assert "finished        3 of 3      widths" in said(capsys)


def test_failed_ones_are_listed_and_trained_once_more(capsys, folder):
    sweep = directory.create(file.read(folder / "a.toml"))
    results = Results(sweep)
    for trial in sweep.trials:
        results.add(trial, {"state": "failed", "run": "t", "message": "The memory is full.", "seconds": 1.0})
    out = said(capsys, sweep.path, "--show")
    assert "2 failed" in out
    assert "trial 1: The memory is full." in out
    assert "--again trains them once more" in out
    out = said(capsys, sweep.path, "--again", "--processes", 1)
    assert "2 finished." in out


def test_a_budget_is_raised(capsys, folder):
    (folder / "a.toml").write_text("budget = 0.000001\n" + TINY)
    out = said(capsys, folder / "a.toml", "--processes", 1)
    assert "not all will be trained" in out
    assert "is used up" in out
    assert "2 finished." in said(capsys, made().path, "--budget", 1000)


def test_the_command_of_a_trial_is_printed(capsys, folder):
    sweep = directory.create(file.read(folder / "a.toml"))
    out = said(capsys, sweep.path, "--trial", 1)
    assert "--set width=8" in out
    assert "train runs/trial-1" in out


def test_what_cannot_be_is_one_sentence(capsys, folder):
    assert "no such file" in refused(capsys, folder / "none.toml")
    assert "holds no sweep" in refused(capsys, folder)
    assert "no 'slurm' to train on" in refused(capsys, folder / "a.toml", "--on", "slurm")
    assert "are for --on ray" in refused(capsys, folder / "a.toml", "--on", "processes", "--address", "auto")
    sweep = directory.create(file.read(folder / "a.toml"))
    assert "There is no trial 7; there are 0 to 1" in refused(capsys, sweep.path, "--trial", 7)
    assert "a .csv or a .parquet file" in refused(capsys, sweep.path, "--show", "--output", folder / "a.xls")
    assert "cannot be written" in refused(capsys, sweep.path, "--show", "--output", folder / "none" / "a.csv")
    assert "budget" in refused(capsys, sweep.path, "--budget", "inf")


# ---- experiments made by a sweep ----


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_a_sweep_of_its_own_networks(name, folder):
    experiment = EXPERIMENTS[name]
    assert program.main(["experiment", name, "--as-sweep", str(folder / "e.json"), "--seeds", "2"]) == 0
    sweep = file.read(folder / "e.json")
    jobs = {trial.job(sweep) for trial in directory.create(sweep).trials}
    assert jobs == {arm.trained(seed, 1.0) for arm in experiment.arms for seed in range(2)}


def test_an_experiment_is_measured_from_the_runs_of_a_sweep(capsys, folder, monkeypatch):
    tiny = file.read(folder / "a.toml")
    arms = tuple(
        Arm(f"w{width}", f"Width {width}", tiny.parts[0].job.turned({"width": str(width)})) for width in (4, 8)
    )

    def judge(results):
        return Verdict(HOLDS, f"{results.numbers('w4', 'params')[0]:.0f} parameters.")

    experiment = Experiment(
        "tiny",
        "?",
        "!",
        "-",
        "-",
        "-",
        arms,
        lambda trial: {"params": trial.plan.params},
        (Claim("c", "r", judge),),
        (),
    )
    monkeypatch.setitem(EXPERIMENTS, "tiny", experiment)
    said(capsys, folder / "a.toml", "--processes", 1)
    results = folder / "r.json"
    assert program.main(["experiment", "tiny", "--of-sweep", str(made().path), "--output", str(results)]) == 0
    out = capsys.readouterr().out
    found = json.loads(results.read_text())["measured"]
    for width in (4, 8):
        run = runs.read(made().run_of(made().trials[width // 8]))
        assert found[f"w{width}"] == {"0": {"params": swept.Trial(run.path, "", 0).plan.params}}
    assert "c: holds here." in out
    (made().path / "results.csv").unlink()
    assert program.main(["experiment", "tiny", "--of-sweep", str(made().path)]) == 2
    assert "No trial of widths that has ended is one of tiny" in capsys.readouterr().err
