"""Runs as directories: which names reach the file system, what a status says of the living and the dead, what spoilt
files show, and what stays where writing fails.
"""

import errno
import json
import os
import platform
import re
import stat
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from filelock import FileLock

from explorer.families import PRESETS
from explorer.learning import runs, trained
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.runs import RunError, Status

JOB = Job(PRESETS["resnet20_cifar"], "digits", Recipe())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The runs' folder, with things beside it that nobody may reach."""
    place = tmp_path / "runs"
    place.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text(JOB.to_json())
    monkeypatch.setenv("EXPLORER_RUNS", str(place))
    return place


def made(folder, words="digits", **fields):
    return runs.create(Job(JOB.config, JOB.data, JOB.recipe, **fields), folder / runs.new_name(words))


def says(path, **fields):
    """A worker's status; by itself one of this process, now."""
    usual = {"state": "training", "heartbeat": time.time(), "pid": os.getpid(), "host": platform.node()}
    (path / runs.STATUS).write_text(json.dumps(usual | fields))


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_are_plain_and_nobody_guesses_them():
    names = {runs.new_name(words) for words in ["ResNet-20 on digits"] * 500}
    assert len(names) == 500
    assert all(runs.NAME.fullmatch(name) and name.startswith("resnet-20-on-digits-") for name in names)
    assert len({name[-1] for name in names}) == 32  # all letters are drawn, also the last
    # 16 letters of 32: 80 bits
    assert all(len(name.rsplit("-", 1)[1]) == 16 for name in names)


@pytest.mark.parametrize(
    "words", ["", "..", "../../etc", "\x00", "日本語", "İstanbul ﬁ Ⅷ", "a" * 1000, "a b " * 1000, ".line", "-", "CON"]
)
def test_any_words_make_a_name(folder, words):
    name = runs.new_name(words)
    assert re.fullmatch("[a-z0-9-]{17,140}", name)
    runs.create(JOB, folder / name)
    assert runs.named(name) == folder / name


GOOD = "digits-" + "a" * 16


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret",
        "../runs/" + GOOD,
        "./" + GOOD,
        GOOD + "/",
        GOOD + "/.",
        GOOD + "/../" + GOOD,
        GOOD + "\n",
        GOOD + "\x00",
        "\x00" + GOOD,
        GOOD.upper(),
        GOOD.replace("d", "ԁ", 1),  # Cyrillic
        GOOD.replace("-", "‐"),  # U+2010
        GOOD.replace("a", "ａ"),  # full width
        "٣" + GOOD,  # a digit of another script
        GOOD[:-1],
        GOOD + "a",
        "a" * 16,
        "-" + "a" * 16,
        GOOD[:-1] + "1",
        ".line",
        ".deleted",
        ".deleted/" + GOOD,
        "~",
        "%2e%2e",
        "x" * 100_000 + "-" + "a" * 16,
        "con",
        "digits\\" + "a" * 16,
    ],
)
def test_no_other_name_reaches_the_file_system(folder, monkeypatch, name):
    for good in (GOOD, ".line", ".deleted"):
        (folder / good).mkdir()
        (folder / good / "config.json").write_text(JOB.to_json())

    def touched(*_, **__):
        raise AssertionError("the file system was asked")

    for function in ("stat", "lstat", "open", "scandir", "readlink"):
        monkeypatch.setattr(os, function, touched)
    with pytest.raises(RunError, match="There is no run") as refusal:
        runs.named(name)
    with pytest.raises(RunError):
        runs.restore(name)
    assert trained.linked(name, JOB.config) is None
    with pytest.raises(AssertionError, match="was asked"):
        runs.named(GOOD)
    monkeypatch.undo()
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("name", ["/etc", "/tmp/" + GOOD])
def test_no_absolute_name(folder, name):
    with pytest.raises(RunError):
        runs.named(name)


