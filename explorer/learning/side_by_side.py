"""Functions carried out side by side, each in a process of its own: how networks are trained on all cores at once."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import psutil

from explorer.learning.settings import most_workers

MEMORY = 1_500_000_000  # bytes that a process takes at most, of which torch takes a third
ON_A_CARD = 2  # networks that are trained there at once
ENDS_ITSELF = 1.0  # seconds between two looks of a process at whether the one that started it is still there


def usual_processes(device: str, in_line: bool, threads: int = 1) -> int:
    """How many networks, of so many threads each, are trained at once: as many as there are cores for, as far as there
    is memory. Where others may train beside it, whose turn it is by `line`, as many as its share of the cores is for.
    """
    cores = os.cpu_count() or 1
    if device != "cpu":
        return min(ON_A_CARD, cores)
    share = max(1, cores // most_workers()) if in_line else cores
    return max(1, min(share // threads, psutil.virtual_memory().available // MEMORY))


class Processes:
    """So many places. A process carries out one function after another, and what it has imported stays; one that dies
    takes with it what it was doing and nothing else, and the place gets another. A single place is a thread of this
    process.
    """

    def __init__(self, count: int) -> None:
        self._executors: list[Executor | None] = [None] * count
        self._busy: dict[Future[Any], int] = {}  # -> its place

    @property
    def free(self) -> int:
        return len(self._executors) - len(self._busy)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Carry it out in a free place, of which there must be one."""
        place = min(set(range(len(self._executors))) - set(self._busy.values()))
        executor = self._executors[place] = self._executors[place] or self._executor()
        with _deaf():
            future = executor.submit(function, *arguments)
        self._busy[future] = place
        return future

    def ended(self, seconds: float) -> list[Future[Any]]:
        """Waits at most so long until one has ended; those that have, whose places are free again. One whose process
        died has BrokenProcessPool for its exception.
        """
        done = list(wait(self._busy, seconds, FIRST_COMPLETED).done)
        for future in done:
            place = self._busy.pop(future)
            executor = self._executors[place]
            if executor and isinstance(future.exception(), BrokenProcessPool):
                executor.shutdown(wait=False)
                self._executors[place] = None
        return done

    def close(self) -> None:
        """Waits for those that are being carried out."""
        for executor in filter(None, self._executors):
            executor.shutdown()

    def _executor(self) -> Executor:
        if len(self._executors) == 1:
            return ThreadPoolExecutor(1)
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile pay no heed to a Ctrl-C, which is for this one: it asks them to end. Only a
    run that is being trained listens for itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(parent: int) -> None:
    """In a new process: end with the one that started it, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ENDS_ITSELF)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
