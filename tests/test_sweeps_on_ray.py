"""Trials on a real Ray cluster whose nodes come and go: what they learn is what they would have learned undisturbed."""

import os
import signal
import time
from contextlib import closing

import pandas as pd
import psutil
import pytest
import torch
from forking import until
from ray_nodes import cluster
from safetensors.torch import load_file

from explorer.families import PRESETS
from explorer.learning import checkpoint, runs, worker
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import on_ray
from explorer.learning.sweeps.on_ray import OnRay
from explorer.learning.sweeps.sweep import SweepError

TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8)
AN_EPOCH = 4  # steps
SHORT, LONG, LONGER = 3, 40, 120  # epochs; a second, or some more
PATIENCE = 200.0  # seconds

pytestmark = pytest.mark.timeout(240)  # a quarter of a minute each, on two cores that do nothing else


@pytest.fixture(scope="module")
def nodes():
    with cluster() as found:
        yield found


@pytest.fixture
def second(nodes):
    """Another node."""
    node = nodes.add()
    yield node
    if nodes.has(node):
        nodes.kill(node)


@pytest.fixture(scope="module")
def engine(nodes):
    found = OnRay(nodes.address)
    yield found
    found.close()


def new(folder, number, epochs=SHORT, seed=0, **of_job):
    job = Job(TINY, "digits", Recipe(epochs=epochs, batch_size=32, seed=seed), images=128, **of_job)
    return runs.create(job, folder / f"t{number}").path


def wait(engine, count):
    """For so many to end: number -> why it could not be trained."""
    found, end = {}, time.monotonic() + PATIENCE
    while len(found) < count:
        found |= dict(engine.ended(0.2))
        assert time.monotonic() < end, found
    return found


def carried_out(engine, paths, meanwhile):
    """Trains them as a driver does, which hands out no more than are free; how they ended."""
    todo, found, end = list(enumerate(paths)), {}, time.monotonic() + PATIENCE
    while len(found) < len(paths):
        while todo and engine.free:
            engine.start(*todo.pop(0))
        found |= dict(engine.ended(0.1))
        meanwhile()
        assert time.monotonic() < end, found
    return found


class Killing:
    """Kills the node once one of the runs that it trains has a checkpoint: `struck`, with these `rows` up to that."""

    def __init__(self, nodes, node, paths, kept):
        self._nodes, self._node, self._paths, self._kept = nodes, node, paths, kept
        self.struck, self.rows = None, []

    def __call__(self):
        for path in self._paths if self.struck is None else ():
            if self._nodes.trains(self._node, path) and (rows := self._kept(path)):
                self._nodes.kill(self._node)
                self.struck, self.rows = path, rows
                return


def kept(path):
    """The lines of metrics.csv up to its checkpoint; empty where there is none."""
    if not (path / runs.CHECKPOINT).exists():
        return []
    step = checkpoint.read(runs.read(path)).step
    head, *rows = (path / runs.METRICS).read_text().splitlines()
    return [head, *(row for row in rows if int(row.partition(",")[0]) <= step)]


def trained_here(path):
    """The same run, from its start to its end."""
    other = runs.create(runs.read(path).job, path.with_name(f"{path.name}-here")).path
    assert worker.train(other, say=lambda text: None) == "finished"
    return other


def assert_as(path, other):
    """What was learned, to the last digit; but not how long that took."""
    tables = [pd.read_csv(place / runs.METRICS, dtype=str).drop(columns="seconds") for place in (path, other)]
    pd.testing.assert_frame_equal(*tables)
    for name in (runs.PREDICTIONS, runs.NORMS, runs.UPDATES):
        assert (path / name).read_bytes() == (other / name).read_bytes(), name
    weights, others = (load_file(place / runs.CHECKPOINT) for place in (path, other))
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


def assert_went_on(killing):
    """From its checkpoint, and not from its start: the rows before it are those of the process that was killed, with
    the seconds that it took.
    """
    assert len(killing.rows) > AN_EPOCH
    rows = (killing.struck / runs.METRICS).read_text().splitlines()
    assert rows[: len(killing.rows)] == killing.rows
    assert len(rows) > len(killing.rows)


def test_twenty_trials_end_as_undisturbed_ones_though_a_node_dies(nodes, second, engine, tmp_path):
    paths = [new(tmp_path, number, LONG if number < 4 else SHORT, seed=number) for number in range(20)]
    killing = Killing(nodes, second, paths[:4], kept)
    assert carried_out(engine, paths, killing) == dict.fromkeys(range(20), "")
    assert [runs.status(path).state for path in paths] == ["finished"] * 20
    assert_went_on(killing)
    for path in (killing.struck, *paths[4:]):
        assert_as(path, trained_here(path))


def test_free_follows_the_nodes(nodes, engine):
    """Two more are taken than there is room for."""
    until(lambda: engine.free == 1 + 2)  # once it is noticed that another one has died
    node = nodes.add()
    until(lambda: engine.free == 2 + 2)
    nodes.take_away(node)
    until(lambda: engine.free == 1 + 2)


