"""What a node of a Ray cluster does for a trial. Nothing of Ray is needed for it."""

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from explorer.learning import runs, worker
from explorer.learning.runs import CONFIG, LOCK, LOG, STOP, RunError

# seconds; a worker notices in one or two that its node has died, and NFS gives back a dead machine's lock in 90
PATIENCE = 120.0


class Interrupted(Exception):
    """The node was asked to end, and the trial was not: it goes on elsewhere."""


def train(path: str) -> None:
    """The run in that directory, which the driver reaches too; its status says how it ended. Raises RunError."""
    run = Path(path)
    if not (run / CONFIG).exists():
        raise RunError("Its node does not share the runs' folder: set EXPLORER_RUNS to one that all do, or --storage.")
    # of a worker that is not dead yet, while its node is
    with suppress(Timeout, OSError), FileLock(run / LOCK).acquire(timeout=PATIENCE, poll_interval=0.2):
        pass
    train_here(run)


def train_stored(storage: str, place: str) -> None:
    """The run that lies at that place of the storage. Raises RunError, StorageError."""
    from explorer.learning.sweeps.mirror import brought

    with brought(storage, place) as run:
        train_here(run)


def train_here(run: Path) -> None:
    """From its last checkpoint, if there is one. Raises Interrupted, RunError."""

    def say(text: str) -> None:
        with suppress(OSError), (run / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    state = worker.train(run, say=say, keep_stop=True)
    if state == "stopped" and not (run / STOP).exists() and not runs.status(run).message:  # of a time limit, say
        raise Interrupted
