"""The loss's shape on the Training page: of a run, of runs side by side, and along a path."""

import numpy as np
import pytest
from visitor import TRAINING, captions, chart, fine, messages, opened

from controls.services import landscapes
from explorer.analyses import landscape
from explorer.families import PRESETS
from explorer.learning import runs, session, weight_path, worker
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

pytestmark = pytest.mark.usefixtures("navigation")
TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8, channels=1)


@pytest.fixture(scope="module", autouse=True)
def trained(tmp_path_factory):
    """Two runs that have ended, one with its path."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLORER_RUNS", str(folder))
        patch.setattr("controls.services.speed.speed", lambda job: None)
        patch.setattr(session, "settle", lambda device, threads: None)
        found = []
        for name, keep in (("with", 4), ("without", 0)):
            recipe = Recipe(epochs=2, batch_size=32, precision="float32")
            job = Job(TINY, "digits", recipe, images=128, keep_path=keep, title=f"{name} a path")
            found.append(runs.create(job, folder / runs.new_name(name)))
            worker.train(found[-1].path, say=lambda text: None)
        yield found


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """A machine on which nothing takes a click, however busy it is."""
    monkeypatch.setattr("controls.work.estimate", lambda macs, calls=0: 0.0)


def asked(run, path=False):
    return landscapes.asked(run, 5, 1.0, 3, path, "cpu")


def silent(done, total):
    pass


def of_all_levels(run, wanted):
    return landscape.joined(task.run(silent) for task in landscapes.tasks(run, wanted))


def test_levels_make_the_whole_surface(trained):
    run, _ = trained
    found = of_all_levels(run, asked(run))
    assert found.complete
    assert found.loss.shape == (5, 5)
    assert found.loss[2, 2] == pytest.approx(found.base_loss)
    assert found.base_loss == found.loss.min()  # a network that has learned lies low


def test_a_paths_plane_holds_its_points(trained):
    run, _ = trained
    way = landscapes.way_task(run, asked(run, path=True)).run(silent)
    assert len(way.points) == len(weight_path.steps(run)) == 4
    assert way.shares[0] >= way.shares[1] > 0
    assert way.shares.sum() <= 1 + 1e-9
    assert way.by_chance < 0.2  # of some 1,000 weights
    found = of_all_levels(run, asked(run, path=True))
    assert abs(found.xs).max() > abs(way.points[:, 0]).max()
    assert abs(found.ys).max() > abs(way.points[:, 1]).max()


def test_the_page_shows_runs_on_one_scale(trained):
    run, other = trained
    app = opened(TRAINING, run=run.name, ticked=f"{run.name}.{other.name}", shape="on")
    assert messages(app) == []
    flat, deep = chart(app, "shape.flat"), chart(app, "shape.deep")
    assert [note["text"] for note in flat["layout"]["annotations"]] == ["with a path", "without a path"]
    assert len([trace for trace in deep["data"] if trace["type"] == "surface"]) == 2
    assert "coloraxis" in flat["layout"]
    lines = [text.value for text in app.main.markdown if "where training ended" in text.value]
    assert len(lines) == 2
    assert "better than guessing" in captions(app)


def test_without_being_asked_nothing_is_computed(trained):
    app = opened(TRAINING, run=trained[0].name)
    assert not [one for one in app.get("plotly_chart") if (one.key or "").startswith("shape")]


def test_the_page_draws_the_path(trained):
    run, other = trained
    link = {"ticked": f"{run.name}.{other.name}", "shape": "on", "shape_plane": "path"}
    app = opened(TRAINING, run=run.name, **link)
    flat = chart(app, "shape.flat")
    paths = [trace for trace in flat["data"] if "lines" in trace.get("mode", "")]
    assert len(paths) == 1
    assert any("kept no path" in text.value for text in app.info)
    assert any("of the path's variance" in text.value for text in app.main.markdown)


def test_a_run_without_a_path_offers_none(trained):
    app = opened(TRAINING, run=trained[1].name, shape="on", shape_plane="path")
    assert messages(app) == []
    assert chart(app, "shape.flat")
    assert not [box for box in app.button_group if box.label == "Plane"]


def test_a_run_that_is_still_learning_is_waited_for(trained, monkeypatch):
    monkeypatch.setattr("controls.services.training.status", lambda run: runs.Status(state="training"))
    assert "still learning" in landscapes.refusal(trained[0])


def test_the_path_is_a_switch_of_the_recipe(trained):
    app = opened(TRAINING, network="resnet20_cifar", input_size="16", data="digits", keep_path="on")
    (switch,) = (one for one in app.toggle if one.label == "Keep the path of its weights")
    assert switch.value is True
    assert fine(switch.set_value(False).run()).query_params.get("keep_path") in (None, [])


def test_images_are_the_first_that_it_learned_from(trained):
    data = landscapes._few("digits", 8, 1, 128)
    assert len(data.train.labels) == 128
    assert np.array_equal(data.train.labels, landscapes._few("digits", 8, 1, 128).train.labels)
