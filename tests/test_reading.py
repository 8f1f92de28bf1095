"""Reading a picture: what becomes of the process that decodes it, in every way in which it can end.

What that process makes of files is in test_decoding.
"""

import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.pictures import reading
from explorer.pictures.decoding import LONGEST_SIDE, UNREADABLE
from explorer.pictures.reading import MOST_BYTES, Picture, PictureError, read_picture

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
    monkeypatch.setattr(reading, "DECODER", [sys.executable, "-S", "-c", ENDS[end]])
    monkeypatch.setattr(reading, "MOST_TIME", 0.3 if "hanging" in end else 20)
    assert refusal(saved(NOISE)) == f'"holiday.png" {UNREADABLE}.'


def test_a_process_that_does_not_start_is_not_the_pictures_fault(monkeypatch):
    monkeypatch.setattr(reading, "DECODER", ["/nowhere/python"])
    assert "try again later" in refusal(saved(NOISE))


def test_a_process_that_ends_well():
    """The stubs above fail for what they print, not for how they are called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "DECODER", [sys.executable, "-S", "-c", "print('P6 2 1 255'); print('abcdef', end='')"])
        assert read_picture(saved(NOISE), "x").pixels.tolist() == [[[97, 98, 99], [100, 101, 102]]]
        patch.setattr(reading, "DECODER", [sys.executable, "-S", "-c", "print('is dull'); raise SystemExit(1)"])
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

    monkeypatch.setattr(reading, "run", run)
    with ThreadPoolExecutor(8) as pool:
        assert all("try again later" in message for message in pool.map(refusal, [b"?"] * 8))
    assert most == 2
    monkeypatch.setattr(reading, "run", lambda *_, **__: CompletedProcess([], 1, b"is dull"))
    assert refusal(b"?") == '"holiday.png" is dull.'  # whoever fails gives the turn back


def test_one_process_at_a_time_for_one_visitor(monkeypatch):
    began, release = threading.Semaphore(0), threading.Event()
    order = []

    def run(*_, input, **__):
        order.append(input)
        began.release()
        release.wait(20)
        return CompletedProcess([], 1, b"is dull")

    monkeypatch.setattr(reading, "run", run)
    with ThreadPoolExecutor(4) as pool:
        own = pool.submit(refused_of, b"1", "one")
        assert began.acquire(timeout=20)
        waiting = pool.submit(refused_of, b"2", "one")
        time.sleep(0.1)
        other = pool.submit(refused_of, b"3", "other")  # who came later
        assert began.acquire(timeout=20)
        assert order == [b"1", b"3"]
        # and nobody waits for ever
        monkeypatch.setattr(reading, "MOST_WAIT", 0.05)
        assert "try again later" in refused_of(b"4", "third")
        release.set()
        assert all(one.result() == '"x" is dull.' for one in (own, waiting, other))
    assert order == [b"1", b"3", b"2"]


def test_who_came_first_has_a_decoder_first(monkeypatch):
    """Two places: what stands in line goes on in its order, but for pictures of one who has one decoded already."""
    began, release, order = threading.Semaphore(0), threading.Semaphore(0), []

    def run(*_, input, **__):
        order.append(input)
        began.release()
        assert release.acquire(timeout=20)
        return CompletedProcess([], 1, b"is dull")

    monkeypatch.setattr(reading, "run", run)
    with ThreadPoolExecutor(8) as pool:
        for number, owner in enumerate(["a", "a", "a", "b", "c", "a", "d"]):
            pool.submit(refused_of, b"%d" % number, owner)
            while len(reading._line) + len(reading._running) <= number:
                time.sleep(0.01)
        for done in range(7):
            assert began.acquire(timeout=20)
            if done:
                release.release()
        release.release()
    assert sorted(order[:2]) == [b"0", b"3"]
    assert order.index(b"1") < order.index(b"2") < order.index(b"5")  # a's own
    assert order.index(b"4") < order.index(b"6")
    assert reading._line == reading._running == []


def refused_of(data: bytes, owner: str) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(data, "x", owner)
    return str(caught.value)


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


# ---- Picture ----


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
