"""The Sweeps page, as a visitor has it: one is put together, begun, watched, looked into, and put away."""

import json
from io import BytesIO
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from made_sweeps import JOB, begun, by_width, ended, part, says, sweep
from visitor import (
    FEATURE_MAPS,
    SWEEPS,
    TRAINING,
    captions,
    chart,
    click,
    click_cell,
    config,
    fine,
    link,
    messages,
    opened,
    tick,
    unvisited,
)

from controls.panels.sweep_trials import as_csv, as_parquet
from controls.services import speed, sweep_files, sweeps, training
from controls.services.speed import Rated
from explorer.families import PRESETS
from explorer.learning import command, runs, starting, worker
from explorer.learning import session as learning_session
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import estimate, file
from explorer.learning.sweeps.directory import RESULTS, SWEEP
from explorer.learning.sweeps.engines import RAY
from explorer.learning.sweeps.estimate import Rate
from explorer.learning.sweeps.sweep import Early, Range

pytestmark = pytest.mark.usefixtures("navigation", "folders")
SMALL = {
    "network": "resnet20_cifar",
    "input_size": "16",
    "blocks": "1-1-1",
    "stem_width": "4",
    "width": "8",
    "data": "digits",
    "train_epochs": "3",
    "train_batch_size": "50",
    "values_width": "4, 8",
    "values_learning_rate": "0.05, 0.1, 0.2",
}
TURNED = {"width": ("4", "8"), "learning_rate": ("0.05", "0.1", "0.2")}


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Sweeps in a folder of the test's own; and no process beside it measures how fast it would go."""
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(speed, "rate", lambda jobs, places: None)


@pytest.fixture
def asked(monkeypatch):
    """What drivers were asked for; they are waited for."""
    found = []

    def start(path, words=()):
        found.append(words)
        runs.take_back_stop(path)
        starting._announce(path)

    monkeypatch.setattr(starting, "start", start)
    return found


def words(app):
    return "\n".join(found.value.replace("\\", "") for found in app.main.markdown)


def button(app, label):
    (found,) = (one for one in app.main.button if one.label.startswith(label))
    return found


def labels(app):
    return [one.label for one in app.main.button]


def only():
    (path,) = directories.listed()
    return directories.read(path)


# --- putting one together


def test_the_usual_form_turns_two_knobs_around_what_they_are():
    app = opened(SWEEPS, network="resnet20_cifar")
    assert messages(app) == []
    assert app.multiselect(key="link.sweep_turn").value == ["width", "learning_rate"]
    # not 8: a stem of 16 channels cannot be narrowed by a shortcut that pads with zeros
    assert app.text_input(key="link.values_width").value == "16, 32, 64"
    assert app.text_input(key="link.values_learning_rate").value == "0.05, 0.1, 0.2"
    assert "**18 trials**: 9 combinations × 2 seeds." in words(app)
    assert "cannot be" not in captions(app)
    app.text_input(key="link.values_width").set_value("8, 16, 32").run()
    assert "**12 trials**: 6 combinations × 2 seeds." in words(app)
    assert "3 combinations cannot be, as width 8, learning_rate 0.05" in captions(app)


def test_all_that_is_chosen_is_in_the_link_and_in_the_sweep(asked):
    app = opened(SWEEPS, **SMALL)
    app.multiselect(key="link.sweep_turn").set_value(["width", "learning_rate", "norm"]).run()
    app.text_input(key="link.values_norm").set_value("batch, none").run()
    app.number_input(key="link.sweep_seeds").set_value(3).run()
    app.number_input(key="link.sweep_minutes").set_value(90).run()
    app.text_input(key="link.sweep_title").set_value("my own").run()
    assert "**36 trials**: 12 combinations × 3 seeds." in words(fine(app))
    again = opened(SWEEPS, **link(app))
    assert "**36 trials**: 12 combinations × 3 seeds." in words(again)
    again.button(key="sweep.start").click().run()
    assert messages(fine(again)) == []
    one = only()
    (swept,) = one.sweep.parts
    assert dict(swept.turned) == TURNED | {"norm": ("batch", "none")}
    assert (one.sweep.seeds, one.sweep.budget, one.title, one.sweep.sample) == ((0, 1, 2), 5400, "my own", 0)
    assert swept.job.recipe.replace(precision="float32") == Recipe(epochs=3, batch_size=50)
    assert (swept.job.data, swept.job.config.width) == ("digits", 8)
    assert link(again)["sweep"] == one.name
    assert asked == [("sweep", str(one.path))]


