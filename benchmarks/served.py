"""The app on a port of its own, as `make run` starts it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from benchmarks.measure import ROOT

PATIENCE = 60.0  # seconds for an answer
MAKE_RUN = ("-m", "streamlit", "run", "server.py", "--server.headless=true", "--server.port={port}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def starting(command: Sequence[str] = MAKE_RUN, **environment: str) -> Iterator[tuple[int, psutil.Popen]]:
    """A server that may not listen yet, until the `with` ends. `{port}` in the command is its port."""
    port = free_port()
    words = [sys.executable, *(word.format(port=port) for word in command)]
    outside = os.environ | environment
    server = psutil.Popen(words, cwd=ROOT, env=outside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port, server
    finally:
        server.terminate()
        server.wait(20)


def wait_until_healthy(port: int, server: psutil.Popen) -> None:
    """Raises RuntimeError where it has ended."""
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=PATIENCE).close()
            return
        except OSError:
            if server.poll() is not None:
                raise RuntimeError("the server did not start") from None
            time.sleep(0.1)
