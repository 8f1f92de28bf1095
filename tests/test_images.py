"""Pictures: every kind that people send comes out right, every other file is refused in one sentence.

Files are made here, with Pillow where it can write them and byte by byte where it cannot. Expected pixels
are set by hand or come from torchvision's own transform.
"""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from explorer import images
from explorer.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    LONGEST_SIDE,
    SAMPLES,
    Picture,
    PictureError,
    Preparation,
    as_seen,
    read_picture,
    sample,
    standard_preparation,
    to_tensor,
)

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


def refusal(data: bytes, name: str = "holiday.png") -> str:
    """The message with which these bytes are refused; it is one printable line, and names the file."""
    with pytest.raises(PictureError) as caught:
        read_picture(data, name)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 200
    return message


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
    assert np.array_equal(read_picture(EXACT[kind], "x").pixels, quarters())


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_kinds_are_read_closely(kind):
    pixels = read_picture(LOSSY[kind], "x").pixels.astype(int)
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
    "PNG, clear grey of 2 bits": (png(1, 1, 2, 0, b"\0\x40", chunk(b"tRNS", b"\0\1")), WHITE, 0),
    "PNG, solid grey of 2 bits": (png(1, 1, 2, 0, b"\0\x40", chunk(b"tRNS", b"\0\2")), (85, 85, 85), 0),
    "PNG, clear grey of 16 bits": (png(1, 1, 16, 0, b"\0\1\2", chunk(b"tRNS", b"\1\2")), WHITE, 0),
    "PNG, clear colour of 16 bits": (
        png(1, 1, 16, 2, b"\0\x12\x34\x56\x78\x9a\xbc", chunk(b"tRNS", b"\x12\x34\x56\x78\x9a\xbc")),
        WHITE,
        0,
    ),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_colour_models_depths_and_alpha(kind):
    data, colour, tolerance = COLOURS[kind]
    pixels = read_picture(data, "x").pixels.astype(int)
    assert abs(pixels - colour).max() <= tolerance


def test_transparent_palette_entries_become_white():
    image = with_palette([RED, GREEN, BLUE], [[0, 1, 2]])
    assert read_picture(saved(image, "PNG"), "x").pixels.tolist() == [[[*RED], [*GREEN], [*BLUE]]]
    one = saved(image, "PNG", transparency=1)
    assert read_picture(one, "x").pixels.tolist() == [[[*RED], [*WHITE], [*BLUE]]]
    some = saved(image, "PNG", transparency=bytes([0, 255, 0]))
    assert read_picture(some, "x").pixels.tolist() == [[[*WHITE], [*GREEN], [*WHITE]]]
    gif = saved(image, "GIF", transparency=2)
    assert read_picture(gif, "x").pixels.tolist() == [[[*RED], [*GREEN], [*WHITE]]]


def test_palette_with_alpha_channel():
    indices, alpha = Image.new("P", (2, 1), 1), Image.fromarray(np.array([[255, 0]], np.uint8))
    indices.putpalette([*RED, *GREEN])
    image = Image.merge("PA", (indices, alpha))
    image.putpalette([*RED, *GREEN])
    assert read_picture(saved(image, "TIFF"), "x").pixels.tolist() == [[[*GREEN], [*WHITE]]]


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
    assert np.array_equal(read_picture(data, "x").pixels, expected)


def test_twelve_bits_are_scaled_by_4095():
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x04, 0x00])  # 0, 4095, 2048, 1024
    pixels = read_picture(strip(4, 1, [12], 1, packed), "x").pixels
    assert pixels[0, :, 0].tolist() == [0, 255, 128, 64]


def test_dark_16_bit_pictures_stay_dark():
    image = Image.fromarray(np.full((2, 2), 2570, np.uint16))
    assert (read_picture(saved(image, "PNG"), "x").pixels == 10).all()


