"""Workers as processes: alone on a run, in line, stopped, without room on the disk, and where the loss breaks."""

import errno
import json
import math
import signal
import threading
import time

import pandas as pd
import pytest
import torch
from forking import Workers, until
from safetensors.torch import load_file

from explorer.families import PRESETS
from explorer.learning import checkpoint, runs, settings, trained, worker
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.runs import RunError
from explorer.running.weights import WeightsError

TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8)
AN_EPOCH = 4  # steps
SLOW = """
import time
from explorer.learning.training import Training
step = Training.step
def slow(*arguments):
    time.sleep(0.02)
    return step(*arguments)
Training.step = slow
"""


@pytest.fixture(scope="module")
def workers():
    with Workers() as started:
        yield started


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Of runs, on a machine with a place for one worker."""
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path))
    monkeypatch.setenv("EXPLORER_WORKERS", "1")
    return tmp_path


def new(folder, words="run", config=TINY, most_seconds=0, **recipe):
    usual = {"epochs": 10, "batch_size": 32, "augmentation": "flip and crop"}
    job = Job(config, "digits", Recipe(**usual | recipe), images=128, most_seconds=most_seconds)
    return runs.create(job, folder / runs.new_name(words)).path


def state(path):
    return runs.status(path).state


def learned(path):
    """Steps that are written down."""
    found = runs.metrics(path)
    return int(found["step"].max()) if len(found) else 0


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


# -- a whole run -------------------------------------------------------------------------------------------------------


def test_what_a_run_leaves_is_read_with_pandas_and_safetensors_alone(workers, folder):
    path = new(folder, epochs=12)
    one = workers.start(path)
    assert one.wait() == 0
    config = json.loads((path / "config.json").read_text())
    assert (config["network"]["family"], config["data"]["name"], config["recipe"]["seed"]) == ("resnet", "digits", 0)
    rows = pd.read_csv(path / "metrics.csv")
    assert rows["step"].is_monotonic_increasing
    assert rows["seconds"].is_monotonic_increasing
    assert rows["step"].iloc[-1] == 12 * AN_EPOCH
    assert rows["test_accuracy"].notna().sum() == 12
    assert set(rows["step"]) == set(range(1, 12 * AN_EPOCH + 1))
    tensors = load_file(path / "checkpoint.safetensors")
    assert tensors["conv1.weight"].shape == (4, 3, 3, 3)
    state = load_file(path / f"optimizer-{12 * AN_EPOCH}.safetensors")
    assert state["momentum_buffer.conv1.weight"].shape == (4, 3, 3, 3)
    for name in ("gradient_norms.csv", "update_ratios.csv"):
        table = pd.read_csv(path / name)
        assert "conv1" in table
        assert (table.drop(columns="step") > 0).all(axis=None)
        assert list(table["step"]) == [1, 9, 17, 25, 33, 41]
    said = pd.read_csv(path / "predictions.csv")
    share = (said["label"] == said["predicted"]).mean()
    assert len(said) == 397
    assert share == pytest.approx(rows["test_accuracy"].iloc[-1], abs=1e-6)
    found = runs.status(path)
    assert (found.state, found.step, found.steps, found.seconds_left) == ("finished", 48, 48, 0)
    assert one.said.strip() == found.message == f"Right on {share:.1%} of 397 test images."
    again = workers.start(path)
    assert again.wait() == 0
    assert "has finished already" in again.said
    further = workers.start(path, epochs="13")
    assert further.wait() == 0
    assert learned(path) == 13 * AN_EPOCH
    assert runs.metrics(path)["seconds"].is_monotonic_increasing  # they go on too


def test_pages_take_its_weights(workers, folder):
    path = new(folder, epochs=1)
    run = runs.read(path)
    assert trained.linked(path.name, TINY) is None
    with pytest.raises(RunError, match="no checkpoint yet"):
        checkpoint.weights_of(run)
    assert workers.start(path).wait() == 0
    found = trained.linked(path.name, TINY)
    assert (found.source, found.identity) == ("run", f"{path.name}.{AN_EPOCH}")
    assert found.card.classes == tuple("0123456789")
    assert trained.linked(path.name, TINY.replace(width=8)) is None
    with trained.opened(found) as data:
        assert bytes(data) == (path / "checkpoint.safetensors").read_bytes()
    assert workers.start(path, epochs="2").wait() == 0
    with pytest.raises(WeightsError, match="learned further"), trained.opened(found):
        pass
    newer = trained.newest(found)
    assert newer.identity == f"{path.name}.{2 * AN_EPOCH}"
    runs.delete(path)
    assert trained.newest(newer) == newer
    with pytest.raises(WeightsError), trained.opened(newer):
        pass


# -- stopped -----------------------------------------------------------------------------------------------------------


def test_whoever_stops_a_run_loses_nothing(workers, folder):
    """Also in the middle of an epoch: the steps after it are those that would have been."""
    whole = new(folder)
    assert workers.start(whole).wait() == 0
    stops = {
        "file": lambda path, one: runs.ask_to_stop(path),
        "SIGTERM": lambda path, one: one.kill(signal.SIGTERM),
        "Ctrl-C": lambda path, one: one.kill(signal.SIGINT),
    }
    path = new(folder)
    for i, (name, stop) in enumerate(stops.items()):
        one = workers.start(path, SLOW)
        until(lambda i=i: learned(path) >= 5 + 10 * i)
        stop(path, one)
        assert one.wait() == 0, name
        found = runs.status(path)
        assert (found.state, found.message) == ("stopped", ""), name
        assert checkpoint.read(runs.read(path)).step == found.step == learned(path), name
    assert workers.start(path).wait() == 0
    assert state(path) == "finished"
    weights, others = (load_file(place / "checkpoint.safetensors") for place in (path, whole))
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name
    assert not (path / "stop").exists()


def test_a_stop_while_data_are_loaded(workers, folder):
    path = new(folder)
    slow_data = """