def test_trials_are_drawn_at_random():
    drawn = {"sweep_how": "drawn", "sweep_trials": "7", "values_learning_rate": "0.001 to 1 log"}
    app = opened(SWEEPS, **SMALL | drawn)
    assert "**14 trials**: 7 combinations × 2 seeds." in words(app)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("4, x", "'x' is no whole number."),
        ("4 to 8 log", "say in which steps, as in 4 to 8 by"),
        ("8 to 4", "the lower end first"),
    ],
)
def test_nonsense_is_said_beside_its_field_and_nothing_can_be_started(values, said):
    app = opened(SWEEPS, **SMALL | {"values_width": values})
    assert said in captions(app)
    assert "Start" not in labels(app)
    app.text_input(key="link.values_width").set_value("").run()  # emptied: the usual ones
    assert app.text_input(key="link.values_width").value == "4, 8, 16"
    assert "Start" in labels(fine(app))


def test_a_network_that_does_not_fit_is_changed_by_one_button():
    app = opened(SWEEPS, network="resnet18", data="digits")
    assert "Start" not in labels(app)
    button(app, "Fit the network").click().run()
    assert "Start" in labels(fine(app))


def test_none_that_can_be_and_too_many_are_one_sentence():
    none = opened(SWEEPS, **SMALL | {"values_width": "4", "stem_width": "64"})
    assert any("None of the combinations can be" in message for message in messages(none))
    much = opened(SWEEPS, **SMALL | {"values_width": "4 to 900 by 1", "values_learning_rate": "0.01 to 1 by 0.001"})
    assert any("20,000 are the limit" in message for message in messages(much))
    assert "Start" not in labels(none) + labels(much)


def test_its_cost_is_that_of_its_plans_by_the_measured_rate(monkeypatch):
    rate = Rate((1e6, 1e9), (1e-4, 1e-1))
    monkeypatch.setattr(speed, "rate", lambda jobs, places: Rated(rate))
    app = opened(SWEEPS, **SMALL)
    (said,) = (line for line in captions(app).splitlines() if "cores" in line)
    seconds = 0.0
    for width in (4, 8):
        config = JOB.config.replace(width=width)
        # 3 epochs of 1,400 images, and a look at 397 others after each of them, at a third of the cost
        seconds += 2 * 3 * rate.of(estimate.work(config.replace(channels=3))) * 3 * (1400 + 397 / 3)
    assert f"{round(seconds / 60)} min of training" in said or f"{round(seconds)} s of training" in said
    assert "Start" in labels(app)


def test_the_same_sweep_for_the_command_line(asked):
    app = opened(SWEEPS, **SMALL | {"sweep_title": "Two knobs"})
    assert "python -m explorer sweep two-knobs.json" in [code.value for code in app.code]
    app.button(key="sweep.start").click().run()
    written = json.dumps(file.to_table(only().sweep))
    assert file.of_table(json.loads(written)) == only().sweep


def test_early_stopping_is_offered_where_ray_is(monkeypatch, asked):
    monkeypatch.setattr(sweeps, "has_ray", lambda: False)
    assert not [one for one in opened(SWEEPS, **SMALL).toggle if one.key == "link.sweep_early"]
    monkeypatch.setattr(sweeps, "has_ray", lambda: True)
    app = opened(SWEEPS, **SMALL | {"sweep_early": "on", "sweep_grace": "2", "sweep_factor": "4"})
    app.button(key="sweep.start").click().run()
    assert only().sweep.early == Early(2, 4)


def test_a_cluster_is_offered_where_the_server_knows_of_one(monkeypatch, asked):
    monkeypatch.setattr(sweeps, "has_ray", lambda: True)
    assert "link.sweep_on" not in [one.key for one in opened(SWEEPS, **SMALL).get("button_group")]
    monkeypatch.setenv("EXPLORER_RAY", "ray://head:10001")
    app = opened(SWEEPS, **SMALL | {"sweep_on": "ray"})
    assert any("--on ray --address ray://head:10001" in code.value for code in app.code)
    app.button(key="sweep.start").click().run()
    assert (only().where.on, only().where.address) == (RAY, "ray://head:10001")
    monkeypatch.setenv("EXPLORER_RAY", "local")
    assert sweeps.where(RAY).address == ""


