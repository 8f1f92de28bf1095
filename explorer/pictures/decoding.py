"""A picture file on stdin becomes its upright RGB pixels on stdout.

    python -m explorer.pictures.decoding < x.jpg > x.ppm

A process of its own, since a small hostile file can take gigabytes or minutes, or crash a decoder: it confines
itself before it reads, and whatever becomes of it, the server stays. Standard library and Pillow only: it starts
anew for every file.

Output: "P6 width height 255", a line break, and the pixels (a PPM), exit status 0; or one line that says why
not, in words that follow the file's name, exit status 1. Any other end is one of a confined process.

    python -m explorer.pictures.decoding --many 5

does so for one file after another, in a fork of itself for each, which has 5 seconds (not on Windows). On stdin each
file follows its length, on stdout each output its exit status (1 byte; 2 for any other end, 3 where the system has no
process left) and its length (8 bytes, big-endian).
"""

import io
import math
import os
import re
import select
import signal
import sys
import time
from array import array
from contextlib import suppress
from typing import BinaryIO

# Image.open() imports the plugins of the other formats by itself, but these two only with all of Pillow's
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

LONGEST_SIDE = 1024  # pixels; no input of these networks is larger, and a page shows no more
MOST_PIXELS = 25_000_000  # a 24-megapixel camera
MOST_MEMORY = 290_000_000  # bytes beyond those of this process before it reads: 300 MB with the code it touches later
MOST_SECONDS = 4  # of a processor's time; a camera's picture takes less than one
MOST_OUTPUT = 3 * LONGEST_SIDE**2 + 100  # bytes: pixels and the line before them
MOST_SCANS = 100  # of a JPEG, which may go over its whole picture in each; encoders write about ten

LENGTH = 8  # bytes of a length, where there are many files
ENDED_BADLY, NOT_STARTED = 2, 3

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")

UNKNOWN = "is not a picture that can be read here, or is damaged: save it as PNG, JPEG, WebP, BMP, TIFF or GIF"
# Pillow tells a lack of memory from damage in some formats only
UNREADABLE = (
    "is damaged or cut short, or takes too much memory or time to decode: "
    "save it again as PNG or JPEG, smaller if it is large"
)


class Refusal(Exception):
    """What is wrong, in words that follow the file's name."""


def _too_large(size: str) -> Refusal:
    return Refusal(
        f"has {size}, more than the {MOST_PIXELS / 1e6:g} million that are read: save a smaller version of it"
    )


def confine(held: int = 0) -> None:
    """Limits on memory and processor time for the rest of this process; no files written, no core dumps.

    `held` bytes of the picture's are in its memory already. Each as far as the system has it: Windows has none of
    them here, and memory is limited on Linux only.
    """
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_CPU: MOST_SECONDS, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    with suppress(FileNotFoundError), open("/proc/self/statm") as sizes:
        limits[resource.RLIMIT_AS] = int(sizes.read().split()[0]) * resource.getpagesize() + MOST_MEMORY - held
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)  # which the administrator may have set lower
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def decode(data: bytes) -> Image.Image:
    """The first picture of a file, upright, in RGB, on white. Raises Refusal, and nothing else.

    Shrunk to LONGEST_SIDE, never enlarged; a strip keeps at least one pixel of its short side. Colours are
    taken as sRGB: profiles are not applied. 16-bit grey is scaled by 65535 (12-bit by 4095), the range that
    the file declares, so that a dark picture stays dark; 32-bit integers and floats declare none, and are
    scaled from the least to the largest finite value of the shrunk picture.
    """
    try:
        return _decode(data)
    except Refusal:
        raise
    except UnidentifiedImageError:
        raise Refusal(UNKNOWN) from None
    except Image.DecompressionBombError:  # Pillow's own limit, where it meets it before ours
        raise _too_large("too many pixels") from None
    except Exception:  # on damaged files Pillow raises nearly every error there is, MemoryError included
        raise Refusal(UNREADABLE) from None


def _decode(data: bytes) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(f"{width} x {height} pixels")
    if image.format in {"JPEG", "MPO"} and scans(data, MOST_SCANS + 1) > MOST_SCANS:
        raise Refusal(UNREADABLE)
    shrink = LONGEST_SIDE / max(width, height)
    image.draft(None, (math.ceil(width * shrink), math.ceil(height * shrink)))  # JPEG: 1/2, 1/4 or 1/8
    image.load()
    zero_is_white = getattr(image, "tag_v2", {}).get(262) == 0  # Pillow turns over such TIFFs of 8 bits only
    image = _averageable(image, zero_is_white)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    with suppress(Exception):  # broken metadata leave a picture as it is
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":
        image = _from_floats(image, zero_is_white)
    elif image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


