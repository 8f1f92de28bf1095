"""Uploads that links name: found by their name alone, by every process, for a while after their pages were closed."""

import errno
import hashlib
import json
import math
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import local_script_runner
from visitor import FEATURE_MAPS, captions, config, fine, link, messages, opened, photo, upload, went
from visitor import checkpoint as checkpoint_file

from controls import kept, kept_files
from controls.kept import Kept, KeptError
from controls.kept_files import LOCK
from controls.services import checkpoints
from explorer.pictures.preparation import Preparation
from explorer.running import weights
from explorer.running.card import Card
from explorer.running.weights import WeightsError

ROOT = Path(__file__).parents[1]
SMALL = "resnet20_cifar"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty one; nothing is remembered of others."""
    monkeypatch.setenv("EXPLORER_UPLOADS", str(tmp_path / "uploads"))
    monkeypatch.setattr(kept, "_uses", {})
    monkeypatch.setattr(kept, "_sent", {})
    return tmp_path / "uploads"


# --- a page that is loaded anew


def sent(app, data):
    box = next(box for box in app.file_uploader if box.label == "Your own pictures")
    box.set_value(("holiday.png", data, "image/png")).run()
    return fine(app)


@pytest.mark.usefixtures("navigation")
def test_a_link_finds_the_picture_as_long_as_the_server_has_it():
    app = sent(opened(FEATURE_MAPS, network=SMALL), photo())
    (picture,) = app.session_state.visitor.pictures.values()
    named = link(app)["picture"]
    assert kept.NAME.fullmatch(named)
    again = opened(FEATURE_MAPS, **link(app))
    assert messages(again) == []
    assert again.selectbox(key="link.picture").value == named
    assert again.session_state.visitor.pictures == {named: picture}
    assert link(again) == link(app)
    # another visitor's page has none of it
    assert "holiday.png" not in opened(FEATURE_MAPS, network=SMALL).selectbox(key="link.picture").options
    kept.forget(named)
    late = opened(FEATURE_MAPS, **link(app))
    assert messages(late) == ["The picture of this link is no longer on the server; upload it again."]
    assert late.selectbox(key="link.picture").value == "shapes.3"


@pytest.mark.usefixtures("navigation")
def test_a_link_finds_the_checkpoint_with_what_was_said_of_it():
    app = upload(opened(FEATURE_MAPS, network="plain20_cifar"), "mine.safetensors", checkpoint_file("plain20_cifar", 5))
    undescribed = link(app)
    (mean, std) = (
        next(box for box in app.text_input if box.label == label) for label in ("Mean", "Standard deviation")
    )
    mean.set_value("0.25")
    std.set_value("0.5")
    next(button for button in app.sidebar.button if button.label == "Use").click().run()
    assert link(fine(app))["weights"] != undescribed["weights"]
    again = opened(FEATURE_MAPS, **link(app))
    assert messages(again) == []
    assert "mean 0.25" in captions(again)
    # the link that was given on before stays what it was
    assert "mean 0.25" not in captions(opened(FEATURE_MAPS, **undescribed))
    went(again, network="plain20_cifar")
    assert "uploaded: mine.safetensors" not in captions(again)
    went(again, **link(app))
    assert "uploaded: mine.safetensors" in captions(again)
    kept.forget(link(app)["weights"])
    late = opened(**link(app))
    assert messages(late)[0] == "The checkpoint of this link is no longer on the server; upload it again."


def claiming(app, **ids):
    """The session after its browser has said that files of these ids are in the uploaders of these keys."""
    states = app._tree.get_widget_states()
    for key, file_id in ids.items():
        (box,) = (box for box in app.file_uploader if box.proto.id.endswith(key.replace("_", ".")))
        (state,) = [one for one in states.widgets if one.id == box.proto.id] or [states.widgets.add(id=box.proto.id)]
        claimed = FileUploaderState()
        claimed.uploaded_file_info.add(file_id=file_id, name="mine.safetensors", size=3)
        state.file_uploader_state_value.CopyFrom(claimed)
    return fine(app._run(states))


@pytest.mark.usefixtures("navigation")
def test_a_page_that_a_new_server_has_taken_over_goes_on_with_its_files_and_removes_them(folder, monkeypatch):
    app = sent(upload(opened(FEATURE_MAPS, network=SMALL), "mine.pt", checkpoint_file(SMALL, 5)), photo())
    checkpoint, (picture,) = (app.session_state[key] for key in ("open.file", "uploads"))
    # neither box holds the bytes any longer, though it shows the file
    assert (checkpoint.getvalue(), picture.getvalue()) == (b"", b"")
    names, ids = {link(app)["weights"], link(app)["picture"]}, (checkpoint.file_id, picture.file_id)
    assert [kept.find(name, "one") for name in names].count(None) == 0
    # to another server the browser says what it shows, and the link says the names
    server = MemoryUploadedFileManager("")
    monkeypatch.setattr(local_script_runner, "MemoryUploadedFileManager", lambda _: server)
    after = opened(FEATURE_MAPS, **link(app))
    for _ in range(2):
        assert messages(claiming(after, open_file=ids[0], uploads=ids[1])) == []
    assert set(after.session_state.visitor.sent) == names
    assert link(after) == link(app)
    # the file is not opened again over what is changed then
    after.slider(key="resnet.width").set_value(17).run()
    assert config(fine(after)).width == 17
    for session, files in list(server.file_storage.items()):
        for file_id in list(files):
            server.remove_file(session, file_id)
    for box in list(after.file_uploader):
        box.clear()
    after.run()
    assert not [name for name in names if kept.find(name, "one")]
    assert here(folder) == []


@pytest.mark.usefixtures("navigation")
def test_who_has_the_link_alone_cannot_remove_the_file():
    app = upload(opened(FEATURE_MAPS, network=SMALL), "mine.safetensors", checkpoint_file(SMALL, 5))
    (sentence,) = messages(claiming(opened(FEATURE_MAPS, **link(app)), open_file="guessed"))
    assert sentence == "The file did not reach the server: send it again."
    assert kept.find(link(app)["weights"], "one")


# --- what is kept, and for how long


def here(folder):
    """The files in it, without the lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != kept_files.LOCK)