# --- one that is carried out


def test_one_is_begun_watched_stopped_and_goes_on(asked):
    app = opened(SWEEPS, **SMALL)
    app.button(key="sweep.start").click().run()
    one = only()
    assert "**Waiting in line**" in words(fine(app))
    assert "A new sweep" in [part.label for part in app.expander]
    assert "Start" not in labels(app)  # the form is folded
    ended(one, by_width, most=3)
    says(one, "training", step=3, steps=12, seconds=40.0, seconds_left=100.0)
    app.run()
    assert "3 of 12 trials have ended · about 2 min left · 40 s of training" in words(fine(app))
    assert "3 finished" in words(app)
    button(app, "Stop").click().run()
    assert (one.path / runs.STOP).exists()
    assert "it stops as soon as its trials have" in words(fine(app))
    says(one, "stopped", step=3, steps=12, message="What has ended stays, and Resume goes on from there.")
    app.run()
    button(app, "Resume").click().run()
    assert asked[1:] == [("sweep", str(one.path))]
    assert "**Waiting in line**" in words(fine(app))


def test_one_at_a_time(asked, monkeypatch):
    monkeypatch.setattr(training, "owner", lambda: "the same address")  # which AppTest makes up anew
    opened(SWEEPS, **SMALL).button(key="sweep.start").click().run()
    app = opened(SWEEPS, **SMALL)
    assert button(app, "Start").disabled
    assert any("wait for its end, or stop it" in message for message in messages(app))


def test_a_budget_that_is_used_up_is_raised(asked):
    one = ended(begun(sweep(budget=60.0)), by_width, most=1)
    says(one, "stopped", step=1, steps=4, seconds=61.0, message="The budget is used up.")
    app = opened(SWEEPS, sweep=one.name)
    (field,) = (number for number in app.main.number_input if number.label.startswith("Budget, min"))
    assert field.value == 2  # minutes: twice as much
    field.set_value(5.0).run()
    button(app, "Resume").click().run()
    assert messages(fine(app)) == []
    assert only().sweep.budget == 300


def test_failed_trials_are_listed_with_their_reason_and_run_again(asked):
    def outcome(trial):
        why = "Its process died, as it does where the system lacks memory."
        return by_width(trial) if trial.number else {"state": "failed", "message": why}

    one = ended(begun(), outcome)
    says(one, "finished", step=4, steps=4)
    app = opened(SWEEPS, sweep=one.name)
    (said,) = messages_of(app)
    assert "1 trial failed" in said
    assert "lacks memory. trial 0 (Width 4, seed 0)" in said
    assert "Resume" not in labels(app)
    button(app, "Run the failed again (1)").click().run()
    assert asked == [("sweep", str(one.path), "--again")]


def messages_of(app):
    """With several lines."""
    return [found.value.replace("\\", "") for found in app.error]


# --- what it has found


def test_a_click_on_a_point_opens_its_trial():
    one = ended(begun(), by_width)
    app = opened(SWEEPS, sweep=one.name)
    assert messages(app) == []
    assert "4 finished" in words(app)
    table = app.dataframe[0].value
    assert table["accuracy"].tolist() == pytest.approx([80, 70, 60, 50])  # in %, by hand, the best first
    for key, trial, title in (("sweep.costs", 1, "Width 8, seed 0"), ("sweep.lines", 2, "Width 4, seed 1")):
        app = click(app, key, trial)
        assert f"#### Trial {trial}: {title}" in words(app)
        assert link(app)["trial"] == one.run_of(one.trials[trial]).name
    assert "It has not begun." in captions(app)
    wanted = command.train_command(one.trials[2].job(one.sweep), "runs/trial-2")
    assert wanted in [code.value for code in app.code]
    again = opened(SWEEPS, **link(app))
    assert "#### Trial 2: Width 4, seed 1" in words(again)
    button(again, "Close").click().run()
    assert "#### Trial" not in words(fine(again))
    assert "trial" not in link(again)


def test_a_click_on_a_cell_opens_its_best_trial():
    one = ended(begun(sweep(part(**TURNED))), by_width)
    app = opened(SWEEPS, sweep=one.name)
    _, marks = chart(app, "sweep.map")["data"]
    best = dict(zip(zip(marks["x"], marks["y"], strict=True), marks["customdata"], strict=True))
    assert best["8", "0.1"] == 4  # two widths with three rates, and the first seed is the better one
    assert "#### Trial 4: Width 8, learning rate 0.1, seed 0" in words(click(app, "sweep.map", 4))


