"""`python -m explorer train`: a run from its words, and wrong words as one sentence."""

import re

import pytest

from explorer.__main__ import main
from explorer.families import PRESETS
from explorer.learning import runs, worker
from explorer.learning.recipe import RECIPES, Recipe

SMALL = ("--network", "resnet20_cifar", "--data", "digits")


@pytest.fixture
def trained(monkeypatch):
    """What the worker was asked for; nothing is trained here."""
    asked = []

    def train(path, in_line=False, say=print, changes=worker.NONE):
        asked.append((path, in_line, dict(changes)))
        runs.read(path)
        return "finished"

    monkeypatch.setattr(worker, "train", train)
    return asked


def test_a_new_run(trained, tmp_path):
    path = tmp_path / "a" / "b"
    words = ["--set", "epochs=3", "--set=width=24", "--set", "title=Mine = yours", "--tensorboard", "--in-line"]
    assert main(["train", str(path), *SMALL, *words]) == 0
    job = runs.read(path).job
    assert job.config == PRESETS["resnet20_cifar"].replace(width=24)
    assert (job.data, job.recipe, job.tensorboard) == ("digits", Recipe(epochs=3), True)
    assert job.title == "Mine = yours"
    assert trained == [(path, True, {})]


def test_a_papers_recipe(trained, tmp_path):
    assert main(["train", str(tmp_path / "run"), *SMALL, "--recipe=resnet", "--set=epochs=2"]) == 0
    assert runs.read(tmp_path / "run").job.recipe == RECIPES["resnet"].recipe.replace(epochs=2)


def test_a_network_is_fitted_when_asked(trained, tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["train", str(path), "--network", "resnet18", "--data", "digits"]) == 2
    error = capsys.readouterr().err
    assert re.search(r"resnet18 does not fit .*10 classes, not 1000 and 8 to 64 px, not 224: --fit sets ", error)
    assert not path.exists()
    assert main(["train", str(path), "--network", "resnet18", "--data", "digits", "--fit"]) == 0
    config = runs.read(path).job.config
    assert (config.classes, config.stem, config.input_size <= 64) == (10, "cifar", True)


def test_the_same_command_goes_on_and_turns_knobs(trained, tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["train", str(path), *SMALL]) == 0
    assert main(["train", str(path)]) == 0
    assert main(["train", str(path), "--set", "epochs=4", "--set", "learning-rate=0.5"]) == 0
    assert [changes for _, _, changes in trained] == [{}, {}, {"epochs": "4", "learning-rate": "0.5"}]
    assert main(["train", str(path), *SMALL, "--fit", "--tensorboard"]) == 2
    assert capsys.readouterr().err.endswith("holds a run already: leave out --network, --data, --fit, --tensorboard.\n")
    assert len(trained) == 3


def test_knobs_that_are_turned_stay_turned(tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setattr(worker, "_train", lambda *_: ("stopped", "Stopped."))
    assert main(["train", str(path), *SMALL, "--set", "epochs=3"]) == 0
    assert main(["train", str(path), "--set", "seed=5", "--set", "width=24"]) == 0  # it has not begun to learn
    job = runs.read(path).job
    assert (job.recipe, job.config.width) == (Recipe(epochs=3, seed=5), 24)
    assert runs.status(path).state == "stopped"


def test_a_run_that_fails_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(worker, "_train", lambda *_: ("failed", "The memory is full."))
    assert main(["train", str(tmp_path / "run"), *SMALL]) == 2
    assert capsys.readouterr().err == "run failed: The memory is full.\n"
    monkeypatch.setattr(worker, "_train", lambda *_: ("diverged", "It diverged."))
    assert main(["train", str(tmp_path / "run")]) == 0
    assert capsys.readouterr() == ("It diverged.\n", "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: DIR"),
        (["--set"], "expected one argument"),
        (["RUN"], "Say which network is to be trained: --network NAME"),
        (["RUN", "--netwrok", "resnet18"], "unrecognized arguments: --netwrok"),
        (["RUN", "--network", "resnet5"], "There is no network 'resnet5'; there is resnet50"),
        (["RUN", *SMALL, "--data", "imagnet"], "There is no data set 'imagnet'; choose one of shapes, digits, "),
        (["RUN", *SMALL, "--data", "../x\ny"], "There is no data set '../x?y'"),
        (
            ["RUN", *SMALL, "--recipe", "best"],
            "There is no recipe 'best'; there are quick, resnet, densenet, cliquenet",
        ),
        (["RUN", *SMALL, "--set", "epochs"], "--set 'epochs': write it as KNOB=VALUE"),
        (["RUN", *SMALL, "--set", "=3"], "'' is not to be set"),
        (["RUN", *SMALL, "--set", "wings=2"], "'wings' is not to be set; there are epochs, "),
        (["RUN", *SMALL, "--set", "epochs=0"], "epochs='0': "),
        (["RUN", *SMALL, "--set", "learning_rate=nan"], "learning_rate='nan': "),
        (["RUN", *SMALL, "--set", "optimizer=lion"], "optimizer='lion': "),
        (["RUN", *SMALL, "--set", "threads=99999"], "threads=99999: a whole number from 1 to 4096"),
        (["RUN", *SMALL, "--set", "width=0"], "width='0': "),
        (["RUN/" + "x" * 300, *SMALL], "ile name too long"),
        (["FILE", *SMALL], "cannot be written there"),
        (["FILE/run", *SMALL], "annot be written there (Not a directory)"),
        (["FULL", *SMALL], "is there already, and not empty"),
        (["SPOILT"], "SPOILT: config.json is not JSON"),
        (["LOCKED"], "LOCKED cannot be trained: its directory is not to be written (Is a directory)"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_sentence(capsys, tmp_path, words, sentence):
    (tmp_path / "FILE").write_text("x")
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "thesis.tex").write_text("x")
    (tmp_path / "SPOILT").mkdir()
    (tmp_path / "SPOILT" / "config.json").write_text("{")
    assert main(["train", str(tmp_path / "LOCKED"), *SMALL, "--set", "device=none"]) == 2  # made, and fails
    (tmp_path / "LOCKED" / "worker.lock").unlink()
    (tmp_path / "LOCKED" / "worker.lock").mkdir()
    capsys.readouterr()
    before = sorted(tmp_path.rglob("*"))
    given = [str(tmp_path / words[0]), *words[1:]] if words and not words[0].startswith("-") else words
    assert main(["train", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sentence in err
    assert err.endswith(".\n")
    assert len(err) < 700
    made = set(tmp_path.rglob("*")) - set(before)
    assert {path.name for path in made} <= {"RUN"}


def test_help_says_how(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "from its last checkpoint" in words
    assert "--set KNOB=VALUE" in words
