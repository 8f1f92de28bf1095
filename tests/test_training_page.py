"""The Training page, as a visitor has it: a run is started, watched, looked into, shared, and put away."""

import base64
from urllib.parse import parse_qsl

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from visitor import (
    ATTRIBUTION,
    FEATURE_MAPS,
    TRAINING,
    captions,
    chart,
    config,
    fine,
    messages,
    opened,
    unvisited,
    visit,
)

from controls.services import training
from explorer.families import PRESETS, plan
from explorer.learning import datasets, runs, session, starting, worker

pytestmark = pytest.mark.usefixtures("navigation", "folders")
SMALL = {
    "network": "resnet20_cifar",
    "input_size": "16",
    "blocks": "1-1-1",
    "stem_width": "8",
    "width": "8",
    "data": "digits",
    "train_batch_size": "50",
    "train_epochs": "3",
}


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Runs in a folder of the test's own; and no process beside it measures how fast it would go."""
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("controls.services.speed.speed", lambda job: None)


@pytest.fixture
def at_once(monkeypatch):
    """A worker that has ended when the page goes on, in this process."""

    monkeypatch.setattr(session, "settle", lambda device, threads: None)  # the process is not the worker's alone

    def start(path):
        worker.train(path, say=lambda sentence: None)

    monkeypatch.setattr(starting, "start", start)


@pytest.fixture
def never(monkeypatch):
    """A worker that is waited for."""
    monkeypatch.setattr(starting, "start", starting._announce)


def trained(**link: str) -> AppTest:
    app = opened(TRAINING, **SMALL | link)
    app.button(key="training.start").click().run()
    return fine(app)


