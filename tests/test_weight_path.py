"""The weights that a run keeps on its way: when, what, after a resume, and how much at most."""

import pytest
import torch
from safetensors.torch import load_file

from explorer.families import PRESETS, plan
from explorer.learning import runs, session, weight_path, worker
from explorer.learning.job import Job, JobError, of_json
from explorer.learning.recipe import Recipe
from explorer.learning.runs import RunError
from explorer.learning.training import Training
from explorer.running.network import blank, build

TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8, channels=1)
STEPS = 8  # two epochs of 128 images, 32 a step


@pytest.fixture(autouse=True)
def quietly(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path))
    monkeypatch.setattr(session, "settle", lambda device, threads: None)  # the process is not the worker's alone


def new(path, keep=4, config=TINY, **recipe):
    usual = {"epochs": 2, "batch_size": 32, "precision": "float32"}
    return runs.create(Job(config, "digits", Recipe(**usual | recipe), images=128, keep_path=keep), path)


def trained(run, **changes):
    said = []
    state = worker.train(run.path, say=said.append, changes=changes)
    return state, said


def contents(run):
    return {path.name: path.read_bytes() for path in (run.path / weight_path.FOLDER).iterdir()}


def test_times_are_even_and_the_last_step_is_not_among_them():
    assert weight_path.wanted(200, 4) == {0, 50, 100, 150}
    assert weight_path.wanted(3, 40) == {0, 1, 2}
    assert weight_path.wanted(200, 0) == frozenset()


def test_a_run_keeps_its_way(tmp_path):
    run = new(tmp_path / "run")
    assert trained(run)[0] == "finished"
    assert weight_path.steps(run) == (0, 2, 4, 6)
    expected = blank(plan(TINY)).state_dict()
    path = weight_path.read(run, expected)
    fresh = build(plan(TINY), 0).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in path[0].items())
    final = load_file(run.path / runs.CHECKPOINT)
    distances = [sum(float((state[n] - final[n]).norm()) for n in final if n.endswith("weight")) for state in path]
    assert min(distances) == distances[-1] > 0


def test_without_being_asked_it_keeps_none(tmp_path):
    run = new(tmp_path / "run", keep=0)
    assert trained(run)[0] == "finished"
    assert not (run.path / weight_path.FOLDER).exists()
    assert weight_path.steps(run) == ()


def test_a_run_that_was_stopped_and_resumed_has_the_path_of_one_that_was_not(tmp_path, monkeypatch):
    straight, broken = new(tmp_path / "one"), new(tmp_path / "two")
    assert trained(straight)[0] == "finished"
    step = Training.step

    def stopping(self, *arguments):
        if self.done == 4:
            (broken.path / runs.STOP).touch()
        return step(self, *arguments)

    monkeypatch.setattr(Training, "step", stopping)
    assert trained(broken)[0] == "stopped"
    monkeypatch.undo()
    monkeypatch.setattr(session, "settle", lambda device, threads: None)
    assert weight_path.steps(broken) == (0, 2, 4)
    # of a worker that came further before it was killed, and of a run of another length
    for name in ("6.safetensors", "3.safetensors"):
        (broken.path / weight_path.FOLDER / name).write_bytes(b"stale")
    assert trained(broken)[0] == "finished"
    assert contents(broken) == contents(straight)


def test_it_can_be_asked_for_later(tmp_path):
    run = new(tmp_path / "run", keep=0)
    trained(run)
    assert trained(run, keep_path="4", epochs="4")[0] == "finished"
    assert weight_path.steps(run) == (8, 12)  # what is over is not kept any more


def test_a_path_that_takes_too_much_is_one_sentence(tmp_path):
    large = PRESETS["resnet152"]
    job = Job(large, "digits", Recipe(), keep_path=40)
    with pytest.raises(RunError, match="is the most") as refusal:
        weight_path.check(job, plan(large))
    # 60,192,808 weights of 4 bytes: not once
    assert str(refusal.value).endswith("keep none.")
    weight_path.check(Job(large, "digits", Recipe()), plan(large))
    middle = PRESETS["resnet18"]  # 11,689,512 weights: 46.8 MB each
    with pytest.raises(RunError, match="at most 4"):
        weight_path.check(Job(middle, "digits", Recipe(), keep_path=5), plan(middle))


def test_a_damaged_path_is_one_sentence(tmp_path):
    run = new(tmp_path / "run")
    trained(run)
    (run.path / weight_path.FOLDER / "2.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match="The path of"):
        weight_path.read(run, blank(plan(TINY)).state_dict())


def test_the_number_is_part_of_the_job():
    job = Job(TINY, "digits", Recipe(), keep_path=7)
    assert of_json(job.to_json()) == job
    assert job.turned({"keep-path": "20"}).keep_path == 20
    for wrong in (-1, 41):
        with pytest.raises(JobError, match="keep_path="):
            Job(TINY, "digits", Recipe(), keep_path=wrong)
    with pytest.raises(JobError, match="keep_path='often'"):
        job.turned({"keep_path": "often"})