def test_links_are_no_runs(folder, tmp_path):
    (folder / GOOD).symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="There is no run"):
        runs.named(GOOD)
    assert runs.all_names() == ()


def test_files_are_no_runs(folder):
    (folder / GOOD).write_text("x")
    with pytest.raises(RunError):
        runs.named(GOOD)
    assert runs.all_names() == ()


def test_the_folder_itself_may_be_a_link(folder, tmp_path, monkeypatch):
    run = made(folder)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "link"))
    assert runs.read(runs.named(run.name)).job == JOB


def test_runs_are_listed_and_nothing_else(folder):
    old, new = made(folder, "old"), made(folder, "new")
    os.utime(old.path / runs.CONFIG, (1, 1))
    for other in (".line", ".deleted", "notes", "x" * 17):
        (folder / other).mkdir()
    assert runs.all_names() == (new.name, old.name)


def test_no_folder_has_no_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "none"))
    assert runs.all_names() == ()
    with pytest.raises(RunError):
        runs.named(GOOD)


# -- new ones ----------------------------------------------------------------------------------------------------------


def test_a_run_is_its_owners_alone(folder):
    run = made(folder)
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert runs.read(run.path).job == JOB


def test_an_empty_directory_may_become_a_run_and_no_other(tmp_path):
    """A scheduler makes the directory of a job before the job."""
    (tmp_path / "empty").mkdir()
    runs.create(JOB, tmp_path / "empty")
    assert runs.read(tmp_path / "empty").job == JOB
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    for place in ("full", "empty"):
        with pytest.raises(RunError, match="is there already"):
            runs.create(JOB, tmp_path / place)
    (tmp_path / "file").write_text("x")
    for place in ("file", "file/below", "x" * 300):
        with pytest.raises(RunError, match="cannot be written there"):
            runs.create(JOB, tmp_path / place)


def test_a_run_has_a_title(folder, tmp_path):
    name = "resnet-20-on-digits-" + "q" * 16
    assert runs.Run(folder / name, JOB).title == "resnet-20-on-digits"
    assert runs.Run(tmp_path / "mine", JOB).title == "mine"
    assert made(folder, title="My run").title == "My run"


def test_a_run_is_renamed(folder):
    run = made(folder)
    runs.rename(run, " Mine\n\u202e " + "x" * 500)
    back = runs.read(run.path)
    assert back.title.startswith("Mine??")
    assert back.title.isprintable()
    assert len(back.title) <= 80
    assert runs.rename(back, "  ").title == "digits"
    assert runs.read(run.path).title == "digits"


# -- status ------------------------------------------------------------------------------------------------------------


def test_a_run_that_nobody_started_is_new(folder):
    assert runs.status(made(folder).path) == Status()


@pytest.mark.parametrize("state", ["waiting", "preparing", "training"])
def test_a_worker_that_lives_is_active(folder, state):
    path = made(folder).path
    says(path, state=state)
    assert runs.status(path).state == state
    assert runs.status(path).active


@pytest.mark.parametrize("state", ["waiting", "preparing", "training"])
def test_a_worker_without_a_heartbeat_has_died(folder, state):
    """On whatever machine, and although some process has its number."""
    path = made(folder).path
    for host in (platform.node(), "another"):
        says(path, state=state, host=host, heartbeat=1000.0)
        assert runs.status(path, now=1005.0).state == state
        died = runs.status(path, now=1000.0 + runs.LONGEST_SILENCE + 0.1)
        assert died.state == "died"
        assert "Resume" in died.message


def test_a_worker_whose_clock_was_set_back_has_not_lived_for_ever(folder):
    path = made(folder).path
    says(path, host="another", heartbeat=time.time() + 3600)
    assert runs.status(path).state == "died"


def test_a_process_that_has_ended_has_died_at_once(folder):
    path = made(folder).path
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        says(path, pid=process.pid)
        assert runs.status(path).state == "training"
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert runs.status(path).state == "died"  # though nobody has taken note of its end
    assert runs.status(path).state == "died"