def test_floats_without_range_or_number():
    values = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0]], np.float32)
    pixels = read_picture(saved(Image.fromarray(values), "TIFF"), "x").pixels
    assert pixels[0, :, 0].tolist() == [0, 255, 0, 0, 128, 255]
    flat = saved(Image.fromarray(np.full((1, 2), 7.0, np.float32)), "TIFF")
    assert (read_picture(flat, "x").pixels == 0).all()


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
    pixels = read_picture(saved(Image.fromarray(quarters()), kind, exif=exif, **options), "x").pixels
    expected = TURNED[orientation](quarters())
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).max() <= (10 if kind == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0", b"Exif\0\0" + b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff"])
def test_broken_exif_leaves_the_picture_as_it_is(exif):
    data = saved(Image.fromarray(quarters()), "PNG")
    data = data[:33] + chunk(b"eXIf", exif) + data[33:]
    assert np.array_equal(read_picture(data, "x").pixels, quarters())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (read_picture(data, "x").pixels == RED).all()


def test_a_jpeg_followed_by_another_picture():
    """As telephones append depth maps and films."""
    first, second = (saved(Image.new("RGB", (16, 16), colour), "JPEG") for colour in (RED, BLUE))
    pixels = read_picture(first + second, "x").pixels
    assert abs(pixels.astype(int) - RED).max() <= 3


def test_metadata_is_ignored():
    image = Image.fromarray(quarters())
    marked = saved(image, "PNG", icc_profile=b"no profile", dpi=(1, 1))
    marked = marked[:33] + chunk(b"tEXt", b"k\0" + b"v" * 5000) + chunk(b"acTL", b"?") + marked[33:]
    assert np.array_equal(read_picture(marked, "x").pixels, quarters())


# ---- large, small and long pictures ----


def test_large_pictures_are_shrunk_without_seams():
    """As whole-picture averaging and one resize would do it."""
    noise = np.random.default_rng(0).integers(0, 256, (1300, 4311, 3), dtype=np.uint8)
    pixels = read_picture(saved(Image.fromarray(noise), "PNG", compress_level=0), "x").pixels
    assert pixels.shape == (309, 1024, 3)  # 1300 * 1024 / 4311 = 308.8
    halves = Image.fromarray(noise).reduce(2)
    whole = halves.resize((1024, 309), Image.Resampling.LANCZOS, box=(0, 0, 4311 / 2, 650))
    assert np.array_equal(pixels, np.asarray(whole))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_large_gradient_stays_a_gradient(kind):
    gradient = np.tile(np.linspace(0, 255, 3000)[None, :, None], (1500, 1, 3)).round().astype(np.uint8)
    pixels = read_picture(saved(Image.fromarray(gradient), kind, compression="tiff_lzw"), "x").pixels.astype(float)
    assert pixels.shape == (512, 1024, 3)
    assert abs(pixels - np.linspace(0, 255, 1024)[None, :, None]).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 30000), (30000, 1), (3000, 3), (1024, 1024), (1025, 7)])
def test_odd_shapes(size):
    picture = read_picture(saved(Image.new("RGB", size, BLUE), "PNG"), "x")
    height, width = picture.pixels.shape[:2]
    assert max(width, height) == min(max(size), LONGEST_SIDE)
    assert min(width, height) >= 1
    assert (picture.pixels == BLUE).all()
    assert (as_seen(picture, standard_preparation(224)) == BLUE).all()


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
    "bigtiff": saved(Image.new("RGB", (8, 8)), "TIFF", big_tiff=True),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused_whatever_their_name(kind):
    message = refusal(OTHERS[kind])
    assert message.startswith('"holiday.png" is ')
    assert "PNG, JPEG, WebP, BMP, TIFF or GIF" in message or kind == "nothing"


