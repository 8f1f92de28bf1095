"""Pictures: what the process that decodes them gives back, and what of it the network gets.

What that process makes of files is in test_decoding. Expected pixels are set by hand or come from torchvision's
own transform.
"""

import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from explorer.pictures import images
from explorer.pictures.decoding import LONGEST_SIDE, UNREADABLE
from explorer.pictures.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MOST_BYTES,
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

NOISE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def refusal(data: bytes, name: str = "holiday.png") -> str:
    """The message with which these bytes are refused; it is one printable line."""
    with pytest.raises(PictureError) as caught:
        read_picture(data, name)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 200
    return message


# ---- the process and its ends ----


def test_pictures_are_read_in_any_directory(monkeypatch, tmp_path):
    (tmp_path / "PIL.py").write_text("raise SystemExit('not the installed one')")
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(read_picture(saved(NOISE), "x").pixels, NOISE)


def test_what_cannot_be_read_is_refused_with_its_name():
    assert refusal(b"?").startswith('"holiday.png" is not a picture that can be read here')
    assert refusal(b"") == '"holiday.png" is empty: choose another file.'
    assert refusal(bytes(MOST_BYTES + 1)) == '"holiday.png" has 20.0 MB, more than 20 MB: save it as JPEG.'


CORE = "import os, resource, sys, time; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
ENDS = {
    "crashed": CORE + "os.abort()",
    "killed": CORE + "os.kill(os.getpid(), 9)",
    "out of memory": CORE + "resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28)); bytearray(2**29)",
    "hanging": CORE + "time.sleep(60)",
    "hanging in the middle": CORE + "os.write(1, b'P6 2 1 255\\n123'); time.sleep(60)",
    "silent": "",
    "silent refusal": CORE + "sys.exit(1)",
    "another status": "import sys; print('is not for us'); sys.exit(2)",
    "no PPM": "print('hello')",
    "too short": "print('P6 2 1 255'); print('12345', end='')",
    "too long": "print('P6 2 1 255'); print('1234567', end='')",
    "no pixels": "print('P6 0 9 255')",
    "too wide": f"print('P6 {LONGEST_SIDE + 1} 1 255'); print('123' * {LONGEST_SIDE + 1}, end='')",
    "unprintable": "import sys; print('a\\x1bb'); sys.exit(1)",
    "endless reason": "import sys; print('a' * 10_000); sys.exit(1)",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_ends_badly_is_one_sentence(end, monkeypatch):
    monkeypatch.setattr(images, "_DECODER", [sys.executable, "-S", "-c", ENDS[end]])
    monkeypatch.setattr(images, "MOST_WAIT", 0.3 if "hanging" in end else 20)
    assert refusal(saved(NOISE)) == f'"holiday.png" {UNREADABLE}.'


def test_a_process_that_does_not_start_is_not_the_pictures_fault(monkeypatch):
    monkeypatch.setattr(images, "_DECODER", ["/nowhere/python"])
    assert "try again later" in refusal(saved(NOISE))


def test_a_process_that_ends_well():
    """The stubs above fail for what they print, not for how they are called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_DECODER", [sys.executable, "-S", "-c", "print('P6 2 1 255'); print('abcdef', end='')"])
        assert read_picture(saved(NOISE), "x").pixels.tolist() == [[[97, 98, 99], [100, 101, 102]]]
        patch.setattr(images, "_DECODER", [sys.executable, "-S", "-c", "print('is dull'); raise SystemExit(1)"])
        assert refusal(saved(NOISE)) == '"holiday.png" is dull.'


def test_visitors_at_the_same_time():
    pictures = [np.roll(NOISE, shift) for shift in range(6)]
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(lambda pixels: read_picture(saved(pixels), "x").pixels, pictures))
    assert all(np.array_equal(pixels, expected) for pixels, expected in zip(read, pictures, strict=True))


def test_two_processes_at_most(monkeypatch):
    counted, running, most = threading.Lock(), 0, 0

    def run(*_, **__):
        nonlocal running, most
        with counted:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with counted:
            running -= 1
        raise OSError

    monkeypatch.setattr(images, "run", run)
    with ThreadPoolExecutor(8) as pool:
        assert all("try again later" in message for message in pool.map(refusal, [b"?"] * 8))
    assert most == 2
    monkeypatch.setattr(images, "run", lambda *_, **__: CompletedProcess([], 1, b"is dull"))
    assert refusal(b"?") == '"holiday.png" is dull.'  # whoever fails gives the turn back


def test_names_are_shown_short_and_harmless():
    assert refusal(b"", "a\nb\x00\x1b[31m\u202egnp.exe").startswith('"a b [31m gnp.exe" ')
    long = refusal(b"", "x" * 10_000 + ".png")
    assert long.startswith('"xxx')
    assert '.png" is empty' in long
    assert refusal(b"", "\r\n").startswith('"picture" ')
    assert read_picture(saved(NOISE), "a\nb.png").name == "a b.png"


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_name_is_shown_on_one_line(name):
    assert refusal(b"", name).startswith('"')


# ---- Picture, samples ----


def test_pictures_are_known_by_their_bytes_and_cannot_be_changed():
    one, other = read_picture(saved(NOISE), "a.png"), read_picture(saved(NOISE), "b.png")
    assert one == other
    assert hash(one) == hash(other)
    assert one != read_picture(saved(NOISE, "BMP"), "a.png")
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
    strip = Picture("x", "0", np.full((1, 1024, 3), 7, np.uint8))
    assert (as_seen(strip, preparation) == 7).all()


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
