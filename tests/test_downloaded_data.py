"""Downloaded data sets: whole and unchanged, or nothing and one sentence. Files and the server are made here."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.io
from torchvision import datasets as theirs

from explorer.learning.datasets import SOURCES, DataError, Dataset

Arrays = tuple[np.ndarray, np.ndarray]  # images (N, C, H, W), labels (N,)
NAMES = ["mnist", "fashion-mnist", "cifar10", "cifar100", "svhn"]
TRAINING, TEST = 24, 6


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def drawn(seed: int, count: int, name: str) -> Arrays:
    source, chance = SOURCES[name], np.random.default_rng(seed)
    shape = (count, source.channels[0], source.usual_size, source.usual_size)
    return chance.integers(0, 256, shape, dtype=np.uint8), np.arange(count) % min(6, len(source.classes))


# --- files in the formats of those who published the data sets


def idx(values: np.ndarray) -> bytes:
    """As http://yann.lecun.com/exdb/mnist says: two zeros, 8 for bytes, the dimensions, each one's length, values."""
    lengths = struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + lengths + values.astype(np.uint8).tobytes())


def mnist(train: Arrays, test: Arrays) -> dict[str, bytes]:
    files = {}
    for half, (images, labels) in {"train": train, "t10k": test}.items():
        files[f"{half}-images-idx3-ubyte.gz"] = idx(images[:, 0])
        files[f"{half}-labels-idx1-ubyte.gz"] = idx(labels)
    return files


