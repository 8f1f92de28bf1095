"""`make serve WORKERS=n PORT=p`: n servers behind HAProxy, with supervisord to start them anew.

It looks whether all of it can start, says in one sentence what is in the way if it cannot, writes HAProxy's
configuration, and starts supervisord. Each server gets its part of the machine: of the memory by EXPLORER_SERVERS
(explorer/counting/budget.py), of the cores by OMP_NUM_THREADS unless that is set.
"""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from explorer.counting.budget import SettingError
from explorer.learning import settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST = 64  # servers
PLACES = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))  # where HAProxy is, if not in PATH
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Refused(Exception):
    """Why it cannot start, in a sentence."""


class Asked(NamedTuple):
    servers: int
    address: str
    port: int  # of HAProxy; those of the servers follow it
    stats: tuple[int, ...]  # the port of its page of figures, if that is wanted

    @property
    def ports(self) -> range:
        return range(self.port + 1, self.port + 1 + self.servers)


def asked(environment: Mapping[str, str]) -> Asked:
    """Raises Refused."""
    servers = whole("WORKERS", environment.get("WORKERS") or str(os.cpu_count() or 1), MOST)
    port = whole("PORT", environment.get("PORT") or "8501", 65535 - servers)
    stats = environment.get("STATS_PORT")
    return Asked(
        servers,
        environment.get("STREAMLIT_SERVER_ADDRESS") or usual_address(),
        port,
        (whole("STATS_PORT", stats, 65535),) if stats else (),
    )


def whole(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= most):
        raise Refused(f"{name}={text[:20]} is not a whole number from 1 to {most}.")
    return int(text)


def usual_address() -> str:
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        address: str = tomllib.load(file)["server"]["address"]
    return address


def haproxy() -> str:
    """Raises Refused."""
    found = shutil.which("haproxy", path=os.pathsep.join((os.environ.get("PATH", ""), PLACES)))
    if found is None:
        raise Refused("HAProxy is missing; its package is called haproxy (apt-get install haproxy).")
    return found


def check_free(address: str, port: int) -> None:
    """Raises Refused where nothing can listen there."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as HAProxy and Streamlit do
            one.bind(place)
            one.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"Port {port} is in use; choose others by PORT=8600, which the servers' own follow."
            ) from None
        raise Refused(f"Nothing can listen at {address}, port {port} ({error.strerror}).") from None


def configuration(asked: Asked) -> str:
    """HAProxy's, from the template beside this file: what names a port stands there once for each server."""
    lines = (HERE / "haproxy.cfg").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(
        line.replace("@port@", str(port))
        for line in lines
        for port in (asked.ports if "@port@" in line and not line.startswith("#") else asked.ports[:1])
    )


def variables(asked: Asked, runtime: Path, haproxy: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What both configurations and the servers read."""
    cores = os.cpu_count() or 1
    return {
        "OMP_NUM_THREADS": str(max(1, cores // asked.servers)),
        # each server listens to this machine alone and would take all visitors for one
        "EXPLORER_TRAINING": "mine" if asked.address in LOOPBACK else "shared",
        **{name: value for name, value in environment.items() if value},
        "EXPLORER_SERVERS": str(asked.servers),
        "EXPLORER_FIRST_PORT": str(asked.ports[0]),
        "EXPLORER_PYTHON": sys.executable,
        "EXPLORER_HAPROXY": haproxy,
        "EXPLORER_BIND": f"{asked.address}:{asked.port}",
        "EXPLORER_DEPLOY": str(HERE),
        "EXPLORER_RUNTIME": str(runtime),
    }


def check_settings() -> None:
    """Raises Refused for what each server would fail of."""
    try:
        settings.check()
    except SettingError as error:
        raise Refused(str(error)) from None


def main() -> int:
    try:
        wanted, proxy = asked(os.environ), haproxy()
        check_settings()
        check_free(wanted.address, wanted.port)
        for port in (*wanted.ports, *wanted.stats):
            check_free("127.0.0.1", port)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="explorer-serve-") as runtime:
        return start(wanted, variables(wanted, Path(runtime), proxy, os.environ))


def start(wanted: Asked, given: dict[str, str]) -> int:
    """With these variables, until it is ended; what the process then returns."""
    written = Path(given["EXPLORER_RUNTIME"], "haproxy.cfg")
    written.write_text(configuration(wanted), encoding="utf-8")
    checked = subprocess.run([given["EXPLORER_HAPROXY"], "-c", "-q", "-f", written], env=given)
    if checked.returncode:
        return 1  # it has said why
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(HERE / "supervisord.conf")]
    if os.geteuid() == 0:
        command += ["--user", "root"]  # it asks to be told
    servers = "one server" if wanted.servers == 1 else f"{wanted.servers} servers"
    print(f"http://{wanted.address}:{wanted.port} from {servers}; Ctrl-C ends them.", flush=True)
    return supervised(command, given)


def supervised(command: list[str], environment: Mapping[str, str]) -> int:
    """Until Ctrl-C, the end of the terminal, or a TERM: each of them ends supervisord, and so all that it has started.

    In a session of its own, since supervisord takes the end of a terminal for the wish to start everything anew; and
    with a pipe to write to, since it leaves everything behind where it cannot write.
    """
    supervisor = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    for ends in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, lambda *_: supervisor.terminate())
    assert supervisor.stdout
    for line in supervisor.stdout:
        with suppress(OSError):  # of a terminal that is gone
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    return supervisor.wait()


if __name__ == "__main__":
    sys.exit(main())
