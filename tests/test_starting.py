"""A worker that a server has started: announced at once, it outlives the one that started it, and hears Stop."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.families import PRESETS
from explorer.learning import runs, session, starting, worker
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

ROOT = Path(__file__).parents[1]
TINY = PRESETS["resnet20_cifar"].replace(input_size=16, blocks=(1, 1, 1), width=4, stem_width=4)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path))
    job = Job(TINY, "digits", Recipe(epochs=1, batch_size=100))
    return runs.create(job, tmp_path / runs.new_name("tiny digits"))


def until(state: runs.State, path: Path, seconds: float = 90) -> runs.Status:
    deadline = time.monotonic() + seconds
    while (found := runs.status(path)).state != state:
        assert time.monotonic() < deadline, (found, (path / runs.LOG).read_text())
        time.sleep(0.1)
    return found


def test_it_is_waited_for_from_the_first_moment_and_ends_in_a_process_of_its_own(run):
    starting.start(run.path)
    assert runs.status(run.path).state == "waiting"
    found = until("finished", run.path)
    assert found.pid != os.getpid()
    assert len(runs.predictions(run.path)) == 397  # the test images


def test_it_goes_on_when_the_one_that_started_it_has_ended(run):
    code = f"from pathlib import Path; from explorer.learning import starting; starting.start(Path({str(run.path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=90)
    until("finished", run.path)


def test_a_stop_that_is_asked_for_before_it_is_up_is_heard(run, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: SimpleNamespace(wait=lambda: 0))
    starting.start(run.path)
    runs.ask_to_stop(run.path)
    monkeypatch.setattr(session, "settle", lambda device, threads: None)
    assert worker.train(run.path, in_line=True, say=lambda sentence: None) == "stopped"


def test_a_worker_that_never_comes_up_has_died(run, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: SimpleNamespace(wait=lambda: 0))
    starting.start(run.path)
    assert runs.status(run.path).state == "waiting"
    assert runs.status(run.path, time.time() + runs.LONGEST_SILENCE + 1).state == "died"


def test_what_cannot_be_started_is_said_in_a_sentence(run, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(runs.RunError, match=r"^No worker could be started \(Cannot allocate memory\)\.$"):
        starting.start(run.path)
