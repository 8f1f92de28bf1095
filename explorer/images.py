"""How an untrusted picture becomes what the network gets.

    bytes -> sieve -> Pillow -> Picture -> as_seen (uint8) -> to_tensor (float32, normalised)

Two rules keep a small hostile file from taking the server's memory or time. The size is read before
anything is decoded. And Pillow gets a sieved file: only the parts that make the first picture, because it is
the parsers of metadata that turn kilobytes into gigabytes (compressed text in PNG, millions of segments in
JPEG or of comments in GIF, tag directories in TIFF and EXIF). Orientation is the one piece of metadata
that a picture needs; it is read here.
"""

import hashlib
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFile

LONGEST_SIDE = 1024  # pixels; no input of these networks is larger, and a page shows no more
MOST_BYTES = 20 * 2**20
MOST_PIXELS = 25_000_000  # a 24-megapixel camera; Pillow needs 4 bytes a pixel, 8 for a progressive JPEG
MOST_SIDE = 65_535  # pixels, JPEG's own limit; rows, and tables of rows, cost Pillow memory beside the pixels
MOST_PIXELS_WEBP = 12_500_000  # a 12-megapixel telephone; libwebp and Pillow hold five copies at once
MOST_MEMORY = 240_000_000  # bytes that decoding a TIFF may take, whose blocks may be as large as the picture
MOST_PARTS = 2**17  # chunks, segments, strips or tiles in one file
MOST_SCANS = 32  # passes of a progressive JPEG over the picture; encoders write about ten
MOST_RESIZED = 16_000_000  # pixels between resize and crop: 64 MB

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601-2, by which Pillow makes grey of colour

_Sieved = tuple[bytes, int]  # the file without what the picture does not need; EXIF orientation 1..8


class PictureError(ValueError):
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


class _Refusal(Exception):
    """What is wrong, in words that follow the file's name."""


_DAMAGED = "is damaged or cut short: open it in an image editor and save it again as PNG or JPEG"

# One decoding at a time: the memory of ten visitors is that of one, and warnings.catch_warnings is global.
_TURN = threading.Lock()


def read_picture(data: bytes, name: str) -> Picture:
    """The first picture of a PNG, JPEG, WebP, BMP, TIFF or GIF file, upright, in RGB, on white.

    Shrunk to LONGEST_SIDE, never enlarged; a strip keeps at least one pixel of its short side. Colours are
    taken as sRGB: profiles are not applied. 16-bit grey is scaled by 65535 (12-bit by 4095), the range that
    the file declares, so that a dark picture stays dark; 32-bit integers and floats declare none, and are
    scaled from their least to their largest finite value. Raises PictureError, and nothing else, for bytes
    that are not such a picture or would take more than 300 MB to decode.
    """
    try:
        with _TURN, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, reason = _decode(data), ""
    except _Refusal as refusal:
        reason = str(refusal)
    except Image.DecompressionBombError:
        reason = _too_large("too many pixels", MOST_PIXELS)
    except Exception:  # on damaged files Pillow raises nearly every error there is, MemoryError included
        reason = _DAMAGED
    shown = _shown(name)
    if reason:  # raised here, since a traceback from above would keep the half-decoded picture in memory
        raise PictureError(f'"{shown}" {reason}.')
    return Picture(shown, hashlib.sha256(data).hexdigest(), pixels)


def _shown(name: str) -> str:
    """A file's name in at most 48 printable characters: no line breaks, no marks that reverse the text."""
    clean = "".join(c if c.isprintable() else " " for c in name)
    clean = " ".join(clean.split()) or "picture"
    return clean if len(clean) <= 48 else f"{clean[:35]}…{clean[-12:]}"  # the ending stays visible


def _too_large(size: str, most: int) -> str:
    return f"has {size}, more than the {most / 1e6:g} million that are read: save a smaller version of it"


def _check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    if width * height > most:
        raise _Refusal(_too_large(f"{width} x {height} pixels", most))
    if max(width, height) > MOST_SIDE:
        raise _Refusal(f"has {width} x {height} pixels, more than {MOST_SIDE} on a side: cut it into pieces")
    if width < 1 or height < 1:
        raise _Refusal(_DAMAGED)


