"""Every data set that needs no download is what its source says; and how data sets are found, split and fitted."""

import os
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from explorer.families import FAMILIES, PRESETS, Config
from explorer.learning import datasets, settings
from explorer.learning.datasets import SOURCES, DataError, Dataset, Source, Split, find
from explorer.learning.datasets.filling import filled
from explorer.learning.datasets.splitting import spread

ROOT = Path(__file__).parents[1]
DOWNLOADED = {"mnist", "fashion-mnist", "cifar10", "cifar100", "svhn"}
AT_HAND = [source for name, source in SOURCES.items() if name not in DOWNLOADED]
NAMES = [source.name for source in AT_HAND]
NETWORKS = [
    *(next(iter(family.presets.values())).config for family in FAMILIES.values()),
    *(family.examples[0] for family in FAMILIES.values()),
]


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


# --- what every data set promises


@pytest.mark.parametrize("source", AT_HAND, ids=NAMES)
def test_a_data_set_is_as_its_source_says(source: Source) -> None:
    steps: list[tuple[int, int]] = []
    size, channels = source.usual_size, source.channels[0]
    data = source.load(size, channels, 200, lambda done, total: steps.append((done, total)))
    assert data.train.images.shape == (200, channels, size, size)
    assert data.test.images.shape == (source.images[1], channels, size, size)
    for split in (data.train, data.test):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.labels.shape == split.images.shape[:1]
        counts = np.bincount(split.labels, minlength=len(source.classes))
        assert len(counts) == len(source.classes)
        assert counts.min() > len(split.labels) / len(source.classes) / 2
        assert counts.max() < len(split.labels) / len(source.classes) * 2
    assert rows(data.train.images).isdisjoint(rows(data.test.images))
    values = data.train.images / 255
    assert data.mean == pytest.approx(values.mean(axis=(0, 2, 3)), abs=1e-9)
    assert data.std == pytest.approx(values.std(axis=(0, 2, 3)), abs=1e-9)
    assert data.source is source
    assert (data.size, data.channels) == (size, channels)
    assert (data.preparation.size, data.preparation.channels) == (size, channels)
    assert steps
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("source", AT_HAND, ids=NAMES)
def test_a_data_set_is_the_same_each_time_in_every_size(source: Source) -> None:
    least, most = source.sizes[0], min(source.sizes[1], 64)
    first, *_, last = source.channels
    one, other, fewer = (source.load(least, first, images, None) for images in (50, 50, 20))
    assert np.array_equal(one.train.images, other.train.images)
    assert np.array_equal(one.test.labels, other.test.labels)
    assert np.array_equal(one.train.images[:20], fewer.train.images)
    assert source.load(most, last, 50, None).train.images.shape == (50, last, most, most)


@pytest.mark.parametrize("source", AT_HAND, ids=NAMES)
@pytest.mark.parametrize("wrong", [(7, 1, 0), (4096, 1, 0), (16, 2, 0), (16, 1, -1), (16, 1, 10**9)])
def test_what_cannot_be_had_is_refused(source: Source, wrong: tuple[int, int, int]) -> None:
    with pytest.raises(DataError) as caught:
        source.load(*wrong, None)
    assert str(caught.value).endswith(".")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_what_is_said_of_a_data_set(source: Source) -> None:
    assert len(set(source.classes)) == len(source.classes) >= 2
    assert source.sizes[0] <= source.usual_size <= source.sizes[1]
    assert set(source.channels) <= {1, 3}
    assert source.images[0] <= source.most_images
    assert source.licence
    assert source.name in NAMES or "http" in source.origin


# --- which networks fit


@pytest.mark.parametrize("source", AT_HAND, ids=NAMES)
@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.family)
def test_a_network_fits_once_it_is_fitted(source: Source, config: Config) -> None:
    fitted = config.adapt(**source.fit(config))
    assert source.misfits(fitted) == ()
    assert fitted.classes == len(source.classes)
    # and is left alone from then on, but for a size that only this network needs
    assert set(source.fit(fitted)) <= {"input_size"}
    data = source.load(fitted.input_size, fitted.channels, 10, None)
    assert data.train.images.shape[1:] == (fitted.channels, fitted.input_size, fitted.input_size)


def test_a_network_that_halves_too_often_gets_larger_images() -> None:
    digits = SOURCES["digits"]
    assert digits.fit(PRESETS["resnet18"]) == {"classes": 10, "input_size": 16, "stem": "cifar"}
    # five pools leave nothing of 16 pixels, and one of 32
    assert digits.fit(PRESETS["vgg16"]) == {"classes": 10, "input_size": 32}


def test_misfits_are_told_in_words() -> None:
    config = PRESETS["resnet18"].replace(classes=4, channels=1)
    assert SOURCES["cifar10"].misfits(config) == (
        "10 classes, not 4",
        "3 image channels, not 1",
        "32 px, not 224",
    )
    assert SOURCES["digits"].misfits(config) == ("10 classes, not 4", "8 to 64 px, not 224")


# --- mean and deviation


def test_images_of_one_colour_can_be_prepared() -> None:
    flat = Split(np.full((5, 3, 8, 8), 51, np.uint8), np.zeros(5, np.int64))
    data = Dataset.measured(SOURCES["digits"], flat, flat)
    assert data.mean == (0.2, 0.2, 0.2)
    assert data.std == (0.001, 0.001, 0.001)  # the least that a preparation divides by
    assert data.preparation.std == data.std


