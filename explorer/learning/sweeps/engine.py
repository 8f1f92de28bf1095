"""Where trials are trained: on this machine, or on a cluster. The driver knows no more of it than this."""

from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Trains runs side by side, each as explorer.learning.worker.train does."""

    @property
    def free(self) -> int:
        """How many more runs may be started now."""

    def start(self, number: int, path: Path) -> None:
        """Train the run in that directory, whose config.json is written; `number` is the trial's. A stop that was asked
        for before is taken back; one that is asked for from now on counts, also before the run has begun.
        """

    def ended(self, seconds: float) -> list[tuple[int, str]]:
        """Waits at most so long until a run has ended. Its number, and why it could not be trained; "" where its
        status says how it ended.
        """

    def close(self) -> None:
        """Nothing of it goes on afterwards."""