def _decode(data: bytes) -> np.ndarray:
    """Pixels (H, W, 3) uint8. Raises _Refusal, or whatever Pillow raises."""
    if not data:
        raise _Refusal("is empty: choose another file")
    if len(data) > MOST_BYTES:
        size, most = len(data) / 2**20, MOST_BYTES // 2**20
        raise _Refusal(f"has {size:.1f} MB, more than the {most} MB that are read: save it as JPEG")
    kind = _format(data)
    sieved, orientation = _SIEVES[kind](data)
    with Image.open(io.BytesIO(sieved), formats=[kind]) as image:
        _check_size(*image.size)
        return np.array(_upright(_shrunk(image), orientation))


def _format(data: bytes) -> str:
    """Pillow's name of the format, by the file's first bytes; its name's ending proves nothing."""
    for kind, start in _STARTS.items():
        if re.match(start, data, re.DOTALL):
            return kind
    raise _Refusal("is not a picture that can be read here: save it as PNG, JPEG, WebP, BMP, TIFF or GIF")


# ---- sieves: what Pillow gets to see ----


def _sieve_png(data: bytes) -> _Sieved:
    """Header, palette, transparency and data. Of an APNG that is its first, or default, picture."""
    kept, orientation, at = [data[:8]], 1, 8
    depth, colour = data[24], data[25]
    for _ in range(MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        payload = data[at + 8 : end - 4]
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            # Pillow does not check the sum of IDAT, and would show what an error in transmission left
            if data[at:end] != _png_chunk(kind, payload):
                raise _Refusal(_DAMAGED)
            kept.append(_png_chunk(kind, _png_key(payload, depth, colour) if kind == b"tRNS" else payload))
        elif kind == b"eXIf":
            orientation = _orientation(payload)
        if kind == b"IEND" or end == len(data):
            return b"".join(kept), orientation
        at = end
    raise _Refusal(_DAMAGED)


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def _png_key(key: bytes, depth: int, colour: int) -> bytes:
    """The colour that means transparent, scaled as Pillow scales the pixels (but not the key) to 8 bits."""
    if colour == 0 and depth in {2, 4}:
        return struct.pack(">H", struct.unpack_from(">H", key)[0] * 255 // (2**depth - 1))
    if colour == 2 and depth == 16:
        return struct.pack(">3H", *(value >> 8 for value in struct.unpack_from(">3H", key)))
    return key


# frame headers, Huffman and quantisation tables, arithmetic coding, restart interval
_JPEG_KEPT = {*range(0xC0, 0xD0), 0xDB, 0xDD}
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")  # FF00 and restarts are part of the data


def _sieve_jpeg(data: bytes) -> _Sieved:
    """Tables, frame header, and the JFIF and Adobe marks that tell the colour space; the scans untouched."""
    kept, orientation, at, first_scan, scans = [data[:2]], 1, 2, len(data), 0
    for _ in range(MOST_PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None or found[1] == b"\xd9":  # after the end telephones append other pictures, or films
            end = found.end() if found else len(data)
            return b"".join(kept) + data[first_scan:end], orientation
        marker, start = found[1][0], found.start()
        at = found.end() + int.from_bytes(data[start + 2 : start + 4], "big")
        segment = data[start:at]
        if marker == 0xDA:
            first_scan, scans = min(first_scan, start), scans + 1
            if scans > MOST_SCANS:  # each scan goes over the whole picture, and may be a few bytes long
                raise _Refusal(f"is a JPEG of more than {MOST_SCANS} scans: save it again")
        elif scans:
            continue
        elif segment[4:10] == b"Exif\0\0" and marker == 0xE1:
            orientation = _orientation(segment[4:])
        elif marker in _JPEG_KEPT or segment[4:9] in {b"JFIF\0", b"Adobe"}:
            kept.append(segment)
    raise _Refusal(_DAMAGED)


def _sieve_webp(data: bytes) -> _Sieved:
    """The picture's own chunks; of an animation the first frame. Opening already allocates the canvas."""
    kept: list[bytes] = []
    orientation, at = 1, 12
    wanted = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            body = b"WEBP" + b"".join(kept)
            return b"RIFF" + struct.pack("<I", len(body)) + body, orientation
        kind, length = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length + length % 2]
        if not kept or kind == b"VP8X":
            _check_size(*_webp_size(chunk), MOST_PIXELS_WEBP)
        if kind == b"VP8X":  # alpha and animation stay announced; profile, EXIF and XMP are left out
            chunk = chunk[:8] + bytes([chunk[8] & 0x12]) + chunk[9:]
        if kind == b"EXIF":
            orientation = _orientation(chunk[8:])
        elif kind in wanted:
            kept.append(chunk)
        if kind == b"ANMF":
            wanted.discard(kind)
        at += len(chunk)
    raise _Refusal(_DAMAGED)


def _webp_size(chunk: bytes) -> tuple[int, int]:
    """Width and height of the canvas (VP8X), or of the only picture."""
    if chunk[:4] == b"VP8X":
        return 1 + int.from_bytes(chunk[12:15], "little"), 1 + int.from_bytes(chunk[15:18], "little")
    if chunk[:4] == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<2H", chunk, 14)
    return width & 0x3FFF, height & 0x3FFF


def _sieve_bmp(data: bytes) -> _Sieved:
    """As it is: a BMP has no metadata that is parsed."""
    return data, 1


def _sieve_gif(data: bytes) -> _Sieved:
    """The screen, its palette, and the file from the first frame on, whose rest Pillow does not read."""
    width, height, flags = struct.unpack_from("<2HB", data, 6)
    at = after_screen = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    control = b""
    while True:
        if data[at] == 0x2C:
            x, y, frame_width, frame_height = struct.unpack_from("<4H", data, at + 1)
            # a frame outside the screen enlarges it, and its disposal allocates it before any check
            _check_size(max(width, x + frame_width), max(height, y + frame_height))
            return data[:after_screen] + control + data[at:], 1
        if data[at : at + 3] == b"\x21\xf9\x04":  # transparent index; the disposal concerns later frames
            control = b"\x21\xf9\x04" + bytes([data[at + 3] & 1]) + data[at + 4 : at + 8]
        at = _after_blocks(data, at + 2) if data[at] == 0x21 else at + 1


def _after_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1


# Size, depth, codec, photometry, palette, strips and tiles. No resolution, pages, profiles, EXIF, XMP.
_TIFF_LISTS = {273, 279, 324, 325}  # where each strip or tile is, and its length
_TIFF_MEASURES = {256, 257, 258, 259, 277, 278, 322, 323}
_TIFF_OTHERS = {262, 266, 284, 292, 293, 317, 320, 338, 339, 347, 529, 530, 531, 532}
_TIFF_KEPT = _TIFF_LISTS | _TIFF_MEASURES | _TIFF_OTHERS
_TIFF_TYPES = {1, 3, 4, 5, 7}  # byte, short, long, rational, undefined
_TIFF_CODECS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}  # none, CCITT, LZW, JPEG, deflate, PackBits
_TIFF_ORIENTATION = 274


def _sieve_tiff(data: bytes) -> _Sieved:
    """The first page, its directory rewritten in its place: behind the file it would pass for lost pixels.

    Pillow and libtiff each read the directory; where every tag comes once and is plain they cannot differ.
    """
    order, at, entries = _directory(data)
    kept = []
    for tag in sorted(_TIFF_KEPT & entries.keys()):
        kind, count = struct.unpack_from(order + "HL", entries[tag], 2)
        if count > (MOST_PARTS if tag in _TIFF_LISTS else 2**16):
            raise _Refusal(_DAMAGED)
        if kind in _TIFF_TYPES:
            kept.append(entries[tag])
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)  # 0: no next page
    clean = data[:at] + directory + data[at + len(directory) :]
    _check_tiff(clean)
    return clean, _orientation(data)


