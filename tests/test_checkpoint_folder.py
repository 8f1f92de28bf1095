"""Checkpoints on the server: the folder's own are listed and read in parts, and no other file is ever opened."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from explorer.running import checkpoint_folder
from explorer.running.checkpoints import OnDisk
from explorer.running.weights import WeightsError, read_checkpoint

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good file, beside one that is not to be seen."""
    inside, outside = tmp_path / "open", tmp_path / "secret"
    (inside / "digits").mkdir(parents=True)
    outside.mkdir()
    save_file(STATE, inside / "digits" / "one.safetensors")
    torch.save(STATE, inside / "two.pt")
    save_file(STATE, outside / "secret.safetensors")
    (inside / "notes.txt").write_text("nothing")
    (inside / "way out").symlink_to(outside)
    (inside / "out.safetensors").symlink_to(outside / "secret.safetensors")
    (inside / "round.pt").symlink_to(inside / "round.pt")
    (inside / "best.pt").symlink_to("two.pt")
    os.mkfifo(inside / "pipe.pt")
    monkeypatch.setenv("EXPLORER_CHECKPOINTS", str(inside))
    return inside


def test_the_folders_own_files_are_listed(root):
    assert checkpoint_folder.names() == ("best.pt", "two.pt", "digits/one.safetensors")


@pytest.mark.parametrize("name", ["digits/one.safetensors", "two.pt", "best.pt"])
def test_a_file_is_read_as_its_own_library_reads_it(root, name):
    with checkpoint_folder.opened(name) as data:
        found = read_checkpoint(data, name, STATE)
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


OUTSIDE = [
    "../secret/secret.safetensors",
    "digits/../../secret/secret.safetensors",
    "way out/secret.safetensors",
    "out.safetensors",
    "round.pt",
    "pipe.pt",
    "notes.txt",
    "digits",
    "",
    ".",
    "..",
    "/etc/passwd",
    "/dev/zero",
    "none.pt",
    "two.pt\0.txt",
    "x" * 5000,
    "~/two.pt",
    "file:two.pt",
]


def test_no_other_file_is_opened(root, monkeypatch):
    """Held against what the system is asked to open, not against what is answered."""
    outside = [*OUTSIDE, str(root.parent / "secret" / "secret.safetensors")]
    asked: list[str] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: asked.append(str(path)) or real(path, *rest))
    for name in outside:
        for use in (checkpoint_folder.weights_of, lambda name: checkpoint_folder.opened(name).__enter__()):
            with pytest.raises(WeightsError, match=r"^There is no checkpoint .* on this server") as caught:
                use(name)
            assert str(caught.value).isprintable()
    assert asked == []
    # an absolute name of a file that is in the folder is that file, and names it no other way
    with checkpoint_folder.opened("two.pt"):
        assert asked == [str(root / "two.pt")]


def test_a_link_that_takes_the_place_of_a_file_is_not_followed(root, monkeypatch):
    """Between the look and the opening."""
    found = checkpoint_folder._path("two.pt")
    (root / "two.pt").unlink()
    (root / "two.pt").symlink_to(root.parent / "secret" / "secret.safetensors")
    monkeypatch.setattr(checkpoint_folder, "_path", lambda name: found)
    with pytest.raises(WeightsError, match="cannot be read"), checkpoint_folder.opened("two.pt"):
        pass


@pytest.mark.parametrize("setting", ["", "  ", "/nowhere/at/all", "README.md"])
def test_without_a_folder_there_is_nothing(monkeypatch, setting):
    monkeypatch.setenv("EXPLORER_CHECKPOINTS", setting)
    assert checkpoint_folder.folder() is None
    assert checkpoint_folder.names() == ()
    with pytest.raises(WeightsError, match="There is no checkpoint"), checkpoint_folder.opened("two.pt"):
        pass


def test_a_file_that_is_written_anew_is_another(root):
    before = checkpoint_folder.weights_of("two.pt")
    assert checkpoint_folder.weights_of("two.pt") == before
    torch.save({**STATE, "b": torch.zeros(4)}, root / "new.pt")
    os.replace(root / "new.pt", root / "two.pt")
    assert checkpoint_folder.weights_of("two.pt") != before
    assert before.label == "checkpoint: two.pt"


def test_weights_are_found_again_by_what_tells_them_from_others(root):
    long = f"{'deep/' * 30}one.safetensors"  # of which less is shown
    (root / long).parent.mkdir(parents=True)
    save_file(STATE, root / long)
    for name in (long, "two.pt", "digits/one.safetensors"):
        assert checkpoint_folder.name_of(checkpoint_folder.weights_of(name)) == name
    chosen = checkpoint_folder.weights_of("two.pt")
    os.utime(root / "two.pt", (0, 0))
    with pytest.raises(WeightsError, match=r"^two\.pt was written anew since it was chosen; choose it again\.$"):
        checkpoint_folder.name_of(chosen)
    (root / "two.pt").unlink()
    with pytest.raises(WeightsError, match=r"There is no checkpoint 'two\.pt'"):
        checkpoint_folder.name_of(chosen)


def test_a_file_that_is_cut_short_meanwhile_ends_nothing(root):
    save_file({"a": torch.ones(1_000_000)}, root / "large.safetensors")
    with checkpoint_folder.opened("large.safetensors") as data:
        os.truncate(root / "large.safetensors", 5000)
        with pytest.raises(WeightsError, match="was cut short while it was read"):
            read_checkpoint(data, "large.safetensors", {"a": torch.empty(1_000_000)})


def test_a_slice_of_a_file_is_the_slice_of_its_bytes(root):
    data = (root / "two.pt").read_bytes()
    with checkpoint_folder.opened("two.pt") as file:
        assert isinstance(file, OnDisk)
        for part in (slice(None), slice(3, 10), slice(10, 3), slice(-5, None), slice(5, 10**9)):
            assert bytes(file[part]) == data[part]
            assert bytes(file[7:90][part]) == data[7:90][part]


MEASURE = """
    import sys
    from pathlib import Path
    import torch
    from explorer.families import PRESETS, plan
    from explorer.running import checkpoint_folder, weights
    from explorer.running.network import blank

    def peak():
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    network = blank(plan(PRESETS["resnet50"]))
    expected = network.state_dict()
    torch.zeros(1).isfinite().all()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = peak()
    with checkpoint_folder.opened("large.pt") as data:
        weights.check_checkpoint(data, "large.pt", expected)
    checked = peak() - before
    with checkpoint_folder.opened("large.pt") as data:
        weights.load(network, weights.read_checkpoint(data, "large.pt", expected), take=True)
    assert not any(value.is_meta for value in network.state_dict().values())
    print(checked, peak() - before)
"""


def test_a_large_file_is_held_once(root):
    """97.8 MiB of ResNet-50; the largest of its tensors has 9 MiB."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("peak memory is read from Linux's /proc")
    from explorer.families import PRESETS, plan
    from explorer.running.network import build

    torch.save(build(plan(PRESETS["resnet50"])).state_dict(), root / "large.pt")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE)],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    checked, held = map(float, done.stdout.split())
    assert checked < 32  # a tensor, its absolute values and which of them are finite, and what else the reader needs
    assert 90 < held < 125
