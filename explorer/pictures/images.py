"""How an untrusted picture becomes what the network gets.

    bytes -> decoding, a confined process -> Picture -> as_seen (uint8) -> to_tensor (float32, normalised)

The server's own process looks at nothing in a file: what a hostile one can crash or exhaust is the other.
"""

import hashlib
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired, run
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from PIL import Image

from explorer.errors import ExplorerError
from explorer.pictures.decoding import LONGEST_SIDE, UNREADABLE, Refusal

MOST_BYTES = 20 * 2**20
MOST_WAIT = 20  # seconds for a picture: decoding.MOST_SECONDS, and some in which a busy server does other things
MOST_RESIZED = 16_000_000  # pixels between resize and crop: 64 MB

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601-2, by which Pillow makes grey of colour


class PictureError(ExplorerError):
    """Why a picture is refused: one sentence for the user, with the file's name and the way out."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture: pixels (H, W, 3) uint8, read-only. Equal to another if their files are equal."""

    name: str = field(compare=False)
    digest: str  # SHA-256 of the file, hexadecimal: the key for caches
    pixels: np.ndarray = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels {self.pixels.shape} {self.pixels.dtype}: expected (H, W, 3) uint8")
        self.pixels.setflags(write=False)  # cached, and shared by all visitors


# By its path, which holds in any working directory; -P, lest the modules beside it pass for installed ones
_DECODER = [sys.executable, "-P", str(Path(__file__).with_name("decoding.py"))]
_TURNS = threading.BoundedSemaphore(2)  # decoders at once: the memory of ten visitors is that of two


def read_picture(data: bytes, name: str) -> Picture:
    """The first picture of a PNG, JPEG, WebP, BMP, TIFF or GIF file, as decoding.decode gives it.

    Raises PictureError for what is none, or takes more than 300 MB (on Linux) or 15 seconds to decode.
    """
    shown = _shown(name)
    try:
        pixels = _decoded(data)
    except Refusal as refusal:
        raise PictureError(f'"{shown}" {refusal}.') from None
    return Picture(shown, hashlib.sha256(data).hexdigest(), pixels)


def _decoded(data: bytes) -> np.ndarray:
    """Pixels (H, W, 3). Raises Refusal."""
    if not data:
        raise Refusal("is empty: choose another file")
    if len(data) > MOST_BYTES:
        raise Refusal(f"has {len(data) / 2**20:.1f} MB, more than {MOST_BYTES // 2**20} MB: save it as JPEG")
    try:
        with _TURNS:
            done = run(_DECODER, input=data, stdout=PIPE, stderr=DEVNULL, timeout=MOST_WAIT)
    except TimeoutExpired:
        raise Refusal(UNREADABLE) from None
    except OSError:
        raise Refusal("cannot be read now, as the server could not start a decoder: try again later") from None
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode == 0 and (sides := re.fullmatch(rb"P6 (\d{1,4}) (\d{1,4}) 255", head)):
        width, height = int(sides[1]), int(sides[2])
        if max(width, height) <= LONGEST_SIDE and len(body) == height * width * 3 > 0:
            return np.frombuffer(body, np.uint8).reshape(height, width, 3)
    if done.returncode == 1 and re.fullmatch(rb"[ -~]{1,150}", head):
        raise Refusal(head.decode("ascii"))
    raise Refusal(UNREADABLE)  # it was killed by its limits, or crashed


