"""Decoding: every kind of picture comes out right, and no file takes more than its share of the machine.

Files are made here, with Pillow where it can write them and byte by byte where it cannot. Expected pixels are set
by hand. What a file does to memory and time is measured in the real process, through read_picture.
"""

import io
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.pictures import decoding, reading
from explorer.pictures.decoding import LONGEST_SIDE, UNKNOWN, UNREADABLE, Refusal, decode
from explorer.pictures.reading import PictureError, read_picture

ROOT = Path(decoding.__file__).parents[2]
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


# ---- files ----


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(width: int = 48, height: int = 32) -> np.ndarray:
    """Red and green above blue and yellow; the borders lie on JPEG's 8 x 8 blocks."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, YELLOW
    return pixels


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def zeros(count: int) -> bytes:
    """A zlib stream of so many zero bytes: one packed megabyte, repeated."""

    def packed(length: int) -> bytes:
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)

    adler = (count % 65521 << 16) + 1  # zeros add to the second sum only
    return b"\x78\x9c" + packed(2**20) * (count >> 20) + packed(count % 2**20) + b"\3\0" + struct.pack(">I", adler)


def png(width: int, height: int, depth: int, colour: int, rows: bytes | None, *chunks: bytes) -> bytes:
    """A PNG of these rows (each with its filter byte), or of zeros."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packed = zeros(height * (1 + (width * depth * channels + 7) // 8)) if rows is None else zlib.compress(rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(body: bytes, tags: list[tuple[int, int, int, int | bytes]], order: str = "<") -> bytes:
    """A TIFF whose strip or tile lies at byte 8; a tag is number, type, count, value (bytes as in the file)."""
    at = 8 + len(body) + 2 + 12 * len(tags) + 4
    entries = extra = b""
    for tag, kind, count, value in tags:
        if isinstance(value, int):
            value = struct.pack(order + {3: "H2x", 4: "L"}[kind], value)
        elif len(value) > 4:
            extra, value = extra + value, struct.pack(order + "L", at + len(extra))
        entries += struct.pack(order + "HHL", tag, kind, count) + value.ljust(4, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    head = start + struct.pack(order + "L", 8 + len(body)) + body
    return head + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra


def strip(width: int, height: int, bits: list[int], photometric: int, body: bytes, *more, codec: int = 1) -> bytes:
    """A little-endian TIFF of one strip."""
    depth = struct.pack(f"<{len(bits)}H", *bits)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, len(bits), depth), (259, 3, 1, codec)]
    tags += [(262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, len(bits)), (278, 4, 1, height)]
    return tiff(body, [*tags, (279, 4, 1, len(body)), *more])


def with_palette(colours: list[tuple[int, int, int]], indices: list[list[int]]) -> Image.Image:
    image = Image.fromarray(np.array(indices, np.uint8)).convert("P")
    image.putdata(np.array(indices).ravel().tolist())
    image.putpalette([value for colour in colours for value in colour])
    return image


def grey16(order: str = "<") -> np.ndarray:
    """A gradient of multiples of 257, which are exactly 0..255 in 8 bits: (4, 256)."""
    return np.tile(np.arange(256, dtype=np.uint16) * 257, (4, 1)).astype(f"{order}u2")


