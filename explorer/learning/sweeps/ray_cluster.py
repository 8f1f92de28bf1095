"""A connection to a Ray cluster: one that is there, or one that is started on this machine for as long as it is needed.

Ray prints what its nodes say, listens for SIGTERM and waits minutes for an address where nobody answers. Here it is
silent, a signal ends this process as it would without Ray, and an address is asked first, by Ray's own health check.
"""

import logging
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from explorer.learning.settings import DATA, RUNS, data_folder, runs_folder
from explorer.learning.starting import PACKAGES
from explorer.learning.sweeps.ray_package import imported
from explorer.learning.sweeps.sweep import SweepError
from explorer.wording import clean

CLIENT = "ray://"
PATIENCE = 20.0  # seconds for an address to answer
OBJECTS = 100 * 2**20  # bytes for tasks' results, which are none; Ray takes a third of the memory by itself
FRESH = 1.0  # seconds for which it is known which nodes there are
TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
LONGEST_FOLDER = 40  # characters of a path in which Ray's sockets, whose paths may have 107, find room


class Cluster:
    def __init__(self, address: str = "") -> None:
        """Raises SweepError, within a minute."""
        self.ray = imported()
        if self.ray.is_initialized():
            raise SweepError("This process is connected to a Ray cluster already")
        self._folder = "" if address else _short_folder()
        self._nodes: list[dict[str, float]] = []
        self._asked_at = -math.inf
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            with _signals_as_they_were():
                if address:
                    _ask(address)
                    self.ray.init(address, runtime_env=_environment(send=True), **quiet)
                else:
                    self._start(quiet)
        except BaseException as error:
            self.close()
            if isinstance(error, SweepError) or not isinstance(error, Exception | SystemExit):  # Ray's own ways to end
                raise
            where = f"The Ray cluster at {clean(address)} cannot be used" if address else "Ray cannot be started here"
            raise SweepError(f"{where} ({type(error).__name__}: {clean(str(error), 300)})") from None
        # what Ray prints wherever a node dies; the reason stands in the trial's row
        sys.modules["ray._private.worker"]._worker_logs_enabled = False  # type: ignore[attr-defined]

    def _start(self, quiet: dict[str, Any]) -> None:
        """Ray listens on all of the machine's addresses, and runs what it is sent by whoever knows the token; which it
        writes into the user's home, for all to read, where it is not given one.
        """
        if not any(os.environ.get(name) for name in TOKEN):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        self.ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=OBJECTS,
            runtime_env=_environment(send=False),
            _temp_dir=self._folder,
            **quiet,
        )

    def places(self, cpus: int, gpus: float) -> int:
        """How many tasks that each take so much have room on its nodes at once, if nobody else uses them."""
        return sum(_fit(node, cpus, gpus) for node in self.nodes())

    def nodes(self) -> list[dict[str, float]]:
        """What each of its living nodes has."""
        if time.monotonic() - self._asked_at > FRESH:
            self._nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            self._asked_at = time.monotonic()
        return self._nodes

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Whatever is asked of Ray meanwhile. Raises SweepError where the connection is lost."""
        try:
            yield
        except Exception:
            if self.ray.is_initialized():
                raise
            raise SweepError("The connection to the Ray cluster is lost: once it is there, Resume goes on") from None

    def close(self) -> None:
        """Disconnect; one that was started here ends, and leaves nothing."""
        with suppress(Exception):
            self.ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _fit(node: dict[str, float], cpus: int, gpus: float) -> int:
    fitting = node.get("CPU", 0.0) / cpus
    if gpus:
        fitting = min(fitting, node.get("GPU", 0.0) / gpus)
    return int(fitting + 1e-6)


def _environment(send: bool) -> dict[str, Any]:
    """In which a node finds this project, its data sets and its runs. To other machines the project is sent."""
    found = {name: str(folder()) for name, folder in ((DATA, data_folder), (RUNS, runs_folder)) if os.environ.get(name)}
    if send:
        return {"env_vars": found, "py_modules": [str(PACKAGES / "explorer")]}
    known = os.environ.get("PYTHONPATH", "")
    return {"env_vars": found | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *([known] if known else [])])}}


def _ask(address: str) -> None:
    """Raises SweepError where no cluster answers."""
    if address.startswith(CLIENT):
        host, _, port = address.removeprefix(CLIENT).rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
            return
        except (OSError, ValueError, OverflowError):
            raise _no_answer(address) from None
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", f"--address={address}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise _no_answer(address) from None
    if done.returncode and b"AuthenticationError" not in done.stderr:  # it asks for a token, which Ray will look for
        raise _no_answer(address)


def _no_answer(address: str) -> SweepError:
    return SweepError(
        f"No Ray cluster answers at {clean(address)!r}: give host:6379, ray://host:10001, or auto on one of its nodes"
    )


@contextmanager
def _signals_as_they_were() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _short_folder() -> str:
    usual, shorter = tempfile.gettempdir(), Path("/tmp")
    long = len(usual) > LONGEST_FOLDER and shorter.is_dir()
    return tempfile.mkdtemp(prefix="explorer-ray-", dir=shorter if long else usual)
