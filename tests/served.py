"""A server that is really started, and what of this machine can reach it."""

import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import psutil


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                assert answer.read() == b"ok"
            return
        except OSError:  # not listening yet, or busy with its imports
            time.sleep(0.2)


def listens_at(port: int) -> set[str]:
    """The addresses at which anything on this machine waits for connections to a port, as `ss -lt` lists them."""
    found = psutil.net_connections("inet")
    listening = [one.laddr for one in found if one.status == psutil.CONN_LISTEN and one.laddr]
    return {address.ip for address in listening if address.port == port}


def own_addresses() -> list[str]:
    """Of this machine, as others see it: IPv4, without those that stay inside."""
    found = [one for addresses in psutil.net_if_addrs().values() for one in addresses]
    return [one.address for one in found if one.family == socket.AF_INET and not one.address.startswith("127.")]


def accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True