def _check_tiff(tiff: bytes) -> None:
    """Refuses by size, by codec, and by the memory that one strip or tile takes beside the picture."""
    order, _, entries = _directory(tiff)
    tags = {tag: _number(order, tiff, entries[tag]) for tag in _TIFF_MEASURES & entries.keys()}
    width, height, codec = tags[256], tags[257], tags.get(259, 1)
    _check_size(width, height)
    if codec not in _TIFF_CODECS:
        raise _Refusal("is a TIFF compressed in a way that is not read here: save it as PNG")
    block = tags[322] * tags[323] if 322 in tags else width * min(height, tags.get(278, height))
    pixel = max(4, (tags.get(277, 1) * tags.get(258, 1) + 7) // 8)
    if codec == 7:
        pixel += 8  # JPEG's coefficients
    if 4 * width * height + pixel * block > MOST_MEMORY:
        raise _Refusal("is a TIFF that takes too much memory to read: save it as PNG")


def _directory(tiff: bytes) -> tuple[str, int, dict[int, bytes]]:
    """Byte order for struct, where the first directory is, and the first entry (12 bytes) of each tag in it.

    Raises KeyError for what is no TIFF, struct.error where it is cut short.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}[tiff[:4]]
    (at,) = struct.unpack_from(order + "L", tiff, 4)
    if at < 8:
        raise KeyError("the directory lies in the header, which it would describe anew")
    (count,) = struct.unpack_from(order + "H", tiff, at)
    entries: dict[int, bytes] = {}
    for start in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H10x", tiff, start)
        entries.setdefault(tag, tiff[start : start + 12])
    return order, at, entries


def _number(order: str, tiff: bytes, entry: bytes) -> int:
    """The first number of a directory entry; KeyError if it holds something else."""
    kind, count = struct.unpack_from(order + "HL", entry, 2)
    code, size = {1: ("B", 1), 3: ("H", 2), 4: ("L", 4)}[kind]
    if count * size <= 4:
        return int(struct.unpack_from(order + code, entry, 8)[0])
    (at,) = struct.unpack_from(order + "L", entry, 8)
    return int(struct.unpack_from(order + code, tiff, at)[0])


def _orientation(exif: bytes) -> int:
    """1..8 as EXIF counts; 1, upright, where the block is damaged or does not say."""
    tiff = exif.removeprefix(b"Exif\0\0")
    try:
        order, _, entries = _directory(tiff)
        value = _number(order, tiff, entries[_TIFF_ORIENTATION])
    except (KeyError, struct.error):
        return 1
    return value if 1 <= value <= 8 else 1


_STARTS = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "TIFF": rb"II\*\0|MM\0\*",
    "GIF": rb"GIF8[79]a",
}
_SIEVES: Mapping[str, Callable[[bytes], _Sieved]] = {
    "PNG": _sieve_png,
    "JPEG": _sieve_jpeg,
    "WEBP": _sieve_webp,
    "BMP": _sieve_bmp,
    "TIFF": _sieve_tiff,
    "GIF": _sieve_gif,
}


# ---- decoded pixels: any mode, any depth, to small RGB ----

_Levels = tuple[float, float] | None  # the values of black and white in deep grey; None for 8-bit modes


def _shrunk(image: ImageFile.ImageFile) -> Image.Image:
    """RGB on white, longest side at most LONGEST_SIDE.

    Converted block by block and averaged at once, since whole-picture copies (RGBA, white, RGB) would
    triple the memory, and resize() alone holds weights in proportion to a long side.
    """
    width, height = image.size
    shrink = min(1.0, LONGEST_SIDE / max(width, height))
    target = max(1, round(width * shrink)), max(1, round(height * shrink))
    image.draft(None, target)  # JPEG decodes at 1/2, 1/4 or 1/8 of its size; other formats ignore this
    image.load()
    levels = _levels(image)
    # average down to between 2 and 4 times the target, which leaves the good filter something to do
    step_x, step_y = max(1, image.width // (2 * target[0])), max(1, image.height // (2 * target[1]))
    coarse = Image.new("RGB", (-(-image.width // step_x), -(-image.height // step_y)))
    for left, top, block in _blocks(image, step_x, step_y):
        coarse.paste(_rgb(block, levels).reduce((step_x, step_y)), (left // step_x, top // step_y))
    if coarse.size == target:
        return coarse
    whole = (0.0, 0.0, image.width / step_x, image.height / step_y)  # the last row may stand for fewer
    return coarse.resize(target, Image.Resampling.LANCZOS, box=whole)


def _blocks(image: Image.Image, step_x: int = 1, step_y: int = 1) -> Iterator[tuple[int, int, Image.Image]]:
    """Left, top and copy of each block of about a million pixels, sides multiples of the steps."""
    across, down = step_x * -(-1024 // step_x), step_y * -(-1024 // step_y)
    for top in range(0, image.height, down):
        for left in range(0, image.width, across):
            right, bottom = min(left + across, image.width), min(top + down, image.height)
            yield left, top, image.crop((left, top, right, bottom))


def _levels(image: Image.Image) -> _Levels:
    """Which values are black and white, where Pillow's convert() would clip at 255."""
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return None
    tags = getattr(image, "tag_v2", {})
    black, white = 0.0, 65535.0
    if image.mode in {"I", "F"}:
        black, white = _extremes(image)
    elif tags.get(258) in {12, (12,)}:
        white = 4095.0
    # Pillow turns over 8-bit TIFFs in which zero is white, but not deeper ones
    return (white, black) if tags.get(262) == 0 else (black, white)


def _extremes(image: Image.Image) -> tuple[float, float]:
    """Least and largest finite value; 0 and 0 if there is none."""
    least, largest = np.inf, -np.inf
    for _, _, block in _blocks(image):
        values = np.asarray(block)
        finite = values[np.isfinite(values)]
        if finite.size:
            least, largest = min(least, float(finite.min())), max(largest, float(finite.max()))
    return (least, largest) if least <= largest else (0.0, 0.0)


def _rgb(block: Image.Image, levels: _Levels) -> Image.Image:
    """RGB of a block in any of Pillow's modes, on white where it is transparent."""
    if levels is not None:
        return _from_deep_grey(block, *levels).convert("RGB")
    if block.mode in {"La", "RGBa"}:  # colours already multiplied by alpha
        block = block.convert({"La": "LA", "RGBa": "RGBA"}[block.mode])
    if block.mode in {"RGBA", "LA", "PA"} or "transparency" in block.info:
        colours = block.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return block.convert("RGB")


def _from_deep_grey(block: Image.Image, black: float, white: float) -> Image.Image:
    """8-bit grey, black at `black`; what is not a number is black, and so is a picture of one value."""
    values = np.asarray(block).astype(np.float64)
    grey = (values - black) / (white - black) * 255 if white != black else np.zeros_like(values)
    grey = np.nan_to_num(grey, nan=0.0, posinf=255.0, neginf=0.0)
    if "transparency" in block.info:
        grey[values == block.info["transparency"]] = 255.0
    return Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


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
    if package is None or package.origin is None:
        raise PictureError(f'The sample "{label}" is not here: install scikit-image, or upload a picture.')
    file = Path(package.origin).parent / "data" / SAMPLES[label]
    if not file.is_file():
        raise PictureError(f'The sample "{label}" is not in this scikit-image: upload a picture.')
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


_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def as_seen(picture: Picture, preparation: Preparation) -> np.ndarray:
    """What the network really gets, before normalisation: (size, size, 3), or (size, size, 1), uint8.

    Equal, pixel for pixel, to torchvision's ImageClassification on the same picture (for grey, on its
    luminance), except for strips that would pass MOST_RESIZED pixels on the way: those are cropped while
    they are resized, which may differ by one level.
    """
    image = Image.fromarray(picture.pixels)
    if preparation.channels == 1:
        image = image.convert("L")
    filter_ = _FILTERS[preparation.interpolation]
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
    for pixels in seen:
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise ValueError(f"picture {pixels.shape} {pixels.dtype}: this preparation gives {shape} uint8")
    if not seen:
        raise ValueError("no pictures: give at least one")
    values = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)
    mean = torch.tensor(preparation.mean, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(preparation.std, dtype=torch.float32).view(-1, 1, 1)
    return values.sub_(mean).div_(std)