@pytest.mark.parametrize("kind", [*EXACT, *LOSSY])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8])
def test_truncated_files(kind, share):
    data = (EXACT | LOSSY)[kind]
    assert "damaged or cut short" in refusal(data[: max(20, round(len(data) * share))])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(9000, 9000, 1, 0, None), "9000 x 9000 pixels, more than the 25 million"),
        (png(2**31 - 1, 2**31 - 1, 1, 0, b""), "more than the 25 million"),
        (png(20_000_000, 1, 1, 0, None), "more than 65535 on a side"),
        (png(0, 9, 1, 0, b""), "damaged"),
        (b"\xff\xd8\xff" + bytes(20 * 2**20), "has 20.0 MB, more than the 20 MB"),
        (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 30000, 30000, 1, 24, *[0] * 6), "pixels"),
        (b"GIF89a" + struct.pack("<2HBBB", 8, 8, 0, 0, 0) + b"," + struct.pack("<4HB", 65000, 65000, 8, 8, 0), "65008"),
        (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\x3f\0\xff\x3f\0", "16384 x 16384 pixels"),
        (b"RIFF\x16\0\0\0WEBPVP8L\x06\0\0\0\x2f\xff\xff\xff\x0f\0", "16384 x 16384 pixels"),
        (strip(9000, 9000, [8], 1, b"", codec=8), "9000 x 9000 pixels"),
        (strip(5000, 5000, [16] * 4, 2, b"", codec=8), "too much memory"),
        (strip(8, 8, [8], 1, b"", codec=34925), "compressed in a way"),
    ],
    ids=["81 megapixels", "overflow", "line", "empty", "bytes", "BMP", "GIF", "VP8X", "VP8L", "TIFF", "strip", "lzma"],
)
def test_what_is_too_large_is_refused_by_its_header(data, words):
    assert words in refusal(data)


def test_a_wrong_sum_in_the_data_is_damage():
    data = bytearray(EXACT["PNG"])
    data[data.index(b"IEND") - 6] ^= 1  # in the sum of IDAT, which Pillow does not check
    assert "damaged" in refusal(bytes(data))


def test_names_are_shown_short_and_harmless():
    assert refusal(b"?", "a\nb\x00\x1b[31m\u202egnp.exe").startswith('"a b [31m gnp.exe" ')
    long = refusal(b"?", "x" * 10_000 + ".png")
    assert long.startswith('"xxx')
    assert '.png" is not' in long
    assert refusal(b"?", "\r\n").startswith('"picture" ')
    assert read_picture(EXACT["PNG"], "a\nb.png").name == "a b.png"


def test_warnings_stay_inside_and_settings_stay_as_they_were():
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        read_picture(strip(1, 1, [8], 1, b"\0", (259, 3, 2, 1), (282, 5, 1, b"\0\0\0\x80")), "x")
        read_picture(saved(with_palette([RED, GREEN], [[0, 1]]), "PNG", transparency=b"\0\x80"), "x")
        refusal(EXACT["TIFF, raw"][:-20])
    assert heard == []
    assert warnings.filters == before


# ---- memory ----