def left(folder, name, seconds):
    """As if no page had touched it for so long; its content neither."""
    found = kept_files.read(folder, name)
    for file in (folder / f"{name}.json", folder / found.digest):
        os.utime(file, (time.time() - seconds,) * 2)
    kept._uses.pop(name, None)


def content(digest):
    with kept.opened(digest) as data:
        return bytes(data)


def test_names_cannot_be_guessed_and_tell_nothing_of_the_file(folder):
    same = [kept.keep("a.png", b"x", "one") for _ in range(200)]
    assert len(set(same)) == 200
    digits = "".join(name.removeprefix("own-") for name in same)
    assert len(digits) == 200 * 80 // 4
    # each of the sixteen about equally often: 250 of 4,000, with a standard deviation of 15
    assert all(170 < digits.count(one) < 330 for one in "0123456789abcdef")


def test_what_two_have_sent_is_one_file_and_goes_with_the_last_name(folder):
    first, second = kept.keep("a.pt", b"the same", "one"), kept.keep("b.pt", b"the same", "two")
    digest = hashlib.sha256(b"the same").hexdigest()
    assert here(folder) == sorted([digest, f"{first}.json", f"{second}.json"])
    assert (kept.find(first, "one").name, kept.find(second, "two").name) == ("a.pt", "b.pt")
    kept.forget(first)
    assert kept.find(first, "one") is None
    assert content(kept.find(second, "two").digest) == b"the same"
    kept.forget(second)
    assert here(folder) == []
    with pytest.raises(KeptError, match="no longer on the server"), kept.opened(digest):
        pass


def test_only_the_servers_account_reads_it(folder):
    kept.say(kept.keep("a.pt", b"x", "one"), Card(classes=("cat",)), "one", own=True)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len(here(folder)) == 3


def test_what_is_said_of_it_comes_back_as_it_was_said(folder):
    card = Card(Preparation(32, 40, (0.1, 1 / 3, 0.5), (0.2, 0.3, 2 / 7), "bicubic"), ("Katze", "Hund 犬"))
    name = kept.keep("mine\ud800.pt", b"x", "one", sent_as="an-id")
    other = kept.say(name, card, "one", own=True)
    assert kept.find(other, "one") == Kept("mine\ud800.pt", hashlib.sha256(b"x").hexdigest(), 1, card, "an-id")
    assert kept.find(name, "one").about is None


def test_a_link_cannot_name_a_path(folder, tmp_path):
    name = kept.keep("a.pt", b"x", "one")
    (tmp_path / "secret").write_bytes(b"secret")
    for wrong in ("../secret", str(tmp_path / "secret"), f"{name}.json", f"{name}\n", f"./{name}", "", "own-", LOCK):
        assert kept.find(wrong, "one") is None
        kept.forget(wrong)
        with pytest.raises(KeptError), kept.opened(wrong):
            pass
    assert kept.find(name, "one")