def numbers(values) -> list[float]:
    """As Plotly sends them: a list, or bytes in base64."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return values


def words(app: AppTest) -> str:
    return "\n".join(found.value for found in app.main.markdown)


def only_run() -> runs.Run:
    (name,) = runs.all_names()
    return runs.read(runs.named(name))


def test_a_network_that_does_not_fit_is_changed_by_one_button_and_not_without_it():
    app = opened(TRAINING, network="resnet18", data="digits")
    assert config(app) == PRESETS["resnet18"]
    assert not [button for button in app.button if button.key == "training.start"]
    (fit,) = (button for button in app.main.button if button.label.startswith("Fit the network"))
    fit.click().run()
    source = datasets.find("digits")
    assert source.misfits(config(fine(app))) == ()
    assert config(app).classes == len(source.classes)
    assert app.button(key="training.start").disabled is False


def test_a_run_is_started_and_looked_into(at_once):
    app = trained()
    assert messages(app) == []
    run = only_run()
    assert run.job.config == config(app)
    assert (run.job.recipe.epochs, run.job.recipe.batch_size, run.job.data) == (3, 50, "digits")
    assert app.query_params["run"] == run.name
    assert "**Finished**" in words(app)
    # the curves are those of the file
    table = runs.metrics(run.path)
    drawn = [trace for trace in chart(app, "training.curves")["data"] if trace.get("name")]
    assert any(run.title in trace["name"] for trace in drawn)
    accuracy = (runs.predictions(run.path).eval("label == predicted")).mean()
    assert f"{accuracy:.1%}" in [metric.value for metric in app.metric]
    assert accuracy > 0.5  # of ten classes
    (rate,) = (trace for trace in chart(app, "training.curves")["data"] if trace.get("yaxis") == "y3")
    assert len(numbers(rate["y"])) == len(table)
    assert numbers(rate["y"]) == pytest.approx(table["learning_rate"], rel=1e-6)
    kernels = [op.name for op in plan(config(app)).ops if op.kind in ("conv", "linear")]
    assert list(runs.gradient_norms(run.path).columns[1:]) == kernels
    assert len(chart(app, "training.norms")["data"][0]["y"]) == len(kernels)


def test_a_mistake_opens_on_other_pages_with_the_runs_weights(at_once):
    app = trained(train_epochs="1")
    run = only_run()
    (first, *_) = (found.proto for found in app.get("page_link") if found.proto.label == "Attribution")
    found = runs.predictions(run.path)
    wrong = found[found.label != found.predicted].sort_values("probability", ascending=False)
    link = dict(parse_qsl(first.query_string))
    assert link["weights"] == run.name
    assert link["picture"] == f"digits.{wrong.index[0]}"
    for page in (ATTRIBUTION, FEATURE_MAPS):
        again = opened(page, **link)
        assert messages(again) == []
        assert run.title in captions(again)
        # its answer is the one that the run wrote down
        answers = again.dataframe[0].value
        assert answers.answer.iloc[0] == str(wrong.predicted.iloc[0])
        assert answers.probability.iloc[0] == pytest.approx(100 * wrong.probability.iloc[0], abs=0.1)


def test_weights_of_a_run_are_offered_to_its_network_alone(at_once):
    app = trained(train_epochs="1")
    run = only_run()
    (title,) = (title for title in app.selectbox(key="weights.source").options if title.startswith("Run: "))
    assert run.title in title
    app.slider(key="resnet.blocks.0").set_value(2).run()
    assert not [title for title in fine(app).selectbox(key="weights.source").options if title.startswith("Run: ")]


def test_a_run_that_diverges_says_so(at_once):
    app = trained(norm="none", train_learning_rate="10", init="default", train_epochs="2")
    assert "**Diverged**" in words(app)
    assert "At step" in words(app)


def test_stopping_asks_the_worker_and_resuming_starts_another(never):
    app = trained()
    run = only_run()
    assert "Waiting in line" in words(app)
    app.button(key=f"training.{run.name}.stop").click().run()
    assert (run.path / runs.STOP).exists()


def test_another_name_deleting_and_undoing(at_once):
    app = trained(train_epochs="1")
    run = only_run()
    app.text_input(key=f"training.{run.name}.title").input("my [first](x) one").run()
    assert only_run().title == "my [first](x) one"
    (delete,) = (button for button in app.main.button if button.label == "Delete")
    delete.click().run()
    assert runs.all_names() == ()
    assert "What it has learned" not in [found.value for found in fine(app).subheader]
    (undo,) = (button for button in app.main.button if button.label == "Undo")
    undo.click().run()
    assert only_run().title == "my [first](x) one"


# --- on a server that others reach


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setenv("EXPLORER_TRAINING", "shared")


def test_visitors_see_their_own_runs_and_those_whose_link_they_have(at_once, shared):
    app = trained(train_epochs="1")
    run = only_run()
    stranger = opened(TRAINING, **SMALL)
    assert "**Finished**" not in words(stranger)
    assert not [title for title in stranger.selectbox(key="weights.source").options if title.startswith("Run: ")]
    friend = opened(TRAINING, **dict(app.query_params))
    assert "**Finished**" in words(friend)
    assert run.title in friend.selectbox(key="link.run").options


def test_a_visitor_has_a_limited_number_of_runs(at_once, shared, monkeypatch):
    monkeypatch.setattr(training, "owner", lambda: "the same address")  # which AppTest makes up anew
    monkeypatch.setenv("EXPLORER_MAX_RUNS", "1")
    app = trained(train_epochs="1")
    assert app.button(key="training.start").disabled
    assert any("1 is the limit" in message for message in messages(app))


def test_minutes_are_limited_by_the_setting(never, shared, monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_RUN_MINUTES", "7")
    trained()
    assert only_run().job.most_seconds == 7 * 60


def test_disk_is_limited_by_the_setting(never, shared, monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_RUN_DISK", "1MB")
    app = opened(TRAINING, **SMALL | {"width": "64", "stem_width": "64"})
    assert app.button(key="training.start").disabled
    assert any("limit" in message for message in messages(app))


def test_training_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("EXPLORER_TRAINING", "off")
    app = opened(TRAINING, **SMALL)
    assert app.button(key="training.start").disabled
    assert any("switched off" in message for message in messages(app))


@pytest.mark.parametrize(
    "name", ["../../etc", ".line", "resnet-aaaaaaaaaaaaaaaa", "a" * 300, "resnet\x00-aaaaaaaaaaaaaaaa", "%2e%2e"]
)
def test_a_link_to_no_run_opens_the_page_all_the_same(name, never):
    app = unvisited(**SMALL | {"run": name, "weights": name})
    app.run()
    assert len(messages(fine(app))) == 1  # that the weights are not for this network
    assert messages(visit(app, TRAINING)) == []
    assert "Runs" not in [found.value for found in app.subheader]


def test_turned_knobs_are_named_and_turned_back(never):
    app = opened(TRAINING, **SMALL | {"recipe": "densenet"})
    assert "Turned: epochs, batch size." in captions(app)
    (back,) = (button for button in app.main.button if button.label == "As the recipe has them")
    back.click().run()
    assert "300 epochs, 64 images a step" in captions(fine(app))  # as in section 4.2 of the paper
    assert "Turned" not in captions(app)
    assert not [name for name in app.query_params if name.startswith("train_")]


def test_nothing_runs_on_a_number_that_cannot_be():
    app = opened(TRAINING, **SMALL | {"train_learning_rate": "1e9", "train_epochs": "-4", "train_seed": "x"})
    assert "12 epochs" in captions(app)
    assert "learning rate 0.1" in captions(visit(app, TRAINING))
