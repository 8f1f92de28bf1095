"""Files that visitors take along: memory and disk are looked at first, and nothing of them stays for long."""

import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from controls import session
from controls.services import exports
from explorer.counting.budget import BudgetError
from explorer.families import PRESETS
from explorer.running import devices, export
from explorer.running.export import EXPORTS, ExportError
from explorer.running.weights import fresh

SMALL = PRESETS["resnet20_cifar"]
ASKED: list[str] = []


@pytest.fixture(autouse=True)
def visitor(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """One of them; a written file holds a thousand letters, the first of its form."""

    def write(form: str, network: Any, path: Any, card: Any, config: Any, meanwhile: Any) -> None:
        ASKED.append(form)
        meanwhile()
        path.write_bytes(form[:1].encode() * 1000)

    one = SimpleNamespace(export=None)
    ASKED.clear()
    monkeypatch.setattr(export, "write", write)
    monkeypatch.setattr(session, "visitor", lambda: one)
    monkeypatch.setattr(exports, "_kept", type(exports._kept)())
    return one


def made(form: str, seed: int = 0) -> exports.File:
    return exports.exported(SMALL, fresh(seed), form)


def on_disk() -> list[str]:
    return [str(one) for one in exports._root().rglob("*")]


def test_a_file_is_made_once_and_has_no_name() -> None:
    assert made("pt2").read() == made("pt2").read() == b"p" * 1000
    assert ASKED == ["pt2"]
    assert on_disk() == []


def test_it_is_kept_for_others_as_long_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch, visitor: SimpleNamespace
) -> None:
    monkeypatch.setattr(exports, "MOST_KEPT", 2500)
    first = made("pt2")
    visitor.export = None
    assert made("pt2") is first  # another visitor's
    for seed in (1, 2, 3):
        made("onnx", seed)
    assert sum(file.size for file in exports._kept.values()) == 2000
    assert first.read() == b"p" * 1000  # it is still on the first one's page
    assert len(ASKED) == 4
    visitor.export = None
    made("pt2")
    assert len(ASKED) == 5


def test_a_file_larger_than_all_room_is_its_visitors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_KEPT", 10)
    assert made("pt2") is made("pt2")
    assert len(ASKED) == 1
    assert exports._kept == {}


def test_memory_is_promised_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    promised = []

    def write(form: str, network: Any, path: Any, *about: Any) -> None:
        promised.append(devices._rooms["cpu"].promised)
        path.write_bytes(b"")

    monkeypatch.setattr(export, "write", write)
    made("onnx")
    # by hand: ResNet-20 has 269,722 parameters of 4 bytes
    weights = 4 * 269_722
    assert 0 < promised[0] - EXPORTS["onnx"].libraries - EXPORTS["onnx"].weights * weights < 10_000_000
    assert devices._rooms["cpu"].promised == 0


@pytest.mark.parametrize(
    ("free", "limit", "words"),
    [
        (400_000_000, "", "To make pt2 of this network takes about 0.5 GB; 0.4 GB are free: take the weights alone."),
        (9_000_000_000, "8MB", "To make pt2 of this network takes about 0.5 GB; the limit is 8.0 MB: take the weights"),
    ],
)
def test_without_room_it_is_refused_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, free: int, limit: str, words: str
) -> None:
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", limit)
    monkeypatch.setattr(devices, "free", lambda device: free)
    monkeypatch.setattr(devices, "free_lately", lambda device: free)
    with pytest.raises(BudgetError) as caught:
        made("pt2")
    assert str(caught.value).startswith(words)
    assert ASKED == on_disk() == []


def test_without_disk_it_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(ExportError, match=r"^To make onnx of .* takes about 2\.7 MB of the server's disk"):
        made("onnx")
    assert ASKED == on_disk() == []


def test_a_disk_that_takes_nothing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports.tempfile, "mkdtemp", refuse)
    with pytest.raises(ExportError, match=r"^The server's disk takes no files \(No space left on device\)"):
        made("onnx")


def test_what_an_interrupted_one_has_left_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process may write for a moment after it was stopped: the folder is there again."""

    def write(form: str, network: Any, path: Any, *about: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(export, "write", write)
        with pytest.raises(KeyboardInterrupt):
            made("pt2")
    late = exports._root() / "late"
    late.mkdir()
    (late / "weights").write_bytes(b"1")
    made("pt2")
    assert on_disk() == []
