"""`make serve`: servers behind HAProxy. A visitor stays with one of them, and goes on with another when it dies."""

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect
from served import accepts, listens_at, own_addresses, wait_until_healthy
from visitor import photo

from benchmarks.visitor import Visitor, cookies_set
from deploy import serve
from explorer.counting import budget
from explorer.families import PRESETS, plan

ROOT = Path(__file__).parents[1]
COOKIE = "explorer_server"
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "STREAMLIT_SERVER"))}


class Served(NamedTuple):
    port: int
    process: psutil.Process  # make's
    first: tuple[int, str]  # status and text of the answer before any server was there

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def servers(self) -> dict[str, psutil.Process]:
        """By their ports, which are what the cookie says."""
        below = [(one, " ".join(one.cmdline())) for one in self.process.children(recursive=True)]
        found = ((one, re.search(r"--server\.port=(\d+)", words)) for one, words in below)
        return {port[1]: one for one, port in found if port}


def ports_in_a_row(count: int) -> int:
    """The first of them; any that are free, below those that the system gives to connections."""
    while True:
        first = random.randrange(20_000, 30_000)
        with suppress(serve.Refused):
            for port in range(first, first + count):
                serve.check_free("127.0.0.1", port)
            return first


def answer(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    found = connection.getresponse()
    text = found.read().decode()
    connection.close()
    return found.status, text, {name.lower(): value for name, value in found.getheaders()}


def cookies_of(port: int) -> dict[str, str]:
    """That a visitor gets who comes without any."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/_stcore/health")
    headers = connection.getresponse().msg.get_all("Set-Cookie") or []
    connection.close()
    (ours,) = (header for header in headers if header.startswith(COOKIE))
    assert {"httponly", "samesite=lax"} <= {word.strip().lower() for word in ours.split(";")}
    return cookies_set(headers)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two servers; at the end a Ctrl-C, after which no process may be left."""
    port, log = ports_in_a_row(3), tmp_path_factory.mktemp("log") / "log"
    bin = Path(sys.executable).parent  # what is installed is the test's environment, so the step before is done
    command = ["make", "-o", ".venv/serve.stamp", "serve", f"BIN={bin}", f"PORT={port}", "WORKERS=2"]
    with log.open("w") as output:
        process = psutil.Popen(
            command, cwd=ROOT, env=OUTSIDE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    below = [process]
    try:
        deadline = time.monotonic() + 30
        while not accepts("127.0.0.1", port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        first = answer(port, "GET", "/")[:2]
        for each in (port, port + 1, port + 2):
            wait_until_healthy(process, each, log)
        found = Served(port, process, first)
        while {cookies_of(port)[COOKIE] for _ in range(2)} < found.servers().keys():  # until HAProxy knows of both
            time.sleep(0.1)
        yield found
    finally:
        if process.poll() is None:
            below += process.children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, left = psutil.wait_procs(below, 20)
    assert left == []


# ---- what it is started with ----


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("stats", ["", "8699"])
def test_haproxy_takes_its_configuration(tmp_path, servers, stats):
    asked = serve.asked({"WORKERS": str(servers), "PORT": "8690", "STATS_PORT": stats})
    given = serve.variables(asked, tmp_path, serve.haproxy(), OUTSIDE | {"STATS_PORT": stats})
    (tmp_path / "haproxy.cfg").write_text(serve.configuration(asked))
    checked = subprocess.run([serve.haproxy(), "-c", "-f", tmp_path / "haproxy.cfg"], env=given, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert (tmp_path / "haproxy.cfg").read_text().count("    server ") == servers


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"WORKERS": "abc"}, "WORKERS=abc"),
        ({"WORKERS": "0"}, "WORKERS=0"),
        ({"WORKERS": "1000"}, "WORKERS=1000"),
        ({"WORKERS": "²"}, "WORKERS=²"),
        ({"PORT": "-1"}, "PORT=-1"),
        ({"PORT": "65535"}, "PORT=65535"),
        ({"STATS_PORT": "x"}, "STATS_PORT=x"),
        ({"EXPLORER_MAX_MEMORY": "lots"}, "EXPLORER_MAX_MEMORY='lots'"),
        ({"EXPLORER_MAX_UPLOADS": "lots"}, "EXPLORER_MAX_UPLOADS='lots'"),
        ({"STREAMLIT_SERVER_ADDRESS": "192.0.2.1"}, "192.0.2.1"),  # of documentation, RFC 5737
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(monkeypatch, capsys, settings, words):
    assert words in refusal(monkeypatch, capsys, {"WORKERS": "2", "PORT": str(ports_in_a_row(3))} | settings)


@pytest.mark.parametrize("taken", [0, 2])
def test_a_port_that_is_taken_is_named(monkeypatch, capsys, taken):
    port = ports_in_a_row(3)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + taken))
        other.listen()
        assert f"Port {port + taken} is in use" in refusal(monkeypatch, capsys, {"WORKERS": "2", "PORT": str(port)})


def test_the_package_that_is_missing_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(serve, "PLACES", str(tmp_path))
    assert "apt-get install haproxy" in refusal(monkeypatch, capsys, {"PATH": str(tmp_path)})


def refusal(monkeypatch, capsys, settings: dict[str, str]) -> str:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert serve.main() == 1
    said = capsys.readouterr()
    (sentence,) = (said.out + said.err).splitlines()
    assert sentence.endswith(".")
    return sentence


