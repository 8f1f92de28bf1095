"""Runs at a storage: what is there can be gone on from at any moment, and nothing else is taken from it."""

import json
import threading
from contextlib import ExitStack

import pytest
import torch
from safetensors.torch import load_file, save_file

from explorer.families import PRESETS
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import mirror
from explorer.learning.sweeps.fetching import Fetching
from explorer.learning.sweeps.mirror import brought, send, take
from explorer.learning.sweeps.storage import Storage, StorageError

PLACE = "sweep/trials/000/t7"


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path):
    """A folder, where a file is there while it is written; and an object store, where it is not."""
    found = Storage((tmp_path / "there").as_uri() if request.param == "file" else f"memory://{tmp_path}")
    yield found
    if request.param == "memory":
        found._files.store.clear()


@pytest.fixture
def run(tmp_path):
    return runs.create(Job(PRESETS["resnet20_cifar"], "digits", Recipe()), tmp_path / "here" / "t7").path


def learn(run, step):
    """As a worker writes: rows, then the state, then the weights; and then the state before is taken away."""
    there = (run / runs.METRICS).read_text().splitlines() if (run / runs.METRICS).exists() else []
    with (run / runs.METRICS).open("a") as table:
        table.writelines(f"{row}\n" for row in ["step", *range(1, step + 1)][len(there) :])
    said = runs.Status("training", step=step)
    runs.write_whole(run / runs.STATUS, json.dumps(said._asdict()).encode())
    for name, file in (("state", f"optimizer-{step}.safetensors"), ("weights", runs.CHECKPOINT)):
        partial = run / "some.partial"
        save_file({name: torch.full((1000,), float(step))}, partial, {"explorer.step": str(step)})
        partial.rename(run / file)
    for file in run.glob("optimizer-*"):
        if file.name != f"optimizer-{step}.safetensors":
            file.unlink()


def assert_can_be_gone_on_from(run):
    """Returns the step."""
    step = int(load_file(run / runs.CHECKPOINT)["weights"][0])
    assert load_file(run / f"optimizer-{step}.safetensors")["state"][-1] == step
    assert len((run / runs.METRICS).read_text().splitlines()) > step
    assert len(list(run.glob("optimizer-*"))) == 1
    return step


def test_what_is_sent_is_taken(run, storage, tmp_path):
    learn(run, 4)
    sent = {}
    send(run, storage, PLACE, sent)
    learn(run, 8)
    (run / "path").mkdir()
    (run / "path" / "0.safetensors").write_bytes(b"weights")
    send(run, storage, PLACE, sent)
    other = tmp_path / "other"
    other.mkdir()
    take(other, storage, PLACE)
    assert assert_can_be_gone_on_from(other) == 8
    names = {runs.METRICS, runs.STATUS, runs.CHECKPOINT, "optimizer-8.safetensors", "path/0.safetensors"}
    assert {file.relative_to(other).as_posix() for file in other.rglob("*") if file.is_file()} == names
    assert set(storage.names(PLACE)) == names  # nothing half written, no state of before
    for name in names:
        assert (other / name).read_bytes() == (run / name).read_bytes()


def test_what_has_not_changed_is_not_sent_again(run, storage, monkeypatch):
    learn(run, 4)
    sent, put = {}, []
    send(run, storage, PLACE, sent)
    whole = Storage.put
    monkeypatch.setattr(Storage, "put", lambda self, file, name: put.append(name) or whole(self, file, name))
    send(run, storage, PLACE, sent)
    assert put == []
    (run / runs.METRICS).write_text("step\n1\n2\n3\n4\n5\n")
    send(run, storage, PLACE, sent)
    assert put == [f"{PLACE}/{runs.METRICS}"]


def test_whenever_a_node_dies_what_is_there_can_be_gone_on_from(run, storage, tmp_path, monkeypatch):
    """Cut short before each of its writes in turn."""
    learn(run, 4)
    sent = {}
    send(run, storage, PLACE, sent)
    learn(run, 8)
    steps = []
    for writes in range(6):
        left = [writes]

        def die(left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            for name in ("put", "remove"):
                whole = getattr(Storage, name)
                patch.setattr(Storage, name, lambda *words, whole=whole, die=die: die() or whole(*words))
            try:
                send(run, storage, PLACE, dict(sent))
            except KeyboardInterrupt:
                steps.append(-1)
        other = tmp_path / f"other-{writes}"
        other.mkdir()
        take(other, storage, PLACE)
        steps.append(assert_can_be_gone_on_from(other))
    # the table, the state, the weights, the state before is taken away, the status; then all is there
    assert steps == [-1, 4] * 3 + [-1, 8] * 2 + [8]


def test_a_run_that_is_sent_while_it_is_written_can_be_gone_on_from(run, storage, tmp_path):
    learn(run, 1)
    ended = threading.Event()

    def work():
        for step in range(2, 150):
            learn(run, step)
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    sent, steps = {}, []
    while not ended.is_set():
        send(run, storage, PLACE, sent)
        other = tmp_path / f"other-{len(steps)}"
        other.mkdir()
        take(other, storage, PLACE)
        steps.append(assert_can_be_gone_on_from(other))
    worker.join()
    assert steps == sorted(steps)
    assert len(set(steps)) > 3


def test_what_is_no_file_of_a_run_is_left_alone(run, storage, tmp_path):
    for name in (runs.CONFIG, runs.LOCK, runs.STOP, "attempt", "secret.txt", "path/x.sh", "path/../x", ".bashrc"):
        storage.write(f"{PLACE}/{name}", b"x")
    storage.write(f"{PLACE}/{runs.METRICS}", b"step\n")
    other = tmp_path / "other"
    other.mkdir()
    take(other, storage, PLACE)
    assert [file.name for file in other.rglob("*")] == [runs.METRICS]


def test_a_spoilt_checkpoint_is_one_sentence(run, storage, tmp_path):
    storage.write(f"{PLACE}/{runs.CHECKPOINT}", b"\x00" * 100)
    with pytest.raises(runs.RunError, match="Its checkpoint cannot be read"):
        take(run, storage, PLACE)
    (run / runs.CHECKPOINT).write_bytes(b"")
    with pytest.raises(runs.RunError, match="Its checkpoint cannot be read"):
        send(run, storage, PLACE, {})


# ---- a node and a driver ----


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mirror, "EACH", 0.02)
    monkeypatch.setattr(mirror, "PAUSE", 0.01)