def decoded(data: bytes) -> np.ndarray:
    """Pixels (H, W, 3) of a file that is read in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def refusal(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        decoded(data)
    return str(caught.value)


# ---- kinds of files ----

EXACT = {
    "PNG": saved(Image.fromarray(quarters()), "PNG"),
    "BMP": saved(Image.fromarray(quarters()), "BMP"),
    "GIF": saved(Image.fromarray(quarters()), "GIF"),
    "WebP, lossless": saved(Image.fromarray(quarters()), "WEBP", lossless=True),
    **{
        f"TIFF, {codec}": saved(Image.fromarray(quarters()), "TIFF", compression=codec)
        for codec in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
    },
    "PNG, palette": saved(Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "BMP, palette": saved(Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE), "BMP"),
    "TIFF, palette": saved(Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE), "TIFF"),
    "PNG, alpha of 255": saved(Image.fromarray(quarters()).convert("RGBA"), "PNG"),
}
LOSSY = {
    "JPEG": saved(Image.fromarray(quarters()), "JPEG", quality=95, subsampling=0),
    "JPEG, progressive": saved(Image.fromarray(quarters()), "JPEG", quality=95, subsampling=0, progressive=True),
    "JPEG, RGB": saved(Image.fromarray(quarters()), "JPEG", quality=95, keep_rgb=True),
    "TIFF, JPEG": saved(Image.fromarray(quarters()), "TIFF", compression="jpeg", quality=95),
    "WebP": saved(Image.fromarray(quarters(64, 64)), "WEBP", quality=95),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_kinds_are_read_exactly(kind):
    assert np.array_equal(decoded(EXACT[kind]), quarters())


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_kinds_are_read_closely(kind):
    pixels = decoded(LOSSY[kind]).astype(int)
    height, width = pixels.shape[:2]
    for y, x, colour in [(1, 1, RED), (1, 3, GREEN), (3, 1, BLUE), (3, 3, YELLOW)]:
        assert abs(pixels[height * y // 4, width * x // 4] - colour).max() <= 10, kind


COLOURS = {
    "JPEG, CMYK as Adobe writes it": (saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), RED, 2),
    "JPEG, CMYK, half black": (saved(Image.new("CMYK", (16, 16), (0, 0, 255, 127)), "JPEG"), (128, 128, 0), 3),
    "JPEG, grey": (saved(Image.new("L", (16, 16), 90), "JPEG"), (90, 90, 90), 1),
    "TIFF, CMYK": (saved(Image.new("CMYK", (16, 16), (255, 0, 255, 0)), "TIFF"), (0, 255, 0), 0),
    "TIFF, YCbCr": (saved(Image.new("YCbCr", (16, 16), (76, 85, 255)), "TIFF"), RED, 2),
    # sRGB red is L 54.3 a 80.8 b 69.9 under D50, the white of ICC
    "TIFF, Lab": (strip(1, 1, [8, 8, 8], 8, bytes([138, 81, 70])), RED, 6),
    "TIFF, premultiplied": (strip(1, 1, [8] * 4, 2, bytes([64, 0, 0, 128]), (338, 3, 1, 1)), (191, 127, 127), 2),
    "TIFF, premultiplied grey": (strip(1, 1, [8] * 2, 1, bytes([0, 128]), (338, 3, 1, 1)), (127, 127, 127), 1),
    "TIFF, 16-bit RGB": (strip(1, 1, [16] * 3, 2, struct.pack("<3H", 65535, 32896, 0)), (255, 128, 0), 0),
    "TIFF, one bit": (saved(Image.new("1", (8, 8), 1), "TIFF", compression="group4"), WHITE, 0),
    "TIFF, white is zero": (strip(1, 1, [8], 0, b"\0"), WHITE, 0),
    "PNG, one bit": (saved(Image.new("1", (8, 8), 1), "PNG"), WHITE, 0),
    "PNG, half alpha": (saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), "PNG"), (255, 127, 127), 1),
    "PNG, clear": (saved(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "PNG"), WHITE, 0),
    "PNG, grey and alpha": (saved(Image.new("LA", (8, 8), (0, 51)), "PNG"), (204, 204, 204), 1),
    "PNG, 16-bit grey and alpha": (png(1, 1, 16, 4, b"\0" + struct.pack(">2H", 0, 13107)), (204, 204, 204), 1),
    "WebP, clear": (saved(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "WEBP", lossless=True, exact=True), WHITE, 0),
    "PNG, clear colour": (png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))), WHITE, 0),
    "PNG, clear grey": (png(1, 1, 8, 0, b"\0\7", chunk(b"tRNS", b"\0\7")), WHITE, 0),
    "PNG, solid grey of 2 bits": (png(1, 1, 2, 0, b"\0\x40", chunk(b"tRNS", b"\0\2")), (85, 85, 85), 0),
    "PNG, clear grey of 16 bits": (png(1, 1, 16, 0, b"\0\1\2", chunk(b"tRNS", b"\1\2")), WHITE, 0),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_colour_models_depths_and_alpha(kind):
    data, colour, tolerance = COLOURS[kind]
    pixels = decoded(data).astype(int)
    assert abs(pixels - colour).max() <= tolerance


def test_transparent_palette_entries_become_white():
    image = with_palette([RED, GREEN, BLUE], [[0, 1, 2]])
    assert decoded(saved(image, "PNG")).tolist() == [[[*RED], [*GREEN], [*BLUE]]]
    one = saved(image, "PNG", transparency=1)
    assert decoded(one).tolist() == [[[*RED], [*WHITE], [*BLUE]]]
    some = saved(image, "PNG", transparency=bytes([0, 255, 0]))
    assert decoded(some).tolist() == [[[*WHITE], [*GREEN], [*WHITE]]]
    gif = saved(image, "GIF", transparency=2)
    assert decoded(gif).tolist() == [[[*RED], [*GREEN], [*WHITE]]]


def test_palette_with_alpha_channel():
    indices, alpha = Image.new("P", (2, 1), 1), Image.fromarray(np.array([[255, 0]], np.uint8))
    indices.putpalette([*RED, *GREEN])
    image = Image.merge("PA", (indices, alpha))
    image.putpalette([*RED, *GREEN])
    assert decoded(saved(image, "TIFF")).tolist() == [[[*GREEN], [*WHITE]]]


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(grey16()), "PNG"),
        saved(Image.fromarray(grey16()), "TIFF"),
        saved(Image.fromarray(grey16(">")), "TIFF"),
        saved(Image.fromarray(grey16()), "TIFF", compression="tiff_lzw"),
        saved(Image.fromarray(grey16().astype(np.int32)), "TIFF"),
        saved(Image.fromarray(grey16().astype(np.float32) / 1e9), "TIFF"),
        strip(256, 4, [16], 0, (65535 - grey16()).tobytes()),  # white is zero
    ],
    ids=["PNG", "TIFF", "TIFF, big-endian", "TIFF, LZW", "32-bit", "float", "white is zero"],
)
def test_a_deep_gradient_comes_out_as_a_gradient(data):
    expected = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (4, 1, 3))
    assert np.array_equal(decoded(data), expected)


def test_twelve_bits_are_scaled_by_4095():
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x04, 0x00])  # 0, 4095, 2048, 1024
    pixels = decoded(strip(4, 1, [12], 1, packed))
    assert pixels[0, :, 0].tolist() == [0, 255, 128, 64]


def test_dark_16_bit_pictures_stay_dark():
    image = Image.fromarray(np.full((2, 2), 2570, np.uint16))
    assert (decoded(saved(image, "PNG")) == 10).all()


def test_floats_without_range_or_number():
    values = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0]], np.float32)
    pixels = decoded(saved(Image.fromarray(values), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 255, 0, 0, 128, 255]
    flat = saved(Image.fromarray(np.full((1, 2), 7.0, np.float32)), "TIFF")
    assert (decoded(flat) == 0).all()


# EXIF 2.3, tag 274: where the stored picture's first row and first column are to be seen
TURNED = {
    1: lambda stored: stored,  # row at the top, column at the left
    2: lambda stored: stored[:, ::-1],  # top, right
    3: lambda stored: stored[::-1, ::-1],  # bottom, right
    4: lambda stored: stored[::-1],  # bottom, left
    5: lambda stored: stored.swapaxes(0, 1),  # left, top
    6: lambda stored: stored[::-1].swapaxes(0, 1),  # right, top
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels = decoded(saved(Image.fromarray(quarters()), kind, exif=exif, **options))
    expected = TURNED[orientation](quarters())
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).max() <= (10 if kind == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0", b"Exif\0\0" + b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff"])
def test_broken_exif_leaves_the_picture_as_it_is(exif):
    data = saved(Image.fromarray(quarters()), "PNG")
    data = data[:33] + chunk(b"eXIf", exif) + data[33:]
    assert np.array_equal(decoded(data), quarters())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, GREEN)]
    options = {"WEBP": {"lossless": True}, "MPO": {"quality": 95}}.get(kind, {})  # MPO: the JPEGs of stereo cameras
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert abs(decoded(data).astype(int) - RED).max() <= (3 if kind == "MPO" else 0)


def test_a_jpeg_followed_by_another_picture():
    """As telephones append depth maps and films."""
    first, second = (saved(Image.new("RGB", (16, 16), colour), "JPEG") for colour in (RED, BLUE))
    pixels = decoded(first + second)
    assert abs(pixels.astype(int) - RED).max() <= 3


def test_metadata_is_ignored():
    image = Image.fromarray(quarters())
    marked = saved(image, "PNG", icc_profile=b"no profile", dpi=(1, 1))
    marked = marked[:33] + chunk(b"tEXt", b"k\0" + b"v" * 5000) + marked[33:]
    assert np.array_equal(decoded(marked), quarters())


# ---- large, small and long pictures ----


def test_large_pictures_are_shrunk_without_seams():
    """As whole-picture averaging and one resize would do it."""
    noise = np.random.default_rng(0).integers(0, 256, (1300, 4311, 3), dtype=np.uint8)
    pixels = decoded(saved(Image.fromarray(noise), "PNG", compress_level=0))
    assert pixels.shape == (309, 1024, 3)  # 1300 * 1024 / 4311 = 308.8
    halves = Image.fromarray(noise).reduce(2)
    whole = halves.resize((1024, 309), Image.Resampling.LANCZOS, box=(0, 0, 4311 / 2, 650))
    assert np.array_equal(pixels, np.asarray(whole))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_large_gradient_stays_a_gradient(kind):
    gradient = np.tile(np.linspace(0, 255, 3000)[None, :, None], (1500, 1, 3)).round().astype(np.uint8)
    pixels = decoded(saved(Image.fromarray(gradient), kind, compression="tiff_lzw")).astype(float)
    assert pixels.shape == (512, 1024, 3)
    assert abs(pixels - np.linspace(0, 255, 1024)[None, :, None]).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 30000), (30000, 1), (3000, 3), (1024, 1024), (1025, 7)])
def test_odd_shapes(size):
    pixels = decoded(saved(Image.new("RGB", size, BLUE), "PNG"))
    height, width = pixels.shape[:2]
    assert max(width, height) == min(max(size), LONGEST_SIDE)
    assert min(width, height) >= 1
    assert (pixels == BLUE).all()


# ---- refusals ----

OTHERS = {
    "nothing": b"",
    "text": b"GIF is how it is pronounced, not this file",
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "pdf": saved(Image.new("RGB", (8, 8)), "PDF"),
    "eps": saved(Image.new("RGB", (8, 8)), "EPS"),
    "ico": saved(Image.new("RGB", (16, 16)), "ICO"),
    "ppm": saved(Image.new("RGB", (8, 8)), "PPM"),
    "jpeg2000": saved(Image.new("RGB", (8, 8)), "JPEG2000"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused(kind):
    assert refusal(OTHERS[kind]) == UNKNOWN


@pytest.mark.parametrize("kind", [*EXACT, *LOSSY])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8])
def test_truncated_files(kind, share):
    data = (EXACT | LOSSY)[kind]
    assert refusal(data[: max(20, round(len(data) * share))]) in {UNKNOWN, UNREADABLE}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(9000, 9000, 1, 0, None), "has 9000 x 9000 pixels, more than the 25 million"),
        (png(2**31 - 1, 2**31 - 1, 1, 0, b""), "more than the 25 million"),
        (png(0, 9, 1, 0, b""), "damaged"),
        (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 30000, 30000, 1, 24, *[0] * 6), "25 million"),
        (b"GIF89a\x08\0\x08\0\0\0\0," + struct.pack("<4HB", 65000, 65000, 8, 8, 0), "25 million"),
        (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\x3f\0\xff\x3f\0", "25 million"),
        (strip(9000, 9000, [8], 1, b"", codec=8), "9000 x 9000 pixels"),
    ],
    ids=["81 megapixels", "overflow", "empty", "BMP", "GIF", "VP8X", "TIFF"],
)
def test_what_is_too_large_is_refused_by_its_header(data, words):
    assert words in refusal(data)


# ---- damage ----


def repaired(data: bytes) -> bytes:
    """A PNG with the right sums, so that the damage reaches what comes after them."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join(parts)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One of: flipped bits, an extreme number, a cut, a gap, a repetition; in the header as often as not."""
    out, reach = bytearray(data), chance.choice([40, 200, len(data)])
    at = chance.randrange(min(reach, len(data)))
    match chance.choice(["flip", "flips", "number", "short", "cut", "gap", "repeat"]):
        case "flip":
            out[at] ^= 1 << chance.randrange(8)
        case "flips":
            for _ in range(chance.randrange(2, 30)):
                out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
        case "number":
            out[at : at + 4] = struct.pack(
                chance.choice("<>") + "I", chance.choice([0, 1, 65536, 2**31 - 1, 2**32 - 1])
            )
        case "short":
            out[at : at + 2] = struct.pack(chance.choice("<>") + "H", chance.choice([0, 1, 9, 256, 32767, 65535]))
        case "cut":
            del out[at:]
        case "gap":
            del out[at : at + chance.randrange(1, 64)]
        case "repeat":
            out[at:at] = out[at : at + chance.randrange(1, 64)]
    return repaired(bytes(out)) if data.startswith(b"\x89PNG") and chance.random() < 0.7 else bytes(out)