def test_of_another_machine_only_the_heartbeat_tells(folder):
    path = made(folder).path
    says(path, pid=2**22 + 1, host="another")
    assert runs.status(path).state == "training"


@pytest.mark.parametrize("state", ["finished", "stopped", "diverged", "failed"])
def test_what_has_ended_stays_ended(folder, state):
    path = made(folder).path
    says(path, state=state, heartbeat=0.0, pid=2**22 + 1, message="So it is.")
    found = runs.status(path)
    assert (found.state, found.active, found.message) == (state, False, "So it is.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[1, 2]",
        "null",
        '"training"',
        "[" * 100_000,
        " " * 100_000,
        '{"state": "trainning"}',
        '{"state": ["training"]}',
        '{"state": null}',
        '{"state": "training", "heartbeat": "now"}',
        '{"state": "training", "heartbeat": NaN}',
        '{"state": "training", "heartbeat": Infinity}',
        '{"state": "training", "heartbeat": true}',
        '{"state": "training", "pid": "1"}',
        '{"state": "training", "pid": 1.5}',
        '{"state": "training", "pid": 1' + "0" * 400 + "}",
        '{"state": "training", "steps": {}}',
        '{"state": "finished", "message": 3}',
        '{"state": "finished", "seconds": 1e300}',
    ],
)
def test_a_spoilt_status_is_a_failed_run(folder, text):
    path = made(folder).path
    (path / runs.STATUS).write_text(text)
    found = runs.status(path)
    assert (found.state, found.active) == ("failed", False)
    assert "status.json" in found.message


@pytest.mark.parametrize("pid", [-1, 0, 2**31, 2**40])
def test_a_strange_process_number_is_no_process_of_ours(folder, pid):
    path = made(folder).path
    says(path, pid=pid)
    assert runs.status(path).state in ("died", "training")  # and nothing raised


def test_a_message_is_a_line(folder):
    path = made(folder).path
    says(path, state="failed", message="a\n\u202e\ud800" + "x" * 50_000, strange=1)
    found = runs.status(path)
    assert found.state == "failed"
    assert found.message.isprintable()
    assert len(found.message) <= 1000


# -- tables ------------------------------------------------------------------------------------------------------------

HEAD = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n"


def test_a_line_that_is_half_written_waits(folder):
    """A number that is cut short would be another number."""
    path = made(folder).path
    (path / runs.METRICS).write_text(HEAD + "1,0.1,0.5,0.1,2.3,0.1,,\n2,0.2,1,0.1,2.25,0.1")
    found = runs.metrics(path)
    assert list(found["step"]) == [1]
    assert found["train_loss"].tolist() == [2.3]


def test_tables_are_read_as_pandas_reads_them(folder):
    path = made(folder).path
    text = HEAD + "1,0.1,0.5,0.1,2.3,0.1,,\n2,0.2,1,0.1,inf,0.1,,\n2,0.2,1,0.1,,,1.5,0.5\n"
    (path / runs.METRICS).write_text(text)
    pd.testing.assert_frame_equal(runs.metrics(path), pd.read_csv(path / runs.METRICS))


def test_no_table_is_an_empty_one(folder):
    path = made(folder).path
    for table in (runs.metrics, runs.gradient_norms, runs.update_ratios, runs.predictions):
        assert table(path).empty
    (path / runs.METRICS).write_text(HEAD)
    assert list(runs.metrics(path).columns) == HEAD.strip().split(",")
    assert runs.metrics(path).empty


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n\n",
        b"\x00" * 1000 + b"\n",
        b"\xff\xfe\x00\n1\n",
        b'"\n' * 1000,
        b'step,"epoch\n1,2\n',
        HEAD.encode() + b"x,y,z,,,,,\n",
        HEAD.encode() + b"1," * 5000 + b"\n",
        HEAD.encode() + b"1\n2,2\n" + b"3," * 20 + b"\n",
        b"step\n" + b"9" * 400 + b"\n-1\n1e400\n",
        b"step,step,step\n1,2,3\n",
        b",,,\n1,2,3,4\n",
        b"=cmd()\n1\n",
    ],
)
def test_a_spoilt_table_holds_numbers_or_nothing(folder, data):
    path = made(folder).path
    for file in (runs.METRICS, runs.NORMS, runs.UPDATES, runs.PREDICTIONS):
        (path / file).write_bytes(data)
    for table in (runs.metrics, runs.gradient_norms, runs.update_ratios, runs.predictions):
        found = table(path)
        assert all(dtype.kind in "iuf" for dtype in found.dtypes), found.dtypes