def test_each_server_has_its_part_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for address, training in (("127.0.0.1", "mine"), ("0.0.0.0", "shared")):
        asked = serve.asked({"WORKERS": "3", "STREAMLIT_SERVER_ADDRESS": address})
        given = serve.variables(asked, tmp_path, "haproxy", {})
        # on a machine that others reach, each sees their own runs, although each server listens to this one alone
        assert (given["OMP_NUM_THREADS"], given["EXPLORER_TRAINING"]) == ("2", training)
        chosen = serve.variables(asked, tmp_path, "haproxy", {"OMP_NUM_THREADS": "5", "EXPLORER_TRAINING": "off"})
        assert (chosen["OMP_NUM_THREADS"], chosen["EXPLORER_TRAINING"]) == ("5", "off")
    monkeypatch.setenv("EXPLORER_SERVERS", given["EXPLORER_SERVERS"])
    monkeypatch.setattr(budget, "free_memory", lambda: 24 * 10**9)
    assert budget.limits().memory == 4 * 10**9  # a third of a half
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "6GB")
    assert budget.limits().memory == 2 * 10**9


# ---- as visitors find it ----


def test_before_a_server_is_there_the_page_says_so_and_loads_itself_anew(served):
    status, text = served.first
    assert status == 503
    assert 'http-equiv="refresh"' in text
    assert "The explorer is starting" in text


def test_visitors_are_spread_and_each_stays_where_their_files_are(served):
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        new = [Visitor(served.address, {"network": "resnet20_cifar"}) for _ in range(4)]
        # at once: what a server imports late must not fail for anybody
        visitors = list(pool.map(stack.enter_context, new))
        cookies = {one.cookies[COOKIE] for one in visitors}
        assert cookies == set(served.servers())
        one = visitors[0]
        (other,) = cookies - {one.cookies[COOKIE]}
        with Visitor(served.address, cookies=one.cookies) as again:
            assert again.cookies == one.cookies
        # a file goes to a session, which one server alone knows
        assert uploaded(served.port, one.talk.session, one.cookies[COOKIE]) == 204
        assert uploaded(served.port, one.talk.session, other) == 400


def uploaded(port: int, session: str, server: str) -> int:
    token = cookies_of(port)["_streamlit_xsrf"]
    return answer(
        port,
        "PUT",
        f"/_stcore/upload_file/{session}/a",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + photo() + b"\r\n--x--\r\n",
        Content_Type="multipart/form-data; boundary=x",
        Cookie=f"_streamlit_xsrf={token}; {COOKIE}={server}",
        X_Xsrftoken=token,
    )[0]


@pytest.mark.parametrize("path", ["/", "/feature-maps", "/_stcore/health"])
def test_answers_carry_the_servers_policy(served, path):
    status, _, headers = answer(served.port, "GET", path)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_nobody_on_another_machine_reaches_it(served):
    for port in (served.port, *map(int, served.servers())):
        assert listens_at(port) == {"127.0.0.1"}
        assert not any(accepts(address, port) for address in own_addresses())


def test_where_a_server_dies_its_visitor_goes_on_with_another_and_it_is_replaced(served):
    with Visitor(served.address, {"network": "densenet121"}) as visitor:
        visitor.set("densenet.growth_rate", 24)
        died = visitor.cookies[COOKIE]
        (goes_on,) = served.servers().keys() - {died}
        kill(served, died)
    with Visitor(served.address, visitor.query, cookies=visitor.cookies) as visitor:
        assert visitor.cookies[COOKIE] == goes_on
        visitor.set("densenet.blocks.2", 20)
    expected = plan(PRESETS["densenet121"].replace(growth_rate=24, blocks=(6, 12, 20, 16)))
    assert parse_qs(visitor.query) == {"network": ["densenet121"], "growth_rate": ["24"], "blocks": ["6-12-20-16"]}
    costs = visitor.text("class='costs'")
    assert f"<b>{expected.params:,}</b>" in costs
    assert f"<b>{expected.macs:,}</b>" in costs
    deadline = time.monotonic() + 60
    while not (accepts("127.0.0.1", int(died)) and answer(int(died), "GET", "/_stcore/health")[1] == "ok"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill(served: Served, port: str) -> None:
    process = served.servers()[port]
    process.kill()
    process.wait(10)


@pytest.mark.browser
def test_a_page_comes_back_by_itself_with_its_picture_when_its_server_dies(served, browser: Browser):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(f"{served.address}/feature-maps?network=resnet20_cifar")
    settled(page)
    page.get_by_role("slider", name="Width").press("ArrowRight")
    expect(page).to_have_url(re.compile(r"width=20"))
    settled(page)
    picture = {"name": "mine.png", "mimeType": "image/png", "buffer": photo()}
    page.locator("[data-testid=stMain] [data-testid=stFileUploader] input[type=file]").set_input_files(picture)
    expect(page.get_by_role("combobox", name="Picture")).to_have_value(re.compile("mine"))
    settled(page)
    died = server_of(page)
    kill(served, died)
    expect(page.get_by_role("slider", name="Width")).to_be_disabled()
    expect(page.get_by_role("slider", name="Width")).to_be_enabled()
    settled(page)
    assert server_of(page) != died
    expect(page).to_have_url(re.compile(r"network=resnet20_cifar&width=20"))
    expect(page.get_by_role("slider", name="Width")).to_have_value("20")
    expect(page.get_by_role("combobox", name="Picture")).to_have_value(re.compile("mine"))  # servers share what is sent
    page.close()


def server_of(page: Page) -> str:
    return {one["name"]: one["value"] for one in page.context.cookies()}[COOKIE]


def settled(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    expect(page.locator("h1").first).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
