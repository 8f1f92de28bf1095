"""The weights that come with the project know what their cards say, and come from the commands that these name."""

import shlex

import numpy as np
import pytest
import torch
from visitor import ARCHITECTURE, FEATURE_MAPS, captions, fine, link, messages, opened

from explorer.command_line.program import main
from explorer.families import PRESETS, plan
from explorer.learning import project, runs, worker
from explorer.learning.recipe import QUICK, RECIPES
from explorer.pictures.preparation import to_tensor
from explorer.pictures.shapes import CLASSES, draw
from explorer.running import project_weights, weights
from explorer.running.network import blank, run
from explorer.running.project_weights import FOLDER, Trained

FRESH, IMAGES = 2, 400  # seed and number: neither of the images to learn from, nor of those of the card
MOST_BYTES = 8_000_000
TRAINED = {one.weights.identity: one for one in project_weights.all_trained()}


def test_there_is_one_of_each_family_that_is_compared_and_they_are_small():
    assert {name.removesuffix("-shapes") for name in TRAINED} == set(project.NETWORKS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES


@pytest.fixture(scope="module")
def fresh():
    return draw(np.arange(IMAGES), FRESH, 32)


@pytest.mark.parametrize("trained", TRAINED.values(), ids=TRAINED)
def test_accuracy_on_fresh_images_is_the_cards(trained: Trained, fresh):
    network = blank(plan(trained.config))
    with project_weights.opened(trained.weights) as data:
        state = weights.read_checkpoint(data, trained.weights.name, network.state_dict())
    weights.load(network, state, take=True)
    prepared = trained.weights.card.preparation
    right = 0
    with torch.inference_mode():
        for start in range(0, IMAGES, 200):
            pixels = [image.transpose(1, 2, 0) for image in fresh.images[start : start + 200]]
            logits, _ = run(network, to_tensor(pixels, prepared))
            right += int((logits.argmax(1).numpy() == fresh.labels[start : start + 200]).sum())
    assert right / IMAGES == pytest.approx(trained.about.accuracy, abs=0.02)
    assert trained.weights.card.classes == CLASSES


@pytest.mark.parametrize("trained", TRAINED.values(), ids=TRAINED)
def test_the_command_on_the_card_trains_that_network(trained: Trained, monkeypatch, tmp_path):
    monkeypatch.setattr(worker, "train", lambda *words, **more: "finished")
    program, *words = shlex.split(trained.about.command)
    assert program == "explorer"
    path = tmp_path / "run"
    assert main([str(path) if word == "DIR" else word for word in words]) == 0
    job = runs.read(path).job
    assert job.config == trained.config
    assert job.data == trained.about.data
    name = trained.weights.identity.removesuffix("-shapes")
    assert (job.recipe, job.images) == (project.job_of(name).recipe, project.job_of(name).images)


def test_they_are_offered_to_their_network_alone():
    config = PRESETS["resnet20_cifar"]
    (found,) = project_weights.offered(config)
    assert found.label == "trained on Shapes"
    assert found.trained
    for change in ({"width": 32}, {"classes": 5}, {"activation": "silu"}, {"input_size": 40}):
        assert project_weights.offered(config.adapt(**change)) == ()
    assert project_weights.offered(config.replace(dropout=0.0, init="default")) == (found,)


def test_what_has_not_been_trained_to_its_end_is_not_published(tmp_path):
    made = runs.create(project.job_of("resnet20_cifar"), tmp_path / "run")
    with pytest.raises(runs.RunError, match="has not finished"):
        project.publish(made, "resnet20_cifar", tmp_path)
    assert RECIPES[QUICK].recipe.epochs == 12  # what the README calls a quick look


@pytest.mark.usefixtures("navigation")
def test_a_network_has_them_unless_others_are_chosen():
    app = opened(FEATURE_MAPS, network="resnet20_cifar")
    assert "Weights: trained on Shapes" in captions(app)
    assert link(app) == {"network": "resnet20_cifar", "weights": "shapes"}
    assert app.selectbox(key="link.picture").value == "shapes.3"
    app.selectbox(key="weights.source").select("fresh").run()
    assert "untrained (seed 0)" in captions(fine(app))
    assert app.query_params == {"network": "resnet20_cifar", "weights": "fresh"}
    again = opened(FEATURE_MAPS, **dict(app.query_params))
    assert "untrained (seed 0)" in captions(again)
    assert messages(again) == []


@pytest.mark.usefixtures("navigation")
def test_they_go_and_come_with_the_network():
    app = opened(ARCHITECTURE, network="resnet20_cifar")
    app.slider(key="resnet.width").set_value(20).run()
    assert "weights" not in fine(app).query_params
    assert messages(app) == []
    app.slider(key="resnet.width").set_value(16).run()
    assert fine(app).query_params == {"network": "resnet20_cifar", "weights": "shapes"}
    app.selectbox(key="preset").select("plain20_cifar").run()
    assert fine(app).query_params == {"network": "plain20_cifar", "weights": "shapes"}