def test_a_table_that_is_too_large_is_not_read(folder):
    path = made(folder).path
    with (path / runs.METRICS).open("wb") as file:
        file.truncate(2**40)  # a terabyte of nothing
    assert runs.metrics(path).empty


def test_bytes_on_disk(folder):
    path = made(folder).path
    before = runs.size(path)
    (path / "more").write_bytes(b"x" * 1234)
    (path / "link").symlink_to("/etc/passwd")
    assert runs.size(path) - before == 1234 + len("/etc/passwd")


# -- putting away ------------------------------------------------------------------------------------------------------


def test_deleted_and_brought_back(folder):
    run = made(folder)
    runs.delete(run.path)
    assert runs.all_names() == ()
    with pytest.raises(RunError):
        runs.named(run.name)
    assert runs.restore(run.name) == run.path
    assert runs.read(runs.named(run.name)).job == JOB
    with pytest.raises(RunError, match="is gone"):
        runs.restore(run.name)


def test_what_is_trained_is_not_deleted(folder):
    run = made(folder)
    says(run.path)
    with pytest.raises(RunError, match="stop it first"):
        runs.delete(run.path)
    # a worker that cannot write for long, and seems to have died, still has the run
    says(run.path, heartbeat=0.0)
    with FileLock(run.path / runs.LOCK), pytest.raises(RunError, match="stop it first"):
        runs.delete(run.path)
    assert run.path.is_dir()
    runs.delete(run.path)
    assert not run.path.exists()


def test_deleted_runs_go_after_a_day(folder):
    old, new = made(folder), made(folder)
    runs.delete(old.path)
    gone = folder / ".deleted" / old.name
    os.utime(gone, (time.time() - 25 * 3600,) * 2)
    runs.delete(new.path)
    assert not gone.exists()
    assert (folder / ".deleted" / new.name).is_dir()


def test_a_run_does_not_come_back_over_another(folder):
    run = made(folder)
    runs.delete(run.path)
    runs.create(JOB, run.path)
    with pytest.raises(RunError):
        runs.restore(run.name)
    with pytest.raises(RunError, match="cannot be put away"):
        runs.delete(run.path)
    assert runs.read(run.path).job == JOB


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasting", [True, False])
@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_old_content_stays_where_writing_fails(tmp_path, monkeypatch, broken, lasting):
    path = tmp_path / "file"
    runs.write_whole(path, b"old", lasting)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    if broken == "fsync" and not lasting:
        runs.write_whole(path, b"new", lasting)
        assert path.read_bytes() == b"new"
        return
    with pytest.raises(OSError, match="No space"):
        runs.write_whole(path, b"new", lasting)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    done = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(stat.S_ISDIR(os.fstat(file).st_mode)), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("renamed"), rename(*names)))
    runs.write_whole(tmp_path / "file", b"new")
    assert done == [False, "renamed", True]  # the file, and last the directory


def test_what_a_killed_worker_was_writing_is_cleared_away(tmp_path):
    for name in (
        "checkpoint.safetensors.1a.partial",
        "status.json.2b.partial",
        "config.json.3c.partial",
        "config.json",
    ):
        (tmp_path / name).write_text("x")
    runs.clear_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json.3c.partial", "config.json"}