MEASURE = """
import sys
from pathlib import Path
from explorer.images import PictureError, read_picture

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

read_picture(Path(sys.argv[1]).read_bytes(), "to import what is imported late")
for path in map(Path, sys.argv[2:]):
    data, before = path.read_bytes(), kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    try:
        outcome = "read" if read_picture(data, path.name) else ""
    except PictureError:
        outcome = "refused"
    print(path.name, outcome, (kilobytes("VmHWM") - before) // 1000)
"""


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
        "81-megapixels.png": ("refused", png(9000, 9000, 1, 0, None)),
        "25-megapixels-16-bit.png": ("read", png(5000, 5000, 16, 6, None)),
        "texts.png": ("read", png(5000, 5000, 8, 6, None, texts)),
        "progressive-cmyk.jpg": ("read", saved(cmyk, "JPEG", progressive=True, subsampling=0)),
        "segments.jpg": ("refused", tiny[:2] + b"\xff\xe3\0\2" * 4_900_000 + tiny[2:]),
        "lossless.webp": ("read", saved(flat, "WEBP", lossless=True, quality=0, method=0)),
        "comments.gif": ("read", gif[:frame] + b"!\xfe" + b"\1x" * 9_000_000 + b"\0" + gif[frame:]),
        "strip.tif": ("read", strip(5000, 4000, [16] * 4, 2, zeros(160_000_000), (338, 3, 1, 2), codec=8)),
        "tile.tif": ("refused", tiff(bomb, [*tags, (322, 4, 1, 16384), (323, 4, 1, 32768)])),
        "hidden-tile.tif": ("read", tiff(bomb, [*tags, *hidden, (322, 4, 1, 64), (323, 4, 1, 64)])),
        "strips.tif": (
            "refused",
            tiff(b"", [*tags[:3], (262, 3, 1, 1), (273, 4, 4_900_000, bytes(19_600_000)), (278, 4, 1, 1)]),
        ),
        "exif.png": (
            "read",
            png(8, 8, 8, 2, None, chunk(b"eXIf", tiff(b"", [(274, 5, 2_400_000, bytes(19_200_000))]))),
        ),
    }


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_no_file_takes_300_megabytes(tmp_path):
    expected = {}
    for name, (outcome, data) in costly_files().items():
        (tmp_path / name).write_bytes(data)
        expected[name] = outcome
    (tmp_path / "first").write_bytes(EXACT["PNG"])
    command = [sys.executable, "-W", "error", "-c", MEASURE, str(tmp_path / "first")]
    command += [str(tmp_path / name) for name in expected]
    root = Path(images.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=root, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {name: outcome for name, outcome, _ in lines} == expected
    assert {name: megabytes for name, _, megabytes in lines if int(megabytes) >= 300} == {}
    assert next(int(megabytes) for name, _, megabytes in lines if name == "81-megapixels.png") < 5


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


def outcome(data: bytes) -> str:
    """'read' or 'refused', for bytes that must lead to one of the two."""
    try:
        picture = read_picture(data, "x.png")
    except PictureError as error:
        message = str(error)
    else:
        assert picture.pixels.dtype == np.uint8
        assert 1 <= max(picture.pixels.shape[:2]) <= LONGEST_SIDE
        return "read"
    assert message.isprintable()
    assert message.startswith('"x.png" ')
    return "refused"


def whole_files() -> list[bytes]:
    frames = [Image.fromarray(quarters()), Image.new("RGB", (48, 32), BLUE)]
    moving = [saved(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "WEBP", "PNG")]
    others = [data for data, _, _ in COLOURS.values()]
    exif = Image.Exif()
    exif[274] = 6
    turned = [saved(frames[0], kind, exif=exif) for kind in ("JPEG", "WEBP", "TIFF")]
    return [*EXACT.values(), *LOSSY.values(), *moving, *turned, *others]


def test_damaged_files_are_read_or_refused_and_nothing_else():
    chance, files = random.Random(20), whole_files()
    outcomes = [outcome(damaged(chance.choice(files), chance)) for _ in range(1500)]
    assert min(outcomes.count("read"), outcomes.count("refused")) > 200  # the damage is neither always fatal nor never


STARTS = [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"RIFF\0\1\0\0WEBPVP8", b"BM", b"GIF89a"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([*STARTS, b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]), st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(start, rest):
    outcome(start + rest)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_name_is_shown_on_one_line(name):
    assert refusal(b"?", name).startswith('"')


# ---- Picture, samples ----


def test_pictures_are_known_by_their_bytes_and_cannot_be_changed():
    png_file = EXACT["PNG"]
    one, other = read_picture(png_file, "a.png"), read_picture(png_file, "b.png")
    assert one == other
    assert hash(one) == hash(other)
    assert one != read_picture(EXACT["BMP"], "a.png")
    with pytest.raises(ValueError, match="read-only"):
        one.pixels[0, 0] = 0
    with pytest.raises(ValueError, match="expected"):
        Picture("x", "0", np.zeros((2, 2), np.uint8))


def test_the_digest_is_the_sha256_of_the_file():
    # printf 'GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;' | sha256sum
    pixel = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    expected = "1f117ab884befddb6b06149ee2aa019d76d02b8635c49d734031d69d2d0d7f93"
    assert read_picture(pixel, "dot.gif").digest == expected


@pytest.mark.parametrize("label", SAMPLES)
def test_samples_are_colour_photographs(label):
    picture = sample(label)
    assert min(picture.pixels.shape[:2]) >= 224
    assert picture.pixels.std(axis=(0, 1)).min() > 20  # not blank
    assert np.ptp(picture.pixels.astype(int), axis=2).max() > 50  # not grey
    assert sample(label) is picture


def test_an_unknown_sample_is_refused_with_the_choice():
    with pytest.raises(PictureError, match="Astronaut"):
        sample("Dog")


def test_visitors_at_the_same_time():
    files = list(EXACT.values())
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda data: read_picture(data, "x").pixels, files * 4))
    assert all(np.array_equal(pixels, quarters()) for pixels in pictures)