def _shown(name: str) -> str:
    """A file's name in at most 48 printable characters: no line breaks, no marks that reverse the text."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in name).split()) or "picture"
    return clean if len(clean) <= 48 else f"{clean[:35]}…{clean[-12:]}"  # the ending stays visible


# ---- pictures that need no upload ----

SAMPLES: Mapping[str, str] = MappingProxyType(  # public photographs that scikit-image's wheel contains
    {
        "Cat (Chelsea)": "chelsea.png",
        "Coffee": "coffee.png",
        "Astronaut": "astronaut.png",
        "Rocket": "rocket.jpg",
        "Motorcycle": "motorcycle_left.png",
        "Galaxies (Hubble)": "hubble_deep_field.jpg",
    }
)


@lru_cache(maxsize=len(SAMPLES))
def sample(label: str) -> Picture:
    """The sample photograph of this label. Raises PictureError for another label, or where it is missing."""
    if label not in SAMPLES:
        raise PictureError(f'There is no sample "{_shown(label)}": choose {", ".join(SAMPLES)}.')
    package = find_spec("skimage")  # not imported: that takes as long as reading the picture
    file = Path(package.origin).with_name("data") / SAMPLES[label] if package and package.origin else None
    if file is None or not file.is_file():
        raise PictureError(f'The sample "{label}" is not here: install scikit-image, or upload a picture.')
    return read_picture(file.read_bytes(), file.name)


# ---- from a picture to the network's input ----


@dataclass(frozen=True)
class Preparation:
    """What is done to a picture: resize, crop the centre, subtract the mean, divide by the deviation.

    `resize` is the length of the shorter side before a square of `size` is cropped, in pixels. `mean` and
    `std` belong to values 0..1, one for each channel: three, or one for grey.
    """

    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize:
            raise ValueError(f"size={self.size}, resize={self.resize}: needs 1 <= size <= resize")
        if len(self.mean) not in {1, 3} or len(self.mean) != len(self.std):
            raise ValueError(f"mean={self.mean}, std={self.std}: give one or three values of each")
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std}: a deviation is above 0")

    @property
    def channels(self) -> int:
        return len(self.mean)


def standard_preparation(size: int, channels: Literal[1, 3] = 3) -> Preparation:
    """ImageNet's: shorter side to 256/224 of the size, then the centre.

    Up to 64 pixels nothing is cropped, as in CIFAR, SVHN or Tiny ImageNet. For grey, mean and deviation are
    ImageNet's weighted as luminance is: exact for the mean, and for the deviation the value of channels
    that rise and fall together, as in photographs they nearly do.
    """
    resize = size if size <= 64 else round(size * 256 / 224)
    if channels == 3:
        return Preparation(size, resize, IMAGENET_MEAN, IMAGENET_STD)
    return Preparation(size, resize, (_luminance(IMAGENET_MEAN),), (_luminance(IMAGENET_STD),))


def _luminance(colour: tuple[float, float, float]) -> float:
    return sum(weight * value for weight, value in zip(LUMINANCE, colour, strict=True))


def as_seen(picture: Picture, preparation: Preparation) -> np.ndarray:
    """What the network really gets, before normalisation: (size, size, 3), or (size, size, 1), uint8.

    Equal, pixel for pixel, to torchvision's ImageClassification on the same picture (for grey, on its
    luminance), except for strips that would pass MOST_RESIZED pixels on the way: those are cropped while
    they are resized, which may differ by one level.
    """
    image = Image.fromarray(picture.pixels)
    if preparation.channels == 1:
        image = image.convert("L")
    filter_ = Image.Resampling[preparation.interpolation.upper()]
    size, (width, height) = preparation.size, _resized(image.size, preparation.resize)
    left, top = round((width - size) / 2), round((height - size) / 2)
    if width * height <= MOST_RESIZED:
        seen = image.resize((width, height), filter_).crop((left, top, left + size, top + size))
    else:
        x, y = image.width / width, image.height / height
        box = left * x, top * y, min((left + size) * x, image.width), min((top + size) * y, image.height)
        seen = image.resize((size, size), filter_, box=box)
    return np.array(seen).reshape(size, size, preparation.channels)


def _resized(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Width and height once the shorter side has this length; the longer is cut to whole pixels."""
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def to_tensor(seen: list[np.ndarray], preparation: Preparation) -> torch.Tensor:
    """(N, C, size, size) float32, normalised, from N pictures as as_seen gives them.

    Raises ValueError for none, or for one of another shape.
    """
    shape = (preparation.size, preparation.size, preparation.channels)
    if not seen:
        raise ValueError("no pictures: give at least one")
    for pixels in seen:
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise ValueError(f"picture {pixels.shape} {pixels.dtype}: this preparation gives {shape} uint8")
    values = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)
    mean = torch.tensor(preparation.mean, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(preparation.std, dtype=torch.float32).view(-1, 1, 1)
    return values.sub_(mean).div_(std)