def whole_files() -> list[bytes]:
    frames = [Image.fromarray(quarters()), Image.new("RGB", (48, 32), BLUE)]
    moving = [saved(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "WEBP", "PNG")]
    others = [data for data, _, _ in COLOURS.values()]
    exif = Image.Exif()
    exif[274] = 6
    turned = [saved(frames[0], kind, exif=exif) for kind in ("JPEG", "WEBP", "TIFF")]
    return [*EXACT.values(), *LOSSY.values(), *moving, *turned, *others]


FUZZ = """
import pickle, sys
from explorer.pictures import decoding

decoding.MOST_SECONDS = 100  # for all of them
decoding.confine()
for data in pickle.load(sys.stdin.buffer):
    try:
        image = decoding.decode(data)
    except decoding.Refusal:
        print("refused")
    else:
        assert image.mode == "RGB" and 1 <= max(image.size) <= decoding.LONGEST_SIDE
        print("read")
"""


def test_damaged_files_are_read_or_refused_and_nothing_else():
    chance, files = random.Random(20), whole_files()
    data = pickle.dumps([damaged(chance.choice(files), chance) for _ in range(1500)])
    # in a process that is confined as a decoder is, but reads them all
    done = subprocess.run([sys.executable, "-c", FUZZ], input=data, capture_output=True, cwd=ROOT, timeout=100)
    outcomes = Counter(done.stdout.decode().split())
    assert (done.returncode, outcomes.total(), set(outcomes)) == (0, 1500, {"read", "refused"}), done.stderr[-2000:]
    assert min(outcomes.values()) > 200  # the damage is neither always fatal nor never