@pytest.mark.parametrize("press", [tick, click_cell])
def test_a_row_of_the_table_opens_its_trial(press):
    one = ended(begun(), by_width)
    app = press(opened(SWEEPS, sweep=one.name), "sweep.trials", 2)
    assert "#### Trial 0: Width 4, seed 0" in words(app)
    assert link(app)["trial"] == one.run_of(one.trials[0]).name


def test_a_trial_opens_on_other_pages_and_belongs_to_its_sweep():
    one = ended(begun(), by_width)
    trial = one.trials[1]
    run = runs.create(trial.job(one.sweep), one.run_of(trial))
    app = opened(SWEEPS, sweep=one.name, trial=one.run_of(one.trials[1]).name)
    (there,) = (found.proto for found in app.get("page_link") if found.proto.label == "Training")
    found = dict(parse_qsl(there.query_string))
    assert found["run"] == run.name
    assert run.title not in str([box.options for box in opened(TRAINING).selectbox])
    training_page = opened(TRAINING, **found)
    assert messages(training_page) == []
    assert run.title in training_page.selectbox(key="link.run").options
    delete = button(training_page, "Delete")
    assert delete.disabled
    assert delete.help == "It is part of a sweep."
    assert "Resume" not in labels(training_page)


def test_weights_of_a_trial_are_used_by_a_link(monkeypatch):
    monkeypatch.setattr(learning_session, "settle", lambda device, threads: None)  # the process is not the worker's
    tiny = JOB.turned({"epochs": "1", "images": "100"})
    one = begun(sweep(part(job=tiny, width=("4", "8"))))
    run = sweeps.run_of(one, one.trials[1]) or runs.create(one.trials[1].job(one.sweep), one.run_of(one.trials[1]))
    assert training.link(run) == {}  # before it has any
    worker.train(run.path, say=lambda sentence: None)
    ended(one, by_width)
    app = opened(SWEEPS, sweep=one.name, trial=one.run_of(one.trials[1]).name)
    (there,) = (found.proto for found in app.get("page_link") if found.proto.label == "Feature maps")
    found = dict(parse_qsl(there.query_string))
    assert found["weights"] == run.name
    assert chart(app, "training.curves")["data"]
    maps = opened(FEATURE_MAPS, **found)
    assert messages(maps) == []
    assert run.title in captions(maps)
    assert config(maps).width == 8


def test_csv_and_parquet_are_made_when_asked_for(monkeypatch):
    one = ended(begun(), by_width)
    read = []
    monkeypatch.setattr(
        directories, "read_results", lambda path, own=directories.read_results: read.append(1) or own(path)
    )
    sweep_files.findings.cache_clear()
    app = opened(SWEEPS, sweep=one.name)
    assert [one.proto.label for one in app.get("download_button")] == ["CSV", "Parquet"]
    assert len(read) == 1  # for the page itself
    app.run()
    assert len(read) == 1  # and not again while nothing has ended
    for table in (pd.read_csv(BytesIO(as_csv(one))), pd.read_parquet(BytesIO(as_parquet(one)))):
        assert table["test_accuracy"].tolist() == pytest.approx([0.6, 0.8, 0.5, 0.7])
        assert list(table.columns) == [*directories.HEAD, "width", *directories.TAIL]


def test_an_error_is_drawn_where_it_is_asked_for():
    one = ended(begun(), by_width)
    app = opened(SWEEPS, sweep=one.name, sweep_measure="error")
    assert chart(app, "sweep.costs")["layout"]["yaxis"]["type"] == "log"
    assert link(app)["sweep_measure"] == "error"


def test_a_trial_of_another_sweep_is_not_open():
    one, other = ended(begun(), by_width), ended(begun(sweep(title="other")), by_width)
    app = opened(SWEEPS, sweep=one.name, trial=other.run_of(other.trials[1]).name)
    assert "#### Trial" not in words(app)


