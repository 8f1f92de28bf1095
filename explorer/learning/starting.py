"""A worker as a process of its own, which goes on when the one that started it ends."""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from explorer.learning import runs
from explorer.learning.runs import LOG

PACKAGES = Path(__file__).parents[2]  # where `explorer` is imported from


def start(path: Path, words: Sequence[str] = ()) -> None:
    """Train the run there, as soon as the machine has a place for it; or have the program do what the `words` say, in
    that directory. Raises RunError where it cannot be started.
    """
    try:
        runs.take_back_stop(path)
        _announce(path)
        with (path / LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "explorer", *(words or ("train", str(path))), "--in-line"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=path,
                env=environment(),
                start_new_session=True,  # a Ctrl-C in the server's terminal is not meant for it
            )
    except OSError as error:
        raise runs.RunError(f"No worker could be started ({error.strerror or error}).") from None
    # somebody must take note of its end, or the system keeps its entry for as long as this process lives
    threading.Thread(target=process.wait, daemon=True).start()


def _announce(path: Path) -> None:
    """That a worker is on its way, until it says so itself; where it never does, this falls silent and it has died."""
    said = runs.status(path)._replace(
        state="waiting", message="", place=0, heartbeat=time.time(), pid=os.getpid(), host=platform.node()
    )
    runs.write_whole(path / runs.STATUS, json.dumps(said._asdict()).encode(), lasting=False)


def environment() -> dict[str, str]:
    """In which `python -m explorer` is this program, whatever folder it is started in."""
    known = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *([known] if known else [])])}
