"""server.py as `make run` starts it: who can reach it, and what it forbids browsers."""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from served import accepts, free_port, listens_at, own_addresses, wait_until_healthy
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

import server

ROOT = Path(__file__).parents[1]
SETTING = "STREAMLIT_SERVER_ADDRESS"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Of two servers: as `make run` starts them, and opened by the setting."""
    folder, bin = tmp_path_factory.mktemp("log"), Path(sys.executable).parent
    started = []
    try:
        for setting in ({}, {SETTING: "0.0.0.0"}):
            # what is installed is the test's environment, so the step before is done
            port, log = free_port(), folder / f"log{len(started)}"
            command = ["make", "-o", ".venv/run.stamp", "run", f"BIN={bin}", f"PORT={port}"]
            given = {name: value for name, value in os.environ.items() if name != SETTING}
            with log.open("w") as output:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=given | setting | {"STREAMLIT_SERVER_HEADLESS": "true"},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append((process, port, log))
        for process, port, log in started:
            wait_until_healthy(process, port, log)
        yield started[0][1], started[1][1]
    finally:
        for process, _, _ in started:
            os.killpg(process.pid, signal.SIGTERM)  # make, and what it has started
            process.wait(30)


def test_nobody_on_another_machine_reaches_it(ports):
    assert listens_at(ports[0]) == {"127.0.0.1"}
    assert [address for address in own_addresses() if accepts(address, ports[0])] == []


def test_the_setting_opens_it(ports):
    assert listens_at(ports[1]) <= {"0.0.0.0", "::"}
    addresses = ["127.0.0.1", *own_addresses()]
    assert [address for address in addresses if not accepts(address, ports[1])] == []
    # the page's script runs for who comes by such an address: a browser says by which, and the server must agree
    for address in addresses:
        origin = f"http://{address}:{ports[1]}"
        with connect(f"ws{origin[4:]}/_stcore/stream", subprotocols=["streamlit"], origin=origin, max_size=None) as one:
            request = BackMsg()
            request.rerun_script.query_string = ""
            one.send(request.SerializeToString())
            message = ForwardMsg()
            message.ParseFromString(one.recv(timeout=60))


@pytest.mark.parametrize("path", ["", "feature-maps", "_stcore/health", "static/nothing.js"])
def test_every_answer_forbids_other_hosts(ports, path):
    try:
        with urlopen(f"http://127.0.0.1:{ports[0]}/{path}", timeout=30) as answer:
            headers = answer.headers
    except OSError as refused:  # of a file that is not there
        headers = refused.headers
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'self'"
    allowed = {source for sources in rules.values() for source in sources.split()}
    assert {source for source in allowed if not source.startswith("'")} == {"data:", "blob:"}  # no host, no scheme
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "'unsafe-eval'" not in rules["script-src"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_scripts_in_the_page_are_allowed_by_their_hash():
    # the standard's own example, https://www.w3.org/TR/CSP2/#script-src-hash-usage
    page = "<script>alert('Hello, world.');</script><script src='x.js'></script>"
    digest = "qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
    assert f"script-src 'self' 'sha256-{digest}';" in server.content_security_policy(page)


def test_readme_says_where_it_listens():
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        address = tomllib.load(file)["server"]["address"]
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{SETTING}`")]
    assert row.endswith(f"| `{address}`, this machine alone |")
