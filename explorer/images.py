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
MOST_PIXELS_WEBP = 12_500_000  # a 12-megapixel telephone; libwebp and Pillow hold five copies at once
MOST_MEMORY = 240_000_000  # bytes that decoding a TIFF may take, whose blocks may be as large as the picture
MOST_PARTS = 2**17  # chunks, segments, strips or tiles in one file
MOST_SCANS = 32  # passes of a progressive JPEG over the picture; encoders write about ten
MOST_RESIZED = 16_000_000  # pixels between resize and crop: 64 MB

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601-2, by which Pillow makes grey of colour

Sieved = tuple[bytes, int]  # the file without what the picture does not need; EXIF orientation 1..8


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

    Shrunk to LONGEST_SIDE, never enlarged; a strip keeps at least one pixel of its short side. Colours are taken
    as sRGB: colour profiles are not applied. 16-bit grey is scaled by 65535 (12-bit by 4095), its declared range, so that a
    dark picture stays dark; 32-bit integers and floats declare none and are scaled from their least to
    their largest finite value. Raises PictureError, and nothing else, for any other bytes.
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
    clean = "".join(c if c.isprintable() else " " for c in name[:1000])
    clean = " ".join(clean.split()) or "picture"
    return clean if len(clean) <= 48 else f"{clean[:35]}…{clean[-12:]}"  # the ending stays visible


def _too_large(size: str, most: int) -> str:
    return f"has {size}, more than the {most / 1e6:g} million that are read: save a smaller version of it"


def _check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    if width * height > most:
        raise _Refusal(_too_large(f"{width} x {height} pixels", most))
    if width < 1 or height < 1:
        raise _Refusal(_DAMAGED)


def _decode(data: bytes) -> np.ndarray:
    """Pixels (H, W, 3) uint8. Raises _Refusal, or whatever Pillow raises."""
    if not data:
        raise _Refusal("is empty: choose another file")
    if len(data) > MOST_BYTES:
        most = MOST_BYTES // 2**20
        raise _Refusal(f"has {len(data) / 2**20:.1f} MB, more than the {most} MB that are read: save it as JPEG")
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
    raise _Refusal("is not a picture of a kind that is read here: save it as PNG, JPEG, WebP, BMP, TIFF or GIF")


# ---- sieves: what Pillow gets to see ----


