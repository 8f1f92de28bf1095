"""README.md and CONTRIBUTING.md claim what is so: commands run, files exist, numbers are those of the code."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from controls import uploads
from explorer.analyses.attribution.methods import METHODS
from explorer.command_line.program import COMMANDS, main
from explorer.counting import budget
from explorer.families import FAMILIES
from explorer.learning import settings

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))


def section(title: str) -> str:
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


SHOWN = re.findall(r"^    explorer (.*)$", section("On the command line"), re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in SHOWN if not line.startswith("app")])
def test_commands_run(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        picture = tmp_path / "PICTURES" / "ab"[i % 2] / f"{i}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (40 * i, 0, 0)).save(picture)
    words = shlex.split(line)
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert bool(printed) != ("--output" in words)
    if "--output" in words:
        assert (tmp_path / words[-1]).stat().st_size


def test_every_command_is_shown():
    assert {line.split()[0] for line in SHOWN} == set(COMMANDS)


def test_the_library_is_used_as_shown():
    (source,) = re.findall(r"```python\n(.*?)```", section("As a library"), re.DOTALL)
    names = {"images": torch.zeros(2, 3, 224, 224)}
    exec(compile(source, "README.md", "exec"), names)
    assert names["logits"].shape == (2, 1000)
    # 64 channels of the stem, and 24 of the first layer
    assert [kept.shape for kept in names["kept"].values()] == [(2, 64 + 24, 56, 56)]


def test_pages_are_those_of_the_navigation():
    rows = re.findall(r"^\| ([A-Z][\w ]+) \|", section("What each page answers"), re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse((ROOT / "app.py").read_text())) if isinstance(node, ast.Call)]
    pages = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "Page"]
    titles = [word.value.value for page in pages for word in page.keywords if word.arg == "title"]
    assert rows == titles
    assert len(titles) == len(list((ROOT / "pages").glob("*.py")))


def test_numbers_are_those_of_the_code():
    words = {17: "Seventeen", 18: "Eighteen", 19: "Nineteen"}
    assert f"{words[len(METHODS)]} of Captum's methods" in README
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in README
    defaults = dict(re.findall(r"^\| `(EXPLORER_\w+)` \|.*\| ([^|]+) \|$", section("Settings"), re.MULTILINE))
    assert defaults == {
        "EXPLORER_MAX_MEMORY": "half of the free memory of machine, container or GPU",
        "EXPLORER_MAX_PARAMS": "what fits in that memory",
        "EXPLORER_MAX_OPERATIONS": "20000",
        "EXPLORER_MAX_UPLOADS": "a quarter of the memory that is free when the server starts",
        "EXPLORER_SERVERS": "`1`",
        "EXPLORER_CHECKPOINTS": "none",
        "EXPLORER_TRAINING": "`mine` on this machine alone, else `shared`",
        "EXPLORER_WORKERS": "one for two cores",
        "EXPLORER_RAY": "nowhere",
        "EXPLORER_PROCESSES": "four for each core, shared out among the servers",
        "EXPLORER_MAX_RUNS": "5 where it is `shared`",
        "EXPLORER_MAX_RUN_MINUTES": "30 where it is `shared`",
        "EXPLORER_MAX_RUN_DISK": "1 GB where it is `shared`",
        "EXPLORER_RUNS": "in the user's own data folder",
        "EXPLORER_DATA": "in the user's own data folder",
        "EXPLORER_UPLOADS": "`.uploads` in the folder of runs",
    }
    limited = settings.SHARED_RUNS, settings.SHARED_MINUTES, settings.SHARED_DISK
    assert limited == (5, 30, 10**9)
    assert (budget.SHARE, budget.MOST_OPERATIONS, uploads.SHARE) == (0.5, 20_000, 4)


def test_every_family_and_its_papers_are_named():
    for family in FAMILIES.values():
        assert family.title in README
        for address in family.papers.values():
            assert address in README, family.title


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_files_that_are_named_exist(text):
    links = {link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    named = set(
        re.findall(r"`((?:explorer|pages|controls|tests|docs|\.streamlit)/[\w./]*|[\w/]+\.(?:py|toml|md))`", text)
    )
    assert links | named
    assert [name for name in links | named if not (ROOT / name).exists()] == []
