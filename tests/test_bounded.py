"""Maps, networks and pictures that are remembered: shared by whoever asks, and bounded by their bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from controls import kept_files
from controls.services import built, data, forwards, landscapes
from controls.services.subject import Subject
from explorer.families import PRESETS, plan
from explorer.learning import datasets
from explorer.learning.datasets.dataset import Dataset, Source, Split
from explorer.pictures.samples import SAMPLES, sample
from explorer.remembering import Remembered, remembered
from explorer.running import network
from explorer.running.network import build, run
from explorer.running.weights import fresh

SMALL = PRESETS["resnet20_cifar"]


@pytest.fixture
def subject() -> Subject:
    return Subject(SMALL, fresh(0), sample(next(iter(SAMPLES))), "cpu")


def test_maps_are_shared_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> None:
    known: Remembered[forwards.Forward] = Remembered(10**7)
    monkeypatch.setattr(forwards, "_known", known)
    found = forwards.forward(subject, ["layer1.0.add"])
    assert forwards.forward(subject, ["layer1.0.add"]) is found
    with pytest.raises(ValueError, match="read-only"):
        found.maps["layer1.0.add"][0, 0, 0] = 1
    # 16 channels of 32x32 pixels, and 10 logits, 4 bytes each
    assert 0 < known.bytes - 4 * (16 * 32 * 32 + 10) < 5_000


def test_maps_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> None:
    each = 4 * 16 * 32 * 32
    known: Remembered[forwards.Forward] = Remembered(3 * each)
    monkeypatch.setattr(forwards, "_known", known)
    for seed in range(5):
        forwards.forward(subject._replace(weights=fresh(seed)), ["layer1.0.add"])
    assert len(known) == 2
    assert known.bytes <= 3 * each


def test_networks_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their fast forms, which have their weights once more: 269,722 parameters of ResNet-20, 4 bytes each."""
    known: Remembered[Any] = Remembered(5 * 4 * 269_722, built.MOST_NETWORKS, built._size)
    monkeypatch.setattr(built, "_networks", known)
    first = built.network(SMALL, fresh(0), "cpu")
    assert built.network(SMALL, fresh(0), "cpu") is first
    for seed in range(1, 4):
        built.network(SMALL, fresh(seed), "cpu")
    assert len(known) == 2
    assert 0 <= known.bytes - 2 * 2 * 4 * 269_722 < 10_000


def test_a_large_network_is_remembered_with_fewer_sets_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    its = plan(SMALL)
    one, images = build(its), torch.zeros(1, 3, 32, 32)
    monkeypatch.setattr(network, "MOST_NODES", 3 * len(one.graph.nodes) + 10)
    for op in its.ops[1:8]:
        run(one, images, [op.name])
    assert len(network._derived[one]) == 3


def whole(images: int) -> Source:
    """A data set of 8x8 pixels in one channel, of two classes; image i is as bright as its number."""

    def load(size: int, channels: int, count: int, progress: Any) -> Dataset:
        pixels = np.broadcast_to(np.arange(images, dtype=np.uint8)[:, None, None, None], (images, 1, 8, 8)).copy()
        half = Split(pixels, np.arange(images) % 2)
        return Dataset(source, half, half, (0.5,), (0.5,))

    source = Source("made", "Made", ("a", "b"), (8, 8), 8, (1,), (images, images), images, True, "none", "here", load)
    return source


def test_of_a_data_set_the_images_to_train_on_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    source = whole(200)
    monkeypatch.setattr(datasets, "find", lambda name: source)
    monkeypatch.setattr(data, "_loaded", remembered(10**6)(data._loaded.__wrapped__))  # type: ignore[attr-defined]
    monkeypatch.setattr(data, "_examples", remembered(10**6)(data._examples.__wrapped__))  # type: ignore[attr-defined]
    found = data.examples("made", 8, 1, [3, 7])
    assert [int(one.picture.pixels[0, 0, 0]) for one in found] == [3, 7]
    kept = data._loaded("made", 8, 1)
    assert (len(kept.train.images), len(kept.test.images)) == (0, 200)
    # 200 images of 64 bytes, and as many labels of 8
    assert 0 <= data._loaded.remembered.bytes - 200 * (64 + 8) < 20_000  # type: ignore[attr-defined]


def test_pictures_and_images_of_large_sets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    source = whole(100)
    monkeypatch.setattr(datasets, "find", lambda name: source)
    for module, name in ((data, "_examples"), (landscapes, "_few")):
        asked = getattr(module, name).__wrapped__
        monkeypatch.setattr(module, name, remembered(60_000)(asked))
    for first in range(50):
        data._examples("made", 8, 1, (first, first + 1))
        landscapes._few("made", 8, 1, first)
    for one in (data._examples, landscapes._few):
        assert one.remembered.bytes <= 60_000  # type: ignore[attr-defined]
        assert 1 < len(one.remembered) < 50  # type: ignore[attr-defined]


def test_names_with_many_classes_take_no_more_room_than_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 200 kB can name as many classes as take megabytes once they are read."""
    bound = 10**6
    parsed = remembered(bound)(kept_files._parsed.__wrapped__)  # type: ignore[attr-defined]
    names = [f"{number}" for number in range(8_000)]
    said = {"version": kept_files.VERSION, "digest": "0" * 64, "size": 1, "sent_as": "x", "about": {"classes": names}}
    for number in range(5):
        path = tmp_path / f"{number}"
        path.write_text(json.dumps({**said, "name": f"{number}"}))
        assert len(parsed(path, number, path.stat().st_size).about.classes) == len(names)
    assert parsed.remembered.bytes <= bound  # type: ignore[attr-defined]
    assert len(parsed.remembered) == 2  # type: ignore[attr-defined]
