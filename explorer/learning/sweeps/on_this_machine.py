"""Trials trained by processes of this machine."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError
from explorer.learning import runs, worker
from explorer.learning.side_by_side import Processes
from explorer.wording import clean

DIED = "Its process died, as it does where the system lacks memory."


class OnThisMachine:
    """An `Engine` of so many processes."""

    def __init__(self, processes: int) -> None:
        self._places = Processes(processes)
        self._running: dict[Future[Any], int] = {}

    @property
    def free(self) -> int:
        return self._places.free

    def start(self, number: int, path: Path) -> None:
        runs.take_back_stop(path)
        self._running[self._places.submit(train, path)] = number

    def ended(self, seconds: float) -> list[tuple[int, str]]:
        return [(self._running.pop(future), why(future.result)) for future in self._places.ended(seconds)]

    def close(self) -> None:
        self._places.close()


def train(path: Path) -> None:
    """What a run says stands in its status. A stop that was asked for before it began counts."""
    worker.train(path, say=lambda text: None, keep_stop=True)


def why(result: Callable[[], object]) -> str:
    """Why a run could not be trained, in a sentence; "" where its status says how it ended."""
    try:
        result()
    except BrokenProcessPool:
        return DIED
    except ExplorerError as error:
        return str(error)
    except Exception as error:  # a disk that has gone, say
        return f"It broke off ({type(error).__name__}: {clean(str(error), 200)})."
    return ""