def test_it_goes_some_time_after_the_last_page_that_had_it_was_closed(folder):
    name = kept.keep("a.png", b"x", "one")
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    kept._uses[name].touched = -math.inf
    kept.hold({"one"})  # still open
    kept.expire()
    assert kept.find(name, "other")
    left(folder, name, kept.KEEP - 60)
    kept.expire()
    assert kept.find(name, "late")
    kept.hold(set())
    left(folder, name, kept.KEEP + 60)
    kept.expire()
    assert kept.find(name, "late") is None
    assert here(folder) == []


def test_what_is_sent_now_is_worth_more_than_what_was_left(folder):
    names = {}
    for place, session in enumerate(("open", "first", "second", "third")):
        names[session] = kept.keep("a", bytes([place]) * 10 * kept.EACH, session)
    again = kept.say(names["open"], Card(classes=("cat",)), "open", own=True)  # the same bytes are counted once
    assert kept.size() == 40 * kept.EACH + kept_files.FURTHER
    assert kept.sent_by("open") == 10 * kept.EACH
    kept.hold({"open"})
    for session, minutes in (("first", 30), ("second", 20), ("third", 10)):
        left(folder, names[session], 60 * minutes)
    kept.make_room(15 * kept.EACH, {"open"})
    assert [session for session in names if kept.find(names[session], "open")] == ["open", "third"]
    assert kept.find(again, "open")
    kept.make_room(10**9, {"open"})  # all that is left is in use
    assert kept.size() == 20 * kept.EACH + kept_files.FURTHER
    # a limit makes room in the same way, and refuses where there is none
    left(folder, names["third"], 600)
    kept.keep("b", b"b" * 15 * kept.EACH, "open", most=30 * kept.EACH)
    assert kept.find(names["third"], "open") is None
    with pytest.raises(KeptError, match=r"^b was not taken: the files of all visitors may have 1 MB together"):
        kept.keep("b", b"c" * 15 * kept.EACH, "open", most=30 * kept.EACH)


# --- what goes wrong


