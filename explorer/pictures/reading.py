"""From an untrusted file to a picture, by a confined process (decoding).

The server's own process decodes no file: a hostile one can crash or exhaust the confined process only.
"""

import hashlib
import re
import sys
import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired, run

import numpy as np
from numpy.typing import NDArray

from explorer.errors import ExplorerError
from explorer.pictures.decoding import ENDED_BADLY, LENGTH, LONGEST_SIDE, MOST_OUTPUT, NOT_STARTED, UNREADABLE, Refusal

MOST_BYTES = 20 * 2**20
MOST_TIME = 5  # seconds for a picture: decoding.MOST_SECONDS, and one in which a busy server does other things
MOST_WAIT = 30  # seconds before its turn comes
GRACE = 5  # seconds in which a process that forks one for each picture must tell of its end


class PictureError(ExplorerError):
    """Why a picture is refused: one sentence for the user, with the file's name and the way out."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture: pixels (H, W, 3) uint8, read-only. Equal to another if their files are equal.

    `mask` (H, W) says which pixels are the object's, where that is known.
    """

    name: str = field(compare=False)
    digest: str  # SHA-256 of the file, hexadecimal: the key for caches
    pixels: np.ndarray = field(compare=False, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels {self.pixels.shape} {self.pixels.dtype}: expected (H, W, 3) uint8")
        self.pixels.setflags(write=False)  # cached, and shared by all visitors
        if self.mask is not None:
            if self.mask.dtype != np.bool_ or self.mask.shape != self.pixels.shape[:2]:
                raise ValueError(f"mask {self.mask.shape} {self.mask.dtype}: expected {self.pixels.shape[:2]} bool")
            self.mask.setflags(write=False)


# By its path, which holds in any working directory; -P, lest the modules beside it pass for installed ones
DECODER = [sys.executable, "-P", str(Path(__file__).with_name("decoding.py"))]
MOST_DECODERS = 2  # at once: the memory of ten visitors is that of two
_changed = threading.Condition()
_running: list[Hashable] = []  # whose pictures are being decoded
_line: list["_Waiting"] = []  # who came first stands first


@dataclass(eq=False)
class _Waiting:
    owner: Hashable


@contextmanager
def _turn(owner: Hashable) -> Iterator[None]:
    """Waits until a decoder may start. Raises Refusal."""
    own = _Waiting(owner)
    with _changed:
        _line.append(own)
        try:
            if not _changed.wait_for(lambda: _next() is own, MOST_WAIT):
                raise Refusal("has to wait too long, as the server is busy with other pictures: try again later")
            _running.append(owner)
        finally:
            _line.remove(own)
            _changed.notify_all()
    try:
        yield
    finally:
        with _changed:
            _running.remove(owner)
            _changed.notify_all()


def _next() -> _Waiting | None:
    """The first in line who has no picture decoded already, while there is room for one."""
    if len(_running) >= MOST_DECODERS:
        return None
    return next((one for one in _line if one.owner is None or one.owner not in _running), None)


def read_picture(data: bytes, name: str, owner: Hashable = None) -> Picture:
    """The first picture of a PNG, JPEG, WebP, BMP, TIFF or GIF file, as decoding.decode gives it.

    One picture of an `owner` is decoded at a time, and who came first has a decoder first, so that nobody's many keep
    those of others waiting. Raises PictureError for what is none, for what takes more than 300 MB (on Linux), 4 seconds
    of a processor's time or 5 in all, and for what waits for more than 30.
    """
    picture = _read(data, name, owner, _by_itself)
    if isinstance(picture, PictureError):
        raise picture
    return picture


def read_pictures(
    files: Iterable[tuple[str, bytes]], owner: Hashable = None
) -> Generator[Picture | PictureError, None, None]:
    """Of each file, a name and bytes, what read_picture returns or raises, in their order and many times as fast.

    A file is taken when the one before it is done. One process stays for all of them and forks a confined one for
    each, so that no file has a part in what becomes of another; on Windows each has a process of its own.
    """
    with closing(_ForMany()) as decoder:
        decode = _by_itself if sys.platform == "win32" else decoder.decode
        for name, data in files:
            yield _read(data, name, owner, decode)


Decode = Callable[[bytes], tuple[int, bytes]]  # a file -> exit status and output of its process, as in decoding


def _read(data: bytes, name: str, owner: Hashable, decode: Decode) -> Picture | PictureError:
    shown = short_name(name)
    try:
        pixels = _decoded(data, owner, decode)
    except Refusal as refusal:
        return PictureError(f'"{shown}" {refusal}.')
    return Picture(shown, hashlib.sha256(data).hexdigest(), pixels)


def _decoded(data: bytes, owner: Hashable, decode: Decode) -> np.ndarray:
    """Pixels (H, W, 3). Raises Refusal."""
    if not data:
        raise Refusal("is empty: choose another file")
    if len(data) > MOST_BYTES:
        raise Refusal(f"has {len(data) / 2**20:.1f} MB, more than {MOST_BYTES // 2**20} MB: save it as JPEG")
    try:
        with _turn(owner):
            status, output = decode(data)
    except TimeoutExpired:
        raise Refusal(UNREADABLE) from None
    except OSError:
        raise Refusal("cannot be read now, as the server could not start a decoder: try again later") from None
    head, _, body = output.partition(b"\n")
    if status == 0 and (sides := re.fullmatch(rb"P6 (\d{1,4}) (\d{1,4}) 255", head)):
        width, height = int(sides[1]), int(sides[2])
        if max(width, height) <= LONGEST_SIDE and len(body) == height * width * 3 > 0:
            return np.frombuffer(body, np.uint8).reshape(height, width, 3)
    if status == 1 and re.fullmatch(rb"[ -~]{1,150}", head):
        raise Refusal(head.decode("ascii"))
    raise Refusal(UNREADABLE)  # it was killed by its limits, or crashed


def _by_itself(data: bytes) -> tuple[int, bytes]:
    done = run(DECODER, input=data, stdout=PIPE, stderr=DEVNULL, timeout=MOST_TIME)
    return done.returncode, done.stdout


class _ForMany:
    """A process that forks one for each file; where it ends itself, the next file begins another."""

    def __init__(self) -> None:
        self._process: Popen[bytes] | None = None

    def decode(self, data: bytes) -> tuple[int, bytes]:
        """Raises OSError where no process can be started."""
        if self._process is None:
            self._process = Popen([*DECODER, "--many", str(MOST_TIME)], stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        watch = threading.Timer(MOST_TIME + GRACE, self._process.kill)
        watch.start()
        try:
            status, output = _exchange(self._process, data)
        except (BrokenPipeError, EOFError):
            self.close()
            return ENDED_BADLY, b""
        finally:
            watch.cancel()
        if status == NOT_STARTED:
            raise OSError
        return status, output

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # between two files it holds nothing
            with suppress(BrokenPipeError):  # what was still to be written to it
                process.communicate()


def _exchange(process: "Popen[bytes]", data: bytes) -> tuple[int, bytes]:
    """One file's exit status and output. Raises BrokenPipeError or EOFError where the process has ended."""
    to, back = process.stdin, process.stdout
    assert to is not None
    assert back is not None
    to.write(len(data).to_bytes(LENGTH, "big") + data)
    to.flush()
    head = back.read(1 + LENGTH)
    length = int.from_bytes(head[1:], "big")
    if len(head) <= LENGTH or length > MOST_OUTPUT:
        raise EOFError
    output = back.read(length)
    if len(output) < length:
        raise EOFError
    return head[0], output


def short_name(name: str) -> str:
    """A file's name in at most 48 printable characters: no line breaks, no marks that reverse the text."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in name).split()) or "picture"
    return clean if len(clean) <= 48 else f"{clean[:35]}…{clean[-12:]}"  # the ending stays visible
