"""Trials trained as tasks of a Ray cluster: one that is there, or one that is started on this machine.

Ray says where a task runs, and has it run again elsewhere when its process or its node dies; the run then goes on from
its last checkpoint. Of Ray's own storage nothing is used: a task returns nothing, and what it has done lies in the
run's directory.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError
from explorer.learning import runs
from explorer.learning.sweeps import ray_task
from explorer.learning.sweeps.fetching import Fetching
from explorer.learning.sweeps.ray_cluster import Cluster
from explorer.learning.sweeps.ray_task import Interrupted
from explorer.learning.sweeps.storage import Storage, StorageError
from explorer.learning.sweeps.sweep import SweepError
from explorer.learning.trial_names import sweeps_folder
from explorer.wording import clean

RETRIES = 3  # of a trial whose process or node dies, or whose node is asked to end
HEEDED_IN = 120.0  # seconds in which a trial that is asked to stop does so; a checkpoint is kept on the way
CANCELLED_IN = 20.0  # seconds in which those that are cancelled do
NODES_IN = 300.0  # seconds in which a node has to come that has room for a trial; an autoscaler takes minutes
LOOKS_EACH = 1.0  # seconds between two looks at which trials are asked to stop
FETCHES_EACH = 4.0  # seconds between two looks into the storage; a run silent for 15 counts as died
TRIES = 3  # to fetch a run that has ended

CARD = "cuda:0"  # as a task sees the one that Ray gives it
DIED = f"Its process or its node died, {RETRIES + 1} times."
NO_MEMORY = "Its nodes lacked memory: take a smaller batch, fewer images or a smaller network."
INTERRUPTED = f"Its nodes were asked to end, {RETRIES + 1} times."


@dataclass
class _Started:
    """A trial that Ray has. `status` is what its status file was before."""

    number: int
    path: Path
    status: tuple[int, int] | None
    asked_at: float = 0.0  # when it was seen that it is to stop
    cancelled: bool = False


class OnRay:
    """An `Engine`. A trial takes as many CPUs as its run has threads, `threads` at most, and `gpus` of a card where it
    is trained on one. With a `storage` runs are kept there, and brought to their directories here; without one the
    nodes share those.
    """

    def __init__(self, address: str = "", threads: int = 1, gpus: float = 0.0, storage: str = "") -> None:
        """Raises SweepError where there is no such cluster, StorageError for no such storage."""
        self._threads, self._gpus = threads, gpus
        self._storage = Storage(storage) if storage else None
        self._fetching = Fetching(self._storage) if self._storage else None
        self._cluster = Cluster(address)
        self._ray = self._cluster.ray
        function = ray_task.train_stored if storage else ray_task.train
        # a process that has used a card keeps some of its memory, so it ends; others go on with the next trial
        self._tasks = {on_card: self._ray.remote(max_calls=int(on_card))(function) for on_card in (False, True)}
        self._running: dict[Any, _Started] = {}
        self._failed: list[tuple[int, str]] = []  # before Ray had them
        self._looked_at = self._fetched_at = self._fitted_at = time.monotonic()
        if not address and not self._places:
            self.close()
            raise SweepError(f"{self._needs} {'are' if threads > 1 else 'is'} more than this machine has for Ray")

    @property
    def free(self) -> int:
        """As nodes come and go. Ray gets some more than there is room for, two and one of eight: a node has the next
        one before the driver has looked, and an autoscaler sees that there is more to do. What else waits is kept by
        the driver alone.
        """
        with self._cluster.connected():
            places = self._places
        return max(0, places + 2 + places // 8 - len(self._running))

    @property
    def _places(self) -> int:
        return self._cluster.places(self._threads, self._gpus)

    @property
    def _needs(self) -> str:
        card = f" and {self._gpus:g} of a GPU" if self._gpus else ""
        return f"{self._threads} CPU{'s' * (self._threads > 1)}{card}"

    def start(self, number: int, path: Path) -> None:
        """Raises StorageError where the storage cannot be reached, SweepError where the cluster cannot."""
        try:
            job = runs.read(path).job
            if job.device not in ("cpu", CARD):
                raise SweepError(f"device={job.device}: on Ray cpu, or {CARD}, which is whatever card a trial is given")
            runs.take_back_stop(path)
            if self._fetching:
                self._fetching.begin(path, _place(path))
        except (runs.RunError, SweepError) as error:
            self._failed.append((number, str(error)))
            return
        on_card = job.device != "cpu"
        task = self._tasks[on_card].options(
            name=f"trial {number}",
            num_cpus=job.threads,
            num_gpus=self._gpus if on_card else 0,
            max_retries=RETRIES,
            retry_exceptions=[Interrupted],
            scheduling_strategy="SPREAD",
        )
        arguments = (self._storage.url, _place(path)) if self._storage else (str(path),)
        with self._cluster.connected():
            self._running[task.remote(*arguments)] = _Started(number, path, _stamp(path))

    def ended(self, seconds: float) -> list[tuple[int, str]]:
        """Raises SweepError where the cluster cannot be reached, or no node has had room for a trial for minutes."""
        with self._cluster.connected():
            self._look()
            if self._failed or not self._running:
                found, self._failed = self._failed, []
                return found
            references = list(self._running)
            ready, _ = self._ray.wait(references, timeout=seconds)
            if ready:
                ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
            return [self._end(reference) for reference in ready]

    def close(self) -> None:
        try:
            with suppress(Exception):  # of a cluster that has gone
                self._cancel(list(self._running))
                until = time.monotonic() + CANCELLED_IN
                while self._running and time.monotonic() < until:
                    self.ended(1.0)
                self._cancel(list(self._running), force=True)
        finally:
            self._running.clear()
            self._cluster.close()

    # ---- how they end ----

    def _end(self, reference: Any) -> tuple[int, str]:
        started = self._running.pop(reference)
        why = self._why(reference, started)
        if self._fetching:
            why = why or self._fetched(started.path)
        if started.cancelled and not why:
            _say_stopped(started.path)
        return started.number, why

    def _why(self, reference: Any, started: _Started) -> str:
        """Why it could not be trained, in a sentence; "" where its status says how it ended."""
        errors = self._ray.exceptions
        try:
            self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Interrupted):
                return "" if started.cancelled else INTERRUPTED
            if isinstance(error.cause, ExplorerError):
                return str(error.cause)
            return f"It broke off ({type(error.cause).__name__}: {clean(str(error.cause), 200)})."
        except errors.RayError as error:
            if started.cancelled:
                return ""
            if isinstance(error, errors.OutOfMemoryError):
                return NO_MEMORY
            if isinstance(error, errors.WorkerCrashedError | errors.NodeDiedError):
                return DIED
            return f"Ray gave it up ({type(error).__name__}: {clean(str(error), 200)})."
        return ""

    def _fetched(self, path: Path) -> str:
        """Brings it here; why that cannot be."""
        assert self._fetching
        why = ""
        for _ in range(TRIES):
            try:
                self._fetching.end(path, _place(path))
                return ""
            except (ExplorerError, OSError) as error:
                why = str(error)
                time.sleep(LOOKS_EACH)
        return why

    # ---- what goes on meanwhile ----

    def _look(self) -> None:
        now = time.monotonic()
        if self._places or not self._running:
            self._fitted_at = now
        elif now - self._fitted_at > NODES_IN:
            self._fitted_at = now
            raise SweepError(f"No node of the cluster has had {self._needs} for {NODES_IN / 60:.0f} minutes")
        if self._fetching and now - self._fetched_at > FETCHES_EACH:
            with suppress(ExplorerError, OSError):  # the next look may find it
                self._fetching.look({_place(one.path): one.path for one in self._running.values()})
            self._fetched_at = time.monotonic()
        if now - self._looked_at > LOOKS_EACH:
            with suppress(StorageError):  # likewise
                self._heed_stops(now)
            self._looked_at = now

    def _heed_stops(self, now: float) -> None:
        """Ray is told of those that do not run, and so cannot see it, and of those that do not heed it."""
        asked = {reference: one for reference, one in self._running.items() if (one.path / runs.STOP).exists()}
        for reference, one in asked.items():
            if not one.asked_at:
                if self._fetching:
                    self._fetching.stop(_place(one.path))
                one.asked_at = now
                if _stamp(one.path) == one.status:
                    self._cancel([reference])
            elif now - one.asked_at > HEEDED_IN:
                self._cancel([reference], force=True)

    def _cancel(self, references: list[Any], force: bool = False) -> None:
        """One that runs keeps its checkpoint first, unless it is forced."""
        for reference in references:
            self._running[reference].cancelled = True
            self._ray.cancel(reference, force=force)


def _place(path: Path) -> str:
    """Of a run in the storage: as in the folder of sweeps."""
    folder = sweeps_folder()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(path / runs.STATUS)
        return found.st_mtime_ns, found.st_ino
    return None


def _say_stopped(path: Path) -> None:
    """Of one that was cancelled before it could say so."""
    said = runs.status(path)
    if said.state not in ("finished", "diverged", "failed", "stopped"):
        with suppress(OSError):
            data = json.dumps(said._replace(state="stopped", message="")._asdict()).encode()
            runs.write_whole(path / runs.STATUS, data, lasting=False)
