"""A process that carries out heavy work for the server's pages: `python -m controls.process FILE`, see `processes`.

FILE is the number of an open socket, over which the work comes, and what is to be said of it goes back.
"""

import gc
import importlib
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch
from streamlit import logger

from controls import services
from controls.refusals import refusal_of
from explorer.counting.budget import BudgetError, give_back_freed_memory
from explorer.running import devices

NICE = 10  # pages have nine times the processor where both want it
SAYS_EACH = 0.1  # seconds between two words of progress
IDLE = 5.0  # seconds without work after which freed memory goes back: taken anew it costs the next work time
LOOKS_EACH = 0.5  # seconds between two questions whether the server is still there


class Stopped(BaseException):
    """Nobody wants this work any more."""


def main(file: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the server's terminal is the server's
    # Not SCHED_IDLE, as runs are trained: beside any other busy program nothing would be left for a visitor who waits.
    os.nice(NICE)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    server = Connection(file)
    logger.set_log_level("ERROR")  # Streamlit warns that no page is here
    for module in pkgutil.iter_modules(services.__path__, f"{services.__name__}."):
        importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    devices.ask_for_room(Rooms(server).room)
    server.send(("ready", None))
    while True:
        if not server.poll(IDLE):
            give_back_freed_memory()
        try:
            work, threads = server.recv()
        except EOFError:
            return
        if work == "stop":  # which came when it had ended
            continue
        torch.set_num_threads(threads)
        outcome = _outcome(work, Progress(server))
        devices.return_cached_memory()
        _send(server, *outcome)
        del work, outcome  # what nobody reads any more


def _outcome(work: Any, progress: "Progress") -> tuple[str, Any]:
    try:
        return "done", work(progress)
    except Stopped:
        return "stopped", None
    except Exception as error:
        refused = refusal_of(error)
        return ("refused", refused) if refused else ("failed", traceback.format_exc())


def _send(server: Connection, kind: str, said: Any) -> None:
    try:
        server.send((kind, said))
    except (TypeError, AttributeError, ValueError) as error:  # it cannot be pickled
        server.send(("failed", f"{type(said).__name__} cannot leave its process: {error}"))


class Progress:
    """What work calls with what it has to say; now and then the server hears of it. Raises Stopped."""

    def __init__(self, server: Connection) -> None:
        self.server, self.said = server, 0.0

    def __call__(self, *said: Any) -> None:
        if self.server.poll():
            self.server.recv()  # all that comes now is "stop"
            raise Stopped
        if (now := time.monotonic()) - self.said > SAYS_EACH:
            self.said = now
            self.server.send(("progress", said))


class Rooms:
    """Memory is promised by the server, which knows what all processes have."""

    def __init__(self, server: Connection) -> None:
        self.server = server

    @contextmanager
    def room(self, device: str, needed: int, patience: float) -> Iterator[None]:
        self.server.send(("room", (device, needed, patience)))
        kind, refusal = self.server.recv()
        if kind == "stop":
            raise Stopped
        if refusal:
            raise BudgetError(refusal)
        try:
            yield
        finally:
            self.server.send(("leaves", None))


def _end_with(server: int) -> None:
    """Ends this process, whatever it does, once the server has gone."""
    while os.getppid() == server:
        time.sleep(LOOKS_EACH)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
