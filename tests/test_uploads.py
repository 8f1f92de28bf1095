"""What visitors may send, tried on a real server by its own upload endpoint; and what becomes of it."""

import asyncio
import hashlib
import http.client
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from served import free_port, wait_until_healthy
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from visitor import FEATURE_MAPS, checkpoint, fine, messages, opened
from websockets.sync.client import connect

from controls import uploads
from controls.kept_files import DIGEST
from explorer.families import FAMILIES, plan

ROOT = Path(__file__).parents[1]
MB = 2**20
OF_ALL, OF_ONE, LARGEST = 336, 288, 48  # MB: what the server below takes; twelve pictures of 20 MB, and one file
# server.py, with less patience for visitors who have gone
IMPATIENT = """
from functools import partial
import server
from streamlit.web import cli
server.free_closed_sessions = partial(server.free_closed_sessions, patience=1.0, pause=0.5)
cli.main()
"""
WHOLE = bytes(LARGEST * MB - 1024)  # a file of the largest size, as the limit counts what is around it

OPENED = "A network's configuration (JSON) or a checkpoint"


class Tab:
    """A browser's tab, as far as uploads go."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.leave = ExitStack()
        address = f"ws://127.0.0.1:{port}/_stcore/stream"
        self.socket = self.leave.enter_context(
            connect(address, subprotocols=["streamlit"], max_size=None, close_timeout=1)
        )
        self.run()
        self.session = self.messages("new_session")[-1].new_session.initialize.session_id
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/_stcore/health")
        self.token = re.search(r"_streamlit_xsrf=([^;]+)", str(connection.getresponse().headers))[1]
        connection.close()

    def run(self, **files: str) -> None:
        """Have the page run, with these files in its uploaders: file ids by the ends of the uploaders' ids."""
        request = BackMsg()
        request.rerun_script.query_string = "network=resnet20_cifar"
        for uploader, name in files.items():
            state = request.rerun_script.widget_states.widgets.add(id=uploader)
            state.file_uploader_state_value.uploaded_file_info.add(file_id=name, name=name, size=1)
        self.socket.send(request.SerializeToString())

    def messages(self, last: str) -> list[ForwardMsg]:
        """What the server says, up to a message of this type."""
        found: list[ForwardMsg] = []
        while not found or found[-1].WhichOneof("type") != last:
            message = ForwardMsg()
            message.ParseFromString(self.socket.recv(timeout=60))
            found.append(message)
        return found

    def send(self, name: str, data: bytes, chunked: bool = False) -> tuple[int, str]:
        """Status and text of the answer to an upload."""
        head = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        body = head + data + b"\r\n--x--\r\n"
        headers = {
            "Content-Type": "multipart/form-data; boundary=x",
            "Cookie": f"_streamlit_xsrf={self.token}",
            "X-Xsrftoken": self.token,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        path = f"/_stcore/upload_file/{self.session}/{name}"
        parts = (body[start : start + MB] for start in range(0, len(body), MB))
        connection.request("PUT", path, parts if chunked else body, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def remove(self, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Cookie": f"_streamlit_xsrf={self.token}", "X-Xsrftoken": self.token}
        connection.request("DELETE", f"/_stcore/upload_file/{self.session}/{name}", headers=headers)
        assert connection.getresponse().status == 204
        connection.close()

    def fill(self, most: int) -> tuple[int, int, str]:
        """Files of the largest size until one is refused: how many were taken, and the refusal."""
        for count in range(most):
            status, text = self.send(f"f{count}", WHOLE)
            if status != 204:
                return count, status, text
        return most, 204, ""


class Server(NamedTuple):
    port: int
    process: psutil.Process
    folder: Path

    @property
    def contents(self) -> set[str]:
        """What it keeps on disk, by digest."""
        return {path.name for path in self.folder.iterdir() if DIGEST.fullmatch(path.name)}

    @property
    def memory(self) -> float:
        """MB that it has in use."""
        return self.process.memory_info().rss / MB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, place = free_port(), tmp_path_factory.mktemp("server")
    command = [sys.executable, "-c", IMPATIENT, "run", "server.py", f"--server.port={port}"]
    with (place / "log").open("w") as output:
        process = subprocess.Popen(
            [*command, "--server.headless=true", f"--server.maxUploadSize={LARGEST}"],
            cwd=ROOT,
            env=os.environ | {"EXPLORER_MAX_UPLOADS": f"{OF_ALL * MB}", "EXPLORER_UPLOADS": str(place / "uploads")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_healthy(process, port, place / "log")
        yield Server(port, psutil.Process(process.pid), place / "uploads")
    finally:
        process.terminate()
        process.wait(20)


def wait_until(holds: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


def test_a_file_that_is_taken_lies_on_disk_and_no_longer_in_memory(server):
    tab, data = Tab(server.port), checkpoint("resnet18", 1)  # 47 MB
    uploader = next(
        one.delta.new_element.file_uploader.id
        for one in tab.messages("script_finished")
        if one.delta.new_element.file_uploader.label == OPENED
    )

    def take(stem: str, data: bytes) -> str:
        name = f"{stem}.safetensors"
        assert tab.send(name, data)[0] == 204
        tab.run(**{uploader: name})
        said = [one.delta.new_element.markdown.body for one in tab.messages("script_finished")]
        return next(body for body in said if body.startswith(f":material/check: {stem}\\."))

    take("small", checkpoint("resnet20_cifar", 1))  # which loads all that opening a file needs
    tab.remove("small.safetensors")  # as a browser does where another takes its place
    before = server.memory
    assert "ResNet\\-18" in take("large", data)
    wait_until(lambda: server.memory < before + 15, "the memory of a file that was taken is not freed")
    assert server.contents == {hashlib.sha256(data).hexdigest()}  # the small one is gone with its name
    # it counts as before
    assert tab.fill(200)[0] == (OF_ONE * MB - len(data)) // len(WHOLE)
    tab.remove("large.safetensors")
    assert server.contents == set()
    tab.leave.close()
    wait_until(lambda: server.memory < before + 15, "the memory of a session that is gone is not freed")


def test_one_visitor_and_all_together_send_no_more_than_the_limits_and_it_is_freed_when_they_go(server):
    greedy, other = Tab(server.port), Tab(server.port)
    greedy.messages("script_finished")
    before = server.memory

    count, status, text = greedy.fill(200)
    assert (count * LARGEST, status) == (OF_ONE, 413)
    assert text.startswith(f"A file was not taken: all files of one visitor may have {OF_ONE} MB together.")
    # which the page says too, at once, without a click
    said = [one.delta.new_element.alert.body for one in greedy.messages("script_finished")]
    assert sum("all files of one visitor may have" in body for body in said) == 1

    count, status, text = other.fill(200)
    assert (count * LARGEST, status) == (OF_ALL - OF_ONE, 413)
    assert text.startswith(f"A file was not taken: the files of all visitors may have {OF_ALL} MB together")
    # a length that is not declared changes nothing
    assert other.send("more", WHOLE, chunked=True)[0] == 413
    held = server.memory
    assert held - before < 1.2 * OF_ALL

    greedy.leave.close()
    other.leave.close()
    wait_until(lambda: server.memory < held - 0.8 * OF_ALL, "the memory of sessions that are gone is not freed")
    late = Tab(server.port)
    assert late.send("again", bytes(MB))[0] == 204
    late.leave.close()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(server):
    tab = Tab(server.port)
    assert tab.send("large", bytes(LARGEST * MB + 1))[0] == 413
    assert tab.send("large", bytes((LARGEST + 2) * MB), chunked=True)[0] == 413
    tab.leave.close()


def test_a_million_empty_files_are_not_for_free(server):
    # 288 MB at 64 kB each are 4,608; tried on what counts them
    assert OF_ONE * MB // uploads.EACH == 4608


def test_after_a_machine_has_slept_every_process_says_first_what_its_pages_have(monkeypatch):
    said, naps, now = [], [5.0, 7200.0, 5.0], [0.0]

    async def sleep(_: float) -> None:
        if not naps:
            raise asyncio.CancelledError
        now[0] += naps.pop(0)

    monkeypatch.setattr(uploads.asyncio, "sleep", sleep)
    monkeypatch.setattr(uploads.time, "time", lambda: now[0])
    monkeypatch.setattr(uploads, "get_instance", lambda: None)
    monkeypatch.setattr(uploads, "_open_sessions", set)
    monkeypatch.setattr(uploads.kept, "hold", lambda _: said.append("hold"))
    monkeypatch.setattr(uploads.kept, "expire", lambda: said.append("expire"))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(uploads.free_closed_sessions())
    assert said == ["hold", "expire", "hold", "hold", "expire"]


def test_every_preset_fits():
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        largest = tomllib.load(file)["server"]["maxUploadSize"] * MB
    for family in FAMILIES.values():
        for name, preset in family.presets.items():
            # parameters and a norm's statistics in float32; the rest are names
            assert 4 * plan(preset.config).params * 1.01 < largest, name


# --- what a page makes of files that are not there


@pytest.fixture
def page(navigation):
    return opened(FEATURE_MAPS, network="resnet20_cifar")


def with_unknown_file(app, label):
    """The session after a browser has claimed a file that it never sent."""
    box = next(box for box in app.file_uploader if box.label == label)
    claimed = FileUploaderState()
    claimed.uploaded_file_info.add(file_id="never-sent", name="x.png", size=3)
    states = app._tree.get_widget_states()
    (state,) = [one for one in states.widgets if one.id == box.proto.id] or [states.widgets.add(id=box.proto.id)]
    state.file_uploader_state_value.CopyFrom(claimed)
    return fine(app._run(states))


def test_a_picture_that_was_never_sent(page):
    (sentence,) = messages(with_unknown_file(page, "Your own pictures"))
    assert sentence == "A picture did not reach the server, or was removed from it: send it again."


def test_a_checkpoint_that_was_never_sent(page):
    (sentence,) = messages(with_unknown_file(page, OPENED))
    assert sentence == "The file did not reach the server: send it again."


def test_uploaders_show_their_limits(page):
    shown = {box.label: box.proto.max_upload_size_mb for box in page.file_uploader}
    assert (shown[OPENED], shown["Your own pictures"]) == (uploads.largest_file(), 20)