def test_a_full_disk_is_refused_in_a_sentence_and_nothing_stays(folder, monkeypatch):
    name = kept.keep("a.pt", b"x", "one")
    before, limits = here(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(KeptError, match=r"^b\.pt was not taken, since the server's disk is full; try again later"):
            kept.keep("b.pt", bytes(200_000), "one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with monkeypatch.context() as full:  # as it is found out when the last bytes are written
        full.setattr(kept_files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
        with pytest.raises(KeptError, match="disk is full"):
            kept.keep("c.pt", b"other", "one")
    assert here(folder) == before
    assert kept.find(name, "one")


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EXPLORER_UPLOADS", str(tmp_path / "file" / "uploads"))
    with pytest.raises(KeptError, match=r"cannot write its folder of uploads \((Not a directory|File exists)\)\.$"):
        kept.keep("a.pt", b"x", "one")
    assert kept.find(f"own-{20 * '0'}", "one") is None
    assert kept.size() == 0
    kept.forget(f"own-{20 * '0'}")
    kept.make_room(1, set())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", "[" * 100_000, '{"version": 2}', '{"version": 1, "name": "a"}', "\0", " " * 2**21]
    + [
        json.dumps({"version": 1, "name": "a", "digest": digest, "size": 1, "about": about, "sent_as": ""} | other)
        for digest, about, other in (
            ("../secret", None, {}),
            (hashlib.sha256(b"x").hexdigest(), {"mean": [0.5], "std": ["wide"]}, {}),
            (hashlib.sha256(b"x").hexdigest(), None, {"version": 2}),
            (hashlib.sha256(b"x").hexdigest(), None, {"size": "1"}),
            (hashlib.sha256(b"x").hexdigest(), None, {"name": None}),
            (hashlib.sha256(b"x").hexdigest(), None, {"size": 2}),  # a power cut took the rest
        )
    ],
)
def test_a_name_that_is_broken_or_of_another_version_is_gone(folder, text):
    name = kept.keep("a.pt", b"x", "one")
    (folder / f"{name}.json").write_text(text)
    assert kept.find(name, "one") is None
    kept.expire()  # may be another version's, whose page is open
    assert len(here(folder)) == 2
    for path in folder.iterdir():
        os.utime(path, (time.time() - 2 * kept.KEEP,) * 2)
    kept.expire()
    assert here(folder) == []


# --- several processes


class Process:
    """Another one, which evaluates what it is told."""

    PROGRAM = """
import os, sys
from controls import kept

kept.BEAT = 0  # every sign is given

def content(digest):
    with kept.opened(digest) as data:
        return bytes(data)

def dying():
    if child := os.fork():
        return os.waitpid(child, 0)
    os.replace = lambda *_: os._exit(1)
    kept.keep("a.pt", bytes(9), "its own")

for line in sys.stdin:
    print(eval(line), flush=True)
"""

    def __init__(self):
        self.running = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, expression):
        self.tell(expression)
        return self.answer()

    def tell(self, expression):
        self.running.stdin.write(f"{expression}\n")
        self.running.stdin.flush()

    def answer(self):
        return self.running.stdout.readline().strip()


@pytest.fixture(scope="module")
def started():
    other = Process()
    yield other
    other.running.kill()
    other.running.communicate()


@pytest.fixture
def process(started, folder):
    """On the same folder, with no page open."""
    started.ask(f"os.environ.update(EXPLORER_UPLOADS={str(folder)!r}) or kept.hold(set())")
    return started


def test_what_one_process_keeps_another_finds_and_holds(folder, process):
    name = process.ask("kept.keep('a.pt', b'bytes', 'its own')")
    assert process.ask("'streamlit' in sys.modules") == "False"
    found = kept.find(name, "here")
    assert content(found.digest) == b"bytes"
    # its page is open for hours, and ours is closed
    kept.hold(set())
    left(folder, name, 2 * kept.KEEP)
    process.ask("kept.hold({'its own'})")
    kept.expire()
    kept.make_room(10**9, set())
    assert process.ask(f"content({found.digest!r})") == "b'bytes'"
    # it is closed there too, or the process has died
    process.ask("kept.hold(set())")
    left(folder, name, kept.KEEP - 60)
    kept.expire()
    assert kept.find(name, "here")
    kept.hold(set())
    left(folder, name, 2 * kept.KEEP)
    kept.expire()
    assert process.ask(f"kept.find({name!r}, 'its own')") == "None"
    # a name is removed where it was sent, the other's stays
    ours, theirs = kept.keep("a.pt", b"x", "here"), process.ask("kept.keep('b.pt', b'x', 'its own')")
    process.ask(f"kept.forget({theirs!r})")
    assert content(kept.find(ours, "here").digest) == b"x"


def test_what_is_removed_goes_from_all_processes_under_all_its_names(folder, process):
    process.ask("kept.keep('a.pt', b'x', 'its own', 'id of the file')")
    other = kept.keep("a.pt", b"x", "here", "another id")
    (name,) = (path.stem for path in folder.glob("own-*.json") if path.stem != other)
    said = kept.say(name, Card(classes=("cat",)), "of the link", own=False)
    for wrong in ("", "id", "another"):
        kept.remove(wrong)
    assert None not in [kept.find(one, "here") for one in (name, other, said)]
    kept.remove("id of the file")
    assert [bool(kept.find(one, "here")) for one in (name, other, said)] == [False, True, False]
    assert process.ask(f"kept.find({name!r}, 'its own')") == "None"
    kept.remove("another id")
    assert here(folder) == []


def test_two_that_come_and_go_with_the_same_content_never_lose_it(folder, process):
    # what a third has stays there, whatever the two do; each finds what it has just sent
    turn = "kept.forget((name := kept.keep('b', b'same', 'b'))) or kept.find(name, 'b')"
    process.tell(f"[{turn} for _ in range(50)].count(None)")
    for _ in range(50):
        name = kept.keep("a", b"same", "a")
        assert content(kept.find(name, "a").digest) == b"same"
        kept.forget(name)
    assert process.answer() == "50"
    assert here(folder) == []


def test_what_a_process_leaves_that_dies_while_it_writes_is_cleared_away(folder, process):
    # with the bytes written, and no name for them yet; then with the content there, and no name in links
    process.ask("dying()")
    (partial,) = here(folder)
    assert kept.size() == kept.EACH
    digest = hashlib.sha256(b"orphan").hexdigest()
    (folder / digest).write_bytes(b"orphan")
    kept.expire()  # may be about to be named
    assert here(folder) == sorted([partial, digest])
    os.utime(folder / partial, (0, time.time() - 2 * kept.ABANDONED))
    kept.expire()
    assert here(folder) == [digest]
    os.utime(folder / digest, (0, time.time() - 2 * kept.KEEP))
    kept.expire()
    assert here(folder) == []
    assert kept.find(kept.keep("a.pt", bytes(9), "one"), "one")  # its lock died with it


# --- weights by their content


def test_weights_are_opened_by_their_content_without_the_session_that_sent_them(folder):
    data = checkpoint_file("resnet20_cifar", 3)
    name = kept.keep("mine.safetensors", data, "somebody")
    wanted = weights.uploaded(hashlib.sha256(data).hexdigest(), "mine.safetensors")
    with checkpoints.opened(wanted) as file:
        assert bytes(file) == data
    kept.forget(name)
    sentence = r"^mine\.safetensors is no longer there; upload it again\.$"
    with pytest.raises(WeightsError, match=sentence), checkpoints.opened(wanted):
        pass
