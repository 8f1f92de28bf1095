"""What `make run` says while it installs, and what becomes of an installation that breaks off.

pip is a stub wherever its downloads would be real. What it prints is what pip 24 to 26 print in the same plight.
"""

import ast
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUB = """
import os, sys, time
if os.isatty(1):
    print("100 % of 1 file")
print("Collecting torch")
sys.stdout.flush()
if os.environ.get("PIP_SAYS"):
    sys.exit(os.environ["PIP_SAYS"])
time.sleep(float(os.environ.get("PIP_TAKES", "0")))
with open(os.path.join(".venv", "installed"), "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
"""
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
NO_NETWORK = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f52cb64c490>: Failed to establish a \
new connection: [Errno 111] Connection refused')': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch (from versions: none)
ERROR: No matching distribution found for torch"""
NO_SPACE = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
NO_VERSION = "ERROR: No matching distribution found for torch==99"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that install, and an environment in which there is no more than Python and the stub."""
    for name in ("Makefile", "install.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "requirements.txt").write_text("torch\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "stub" / "pip").mkdir(parents=True)
    (tmp_path / "stub" / "pip" / "__main__.py").write_text(STUB)
    (tmp_path / "stub" / "pip" / "__init__.py").touch()
    return tmp_path


def start(project: Path, /, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """`make run` up to the server."""
    return subprocess.Popen(
        ["make", ".venv/run.stamp", f"PYTHON={sys.executable}"],
        cwd=project,
        env={**OUTSIDE, "PYTHONPATH": str(project / "stub"), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell's background job, which the tests may be, passes on that it does not hear Ctrl-C
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def made(project: Path, **environment: str) -> tuple[int, str, str]:
    process = start(project, **environment)
    printed, complained = process.communicate(timeout=90)
    return process.returncode, printed, complained


def sentence(complained: str) -> str:
    """The last thing that is said before make's own line."""
    return complained.strip().splitlines()[-2]


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (NO_NETWORK, "the package index cannot be reached"),
        (NO_SPACE, "the disk is full"),
        (NO_VERSION, "the lines above say why"),
    ],
    ids=["no network", "no space", "else"],
)
def test_why_it_broke_off_is_one_sentence(project, says, why):
    status, _, complained = made(project, PIP_SAYS=says)
    assert status
    assert says in complained  # pip's own words are not kept back
    assert sentence(complained) == f"The installation broke off: {why}. The next `make` starts it again."
    assert not (project / ".venv" / "run.stamp").exists()


def test_no_network_as_pip_itself_finds_it(project):
    # nothing listens on loopback's port 9, to which no name has to be resolved
    (project / "stub" / "pip" / "__main__.py").unlink()
    (project / "stub" / "pip" / "__init__.py").unlink()
    (project / "stub" / "pip").rmdir()
    real = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    status, _, complained = made(project, **real, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", PIP_NO_INDEX="0")
    assert status
    assert "the package index cannot be reached" in sentence(complained)


@pytest.mark.parametrize("how", ["Ctrl-C", "kill"])
def test_an_interruption_says_so_and_leaves_nothing_running(project, how):
    began = time.monotonic()
    process = start(project, PIP_TAKES="60")
    assert process.stdout
    while "Collecting" not in process.stdout.readline():
        pass
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
    else:
        process.terminate()  # make, which passes it on to what it has started
    _, complained = process.communicate(timeout=30)  # to the end of everything that could write there
    assert time.monotonic() - began < 30
    assert process.returncode
    assert "The installation broke off: it was interrupted. The next `make` starts it again." in complained
    assert not (project / ".venv" / "run.stamp").exists()


def test_what_broke_off_is_done_again_in_a_new_environment(project):
    (project / ".venv" / "torch").write_text("half of it")
    assert made(project, PIP_SAYS=NO_NETWORK)[0]
    status, printed, _ = made(project)
    assert status == 0
    assert "was not finished and is made anew" in printed
    assert not (project / ".venv" / "torch").exists()
    assert (project / ".venv" / "pyvenv.cfg").exists()
    # how much comes, and how long it takes, is said before pip says anything
    announced = printed[: printed.index("Collecting")]
    for word in ("GB to download", "GB on disk", "GB are free", "minutes"):
        assert word in announced
    lines = (project / ".venv" / "installed").read_text().splitlines()
    assert lines[-1].endswith("--requirement requirements.txt")
    # and what is finished is not done again
    assert made(project)[:2] == (0, "make: '.venv/run.stamp' is up to date.\n")


def test_more_requirements_are_added_to_what_is_there(project):
    (project / ".venv" / "torch").write_text("all of it")
    assert made(project)[0] == 0
    later = time.time() + 10
    os.utime(project / "requirements.txt", (later, later))
    assert made(project)[0] == 0
    assert len((project / ".venv" / "installed").read_text().splitlines()) == 2
    assert (project / ".venv" / "torch").read_text() == "all of it"


def test_pip_sees_the_terminal_on_which_it_shows_how_far_it_is(project):
    terminal, its_end = pty.openpty()
    process = start(project, stdout=its_end)
    process.communicate(timeout=60)
    os.close(its_end)
    assert b"100 % of 1 file" in os.read(terminal, 65536)
    os.close(terminal)


def test_an_old_python_is_refused_with_a_sentence():
    source = (ROOT / "install.py").read_text()
    ast.parse(source, feature_version=(3, 7))
    program = "import runpy, sys; sys.version_info = (3, 9, 1); runpy.run_path('install.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed, and this is ")
    assert len(done.stderr.splitlines()) == 1