def test_the_mean_of_many_images_is_numpys() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 4), dtype=np.uint8)
    split = Split(images, np.zeros(2500, np.int64))
    data = Dataset.measured(SOURCES["digits"], split, split)
    assert data.mean == pytest.approx((images / 255).mean(axis=(0, 2, 3)), abs=1e-12)
    assert data.std == pytest.approx((images / 255).std(axis=(0, 2, 3)), abs=1e-12)


# --- digits


def pairs(split: Split) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)}


def test_digits_are_scikit_learns_enlarged() -> None:
    theirs = load_digits()
    data = SOURCES["digits"].load(8, 1, 0, None)
    assert (len(data.train.labels), len(data.test.labels)) == (1400, 397)
    grey = np.rint(theirs.images * 15.9375).astype(np.uint8)  # 0..16 -> 0..255
    assert pairs(data.train) | pairs(data.test) == pairs(Split(grey, theirs.target))
    assert len(pairs(data.train)) + len(pairs(data.test)) == 1797
    # another program's bilinear enlargement
    small, large = data.train.images[:100], SOURCES["digits"].load(20, 3, 100, None).train.images
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(small).float(), size=20, mode="bilinear")
    assert np.abs(enlarged.numpy() - large).max() <= 1
    assert (large[:, 0] == large[:, 2]).all()


def test_digits_are_split_by_class() -> None:
    data = SOURCES["digits"].load(8, 1, 0, None)
    share = np.bincount(data.test.labels) / np.bincount(np.concatenate([data.test.labels, data.train.labels]))
    assert np.abs(share - 397 / 1797).max() < 1 / 174  # of the rarest digit there are 174


def test_scikit_learn_is_imported_for_digits_alone() -> None:
    code = "import sys, explorer.learning.datasets; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# --- an order that is fair to classes


def test_every_beginning_has_each_class_in_its_share() -> None:
    labels = np.repeat(np.arange(4), (1000, 500, 30, 2))
    order = spread(labels)
    assert sorted(order.tolist()) == list(range(1532))
    for count in range(1, 1532, 17):
        drawn = np.bincount(labels[order[:count]], minlength=4)
        assert np.abs(drawn - count * np.array([1000, 500, 30, 2]) / 1532).max() <= 1.5
    assert not np.array_equal(np.sort(order[:100]), order[:100])


def test_within_a_class_hashes_decide() -> None:
    # for i in 0 1 2 3 4; do printf $i | sha256sum | cut -c1-4; done: 5fec 6b86 d473 4e07 4b22
    assert spread(np.zeros(5, np.int64)).tolist() == [4, 3, 0, 1, 2]


# --- how they are found


def test_those_that_need_no_download_come_first() -> None:
    assert list(SOURCES)[:2] == ["shapes", "digits"]
    assert set(SOURCES) >= DOWNLOADED
    assert find("digits") is SOURCES["digits"]


@pytest.mark.parametrize("name", ["", "Digits", "../digits", "imported-", f"imported-{'0' * 63}", "a\nb", "x" * 999])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="There is no data set") as caught:
        find(name)
    assert str(caught.value).isprintable()
    assert "digits" in str(caught.value)


def test_twins_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = SOURCES["digits"]
    found = {"one": SimpleNamespace(SOURCE=digits), "other": SimpleNamespace(SOURCES=(digits,)), "none": object()}
    listed = [SimpleNamespace(name=name) for name in found]
    monkeypatch.setattr(datasets.pkgutil, "iter_modules", lambda _: listed[:1] + listed[2:])
    monkeypatch.setattr(datasets.importlib, "import_module", lambda name: found[name.rpartition(".")[2]])
    assert datasets._discover() == {"digits": digits}
    monkeypatch.setattr(datasets.pkgutil, "iter_modules", lambda _: listed)
    with pytest.raises(ImportError, match="two data sets are named digits"):
        datasets._discover()


# --- where they lie


def test_folders_are_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORER_DATA", str(tmp_path / "here"))
    monkeypatch.setenv("EXPLORER_RUNS", "~/there")
    monkeypatch.delenv("EXPLORER_UPLOADS", raising=False)
    assert settings.data_folder() == tmp_path / "here"
    assert settings.runs_folder() == Path.home() / "there"
    assert settings.uploads_folder() == Path.home() / "there" / ".uploads"
    monkeypatch.setenv("EXPLORER_UPLOADS", str(tmp_path / "sent"))
    assert settings.uploads_folder() == tmp_path / "sent"
    monkeypatch.setenv("EXPLORER_DATA", " ")
    monkeypatch.delenv("EXPLORER_RUNS")
    assert settings.data_folder().parts[-2:] == ("skip-connection-explorer", "data")
    assert settings.runs_folder() == settings.data_folder().with_name("runs")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert settings.made(folder) == settings.made(folder) == folder
    assert [stat.S_IMODE(place.stat().st_mode) for place in (folder, folder.parent)] == [0o700, 0o700]


def test_a_folder_is_filled_or_is_not_there(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), filled(tmp_path / "set") as partial:
        (partial / "half").write_text("of it")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with filled(tmp_path / "set") as slower:
        (slower / "who").write_text("slower")
        with filled(tmp_path / "set") as faster:
            (faster / "who").write_text("faster")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert (tmp_path / "set" / "who").read_text() == "faster"


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "set.1234.partial"
    left.mkdir()
    with filled(tmp_path / "one"):
        pass
    assert left.exists()  # it may be at work
    os.utime(left, (0, 0))
    with filled(tmp_path / "two"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