@pytest.mark.usefixtures("quick")
def test_a_node_takes_a_run_and_the_driver_sees_it_learn(run, tmp_path):
    storage = Storage(str(tmp_path / "there"))
    fetching = Fetching(storage)
    learn(run, 4)  # elsewhere, before
    runs.ask_to_stop(run)
    fetching.begin(run, PLACE)
    with brought(storage.url, PLACE) as node:
        assert assert_can_be_gone_on_from(node) == 4
        assert (node / runs.CONFIG).read_bytes() == (run / runs.CONFIG).read_bytes()
        assert not (node / runs.STOP).exists()
        learn(node, 8)
        seen(lambda: fetching.look({PLACE: run}) or (run / runs.METRICS).read_text().endswith("8\n"))
        assert runs.status(run).step == 8
        fetching.stop(PLACE)
        seen((node / runs.STOP).exists)
        learn(node, 12)
    fetching.end(run, PLACE)
    assert assert_can_be_gone_on_from(run) == 12
    assert not node.exists()
    fetching.begin(run, PLACE)
    assert not storage.has(f"{PLACE}/{runs.STOP}")


def seen(true):
    event = threading.Event()
    for _ in range(1000):
        if true():
            return
        event.wait(0.01)
    pytest.fail("in vain")


@pytest.mark.usefixtures("quick")
def test_a_node_that_was_believed_dead_writes_nothing_more_and_stops(run, tmp_path):
    storage = Storage(str(tmp_path / "there"))
    learn(run, 4)
    Fetching(storage).begin(run, PLACE)
    dead = ExitStack()
    dead_run = dead.enter_context(brought(storage.url, PLACE))
    with brought(storage.url, PLACE) as node:
        learn(dead_run, 6)
        seen((dead_run / runs.STOP).exists)
        learn(node, 8)
    learn(dead_run, 7)
    with pytest.raises(runs.RunError, match="Another node trains it"):
        dead.close()
    take(run, storage, PLACE)
    assert assert_can_be_gone_on_from(run) == 8


@pytest.mark.usefixtures("quick")
def test_what_could_not_be_sent_for_a_while_is_sent_in_the_end(run, tmp_path, monkeypatch):
    storage = Storage(str(tmp_path / "there"))
    Fetching(storage).begin(run, PLACE)
    whole, broken = Storage.put, []

    def put(self, file, name):
        if len(broken) < 3:
            broken.append(name)
            raise StorageError("There is no network.")
        whole(self, file, name)

    monkeypatch.setattr(Storage, "put", put)
    with brought(storage.url, PLACE) as node:
        learn(node, 4)
    take(run, storage, PLACE)
    assert assert_can_be_gone_on_from(run) == 4
    broken[:] = []
    monkeypatch.setattr(mirror, "TRIES", 2)
    with pytest.raises(StorageError, match="no network"), brought(storage.url, PLACE) as node:
        learn(node, 8)


def test_a_node_that_sees_another_place_says_so(run, tmp_path):
    elsewhere = brought(str(tmp_path / "elsewhere"), PLACE)
    with pytest.raises(StorageError, match="does not have the run: the node sees another place"), elsewhere:
        pass


# ---- what is no storage ----


@pytest.mark.parametrize(
    ("url", "words"), [("gopher://x/y", "Protocol not known: gopher"), ("oci://bucket/x", "[Ii]nstall ocifs")]
)
def test_a_storage_that_is_none_is_one_sentence(url, words):
    with pytest.raises(StorageError, match=f"^{url} is no storage: .*{words}"):
        Storage(url)


def test_where_nothing_can_be_written_it_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be (written|read): "):
        Fetching(Storage(str(tmp_path / "file" / "folder"))).begin(run, PLACE)


def test_a_relative_path_is_seen_alike_by_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Storage("there").write("a/b", b"x")
    assert (tmp_path / "there" / "a" / "b").read_bytes() == b"x"
    assert Storage("there").url == str(tmp_path / "there")