STARTS = [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"RIFF\0\1\0\0WEBPVP8", b"BM", b"GIF89a"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([*STARTS, b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]), st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(start, rest):
    with suppress(Refusal):
        decoded(start + rest)


# ---- the process ----

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit, or tell, all of it")


def test_the_process_imports_neither_numpy_nor_torch():
    """It starts anew for every file."""
    code = "import sys, explorer.pictures.decoding; sys.exit(bool({'numpy', 'torch'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_process_alone():
    command = [sys.executable, "-m", "explorer.pictures.decoding"]
    done = subprocess.run(command, input=EXACT["PNG"], capture_output=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == (b"P6 48 32 255\n" + quarters().tobytes(), b"")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(done.stdout))), quarters())  # it is a PPM
    done = subprocess.run(command, input=b"?", capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{UNKNOWN}\n".encode(), b"")


def confined(limits: str) -> list[str]:
    """The command of a decoder with other limits."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from explorer.pictures import decoding; {limits}"
    return [sys.executable, "-c", f"{code}; sys.exit(decoding.main())"]


@linux
def test_memory_is_limited():
    command = confined("decoding.MOST_MEMORY = 20_000_000")
    assert subprocess.run(command, input=EXACT["PNG"], capture_output=True).returncode == 0
    done = subprocess.run(command, input=png(5000, 5000, 8, 2, None), capture_output=True)
    assert (done.returncode, done.stdout.decode()) == (1, f"{UNREADABLE}\n")


@linux
def test_time_is_limited():
    limits = "decoding.MOST_SCANS, decoding.MOST_SECONDS = 6000, 1"
    done = subprocess.run(confined(limits), input=progressive(5000), capture_output=True)
    assert done.returncode in {-signal.SIGKILL, -signal.SIGXCPU}


def progressive(count: int) -> bytes:
    """A JPEG of 25 megapixels that goes over them so often, in 42 bytes each."""
    data = saved(Image.new("L", (5000, 5000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    first = 6  # jpeg_simple_progression of libjpeg for grey
    return data[:-2] + scan * (count - first) + data[-2:]


def hidden_scans(count: int) -> bytes:
    """The same, each behind a TEM, whose two bytes are all of it: who looks for a length behind it would go past the
    scan."""
    first, last = progressive(6), progressive(7)
    scan = last[len(first) - 2 : -2]
    return first[:-2] + (b"\xff\x01" + scan) * (count - 6) + first[-2:]


def test_scans_of_a_jpeg_are_counted():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert decoding.scans(saved(photo, "JPEG"), 1000) == 1
    # jpeg_simple_progression of libjpeg for colours
    several = saved(photo, "JPEG", progressive=True, restart_marker_blocks=1)
    assert decoding.scans(several, 1000) == 10
    assert decoding.scans(several, 4) == 4
    assert decoding.scans(progressive(777), 1000) == 777
    assert decoding.scans(hidden_scans(777), 1000) == 777
    # a thumbnail of as many scans, in a segment of its own, and a film behind the picture
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(several) + 2) + several
    assert decoding.scans(several[:2] + thumbnail + several[2:] + b"\xff\xda\0\2film" * 1000, 1000) == 10
    for cut in range(0, len(several), 7):
        assert decoding.scans(several[:cut], 1000) <= 10


def test_hidden_scans_are_scans():
    """To libjpeg, which Pillow decodes with: it takes them without a complaint, one after the other."""
    image = Image.open(io.BytesIO(hidden_scans(20)))
    image.load()
    assert image.size == (5000, 5000)


@pytest.mark.parametrize("with_scans", [progressive, hidden_scans])
def test_a_jpeg_of_too_many_scans_is_refused_before_it_is_decoded(monkeypatch, with_scans):
    data = with_scans(decoding.MOST_SCANS + 1)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    assert refusal(data) == UNREADABLE


def test_bad_pictures_of_one_visitor_keep_nobody_elses_waiting():
    """Each of the four takes a second of a processor and is as slow as a picture may be that is not refused at once;
    one is decoded at a time, so another visitor's is done while most of them still wait."""
    slow, ordinary = progressive(60), saved(Image.new("RGB", (640, 480), "red"), "JPEG")
    with ThreadPoolExecutor(4) as pool:
        bad = [pool.submit(read_picture, slow, "bad.jpg", "one") for _ in range(4)]
        time.sleep(0.3)
        began = time.monotonic()
        assert read_picture(ordinary, "holiday.jpg", "other").pixels.shape == (480, 640, 3)
        waited = time.monotonic() - began
        assert sum(one.done() for one in bad) <= 1
    assert waited < reading.MOST_TIME
    assert reading.MOST_TIME <= 5 > decoding.MOST_SECONDS


@linux
def test_no_file_is_written(tmp_path):
    code = f"import pathlib; decoding.confine(); pathlib.Path({str(tmp_path / 'x')!r}).write_text('x')"
    done = subprocess.run(confined(code), input=EXACT["PNG"], capture_output=True)
    assert done.returncode == 1
    assert b"File too large" in done.stderr
    assert (tmp_path / "x").stat().st_size == 0


def outcome(data: bytes) -> str:
    """'read' or 'refused' by the real process."""
    try:
        picture = read_picture(data, "![x](//host/x.png).png")
    except PictureError as error:
        message = str(error)
    else:
        assert 1 <= max(picture.pixels.shape[:2]) <= LONGEST_SIDE
        return "read"
    assert message.isprintable()
    assert len(message) < 200
    return "refused"


def costly_files() -> dict[str, tuple[str, bytes]]:
    """Name -> what must happen, and the file: a few kilobytes that unpack to gigabytes, or 20 MB of confetti."""
    tiny = saved(Image.new("RGB", (8, 8)), "JPEG")
    gif = saved(Image.new("L", (8, 8)), "GIF")
    frame = gif.index(b",", 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 128 else 0))
    text = zlib.compress(("😀" + "a" * (2**20 - 8)).encode())  # one wide character makes four bytes of each
    texts = b"".join(chunk(b"iTXt", b"key%d\0\1\0\0\0" % i + text) for i in range(64))
    flat = Image.new("RGB", (4000, 3100), GREEN)
    assert len(zlib.decompress(zeros(2**21 + 9))) == 2**21 + 9
    cmyk = Image.new("CMYK", (5000, 4900), (0, 99, 0, 0))
    bomb = zeros(2**29)
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    tags += [(324, 4, 1, 8), (325, 4, 1, len(bomb))]
    hidden = [(322, 17, 1, struct.pack("<q", 16384)), (323, 17, 1, struct.pack("<q", 32768))]
    return {
        "nothing.png": ("refused", b""),
        "cut.png": ("refused", EXACT["PNG"][:60]),
        "line.png": ("read", png(20_000_000, 1, 1, 0, None)),
        "81-megapixels.png": ("refused", png(9000, 9000, 1, 0, None)),
        "25-megapixels-16-bit.png": ("read", png(5000, 5000, 16, 6, None)),
        "texts.png": ("refused", png(5000, 5000, 8, 6, None, texts)),
        "progressive-cmyk.jpg": ("read", saved(cmyk, "JPEG", progressive=True, subsampling=0)),
        "scans.jpg": ("read", progressive(100)),
        "more-scans.jpg": ("refused", progressive(6000)),
        "hidden-scans.jpg": ("refused", hidden_scans(6000)),
        "segments.jpg": ("refused", tiny[:2] + b"\xff\xe3\0\2" * 4_900_000 + tiny[2:]),
        "lossless.webp": ("read", saved(flat, "WEBP", lossless=True, quality=0, method=0)),
        "comments.gif": ("refused", gif[:frame] + b"!\xfe" + b"\1x" * 4_000_000 + b"\0" + gif[frame:]),
        "strip.tif": ("read", strip(5000, 4000, [16] * 4, 2, zeros(160_000_000), (338, 3, 1, 2), codec=8)),
        "long-strip.tif": ("refused", strip(5000, 5000, [16] * 4, 2, zeros(200_000_000), codec=8)),
        "tile.tif": ("refused", tiff(bomb, [*tags, (322, 4, 1, 16384), (323, 4, 1, 32768)])),
        "hidden-tile.tif": ("refused", tiff(bomb, [*tags, *hidden, (322, 4, 1, 64), (323, 4, 1, 64)])),
        "strips.tif": (
            "refused",
            tiff(b"", [*tags[:3], (262, 3, 1, 1), (273, 4, 4_900_000, bytes(19_600_000)), (278, 4, 1, 1)]),
        ),
        "exif.png": (
            "read",
            png(8, 8, 8, 2, None, chunk(b"eXIf", tiff(b"", [(274, 5, 2_400_000, bytes(19_200_000))]))),
        ),
    }


