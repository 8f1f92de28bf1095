"""The driver's side of runs that are kept at a storage: what it gives to nodes, and brings to this machine."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from explorer.learning import runs
from explorer.learning.runs import CHECKPOINT, CONFIG, METRICS, STATUS, STOP
from explorer.learning.sweeps.mirror import send, take
from explorer.learning.sweeps.storage import Storage


class Fetching:
    """Runs that are trained elsewhere, brought to their directories here. Raises StorageError, RunError, OSError."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._steps: dict[str, object] = {}  # place -> the step up to which its curves are here

    def begin(self, run: Path, place: str) -> None:
        """Give the storage what a node needs: also the checkpoint of one that was trained elsewhere before. A stop is
        taken back.
        """
        if not self._storage.has(f"{place}/{CHECKPOINT}"):
            send(run, self._storage, place, {})
        self._storage.put(run / CONFIG, f"{place}/{CONFIG}")
        self._storage.remove(f"{place}/{STOP}")

    def stop(self, place: str) -> None:
        self._storage.write(f"{place}/{STOP}", b"")

    def look(self, places: Mapping[str, Path]) -> None:
        """Fetch the status of each run, and the curves of those that have come further."""
        found = self._storage.read(f"{place}/{STATUS}" for place in places)
        further = []
        for place, run in places.items():
            data = found.get(f"{place}/{STATUS}")
            if data:
                runs.write_whole(run / STATUS, data, lasting=False)
                if self._steps.get(place) != (step := _step(data)):
                    self._steps[place] = step
                    further.append(place)
        for name, data in self._storage.read(f"{place}/{METRICS}" for place in further).items():
            runs.write_whole(places[name.rpartition("/")[0]] / METRICS, data, lasting=False)

    def end(self, run: Path, place: str) -> None:
        """Fetch all of it."""
        self._steps.pop(place, None)
        take(run, self._storage, place)


def _step(status: bytes) -> object:
    with suppress(ValueError, AttributeError):
        return json.loads(status).get("step")
    return None