# ---- what the network gets ----

PREPARATIONS = [
    standard_preparation(224),
    standard_preparation(32),
    standard_preparation(97),
    Preparation(224, 232, IMAGENET_MEAN, IMAGENET_STD),
    Preparation(200, 255, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "bicubic"),
]
SHAPES = [(300, 451), (451, 300), (1024, 683), (256, 256), (37, 100), (1, 1), (5, 211), (1024, 30), (224, 225)]


def pictured(height: int, width: int) -> Picture:
    noise = np.random.default_rng(height * 2000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture("noise", f"{height} x {width}", noise)


def torchvision_transform(preparation: Preparation) -> ImageClassification:
    return ImageClassification(
        crop_size=preparation.size,
        resize_size=preparation.resize,
        mean=preparation.mean,
        std=preparation.std,
        interpolation=InterpolationMode(preparation.interpolation),
    )


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda p: f"{p.size} of {p.resize} {p.interpolation}")
def test_preparation_is_torchvisions(preparation):
    transform = torchvision_transform(preparation)
    for height, width in SHAPES:
        picture = pictured(height, width)
        ours = to_tensor([as_seen(picture, preparation)], preparation)
        assert torch.equal(ours[0], transform(Image.fromarray(picture.pixels))), (height, width)


def test_grey_is_torchvisions_on_the_luminance():
    preparation, picture = standard_preparation(64, 1), pictured(90, 70)
    seen = as_seen(picture, preparation)
    assert seen.shape == (64, 64, 1)
    theirs = torchvision_transform(preparation)(Image.fromarray(picture.pixels).convert("L"))
    assert torch.equal(to_tensor([seen], preparation)[0], theirs)


def test_long_strips_are_cropped_while_they_are_resized(monkeypatch):
    preparation, picture = standard_preparation(224), pictured(40, 900)
    exact = as_seen(picture, preparation).astype(int)
    monkeypatch.setattr(images, "MOST_RESIZED", 1000)
    assert abs(as_seen(picture, preparation) - exact).max() <= 1
    assert as_seen(pictured(1, 1024), standard_preparation(1024)).shape == (1024, 1024, 3)


def test_tensor_by_hand():
    preparation = Preparation(1, 1, (0.5, 0.0, 1.0), (0.5, 1.0, 2.0))
    seen = [np.array([[[255, 0, 51]]], np.uint8), np.array([[[0, 255, 255]]], np.uint8)]
    tensor = to_tensor(seen, preparation)
    assert tensor.shape == (2, 3, 1, 1)
    assert tensor.dtype == torch.float32
    assert tensor.flatten().tolist() == pytest.approx([1.0, 0.0, -0.4, -1.0, 1.0, 0.0])


def test_tensor_of_nothing_or_of_another_size_is_refused():
    preparation = standard_preparation(32)
    with pytest.raises(ValueError, match="no pictures"):
        to_tensor([], preparation)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"):
        to_tensor([np.zeros((32, 32, 1), np.uint8)], preparation)


def test_standard_preparations():
    assert [standard_preparation(size).resize for size in (8, 32, 64, 128, 224, 448)] == [8, 32, 64, 146, 256, 512]
    grey = standard_preparation(32, 1)
    assert grey.channels == 1
    assert grey.mean == pytest.approx((0.145015 + 0.267672 + 0.046284,))
    assert grey.std == pytest.approx((0.068471 + 0.131488 + 0.02565,))


@pytest.mark.parametrize(
    ("size", "resize", "mean", "std"),
    [(0, 5, (0.5,), (1.0,)), (6, 5, (0.5,), (1.0,)), (5, 5, (0.5,) * 2, (1.0,) * 2), (5, 5, (0.5,), (0.0,))],
)
def test_impossible_preparations_are_refused(size, resize, mean, std):
    with pytest.raises(ValueError, match="="):
        Preparation(size, resize, mean, std)
