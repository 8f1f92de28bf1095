"""The Experiments page, as a visitor has it: cards, one that is opened, and one that is carried out here."""

from dataclasses import replace

import pytest
from visitor import EXPERIMENTS as PAGE
from visitor import TRAINING, captions, fine, link, messages, opened, unvisited

from explorer.experiments import EXPERIMENTS, carrying_out, record
from explorer.experiments.results import Results, shipped
from explorer.experiments.verdict import OPEN
from explorer.learning import runs, starting

pytestmark = pytest.mark.usefixtures("navigation", "folders")
NAME = "degradation"


@pytest.fixture
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def never(monkeypatch):
    """A process that is waited for."""
    monkeypatch.setattr(starting, "start", lambda path, words=(): starting._announce(path))


def words(app):
    return "\n".join(found.value.replace("\\", "") for found in app.main.markdown)


def test_a_card_for_each_claim_says_what_came_of_it_and_whose_that_is():
    app = opened(PAGE)
    assert messages(app) == []
    for experiment in EXPERIMENTS.values():
        assert experiment.question in words(app)
        found = shipped(experiment.name)
        for title, verdict in experiment.verdicts(found).items():
            assert f"{verdict.answer}] {title}" in words(app)
    assert captions(app).count("The project's own run") == len(EXPERIMENTS)
    assert len(app.get("plotly_chart")) == len(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_one_that_is_opened_shows_rule_numbers_pictures_and_the_source(name):
    app = opened(PAGE, claim=name)
    assert messages(app) == []
    experiment, found = EXPERIMENTS[name], shipped(name)
    for claim in experiment.claims:
        assert f"The rule: {claim.rule}" in captions(app)
        assert experiment.verdicts(found)[claim.title].because in words(app)
    assert len(app.get("plotly_chart")) == len(experiment.pictures)
    assert experiment.url in words(app)
    assert experiment.differs in words(app)
    assert found.command in captions(app)


def test_a_card_opens_its_experiment_and_the_link_carries_it():
    app = opened(PAGE)
    app.button(key=f"experiment.open.{NAME}").click().run()
    assert messages(fine(app)) == []
    assert link(app)["claim"] == NAME
    assert words(opened(PAGE, **link(app))) == words(app)


def test_a_link_to_no_experiment_shows_all():
    app = opened(PAGE, claim="nonsense", results="../../etc", trial_seeds="-3", longer="x")
    assert messages(app) == []
    assert len(app.get("plotly_chart")) == len(EXPERIMENTS)


def test_one_is_begun_and_watched_and_stopped(never):
    app = opened(PAGE, claim=NAME, trial_seeds="1")
    app.button(key="experiment.start").click().run()
    (path,) = record.listed()
    begun = record.read(path)
    assert (begun.experiment.name, begun.seeds, begun.scale) == (NAME, 1, 1.0)
    assert link(fine(app))["results"] == begun.name
    assert "**Waiting in line**" in words(app)
    assert app.button(key="experiment.start").disabled  # one at a time
    assert "wait for its end, or stop it" in captions(app)
    assert "Measured here" in captions(app)
    assert "Nothing" not in words(app)
    app.button(key=f"experiment.{begun.name}.stop").click().run()
    assert (path / runs.STOP).exists()
    fine(app)


def test_what_is_measured_here_is_shown_while_it_goes_on(never):
    experiment = EXPERIMENTS[NAME]
    begun = record.create(experiment, 1, 1)
    arm = experiment.arms[0].name
    part = Results(NAME).adding(arm, 0, shipped(NAME).measured[arm][0])
    carrying_out._write(begun, part)
    assert "The project's own run" in captions(opened(PAGE, claim=NAME))  # by itself, what is whole is shown
    app = opened(PAGE, claim=NAME, results=begun.name)
    assert messages(app) == []
    assert f"{OPEN}] **{experiment.claims[0].title}**" in words(app)
    assert f"{len(experiment.arms) - 1} of {len(experiment.arms)} networks are not measured yet" in words(app)
    # the project's are a choice away
    app.selectbox(key="link.results").select("project").run()
    assert experiment.verdicts(shipped(NAME))[experiment.claims[0].title].because in words(fine(app))
    assert link(app)["results"] == "project"


def test_its_networks_open_on_other_pages_and_do_not_fill_the_list_of_runs(monkeypatch, never):
    experiment = EXPERIMENTS[NAME]
    begun = record.create(experiment, 1, 1)
    (arm, seed), *_ = begun.trials
    job = replace(experiment.arm(arm).trained(seed, 1), experiment=begun.name)
    runs.create(job, begun.run_of(arm, seed))
    app = opened(PAGE, claim=NAME, results=begun.name)
    name = begun.run_of(arm, seed).name
    (there,) = (found.proto for found in app.get("page_link") if found.proto.label == "Training")
    assert f"run={name}" in there.query_string
    assert "Runs" not in [found.value for found in opened(TRAINING).subheader]
    again = opened(TRAINING, run=name)
    assert messages(again) == []
    assert experiment.arm(arm).title in words(again) + "".join(str(box.options) for box in again.selectbox)


def test_an_experiment_is_deleted_with_its_networks(never):
    begun = record.create(EXPERIMENTS[NAME], 1, 1)
    arm, seed = begun.trials[0]
    runs.create(begun.experiment.arm(arm).trained(seed, 1), begun.run_of(arm, seed))
    app = opened(PAGE, claim=NAME, results=begun.name)
    app.button(key=f"experiment.{begun.name}.delete").click().run()
    assert messages(fine(app)) == []
    assert record.listed() == runs.listed() == ()
    assert "The project" in captions(app)


def test_a_shared_server_shows_each_their_own(monkeypatch, never):
    monkeypatch.setenv("EXPLORER_TRAINING", "shared")
    begun = record.create(EXPERIMENTS[NAME], 1, 1, owner="somebody else")
    app = opened(PAGE, claim=NAME)
    assert begun.name not in app.selectbox(key="link.results").options
    named = opened(PAGE, claim=NAME, results=begun.name)  # whoever has the link may look, and no more
    assert "Measured here" in captions(named)
    assert not [button for button in named.button if button.key == f"experiment.{begun.name}.delete"]


def test_a_server_without_training_says_so(monkeypatch):
    monkeypatch.setenv("EXPLORER_TRAINING", "off")
    app = opened(PAGE, claim=NAME)
    assert app.button(key="experiment.start").disabled
    assert "Training is switched off on this server" in captions(app)


def test_a_damaged_record_is_passed_over():
    begun = record.create(EXPERIMENTS[NAME], 1, 1)
    (begun.path / runs.CONFIG).write_text("{")
    app = unvisited(PAGE, claim=NAME, results=begun.name).run()
    assert messages(fine(app)) == []
    assert "The project's own run" in captions(app)
