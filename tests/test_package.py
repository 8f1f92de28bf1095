"""The project as `pip install .` gives it: built, installed where nothing else of it is, and used from elsewhere."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement
from published import PUBLISHED
from safetensors import safe_open
from served import free_port, listens_at, wait_until_healthy
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ROOT = Path(__file__).parents[1]
NAME = "skip-connection-explorer"


def pip(*words: str) -> None:
    # no registry: the test must be quick, and what it builds with is in requirements-test.txt
    command = [sys.executable, "-m", "pip", *words, "--no-deps", "--no-index", "--quiet"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ".", "--no-build-isolation", "--wheel-dir", str(folder))
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of the wheel and of what it depends on; the latter's files are the test environment's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    pip("--python", str(program(folder, "python")), "install", str(wheel))
    (packages,) = {found.parent for found in folder.rglob("explorer") if found.is_dir()}
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def program(environment: Path, name: str) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / name


def installed(environment: Path) -> Distribution:
    (packages,) = {found.parent for found in environment.rglob("explorer") if found.is_dir()}
    (found,) = distributions(name=NAME, path=[str(packages)])
    return found


@pytest.fixture
def explorer(environment: Path, tmp_path: Path):
    """Runs the installed command in an empty folder, and gives what it prints."""

    def run(*words: str) -> str:
        command = [program(environment, "explorer"), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=120).stdout

    return run


def test_nothing_but_the_library_is_importable(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert {name.split("/")[0] for name in names} == {"explorer", "skip_connection_explorer-0.1.0.dist-info"}
    assert [name for name in names if "__pycache__" in name or "test" in name] == []
    app = {"app.py", "server.py", "docs/icon.svg", ".streamlit/config.toml", *files("pages"), *files("controls")}
    written = {name for name in names if name.startswith("explorer/")}
    assert written == files("explorer") | {f"explorer/_app/{name}" for name in app}


def files(folder: str) -> set[str]:
    """Below a folder of the repository, without what Python leaves there."""
    found = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def test_its_requirements_are_those_that_make_run_installs(environment):
    found = {Requirement(line) for line in installed(environment).requires or ()}
    assert {one for one in found if not one.marker} == written("requirements.txt")
    of_ray = {Requirement(str(one).partition(";")[0]) for one in found if one.marker}
    assert of_ray == written("requirements-ray.txt")
    assert {str(one.marker) for one in found if one.marker} == {'extra == "ray"'}


def written(file: str) -> set[Requirement]:
    return {Requirement(line) for line in (ROOT / file).read_text().splitlines() if line}


def test_it_counts_and_says_what_it_is_called(explorer):
    assert f"{int(PUBLISHED['resnet18']['params']):,}" in explorer("count", "resnet18")
    assert "\n    explorer count NAME" in explorer()


def test_it_exports_the_weights_that_it_counts(explorer, tmp_path):
    explorer("export", "resnet20_cifar", "--format", "safetensors", "--output", "network.safetensors")
    with safe_open(tmp_path / "network.safetensors", "pt") as weights:
        tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    learned = [value.numel() for name, value in tensors.items() if not name.endswith(("_mean", "_var", "_tracked"))]
    assert sum(learned) == int(PUBLISHED["resnet20_cifar"]["params"])


@pytest.fixture(scope="module")
def port(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of the app, started in an empty folder."""
    number = free_port()
    command = [program(environment, "explorer"), "app", f"--port={number}", "--server.headless=true"]
    log = tmp_path_factory.mktemp("log") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_healthy(process, number, log)
        yield number
    finally:
        process.terminate()
        process.wait(30)


def test_it_serves_the_page(port):
    with urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        assert answer.status == 200
        assert b'<div id="root">' in answer.read()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_nobody_on_another_machine_reaches_it(port):
    assert listens_at(port) == {"127.0.0.1"}


def test_the_page_is_the_apps_with_its_settings(port):
    """As a browser asks for it: a web socket, one request to run the page, and its messages to the end."""
    messages = []
    with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as server:
        request = BackMsg()
        request.rerun_script.query_string = "network=densenet121"
        server.send(request.SerializeToString())
        while not messages or messages[-1].WhichOneof("type") != "script_finished":
            message = ForwardMsg()
            message.ParseFromString(server.recv(timeout=60))
            messages.append(message)
    (session,) = (message.new_session for message in messages if message.WhichOneof("type") == "new_session")
    assert session.config.toolbar_mode == session.config.VIEWER  # as in .streamlit/config.toml
    (icon,) = {message.page_config_changed.favicon for message in messages} - {""}
    assert icon.startswith("data:image/svg+xml")  # the file was found; otherwise this is its path
    elements = [message.delta.new_element for message in messages if message.WhichOneof("type") == "delta"]
    assert "DenseNet-121" in {element.heading.body for element in elements}
    assert not [element.exception for element in elements if element.WhichOneof("type") == "exception"]
