"""What the owner of a server sets: a slip is one sentence before the server starts, whichever setting it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.counting.budget import SettingError
from explorer.errors import ExplorerError
from explorer.learning import settings

ROOT = Path(__file__).parents[1]
# README names all of them; those of folders, and a cluster's address, may say anything
NAMES = re.findall(r"^\| `(EXPLORER_\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
ANYTHING = {settings.RUNS, settings.DATA, settings.UPLOADS, settings.RAY, "EXPLORER_CHECKPOINTS"}
STARTS = {
    "make run": [Path(sys.executable).with_name("streamlit"), "run", "server.py"],
    "app": [sys.executable, "-m", "explorer", "app"],
    "make serve": [sys.executable, "-m", "deploy.serve"],
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANYTHING])
@pytest.mark.parametrize("text", ["abc", "-1", "1e9", "½", "9" * 400])
def test_what_makes_no_sense_is_refused_with_the_name_and_the_value(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingError) as caught:
        settings.check()
    assert f"{name}={text!r} is not " in str(caught.value)
    assert isinstance(caught.value, ExplorerError)


def test_what_makes_sense_is_taken(monkeypatch):
    values = {"MAX_MEMORY": "1.5 GB", "MAX_PARAMS": "1_000", "MAX_OPERATIONS": "7", "MAX_UPLOADS": "512mb"}
    values |= {"SERVERS": "3", "TRAINING": "Off", "WORKERS": "2", "PROCESSES": "0", "MAX_RUN_DISK": " "}
    for name, text in values.items():
        monkeypatch.setenv(f"EXPLORER_{name}", text)
    settings.check()
    assert (settings.most_processes(), settings.most_workers()) == (0, 2)
    monkeypatch.delenv(settings.PROCESSES)
    assert settings.most_processes() is None


@pytest.mark.parametrize("start", STARTS)
def test_a_server_does_not_start_with_it(start):
    outside = {name: value for name, value in os.environ.items() if not name.startswith("EXPLORER_")}
    given = outside | {"EXPLORER_MAX_MEMORY": "abc", "PYTHONUNBUFFERED": "1", "WORKERS": "1", "PORT": "8631"}
    done = subprocess.run(STARTS[start], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    said = done.stderr.strip()
    assert said == "EXPLORER_MAX_MEMORY='abc' is not a number above 0; write bytes, or 512MB, or 4GB."
    assert "Traceback" not in done.stdout
