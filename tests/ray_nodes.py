"""A Ray cluster of several nodes on this machine, each with its own processes, for tests that kill some of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from explorer.learning import runs


class Nodes:
    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address = str(cluster.address)

    def add(self, cards: int = 0) -> Any:
        """One with a single CPU, which says that it has so many GPUs."""
        return self._cluster.add_node(num_cpus=1, num_gpus=cards)

    def kill(self, node: Any) -> None:
        """As a machine loses its power."""
        self._cluster.remove_node(node, allow_graceful=False)

    def take_away(self, node: Any) -> None:
        """As its owner shuts it down; then others know at once, and not only after a quarter of a minute."""
        self._cluster.remove_node(node)

    def has(self, node: Any) -> bool:
        return node in self._cluster.worker_nodes

    def trains(self, node: Any, run: Path) -> bool:
        """Whether the run's worker is a process of that node."""
        (raylet,) = node.all_processes["raylet"]
        said = runs.status(run)
        try:
            return said.state == "training" and psutil.Process(said.pid).ppid() == raylet.process.pid
        except psutil.NoSuchProcess:
            return False


@contextmanager
def cluster() -> Iterator[Nodes]:
    """Of one node, which has a single CPU; all that Ray leaves is taken away."""
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short one: its sockets' paths may have 107 characters
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = folder
    found: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield Nodes(found)
    finally:
        found.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ["RAY_TMPDIR"]
        else:
            os.environ["RAY_TMPDIR"] = before