# Between this process and the decoder, since a process's peak begins at the size of the one that started it
LAUNCHER = """
import resource, subprocess, sys

done = subprocess.run(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=file)
sys.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)
"""


@linux
def test_no_file_takes_300_megabytes_or_5_seconds(monkeypatch, tmp_path):
    launched = [sys.executable, "-S", "-c", LAUNCHER, str(tmp_path / "used"), *reading.DECODER]
    monkeypatch.setattr(reading, "DECODER", launched)
    monkeypatch.setattr(reading, "MOST_TIME", 60)  # whatever else the machine does

    def measured(data: bytes) -> tuple[str, float, float]:
        """What happens, the peak of the decoder's memory in MB, and its seconds of a processor."""
        (tmp_path / "used").write_text("0 0")
        happened = outcome(data)
        kilobytes, seconds = (tmp_path / "used").read_text().split()
        return happened, int(kilobytes) * 1024 / 1e6, float(seconds)

    _, bare, _ = measured(EXACT["PNG"])
    outcomes, peaks, slow = {}, {}, {}
    files = costly_files()
    for name, (_, data) in files.items():
        outcomes[name], peak, slow[name] = measured(data)
        peaks[name] = peak - bare
    assert outcomes == {name: expected for name, (expected, _) in files.items()}
    assert {name: peak for name, peak in peaks.items() if peak >= 300} == {}
    assert {name: seconds for name, seconds in slow.items() if seconds >= 5} == {}
    assert max(slow["more-scans.jpg"], slow["hidden-scans.jpg"]) < 1  # counted, not tried
    assert peaks["81-megapixels.png"] < 5