import time
from types import SimpleNamespace
from explorer.learning import session
def load(size, channels, images, progress):
    for i in range(10_000):
        progress(i, 10_000)
        time.sleep(0.01)
session.find = lambda name: SimpleNamespace(title="Slow data", misfits=lambda config: (), load=load)
"""
    one = workers.start(path, slow_data)
    until(lambda: "Getting Slow data" in runs.status(path).message)
    assert state(path) == "preparing"
    one.kill(signal.SIGTERM)
    assert one.wait() == 0
    assert state(path) == "stopped"
    assert not (path / "checkpoint.safetensors").exists()


def test_a_stop_of_before_is_taken_back_or_counts(folder):
    path = new(folder, epochs=1)
    runs.ask_to_stop(path)
    assert worker.train(path, say=lambda text: None, keep_stop=True) == "stopped"
    assert state(path) == "stopped"
    assert not (path / "checkpoint.safetensors").exists()
    assert worker.train(path, say=lambda text: None) == "finished"


def test_the_time_limit(workers, folder):
    path = new(folder, epochs=1000, most_seconds=1)
    one = workers.start(path, SLOW)
    assert one.wait() == 0
    found = runs.status(path)
    assert found.state == "stopped"
    assert "the limit here" in found.message
    assert 1 < found.seconds < 5
    assert checkpoint.read(runs.read(path)).step == found.step > 0
    assert workers.start(path, most_seconds="0", epochs="1").wait() == 0  # as many as it has, and more
    assert state(path) == "finished"


def test_it_gives_signs_of_life(workers, folder):
    path = new(folder, epochs=1000)
    one = workers.start(path, SLOW)
    beats = set()
    until(lambda: beats.add(runs.status(path).heartbeat) or len(beats) > 3)
    found = runs.status(path)
    assert abs(time.time() - found.heartbeat) < 10
    assert found.pid == one.pid
    one.kill()
    one.wait()
    assert state(path) == "died"


# -- alone -------------------------------------------------------------------------------------------------------------


def test_a_second_worker_says_so_and_leaves(workers, folder):
    path = new(folder, epochs=1000)
    first = workers.start(path, SLOW)
    until(lambda: state(path) == "training")
    config = (path / "config.json").read_bytes()
    for changes in ({}, {"epochs": "5"}):
        second = workers.start(path, **changes)
        assert second.wait() == 2
        assert second.said == f"run is being trained already, by process {first.pid} on {runs.status(path).host}.\n"
    assert (path / "config.json").read_bytes() == config
    before = learned(path)
    until(lambda: learned(path) > before)
    first.kill(signal.SIGTERM)
    assert first.wait() == 0
    assert state(path) == "stopped"


def test_a_directory_in_which_nothing_can_be_written_is_one_sentence(folder):
    path = new(folder)
    (path / "worker.lock").mkdir()  # as a directory that is read-only refuses it
    with pytest.raises(RunError, match=r"run cannot be trained: its directory is not to be written \(Is a directory\)"):
        worker.train(path)
    (path / "worker.lock").rmdir()
    (path / "stop").mkdir()
    with pytest.raises(RunError, match="is not to be written"):
        worker.train(path)
    assert state(path) == "new"


def test_no_run_is_one_sentence_and_nothing_is_made(folder):
    for path in (folder, folder / "none"):
        before = sorted(folder.iterdir())
        with pytest.raises(RunError, match="holds no run"):
            worker.train(path)
        assert sorted(folder.iterdir()) == before


def test_a_begun_run_keeps_what_it_learns(workers, folder):
    path = new(folder, epochs=1)
    assert workers.start(path).wait() == 0
    before = files(path)
    for name, value in {"width": "8", "data": "shapes", "batch_size": "16", "images": "64", "dropout": "0.1"}.items():
        with pytest.raises(RunError, match="has begun to learn"):
            worker.train(path, changes={name: value})
        assert files(path) == before
    # but the optimizer may be another
    assert workers.start(path, epochs="3", optimizer="adamw", learning_rate="0.01").wait() == 0
    assert state(path) == "finished"
    assert any(name.startswith("exp_avg.") for name in load_file(path / f"optimizer-{3 * AN_EPOCH}.safetensors"))


# -- in line -----------------------------------------------------------------------------------------------------------


def test_workers_wait_in_line_and_a_killed_one_gives_its_place_up(workers, folder):
    trains, dies, stops, last = (new(folder, epochs=1000 if i == 0 else 1) for i in range(4))
    first = workers.start(trains, SLOW, in_line=True)
    until(lambda: state(trains) == "training")
    waiting = []
    for i, path in enumerate((dies, stops, last)):
        waiting.append(workers.start(path, in_line=True))
        until(lambda path=path: state(path) == "waiting")
        assert runs.status(path).place == i
    waiting[0].kill()
    waiting[0].wait()
    assert state(dies) == "died"
    until(lambda: (runs.status(stops).place, runs.status(last).place) == (0, 1))
    runs.ask_to_stop(stops)
    assert waiting[1].wait() == 0
    assert state(stops) == "stopped"
    until(lambda: runs.status(last).place == 0)
    assert (state(trains), state(last)) == ("training", "waiting")
    first.kill()  # no less than its end gives the machine's place back
    first.wait()
    assert waiting[2].wait() == 0
    assert state(last) == "finished"
    assert not list((folder / ".line").glob("*.ticket"))


def test_two_places_are_for_two(workers, folder, monkeypatch):
    monkeypatch.setenv("EXPLORER_WORKERS", "2")
    paths = [new(folder, epochs=1000) for _ in range(3)]
    started = [workers.start(path, SLOW, in_line=True) for path in paths]
    until(lambda: sorted(map(state, paths)) == ["training", "training", "waiting"])
    for one in started:
        one.kill()
        one.wait()


def test_a_worker_that_nobody_told_to_wait_does_not(workers, folder):
    busy, other = new(folder, epochs=1000), new(folder, epochs=1)
    first = workers.start(busy, SLOW, in_line=True)
    until(lambda: state(busy) == "training")
    assert workers.start(other).wait() == 0
    assert state(other) == "finished"
    first.kill()
    first.wait()


# -- where it breaks ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_a_result(workers, folder):
    path = new(folder, config=TINY.adapt(norm="none"), epochs=2, learning_rate=0.01)
    assert workers.start(path).wait() == 0
    good = (path / "checkpoint.safetensors").read_bytes()
    one = workers.start(path, epochs="20", learning_rate="10", schedule="constant", weight_decay="1")
    assert one.wait() == 0  # it has not failed
    found, rows = runs.status(path), runs.metrics(path)
    assert found.state == "diverged"
    broken = rows[
        (rows["step"] > 2 * AN_EPOCH) & rows["train_accuracy"].notna() & ~rows["train_loss"].map(math.isfinite)
    ]
    assert list(broken["step"]) == [rows["step"].iloc[-1]]
    step = int(broken["step"].iloc[0])
    assert f"At step {step} of {20 * AN_EPOCH}, with learning rate 10," in found.message
    assert one.said.strip() == found.message
    assert step <= 3 * AN_EPOCH
    assert (path / "checkpoint.safetensors").read_bytes() == good
    assert checkpoint.read(runs.read(path)).step == 2 * AN_EPOCH
    # it stays so until somebody turns a knob
    again = workers.start(path)
    assert again.wait() == 0
    assert "has diverged already" in again.said
    assert workers.start(path, epochs="4", learning_rate="0.001", weight_decay="0").wait() == 0
    assert state(path) == "finished"


def test_weights_that_are_no_numbers_are_not_kept_whoever_stops_then(workers, folder):
    poisoned = """
