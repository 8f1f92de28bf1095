"""From an untrusted file to a picture, by a confined process (decoding).

The server's own process decodes no file: a hostile one can crash or exhaust the confined process only.
"""

import hashlib
import re
import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired, run

import numpy as np

from explorer.errors import ExplorerError
from explorer.pictures.decoding import LONGEST_SIDE, UNREADABLE, Refusal

MOST_BYTES = 20 * 2**20
MOST_TIME = 10  # seconds for a picture: decoding.MOST_SECONDS, and some in which a busy server does other things
MOST_WAIT = 30  # seconds before its turn comes


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
DECODER = [sys.executable, "-P", str(Path(__file__).with_name("decoding.py"))]
MOST_DECODERS = 2  # at once: the memory of ten visitors is that of two
_changed = threading.Condition()
_running: list[Hashable] = []  # whose pictures are being decoded


@contextmanager
def _turn(owner: Hashable) -> Iterator[None]:
    """Waits until a decoder may start. Raises Refusal."""
    with _changed:
        if not _changed.wait_for(
            lambda: len(_running) < MOST_DECODERS and (owner is None or owner not in _running), MOST_WAIT
        ):
            raise Refusal("has to wait too long, as the server is busy with other pictures: try again later")
        _running.append(owner)
    try:
        yield
    finally:
        with _changed:
            _running.remove(owner)
            _changed.notify_all()


def read_picture(data: bytes, name: str, owner: Hashable = None) -> Picture:
    """The first picture of a PNG, JPEG, WebP, BMP, TIFF or GIF file, as decoding.decode gives it.

    One picture of an `owner` is decoded at a time, so that nobody's many keep those of others waiting. Raises
    PictureError for what is none, or takes more than 300 MB (on Linux) or 4 seconds of a processor's time.
    """
    shown = short_name(name)
    try:
        pixels = _decoded(data, owner)
    except Refusal as refusal:
        raise PictureError(f'"{shown}" {refusal}.') from None
    return Picture(shown, hashlib.sha256(data).hexdigest(), pixels)


def _decoded(data: bytes, owner: Hashable) -> np.ndarray:
    """Pixels (H, W, 3). Raises Refusal."""
    if not data:
        raise Refusal("is empty: choose another file")
    if len(data) > MOST_BYTES:
        raise Refusal(f"has {len(data) / 2**20:.1f} MB, more than {MOST_BYTES // 2**20} MB: save it as JPEG")
    try:
        with _turn(owner):
            done = run(DECODER, input=data, stdout=PIPE, stderr=DEVNULL, timeout=MOST_TIME)
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


def short_name(name: str) -> str:
    """A file's name in at most 48 printable characters: no line breaks, no marks that reverse the text."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in name).split()) or "picture"
    return clean if len(clean) <= 48 else f"{clean[:35]}…{clean[-12:]}"  # the ending stays visible