def test_a_stop_reaches_those_that_run_and_those_that_wait(engine, tmp_path):
    running, waiting = new(tmp_path, 0, 1000), new(tmp_path, 1)
    runs.ask_to_stop(running)  # of before, which is taken back
    engine.start(0, running)
    until(lambda: runs.status(running).step > 0)
    engine.start(1, waiting)
    runs.ask_to_stop(waiting)
    assert wait(engine, 1) == {1: ""}
    assert [runs.status(path).state for path in (running, waiting)] == ["training", "stopped"]
    runs.ask_to_stop(running)
    assert wait(engine, 1) == {0: ""}
    assert runs.status(running).state == "stopped"
    assert checkpoint.read(runs.read(running)).step == runs.status(running).step > 0
    assert not (waiting / runs.METRICS).exists()


def test_one_whose_node_is_asked_to_end_goes_on_elsewhere(engine, tmp_path):
    path = new(tmp_path, 0, LONG)
    engine.start(0, path)
    until(lambda: kept(path))
    os.kill(runs.status(path).pid, signal.SIGTERM)  # as a system that shuts down does
    assert wait(engine, 1) == {0: ""}
    assert runs.status(path).state == "finished"
    assert "stopped" in (path / runs.LOG).read_text()


def test_what_cannot_be_trained_is_one_sentence(engine, tmp_path):
    paths = [new(tmp_path, 0), new(tmp_path, 1, device="cuda:1"), new(tmp_path, 2), new(tmp_path, 3)]
    (paths[2] / runs.CONFIG).write_text("{}")
    (paths[3] / runs.LOCK).mkdir()
    for number, path in enumerate(paths):
        engine.start(number, path)
    found = wait(engine, 4)
    assert found[0] == ""
    assert found[1] == "device=cuda:1: on Ray cpu, or cuda:0, which is whatever card a trial is given"
    assert "describes no run" in found[2]
    assert "its directory is not to be written" in found[3]


def test_one_whose_process_always_dies_has_failed_with_that_reason(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "RETRIES", 0)
    path = new(tmp_path, 0, 1000)
    engine.start(0, path)
    until(lambda: runs.status(path).state == "training")
    os.kill(runs.status(path).pid, signal.SIGKILL)
    assert wait(engine, 1) == {0: on_ray.DIED}


def test_a_card_is_asked_for_and_waited_for(nodes, engine, tmp_path, monkeypatch):
    """Here a node only says that it has one."""
    monkeypatch.setattr(engine, "_gpus", 0.5)
    monkeypatch.setattr(on_ray, "NODES_IN", 0.5)
    path = new(tmp_path, 0, device="cuda:0")
    assert engine.free == 2
    engine.start(0, path)
    with pytest.raises(SweepError, match=r"^No node of the cluster has had 1 CPU and 0\.5 of a GPU for"):
        wait(engine, 1)
    node = nodes.add(cards=1)
    assert wait(engine, 1) == {0: ""}
    assert engine.free == 1 + 2  # its card has room for two, and its CPU for one
    assert "There is no device 'cuda:0' on this machine" in runs.status(path).message
    nodes.take_away(node)


# ---- without a shared folder ----


def test_runs_are_kept_at_a_storage_and_fetched_from_there(nodes, second, tmp_path, engine, monkeypatch):
    """The nodes see nothing of the runs' folder: they are told the storage alone, where another one stands for it."""
    engine.close()  # a process is connected to one cluster, once
    monkeypatch.setattr(on_ray, "FETCHES_EACH", 0.3)
    folder, storage = tmp_path / "here", tmp_path / "there"
    # two alike, of which one is struck; a node sends what it has every two seconds
    paths = [new(folder, number, LONGER if number < 2 else SHORT) for number in range(3)]

    def kept_there(path):
        there = storage / path.name
        return kept(there) if (there / runs.CHECKPOINT).exists() else []

    with closing(OnRay(nodes.address, storage=storage.as_uri())) as stored:
        killing = Killing(nodes, second, paths[:2], kept_there)
        assert carried_out(stored, paths, killing) == dict.fromkeys(range(3), "")
        assert [runs.status(path).state for path in paths] == ["finished"] * 3
        assert_went_on(killing)
        assert_as(*paths[:2])
        assert not [path for path in paths if (path / runs.LOCK).exists()]  # of whoever trains there
        long = new(folder, 4, 1000)
        stored.start(4, long)
        until(lambda: stored.ended(0.1) or runs.status(long).step > AN_EPOCH)
        runs.ask_to_stop(long)
        assert wait(stored, 1) == {4: ""}
        assert runs.status(long).state == "stopped"
        assert checkpoint.read(runs.read(long)).step == runs.status(long).step


# ---- clusters that are there, and those that are not ----


def test_one_that_is_started_here_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before, me = set(os.listdir("/tmp")), psutil.Process()
    processes = set(me.children(recursive=True))
    path = new(tmp_path, 0, 1000)
    engine = OnRay()
    engine.start(0, path)
    until(lambda: kept(path))
    engine.close()
    assert runs.status(path).state == "stopped"
    assert checkpoint.read(runs.read(path)).step == runs.status(path).step
    assert [child.cmdline() for child in set(me.children(recursive=True)) - processes] == []
    assert [name for name in set(os.listdir("/tmp")) - before if name.startswith("explorer-ray-")] == []