def _sieve_png(data: bytes) -> Sieved:
    """Header, palette, transparency and data. Of an APNG that is its first, or default, picture."""
    kept, orientation, at = [data[:8]], 1, 8
    depth, colour = data[24], data[25]
    for _ in range(MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        payload, end = data[at + 8 : at + 8 + length], at + 12 + length
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            # Pillow does not check the sum of IDAT, and would show what a transmission error left
            if data[end - 4 : end] != _png_chunk(kind, payload)[-4:]:
                raise _Refusal(_DAMAGED)
            if kind == b"tRNS":
                payload = _png_key(payload, depth, colour)
            kept.append(_png_chunk(kind, payload))
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
        return struct.pack(">H", struct.unpack(">H", key)[0] * 255 // (2**depth - 1))
    if colour == 2 and depth == 16:
        return struct.pack(">3H", *(value >> 8 for value in struct.unpack(">3H", key)))
    return key


# frame headers, Huffman and quantisation tables, arithmetic coding, restart interval
_JPEG_KEPT = {*range(0xC0, 0xD0), 0xDB, 0xDD}
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")  # FF00 and restarts are part of the data


def _sieve_jpeg(data: bytes) -> Sieved:
    """Tables, frame header, the JFIF and Adobe marks that tell the colour space, then the scans as they are."""
    kept, orientation, at, first_scan, scans = [data[:2]], 1, 2, 0, 0
    for _ in range(MOST_PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None or found[1] == b"\xd9":
            return b"".join(kept) + data[first_scan or len(data) : found.end() if found else None], orientation
        marker, start = found[1][0], found.start()
        at = found.end() + int.from_bytes(data[start + 2 : start + 4], "big")
        segment = data[start:at]
        if marker == 0xDA:
            first_scan, scans = first_scan or start, scans + 1
            if scans > MOST_SCANS:  # each scan goes over the whole picture, and may be a few bytes long
                raise _Refusal(f"is a JPEG of more than {MOST_SCANS} scans: save it again")
        elif first_scan:
            continue
        elif segment[4:10] == b"Exif\0\0" and marker == 0xE1:
            orientation = _orientation(segment[4:])
        elif marker in _JPEG_KEPT or segment[4:9] in {b"JFIF\0", b"Adobe"}:
            kept.append(segment)
    raise _Refusal(_DAMAGED)


def _sieve_webp(data: bytes) -> Sieved:
    """The picture's own chunks; of an animation the first frame. Opening already allocates the canvas."""
    kept, orientation, at = [], 1, 12
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
        elif kind in {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM"}:
            kept.append(chunk)
        elif kind == b"ANMF" and not any(earlier.startswith(b"ANMF") for earlier in kept):
            kept.append(chunk)
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


def _sieve_bmp(data: bytes) -> Sieved:
    """As it is: a BMP has no metadata that is parsed."""
    return data, 1


def _sieve_gif(data: bytes) -> Sieved:
    """The screen, its palette, and the file from the first frame on, whose rest Pillow does not read."""
    width, height, flags = struct.unpack_from("<2HB", data, 6)
    at = after_screen = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
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


# size, depth, compression, photometry, strips and tiles, their order and codecs; not resolution, pages, profiles
_TIFF_LISTS = {273, 279, 324, 325}
_TIFF_KEPT = {256, 257, 258, 259, 262, 266, 277, 278, 284, 292, 293, 317, 320, 322, 323, 338, 339, 347}
_TIFF_KEPT |= _TIFF_LISTS | {529, 530, 531, 532}
_TIFF_TYPES = {1: 1, 3: 2, 4: 4, 5: 8, 7: 1}  # byte, short, long, rational, undefined: their sizes
_TIFF_CODECS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}  # none, CCITT, LZW, JPEG, deflate, PackBits


def _sieve_tiff(data: bytes) -> Sieved:
    """The first page, under a new directory at the end of the file.

    Pillow and libtiff each read the directory; with every tag once and of a plain type they read the same.
    """
    order, entries = _directory(data)
    kept = []
    for tag, entry in sorted(entries.items()):
        kind, count = struct.unpack_from(order + "HL", entry, 2)
        if tag in _TIFF_KEPT and kind in _TIFF_TYPES:
            if count > (MOST_PARTS if tag in _TIFF_LISTS else 2**16):
                raise _Refusal(_DAMAGED)
            kept.append(entry)
    _check_tiff({tag: _number(order, data, entry) for tag, entry in entries.items() if entry in kept})
    body = data[8:] + b"\0" * (len(data) % 2)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + b"\0\0\0\0"
    return data[:4] + struct.pack(order + "L", 8 + len(body)) + body + directory, _oriented(order, entries)


def _check_tiff(tags: Mapping[int, int]) -> None:
    """Size, codec, and the memory that one strip or tile takes beside the picture."""
    width, height, codec = tags[256], tags[257], tags.get(259, 1)
    _check_size(width, height)
    if codec not in _TIFF_CODECS:
        raise _Refusal("is a TIFF compressed in a way that is not read here: save it as PNG")
    block = tags[322] * tags[323] if 322 in tags else width * min(height, tags.get(278, height))
    bytes_each = max(4, tags.get(277, 1) * tags.get(258, 1) // 8 + 1)
    if codec == 7:
        bytes_each += 8  # a progressive JPEG is held as coefficients too
    if 4 * width * height + bytes_each * block > MOST_MEMORY:
        raise _Refusal("is a TIFF that takes too much memory to read: save it as PNG")


def _directory(tiff: bytes) -> tuple[str, dict[int, bytes]]:
    """Byte order for struct, and of the first directory the first entry (12 bytes) of each tag.

    Raises KeyError for BigTIFF and for what is no TIFF, struct.error if it is cut short.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}[tiff[:4]]
    (at,) = struct.unpack_from(order + "L", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, at)
    entries: dict[int, bytes] = {}
    for entry, tag in struct.iter_unpack(order + "0s", b"") if False else _entries(order, tiff, at + 2, count):
        entries.setdefault(tag, entry)
    return order, entries


_SIEVES: Mapping[str, Callable[[bytes], Sieved]] = {}
