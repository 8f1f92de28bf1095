"""What a network gets of a picture.

Picture -> as_seen (uint8) -> to_tensor (float32, normalised)
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from explorer.pictures.reading import Picture

MOST_RESIZED = 16_000_000  # pixels between resize and crop: 64 MB

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MOST_VALUE = 1000  # of a mean or a deviation: with more, a picture is no number any longer, or one colour
Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601-2, by which Pillow makes grey of colour


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
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize:
            raise ValueError(f"size={self.size}, resize={self.resize}: needs 1 <= size <= resize")
        if len(self.mean) not in {1, 3} or len(self.mean) != len(self.std):
            raise ValueError(f"mean={self.mean}, std={self.std}: give one or three values of each")
        if not all(abs(value) <= MOST_VALUE for value in self.mean):
            raise ValueError(f"mean={self.mean}: values are numbers up to {MOST_VALUE}")
        if not all(1 / MOST_VALUE <= value <= MOST_VALUE for value in self.std):
            raise ValueError(f"std={self.std}: a deviation is above 0, from {1 / MOST_VALUE} to {MOST_VALUE}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation={self.interpolation!r}: choose one of {', '.join(INTERPOLATIONS)}")

    @property
    def channels(self) -> int:
        return len(self.mean)

    def at(self, size: int) -> "Preparation":
        """The same for pictures of another size: as much of them is cropped away."""
        return replace(self, size=size, resize=max(size, round(self.resize * size / self.size)))


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


def described(preparation: Preparation) -> str:
    """In a few words: shorter side to 256, bilinear; centre of 224; mean 0.485, 0.456, 0.406; std 0.229, ..."""
    size, resize = preparation.size, preparation.resize
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (preparation.mean, preparation.std))
    crop = f"; centre of {size}" if resize > size else ", square from the centre"
    return f"shorter side to {resize}, {preparation.interpolation}{crop}; mean {mean}; std {std}"


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
    seen = _square(image, preparation, Image.Resampling[preparation.interpolation.upper()])
    return np.array(seen).reshape(preparation.size, preparation.size, preparation.channels)


def mask_as_seen(picture: Picture, preparation: Preparation) -> NDArray[np.bool_] | None:
    """Which pixels of what as_seen gives are the object's, (size, size): those of which at least half is object.

    None where the picture's object is not known.
    """
    if picture.mask is None:
        return None
    # the mean over each pixel's area, whatever the picture's own filter: others look beyond it
    shares = _square(Image.fromarray(picture.mask.astype(np.uint8) * 255), preparation, Image.Resampling.BOX)
    return np.asarray(shares) >= 128


def _square(image: Image.Image, preparation: Preparation, filter_: Image.Resampling) -> Image.Image:
    """The shorter side resized, and the centre of that."""
    size, (width, height) = preparation.size, _resized(image.size, preparation.resize)
    left, top = round((width - size) / 2), round((height - size) / 2)
    if width * height <= MOST_RESIZED:
        return image.resize((width, height), filter_).crop((left, top, left + size, top + size))
    x, y = image.width / width, image.height / height
    box = left * x, top * y, min((left + size) * x, image.width), min((top + size) * y, image.height)
    return image.resize((size, size), filter_, box=box)


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