def cifar(folder: str, batches: dict[str, Arrays], labels: str, meta: tuple[str, str, list[str]]) -> dict[str, bytes]:
    """As https://www.cs.toronto.edu/~kriz/cifar.html says: pickles of rows, red before green before blue."""
    name, key, classes = meta
    inside = {name: pickle.dumps({key: classes})}
    for batch, (images, numbers) in batches.items():
        inside[batch] = pickle.dumps({"data": images.reshape(len(images), -1), labels: numbers.tolist()})
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for batch, data in inside.items():
            entry = tarfile.TarInfo(f"{folder}/{batch}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return {f"{folder}.tar.gz": file.getvalue()} | inside


def svhn(train: Arrays, test: Arrays) -> dict[str, bytes]:
    """As http://ufldl.stanford.edu/housenumbers says: X (32, 32, 3, N), and y with 10 for the digit 0."""
    files = {}
    for half, (images, labels) in {"train": train, "test": test}.items():
        file = io.BytesIO()
        numbers = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        scipy.io.savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": numbers})
        files[f"{half}_32x32.mat"] = file.getvalue()
    return files


class Published(NamedTuple):
    train: Arrays
    test: Arrays
    files: dict[str, bytes]  # as they are on the server


def publish(name: str, url: str, patch: pytest.MonkeyPatch) -> Published:
    """Tiny files for torchvision's class, and the class told where they are."""
    train, test = drawn(1, TRAINING, name), drawn(2, TEST, name)
    match name:
        case "mnist" | "fashion-mnist":
            kind = theirs.MNIST if name == "mnist" else theirs.FashionMNIST
            files = mnist(train, test)
            patch.setattr(kind, "mirrors", [f"{url}/nowhere/", f"{url}/"])
            patch.setattr(kind, "resources", [(file, md5(data)) for file, data in files.items()])
            return Published(train, test, files)
        case "svhn":
            files = svhn(train, test)
            lists = {
                h: [f"{url}/{h}_32x32.mat", f"{h}_32x32.mat", md5(files[f"{h}_32x32.mat"])] for h in ("train", "test")
            }
            patch.setattr(theirs.SVHN, "split_list", lists)
            return Published(train, test, files)
    kind = theirs.CIFAR10 if name == "cifar10" else theirs.CIFAR100
    half = [(images, labels) for images, labels in zip(*(np.split(part, 2) for part in train), strict=True)]
    if name == "cifar10":
        batches, labels, meta = (
            {"data_batch_1": half[0], "data_batch_2": half[1]},
            "labels",
            ("batches.meta", "label_names"),
        )
    else:
        batches, labels, meta = {"train": train}, "fine_labels", ("meta", "fine_label_names")
    tests = "test_batch" if name == "cifar10" else "test"
    files = cifar(kind.base_folder, batches | {tests: test}, labels, (*meta, list(SOURCES[name].classes)))
    patch.setattr(kind, "url", f"{url}/{kind.base_folder}.tar.gz")
    patch.setattr(kind, "tgz_md5", md5(files[f"{kind.base_folder}.tar.gz"]))
    patch.setattr(kind, "train_list", [[batch, md5(files[batch])] for batch in batches])
    patch.setattr(kind, "test_list", [[tests, md5(files[tests])]])
    patch.setattr(kind, "meta", kind.meta | {"md5": md5(files[meta[0]])})
    return Published(train, test, files)


class Server:
    """A web server on this machine. `files` by name; `answer` may change what is sent of one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.answer: Callable[[bytes], bytes] = lambda body: body
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = outer.files.get(self.path.removeprefix("/"))
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(outer.answer(body))

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "data"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def load(name: str, images: int = 0, **options: object) -> Dataset:
    source = SOURCES[name]
    return source.load(source.usual_size, source.channels[0], images, options.get("progress"))  # type: ignore[arg-type]


def refusal(name: str, folder: Path) -> str:
    """The sentence of a download that fails and leaves nothing behind."""
    with pytest.raises(DataError) as caught:
        load(name)
    assert list(folder.iterdir()) == []
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert sentence.startswith(f"{SOURCES[name].title} could not be ")
    return sentence


# --- what is there is read


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_what_is_learned(
    name: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test, server.files = publish(name, server.url, monkeypatch)
    steps: list[tuple[int, int]] = []
    data = load(name, progress=lambda done, total: steps.append((done, total)))
    for split, (images, labels) in ((data.train, train), (data.test, test)):
        assert np.array_equal(split.images, images)
        assert split.labels.tolist() == labels.tolist()
        assert split.labels.dtype == np.int64
        assert split.images.flags.c_contiguous
    assert data.mean == pytest.approx((train[0] / 255).mean(axis=(0, 2, 3)))
    assert data.std == pytest.approx((train[0] / 255).std(axis=(0, 2, 3)))
    # bytes, of all files together
    sent = [path for path in server.asked if "nowhere" not in path]
    assert steps[-1][0] == sum(len(server.files[path.removeprefix("/")]) for path in sent)
    assert steps == sorted(steps)
    assert len({total for _, total in steps}) == 1

    server.stop()  # it is not asked again
    assert np.array_equal(load(name).train.images, train[0])
    assert [path.name for path in folder.iterdir()] == [name]
    assert not [path for path in folder.rglob("*") if path.suffix in {".gz", ".partial"}]


def test_fewer_images_are_of_all_classes(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    train, _, server.files = publish("cifar10", server.url, monkeypatch)
    few, more = load("cifar10", 12), load("cifar10", 18)
    assert np.bincount(few.train.labels).tolist() == [2] * 6
    assert np.array_equal(few.train.images, more.train.images[:12])
    assert not np.array_equal(few.train.images, train[0][:12])
    assert len(few.test.labels) == TEST
    place = {image.tobytes(): label for image, label in zip(*train, strict=True)}
    assert [place[image.tobytes()] for image in few.train.images] == few.train.labels.tolist()
    assert few.mean == pytest.approx((few.train.images / 255).mean(axis=(0, 2, 3)))


# --- what is not there, or not whole


@pytest.mark.parametrize("name", NAMES)
def test_offline_leaves_nothing(name: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(name, server.url, monkeypatch)
    server.stop()
    sentence = refusal(name, folder)
    assert "(no connection to 127.0.0.1" in sentence
    assert sentence.endswith("connect this machine to the internet, or choose a data set that needs no download.")


@pytest.mark.parametrize("name", NAMES)
def test_another_file_than_the_published_one_is_refused(
    name: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, server.files = publish(name, server.url, monkeypatch)
    server.answer = lambda body: body[:-1] + bytes([body[-1] ^ 1])
    assert "the file that came is not the one torchvision published" in refusal(name, folder)


def test_an_interrupted_download_is_done_again(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    train, _, server.files = publish("svhn", server.url, monkeypatch)
    server.answer = lambda body: body[:500]
    assert "it broke off after 500 of" in refusal("svhn", folder)
    server.answer = lambda body: body

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load("svhn", progress=stop)
    assert list(folder.iterdir()) == []
    # as a killed process leaves it
    (folder / "svhn.0123.partial").mkdir()
    (folder / "svhn.0123.partial" / "train_32x32.mat").write_bytes(b"half")
    assert np.array_equal(load("svhn").train.images, train[0])


def test_two_downloads_at_once_both_succeed(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    train, _, server.files = publish("cifar100", server.url, monkeypatch)
    both = threading.Barrier(2, timeout=10)

    def wait(body: bytes) -> bytes:
        both.wait()
        return body

    server.answer = wait
    found: list[Dataset] = []
    threads = [threading.Thread(target=lambda: found.append(load("cifar100"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 2
    assert all(np.array_equal(data.train.images, train[0]) for data in found)
    assert len(found) == 2
    assert [path.name for path in folder.iterdir()] == ["cifar100"]


def test_an_archive_without_its_files_is_refused(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, server.files = publish("cifar10", server.url, monkeypatch)
    monkeypatch.setattr(theirs.CIFAR10, "test_list", [["another", "0" * 32]])
    assert "could not be unpacked" in refusal("cifar10", folder)


def test_a_folder_that_cannot_be_written(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, server.files = publish("mnist", server.url, monkeypatch)
    folder.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="EXPLORER_DATA"):
        load("mnist")
    assert folder.is_file()


MANGLED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "other": lambda data: b"\x00" * len(data),
}


@pytest.mark.parametrize("how", MANGLED)
@pytest.mark.parametrize("name", NAMES)
def test_mangled_files_are_one_sentence(
    name: str, how: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, server.files = publish(name, server.url, monkeypatch)
    load(name)
    (largest, *_) = sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size
    )
    largest.write_bytes(MANGLED[how](largest.read_bytes()))
    with pytest.raises(DataError) as caught:
        load(name)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("; delete that folder to download it again.")


def test_labels_and_classes_must_be_those_that_are_known(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, server.files = publish("mnist", server.url, monkeypatch)
    load("mnist")
    (labels,) = folder.rglob("t10k-labels-idx1-ubyte")
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(DataError, match="labels 0 to 10, of 10 classes"):
        load("mnist")
    *_, server.files = publish("cifar10", server.url, monkeypatch)
    load("cifar10")
    meta = folder / "cifar10" / "cifar-10-batches-py" / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": sorted(SOURCES["cifar10"].classes, reverse=True)}))
    monkeypatch.setattr(theirs.CIFAR10, "meta", theirs.CIFAR10.meta | {"md5": md5(meta.read_bytes())})
    with pytest.raises(DataError, match="classes are others"):
        load("cifar10")


# --- what is said of them


def test_addresses_and_sizes_are_torchvisions() -> None:
    assert SOURCES["mnist"].classes[3] == "3 - three"
    assert SOURCES["fashion-mnist"].classes[9] == "Ankle boot"
    assert len(SOURCES["cifar100"].classes) == 100
    assert list(SOURCES["cifar100"].classes) == sorted(SOURCES["cifar100"].classes)
    assert {name for name in NAMES if SOURCES[name].mirrors} == {"fashion-mnist", "cifar10", "cifar100"}
    for name in NAMES:
        assert SOURCES[name].sizes == (SOURCES[name].usual_size,) * 2


def test_another_size_or_colour_is_not_made(folder: Path) -> None:
    with pytest.raises(DataError, match=r"MNIST can be had in 28 px, not in 32"):
        SOURCES["mnist"].load(32, 1, 0, None)
    with pytest.raises(DataError, match=r"CIFAR-10 can be had with 3 image channels, not 1"):
        SOURCES["cifar10"].load(32, 1, 0, None)
    assert not folder.exists()