# The next marker with a segment of its own: no stuffed byte, no filling, neither a restart nor TEM, behind which a
# decoder goes on at once
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def scans(data: bytes, most: int) -> int:
    """How often a JPEG's decoder goes over the picture, counted as far as `most` by the markers alone (ITU-T T.81,
    annex B).

    What a thumbnail, a second picture or a film behind the first one holds does not count.
    """
    found, at = 0, 2
    while found < most and (marker := MARKER.search(data, at)) and marker[0] != b"\xff\xd9":
        at = marker.end()
        if marker[0] == b"\xff\xda":
            found += 1
        at += int.from_bytes(data[at : at + 2], "big")  # the length of its segment
    return found


def _averageable(image: Image.Image, zero_is_white: bool) -> Image.Image:
    """In a mode whose neighbouring pixels can be averaged: RGB, RGBA, L from 16 bits, F from 32."""
    if image.mode.startswith("I;16"):
        return _from_16_bits(image, zero_is_white)
    if image.mode in {"I", "F"}:
        return image.convert("F")
    if image.mode in {"La", "RGBa"}:  # colours already multiplied by alpha
        image = image.convert(image.mode.upper())
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_16_bits(image: Image.Image, zero_is_white: bool) -> Image.Image:
    """8-bit grey, scaled by the declared range, where Pillow's convert() would clip at 255."""
    white = 4095 if getattr(image, "tag_v2", {}).get(258) in {12, (12,)} else 65535
    table = [min(255, round(value * 255 / white)) for value in range(65536)]
    if zero_is_white:
        table = [255 - grey for grey in table]
    if "transparency" in image.info:
        table[image.info["transparency"]] = 255
    return image.convert("I").point(table, "L")


def _from_floats(image: Image.Image, zero_is_white: bool) -> Image.Image:
    """8-bit grey; what is not a number is black, and so is a picture of one value."""
    finite = [value for value in array("f", image.tobytes()) if math.isfinite(value)] or [0.0]
    black, white = min(finite), max(finite)
    if zero_is_white:
        black, white = white, black
    scale = 255 / (white - black) if white != black else 0.0
    return image.point(lambda value: value * scale + (0.5 - black * scale)).convert("L")  # which rounds down


def answer(data: bytes, to: BinaryIO) -> int:
    """Writes what becomes of a file; the exit status."""
    try:
        image = decode(data)
    except Refusal as refusal:
        to.write(f"{refusal}\n".encode())
        return 1
    to.write(b"P6 %d %d 255\n" % image.size)
    to.write(image.tobytes())
    return 0


def answer_many(files: BinaryIO, to: BinaryIO, seconds: float) -> None:
    """This process only passes bytes on: whatever becomes of a file's own process, the next file has another."""
    Image.preinit()  # which every fork would do anew, and take five times as long
    while len(head := files.read(LENGTH)) == LENGTH:
        status, output = in_a_fork(files.read(int.from_bytes(head, "big")), seconds)
        to.write(bytes([status]) + len(output).to_bytes(LENGTH, "big") + output)
        to.flush()


def in_a_fork(data: bytes, seconds: float) -> tuple[int, bytes]:
    """The exit status of a confined process that answers for one file, and its output."""
    outlet, inlet = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(outlet)
        os.close(inlet)
        return NOT_STARTED, b""
    if child == 0:
        status = ENDED_BADLY
        try:
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)  # neither the files that follow nor the answers are its own
            os.dup2(inlet, 1)
            confine(len(data))
            with open(1, "wb", closefd=False) as output:
                status = answer(data, output)
        finally:
            os._exit(status)  # without the parent's buffers
    os.close(inlet)
    written = all_written(outlet, time.monotonic() + seconds)
    os.close(outlet)
    if written is None:
        os.kill(child, signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    return (status, written) if written is not None and status in (0, 1) else (ENDED_BADLY, b"")


def all_written(outlet: int, until: float) -> bytes | None:
    """What comes out of a pipe to its end; None if that is too late or more than a picture."""
    written = bytearray()
    while len(written) <= MOST_OUTPUT and select.select([outlet], [], [], max(0, until - time.monotonic()))[0]:
        if not (some := os.read(outlet, 2**20)):
            return bytes(written)
        written += some
    return None


def main() -> int:
    if sys.argv[1:2] == ["--many"]:
        answer_many(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[2]))
        return 0
    confine()
    return answer(sys.stdin.buffer.read(), sys.stdout.buffer)


if __name__ == "__main__":
    sys.exit(main())