def test_trials_are_added_to_the_sweep_that_is_shown(asked):
    app = opened(SWEEPS, **SMALL)
    app.button(key="sweep.start").click().run()
    one = only()
    ended(one, by_width)
    says(one, "finished", step=12, steps=12)
    more = opened(SWEEPS, **SMALL | {"sweep": one.name, "values_width": "8, 16"})
    more.session_state["unfolded.sweep.form"] = True
    more.run()
    more.button(key="sweep.add").click().run()
    assert messages(fine(more)) == []
    # of two widths with three rates and two seeds one width is there already
    assert [len(found.trials) for found in (one, only())] == [12, 18]
    assert asked[1:] == [("sweep", str(one.path))]
    assert "width 4, 8, 16; learning rate 0.05, 0.1, 0.2; 2 seeds." in captions(more)
    says(one, "finished", step=12, steps=18)
    again = opened(SWEEPS, **SMALL | {"sweep": one.name})
    again.session_state["unfolded.sweep.form"] = True
    again.run()
    again.button(key="sweep.add").click().run()
    assert messages(fine(again)) == [f"{one.title} has all of these trials already."]


def test_many_trials_are_not_drawn_anew_for_each_that_ends(monkeypatch):
    one = ended(begun(), by_width, most=1)
    first = sweep_files.state_to_show(one.path, True)
    ended(one, by_width)
    size = (one.path / RESULTS).stat().st_size
    monkeypatch.setattr(sweep_files, "DRAWN", size / 10)  # bytes a second: some seconds for less than this
    assert sweep_files.state_to_show(one.path, True) == first
    later = sweep_files.time.monotonic() + 11
    monkeypatch.setattr(sweep_files.time, "monotonic", lambda: later)
    assert sweep_files.state_to_show(one.path, True) == sweep_files.state(one.path) != first


def test_the_end_of_a_sweep_is_shown_at_once(monkeypatch):
    one = ended(begun(), by_width, most=1)
    first = sweep_files.state_to_show(one.path, True)
    ended(one, by_width)
    monkeypatch.setattr(sweep_files, "DRAWN", 1)
    assert sweep_files.state_to_show(one.path, False) == sweep_files.state(one.path) != first


# --- putting away


def test_one_is_deleted_and_brought_back():
    one = ended(begun(), by_width)
    app = opened(SWEEPS, sweep=one.name)
    button(app, "Delete").click().run()
    assert directories.listed() == ()
    assert "widths is deleted." in words(fine(app))
    button(app, "Undo").click().run()
    assert [path.name for path in directories.listed()] == [one.name]
    assert messages(fine(app)) == []


def test_one_that_is_deleted_meanwhile_is_gone():
    one = ended(begun(), by_width)
    app = opened(SWEEPS, sweep=one.name, trial=one.run_of(one.trials[1]).name)
    directories.delete(one)
    app.run()
    assert len(messages(fine(app))) == 1
    assert "#### Trial" not in words(app)


# --- on a server that others reach


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setenv("EXPLORER_TRAINING", "shared")


def test_each_sees_their_own_and_those_whose_link_they_have(shared, asked):
    app = opened(SWEEPS, **SMALL)
    app.button(key="sweep.start").click().run()
    one = only()
    assert one.name in app.selectbox(key="link.sweep").options or one.title in app.selectbox(key="link.sweep").options
    stranger = opened(SWEEPS, **SMALL)
    assert "link.sweep" not in [box.key for box in stranger.selectbox]
    friend = opened(SWEEPS, sweep=one.name)
    assert "**Waiting in line**" in words(friend)
    assert "Stop" in labels(app)
    assert not {"Stop", "Delete", "Resume"} & set(labels(friend))  # the link alone lets one look


