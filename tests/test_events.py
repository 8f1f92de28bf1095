"""What a run writes for TensorBoard is what TensorBoard reads."""

import math
import sys

import pytest

from explorer.families import PRESETS
from explorer.learning import events, runs, session, worker
from explorer.learning.events import FOLDER, TAGS
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.runs import RunError

TINY = PRESETS["resnet20_cifar"].replace(input_size=16, blocks=(1, 1, 1), width=4, stem_width=4)


@pytest.mark.filterwarnings("ignore")  # TensorBoard's own
def test_its_curves_are_those_of_the_metrics(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(session, "settle", lambda device, threads: None)
    job = Job(TINY, "digits", Recipe(epochs=2, batch_size=200), tensorboard=True)
    run = runs.create(job, tmp_path / "run")
    assert worker.train(run.path, say=lambda sentence: None) == "finished"
    found = EventAccumulator(str(run.path / FOLDER))
    found.Reload()
    table = runs.metrics(run.path)
    assert set(found.Tags()["scalars"]) == set(TAGS.values())
    for column, tag in TAGS.items():
        rows = table[["step", column]].dropna()
        assert [event.step for event in found.Scalars(tag)] == rows["step"].tolist()
        assert [event.value for event in found.Scalars(tag)] == pytest.approx(rows[column].tolist(), rel=1e-5)


def test_without_tensorboard_it_is_said_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = runs.create(Job(TINY, "digits", Recipe(), tensorboard=True), tmp_path / "run")
    with pytest.raises(RunError, match="pip install tensorboard"):
        events.Events(run)


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    run = runs.create(Job(TINY, "digits", Recipe()), tmp_path / "run")
    written = events.Events(run)
    written.write(dict.fromkeys(TAGS, math.nan) | {"step": 1})
    written.close()
    assert not (run.path / FOLDER).exists()
