"""How fast a run would be is asked of a process once, and kept; what a busy machine says is soon asked again."""

import subprocess
import time
from types import SimpleNamespace

import pytest

from controls.services import speed
from explorer.families import PRESETS
from explorer.learning import measuring
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

JOB = Job(
    PRESETS["resnet20_cifar"].replace(input_size=16, blocks=(1, 1, 1), width=4, stem_width=4),
    "digits",
    Recipe(batch_size=8),
)


@pytest.fixture
def asked(monkeypatch):
    """The questions that were asked; each is answered with 100 images a second."""
    found = []

    def run(command, **given):
        found.append(given["input"])
        return SimpleNamespace(stdout="a warning\n100.0\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(speed, "_known", type(speed._known)())
    return found


def answer(job: Job) -> speed.Speed:
    deadline = time.monotonic() + 10
    while (found := speed.speed(job)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_it_is_asked_once_for_all_who_want_to_know(asked, monkeypatch):
    monkeypatch.setattr(speed, "_is_busy", lambda: False)
    assert answer(JOB).images_per_second == 100
    assert answer(JOB) == answer(JOB)
    assert len(asked) == 1


def test_what_a_busy_machine_says_is_worth_a_minute(asked, monkeypatch):
    monkeypatch.setattr(speed, "_is_busy", lambda: True)
    answer(JOB)
    later = time.monotonic() + speed.WORTH + 1
    monkeypatch.setattr(speed.time, "monotonic", lambda: later)
    assert speed.speed(JOB) is None
    while speed.speed(JOB) is None:
        time.sleep(0.01)
    assert len(asked) == 2


def test_what_cannot_be_measured_is_said_to_be_unknown(asked, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *words, **given: SimpleNamespace(stdout="Killed"))
    assert answer(JOB).images_per_second == 0


def test_the_measure_is_of_real_steps():
    assert measuring.images_per_second(JOB) > 0