from pathlib import Path
from explorer.learning.training import Training
step = Training.step
def poisoned(self, *arguments):
    found = step(self, *arguments)
    if self.done == 6:
        self.network.conv1.weight.data[0] = float("nan")
        Path(PATH, "stop").touch()
    return found
Training.step = poisoned
"""
    path = new(folder, schedule="constant", learning_rate=0.05)
    assert workers.start(path, f"PATH = {str(path)!r}\n{poisoned}").wait() == 0
    found = runs.status(path)
    assert found.state == "diverged"
    assert f"At step 6 of {10 * AN_EPOCH}, with learning rate 0.05," in found.message
    assert checkpoint.read(runs.read(path)).step == AN_EPOCH
    assert all(bool(value.isfinite().all()) for value in load_file(path / "checkpoint.safetensors").values())


def test_a_full_disk_stops_the_run_with_that_reason_and_keeps_the_checkpoint(workers, folder):
    path = new(folder, epochs=2)
    assert workers.start(path).wait() == 0
    before = files(path)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))"
    one = workers.start(path, limit, epochs="5")
    assert one.wait() == 2
    found = runs.status(path)
    assert (found.state, found.message) == (
        "failed",
        "It cannot be written (File too large); the last checkpoint stays.",
    )
    after = files(path)
    for name in ("checkpoint.safetensors", f"optimizer-{2 * AN_EPOCH}.safetensors"):
        assert after[name] == before[name]
    assert after.keys() == before.keys()
    assert workers.start(path).wait() == 0
    assert (state(path), learned(path)) == ("finished", 5 * AN_EPOCH)


def test_a_full_disk_has_room_for_the_reason(folder, monkeypatch):
    """Where no new file can be written, the status goes where the last one lies."""
    path = new(folder)
    with worker.Pulse(path) as pulse:
        pulse.say(state="training", message="x" * 300)

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(runs, "write_whole", full)
        pulse.say(state="failed", message="It cannot be written.")
    assert runs.status(path)[::7] == ("failed", "It cannot be written.")
    assert json.loads((path / "status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("file", ["checkpoint.safetensors", "optimizer-4.safetensors"])
@pytest.mark.parametrize(
    "spoil",
    [lambda data: b"", lambda data: data[:-1], lambda data: b"\xff" * len(data), lambda data: b"\x80\x02}." + data],
    ids=["empty", "cut short", "noise", "pickle"],
)
def test_a_spoilt_checkpoint_is_one_sentence(workers, folder, file, spoil):
    path = new(folder, epochs=1)
    assert workers.start(path).wait() == 0
    (path / file).write_bytes(spoil((path / file).read_bytes()))
    one = workers.start(path, epochs="2")
    assert one.wait() == 2
    found = runs.status(path)
    assert found.state == "failed"
    assert "checkpoint of run" in found.message or "from its checkpoint" in found.message
    assert "Traceback" not in one.said
    assert one.said.count("\n") == 1


@pytest.mark.parametrize("step", ["-4", "4e0", "٤", "9" * 5000, "", "../4"])
def test_a_checkpoint_that_lies_about_its_step(workers, folder, step):
    path = new(folder)
    from safetensors.torch import save_file

    save_file({"conv1.weight": torch.zeros(1)}, path / "checkpoint.safetensors", {"explorer.step": step})
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint.weights_of(runs.read(path))


def test_tables_that_somebody_spoilt_begin_anew(workers, folder):
    path = new(folder, epochs=1)
    assert workers.start(path).wait() == 0
    (path / "metrics.csv").write_bytes(b"\xff\x00\n" * 100 + b'"')
    (path / "gradient_norms.csv").write_text("step,conv1\n²,3\n")
    assert workers.start(path, epochs="2").wait() == 0
    assert list(runs.metrics(path)["step"].unique()) == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Job(TINY, "nosuch", Recipe()), "There is no data set 'nosuch'"),
        (Job(TINY, "digits", Recipe(), device="cuda:99"), "There is no device 'cuda:99' on this machine; there are "),
        (Job(TINY.replace(classes=7), "digits", Recipe()), "which needs 10 classes, not 7"),
        (Job(TINY, "digits", Recipe(), images=5000), "up to 1,400 images to train on, not 5,000"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(workers, folder, job, words):
    path = runs.create(job, folder / runs.new_name("run")).path
    one = workers.start(path)
    assert one.wait() == 2
    assert state(path) == "failed"
    assert words in runs.status(path).message
    assert one.said.count("\n") == 1


def test_a_worker_in_a_thread_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)

    def look():
        with worker._signals() as asked:
            found.append((asked.is_set(), signal.getsignal(signal.SIGTERM)))

    found = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(False, before)]


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "-1", "many", "²", "1.5", "9" * 20])
def test_a_number_of_workers_that_cannot_be_is_named(monkeypatch, text):
    monkeypatch.setenv("EXPLORER_WORKERS", text)
    with pytest.raises(ValueError, match="EXPLORER_WORKERS="):
        settings.most_workers()


def test_there_is_always_a_place(monkeypatch):
    monkeypatch.setenv("EXPLORER_WORKERS", " ")
    assert settings.most_workers() >= 1
    monkeypatch.setenv("EXPLORER_WORKERS", "7")
    assert settings.most_workers() == 7
