"""A cluster that is not there, or that has no room, is one sentence, and no long wait."""

import sys
import time

import pytest

from explorer.learning.sweeps import ray_cluster
from explorer.learning.sweeps.on_ray import OnRay
from explorer.learning.sweeps.storage import StorageError
from explorer.learning.sweeps.sweep import SweepError


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "ray://127.0.0.1", "ray://", "nonsense", "-h"])
def test_an_address_where_nobody_answers(address, monkeypatch):
    monkeypatch.setattr(ray_cluster, "PATIENCE", 3.0)
    began = time.monotonic()
    with pytest.raises(SweepError, match=r"^No Ray cluster answers at '.*': give host:6379, ray://host:10001, or auto"):
        OnRay(address)
    assert time.monotonic() - began < 20


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=r"^Ray is not installed: pip install -r requirements-ray\.txt$"):
        OnRay()


def test_a_storage_that_is_none_is_said_before_a_cluster_is_started():
    with pytest.raises(StorageError, match="gopher://x is no storage: Protocol not known: gopher"):
        OnRay(storage="gopher://x")


# (cpus, gpus) of a task -> how many have room on nodes of 4 CPUs, and of 8 CPUs and 2 cards
@pytest.mark.parametrize(
    ("task", "room"),
    [((1, 0), 12), ((3, 0), 3), ((5, 0), 1), ((9, 0), 0), ((1, 1), 2), ((1, 0.5), 4), ((1, 0.1), 8), ((5, 0.5), 1)],
)
def test_how_many_have_room(task, room):
    nodes = [{"CPU": 4.0, "memory": 1e9}, {"CPU": 8.0, "GPU": 2.0}]
    assert sum(ray_cluster._fit(node, *task) for node in nodes) == room