def test_damaged_files_in_the_real_process():
    chance, files = random.Random(4), whole_files()
    for data in [damaged(chance.choice(files), chance) for _ in range(12)]:
        try:
            expected = decoded(data)
        except Refusal as refused:
            with pytest.raises(PictureError, match=str(refused)):
                read_picture(data, "x")
        else:
            assert np.array_equal(read_picture(data, "x").pixels, expected)


def hostile_files(count: int, seed: int) -> Iterator[bytes]:
    """Damaged pictures; random bytes behind the beginning of each format; two formats in one file."""
    chance, files = random.Random(seed), whole_files()
    for _ in range(count):
        match chance.choice(["damaged", "damaged", "damaged twice", "random", "two"]):
            case "damaged":
                yield damaged(chance.choice(files), chance)
            case "damaged twice":
                yield damaged(damaged(chance.choice(files), chance) or b"?", chance)
            case "random":
                yield chance.choice(STARTS) + chance.randbytes(chance.randrange(5000))
            case "two":
                one, other = chance.choice(files), chance.choice(files)
                yield one[: chance.randrange(8, 40)] + other[chance.randrange(len(other)) :]


def test_hostile_pictures_in_the_real_process():
    with ThreadPoolExecutor(2) as pool:
        outcomes = Counter(pool.map(outcome, hostile_files(60, seed=5)))
    assert set(outcomes) == {"read", "refused"}
    assert min(outcomes.values()) > 6
