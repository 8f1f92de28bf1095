"""The data sets of the literature, which are downloaded when they are first wanted.

Each lies in a folder of its own in `settings.data_folder()`, as torchvision lays its files out. That folder is there
when all of it is: it is filled under another name, and renamed. To a machine without internet it can be copied.
"""

import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarError
from typing import Any

import numpy as np

from explorer.learning.datasets.dataset import DataError, Dataset, Progress, Source, Split
from explorer.learning.datasets.filling import filled
from explorer.learning.datasets.splitting import spread
from explorer.learning.datasets.torchvision_files import CIFAR, IDX, MAT, File, Format, Half
from explorer.learning.settings import data_folder
from explorer.running.downloading import DownloadError, download
from explorer.wording import clean

UNFINISHED = (OSError, EOFError, KeyError, TarError, zlib.error)  # no space, or an archive that is not as it should be
SILENCE = 20  # seconds after which a server is given up

DIGITS = tuple("0123456789")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MNIST = tuple(f"{digit} - {word}" for digit, word in zip(DIGITS, WORDS, strict=True))  # as torchvision has them
FASHION_MNIST = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)


@dataclass(frozen=True)
class Published:
    """A data set that torchvision's class of this name has; `size` is in bytes, of all its downloads."""

    class_name: str
    format: Format
    size: int

    @property
    def kind(self) -> Any:
        from torchvision import datasets  # which a worker that learns other data does without

        return getattr(datasets, self.class_name)

    def load(self, source: Source, images: int, progress: Progress | None) -> Dataset:
        folder = data_folder() / source.name
        if not folder.is_dir():
            self._bring(source, folder, progress)
        try:
            train, test = (_checked(source, self.format.read(self.kind, folder, train)) for train in (True, False))
        except Exception as error:  # a damaged file can fail anywhere in torchvision, pickle or scipy
            found = f"{source.title} in {folder} cannot be read ({_words(error)})"
            raise DataError(f"{found}; delete that folder to download it again.") from error
        if 0 < images < len(train.labels):
            first = spread(train.labels)[:images]
            train = Split(train.images[first], train.labels[first])
        return Dataset.measured(source, train, test)

    def _bring(self, source: Source, folder: Path, progress: Progress | None) -> None:
        """Downloads and unpacks it, wholly or not at all. Raises DataError."""
        try:
            with filled(folder) as partial:
                done = 0
                for file in self.format.files(self.kind):
                    _download(file, partial / file.path, self._further(progress, done))
                    done += (partial / file.path).stat().st_size
                self.format.unpack(self.kind, partial)
        except DownloadError as reason:
            failed = f"{source.title} could not be downloaded ({reason})"
            raise DataError(
                f"{failed}; connect this machine to the internet, or choose a data set that needs no download."
            ) from reason
        except UNFINISHED as error:
            failed = f"{source.title} could not be unpacked in {folder.parent} ({_words(error)})"
            raise DataError(f"{failed}; free some space there, or name another folder in EXPLORER_DATA.") from error

    def _further(self, progress: Progress | None, before: int) -> Progress | None:
        """For one file of several: bytes of all of them."""
        if progress is None:
            return None
        return lambda done, _: progress(min(before + done, self.size), self.size)


def _download(file: File, to: Path, progress: Progress | None) -> None:
    """From the first address that has it. Raises DownloadError with what the last one did."""
    *others, last = file.addresses
    for address in others:
        with suppress(DownloadError):
            return download(address, to, "md5", file.md5, progress, SILENCE)
    return download(last, to, "md5", file.md5, progress, SILENCE)


def _words(error: Exception) -> str:
    return clean(getattr(error, "strerror", None) or str(error)) or type(error).__name__


def _checked(source: Source, half: Half) -> Split:
    """Raises ValueError for what is not as the source says."""
    images, labels = np.ascontiguousarray(half.images), np.asarray(half.labels, np.int64)
    side = source.usual_size
    if images.dtype != np.uint8 or images.shape != (len(labels), source.channels[0], side, side) or not len(labels):
        raise ValueError(f"{len(labels)} labels for images {images.shape} {images.dtype}")
    if labels.min() < 0 or labels.max() >= len(source.classes):
        raise ValueError(f"labels {labels.min()} to {labels.max()}, of {len(source.classes)} classes")
    if half.classes not in ((), source.classes):
        raise ValueError("its classes are others")
    return Split(images, labels)


def _source(published: Published, side: int, channels: int, images: tuple[int, int], **facts: Any) -> Source:
    def load(size: int, channels: int, images: int, progress: Progress | None) -> Dataset:
        source.check(size, channels, images)
        return published.load(source, images, progress)

    shape: dict[str, Any] = {"sizes": (side, side), "usual_size": side, "channels": (channels,)}
    facts["origin"] += f"; {published.size // 10**6} MB, downloaded at the first use"
    source = Source(**shape, images=images, most_images=images[0], load=load, **facts)
    return source


SOURCES = (
    _source(
        Published("MNIST", IDX, 11_594_722),
        28,
        1,
        (60_000, 10_000),
        name="mnist",
        title="MNIST",
        classes=MNIST,
        mirrors=False,
        licence="CC BY-SA 3.0",
        origin="Y. LeCun and C. Cortes, http://yann.lecun.com/exdb/mnist",
    ),
    _source(
        Published("FashionMNIST", IDX, 30_878_645),
        28,
        1,
        (60_000, 10_000),
        name="fashion-mnist",
        title="Fashion-MNIST",
        classes=FASHION_MNIST,
        mirrors=True,
        licence="MIT",
        origin="Zalando Research, https://github.com/zalandoresearch/fashion-mnist",
    ),
    _source(
        Published("CIFAR10", CIFAR, 170_498_071),
        32,
        3,
        (50_000, 10_000),
        name="cifar10",
        title="CIFAR-10",
        classes=CIFAR_10,
        mirrors=True,
        licence="none stated",
        origin="A. Krizhevsky, V. Nair and G. Hinton, https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    _source(
        Published("CIFAR100", CIFAR, 169_001_437),
        32,
        3,
        (50_000, 10_000),
        name="cifar100",
        title="CIFAR-100",
        classes=tuple(CIFAR_100.split()),
        mirrors=True,
        licence="none stated",
        origin="A. Krizhevsky, V. Nair and G. Hinton, https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    _source(
        Published("SVHN", MAT, 246_316_178),
        32,
        3,
        (73_257, 26_032),
        name="svhn",
        title="Street View House Numbers",
        classes=DIGITS,
        mirrors=False,
        licence="for non-commercial use only",
        origin="Y. Netzer and others, http://ufldl.stanford.edu/housenumbers",
    ),
)