def test_a_shared_server_limits_trials_time_and_disk(shared, asked, monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_RUN_MINUTES", "7")
    many = opened(SWEEPS, **SMALL | {"values_width": "4 to 80 by 4", "sweep_seeds": "20"})
    assert any("200 are the limit" in message for message in messages(many))
    app = opened(SWEEPS, **SMALL | {"sweep_minutes": "99"})
    app.button(key="sweep.start").click().run()
    assert only().sweep.budget == only().sweep.parts[0].job.most_seconds == 7 * 60
    monkeypatch.setattr(speed, "rate", lambda jobs, places: Rated(Rate((1.0,), (1e-3,))))
    long = opened(SWEEPS, **SMALL)
    assert button(long, "Start").disabled
    assert any("is the limit here: train fewer" in message for message in messages(long))
    monkeypatch.setattr(speed, "rate", lambda jobs, places: None)
    monkeypatch.setenv("EXPLORER_MAX_RUN_DISK", "1MB")
    full = opened(SWEEPS, **SMALL)
    assert any("is the limit here: delete some first" in message for message in messages(full))


def test_a_server_without_training_says_so(monkeypatch):
    monkeypatch.setenv("EXPLORER_TRAINING", "off")
    app = opened(SWEEPS, **SMALL)
    assert button(app, "Start").disabled
    assert any("switched off" in message for message in messages(app))


def test_sweeps_count_for_the_disk_of_their_owner(shared, monkeypatch):
    monkeypatch.setattr(training, "owner", lambda: "me")
    monkeypatch.setenv("EXPLORER_MAX_RUN_DISK", "1MB")
    one = begun(owner="me")
    assert training.full_disk(1000) == ""
    (one.path / "trials").mkdir()
    (one.path / "trials" / "large").write_bytes(bytes(10**6))
    sweep_files._size.cache_clear()
    assert "is the limit here" in training.full_disk(1000)


# --- links that nobody made, and files that broke


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "a" * 300, "widths-aaaaaaaaaaaaaaaa", "%2e%2e", ".deleted"])
def test_a_link_to_no_sweep_says_so_and_shows_the_newest(name):
    one = ended(begun(), by_width)
    app = unvisited(SWEEPS, sweep=name).run()
    (said,) = messages(fine(app))
    assert "There is no sweep" in said
    assert app.selectbox(key="link.sweep").value == one.name


def test_whatever_a_link_says_of_a_sweep_the_page_is_drawn():
    one = ended(begun(), by_width)
    odd = {
        "trial": "99999999999",
        "sweep_x": "nonsense",
        "sweep_y": "<b>",
        "sweep_measure": "?",
        "sweep_turn": "growth_rate.width.nonsense.seed",
        "values_width": "\u202e4",
        "sweep_seeds": "-3",
        "sweep_trials": "1e9",
        "sweep_how": "x",
        "sweep_minutes": "x",
        "sweep_factor": "99",
        "sweep_grace": "0",
        "sweep_on": "ray",
    }
    app = unvisited(SWEEPS, sweep=one.name, **odd).run()
    assert messages(fine(app)) == []
    assert "#### Trial" not in words(app)
    form = unvisited(SWEEPS, network="resnet20_cifar", **odd).run()
    fine(form)
    assert form.multiselect(key="link.sweep_turn").value == ["width"]  # what the network lacks is passed over
    assert "is no whole number" in captions(form)


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"network": {"family": "resnet", "width": -1}}', "\x00" * 9])
def test_a_damaged_sweep_is_passed_over(damage):
    one, other = ended(begun(), by_width), ended(begun(sweep(title="whole")), by_width)
    (one.path / SWEEP).write_text(damage)
    app = unvisited(SWEEPS, sweep=one.name).run()
    assert len(messages(fine(app))) == 1
    assert app.selectbox(key="link.sweep").value == other.name


@pytest.mark.parametrize("damage", ["", "trial,run\n1,2\n", "\x00\x01", "trial,run,network,state\n0,t,,finished\n"])
def test_results_without_a_row_are_none(damage):
    one = ended(begun(), by_width)
    (one.path / RESULTS).write_text(damage)
    app = opened(SWEEPS, sweep=one.name, trial=one.run_of(one.trials[1]).name)
    assert messages(app) == []
    assert "No trial has ended." in captions(app)


def test_damaged_trials_are_one_sentence():
    one = ended(begun(), by_width)
    (one.path / directories.TRIALS).write_text("{")
    (said,) = messages(opened(SWEEPS, sweep=one.name))
    assert "cannot be read" in said


def test_drawn_ranges_and_several_networks_are_shown():
    dense = JOB.__class__(PRESETS["densenet40_12_cifar"].replace(input_size=16, channels=1), "digits", JOB.recipe)
    both = part("ResNet", width=("4", "8")), part("DenseNet", job=dense, growth_rate=("4", "8"))
    one = ended(begun(sweep(*both, title="both")), by_width)
    app = opened(SWEEPS, sweep=one.name)
    assert messages(app) == []
    assert "ResNet, DenseNet on Digits: width 4, 8; growth rate k 4, 8; 2 seeds." in captions(app)
    drawn = begun(sweep(part(learning_rate=Range(0.001, 1, True)), sample=5, title="drawn"))
    assert "learning rate 0.001 to 1, log; 5 drawn at random; 2 seeds." in captions(opened(SWEEPS, sweep=drawn.name))
