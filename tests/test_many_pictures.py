"""Many pictures: each comes out as it does alone, and whatever becomes of one is nothing to the next.

Files are hostile as in test_decoding; processes end badly as in test_reading.
"""

import io
import os
import random
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.pictures import decoding, reading
from explorer.pictures.decoding import UNKNOWN, UNREADABLE
from explorer.pictures.reading import MOST_BYTES, Picture, PictureError, read_picture, read_pictures

ROOT = Path(decoding.__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="each picture has a process of its own there")
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")

RED = np.full((5, 7, 3), (255, 0, 0), np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)


def saved(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of so many black pixels by as many, in a thousandth of their bytes."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def outcomes(*files: bytes) -> list[str]:
    """'read', or the sentence without the name."""
    found = read_pictures([(f"{i}.png", data) for i, data in enumerate(files)])
    return [str(one).partition('" ')[2] if isinstance(one, PictureError) else "read" for one in found]


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process that was started has ended, and was waited for."""
    started = []

    class Popen(reading.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(reading, "Popen", Popen)
    yield
    assert all(process.returncode is not None for process in started)


# --- as one by one


def test_each_comes_out_as_it_does_alone() -> None:
    files = [("a.png", saved(RED)), ("b/c.jpg", saved(NOISE, "JPEG")), ("d\n.gif", saved(NOISE, "GIF"))]
    files += [("wide.png", saved(np.zeros((3, 3000, 3), np.uint8))), ("e.webp", saved(NOISE, "WEBP"))]
    for found, (name, data) in zip(read_pictures(files), files, strict=True):
        alone = read_picture(data, name)
        assert isinstance(found, Picture)
        assert (found.name, found.digest) == (alone.name, alone.digest)
        assert np.array_equal(found.pixels, alone.pixels)
        assert not found.pixels.flags.writeable
    assert list(read_pictures([])) == []


def test_each_is_refused_as_it_is_alone() -> None:
    whole = saved(NOISE)
    files = [b"", b"?", whole[:100], bytes(MOST_BYTES + 1), bomb(5100), saved(NOISE, "ICO")]
    found = list(read_pictures([("holiday.png", data) for data in files]))
    for one, data in zip(found, files, strict=True):
        with pytest.raises(PictureError) as alone:
            read_picture(data, "holiday.png")
        assert str(one) == str(alone.value)


def test_damaged_files_come_out_as_they_do_here() -> None:
    chance = random.Random(3)
    files = []
    for _ in range(60):
        data = bytearray(saved(NOISE, chance.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        files.append(bytes(data[: chance.randint(1, 2 * len(data))]))
    for data, outcome in zip(files, outcomes(*files), strict=True):
        expected = "read"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                decoding.decode(data)
            except decoding.Refusal as refusal:
                expected = f"{refusal}."
        assert outcome == expected


@posix
def test_one_process_stays_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    start = reading.Popen

    def popen(command: list[str], **options: object) -> object:
        commands.append(command)
        return start(command, **options)

    monkeypatch.setattr(reading, "Popen", popen)
    monkeypatch.setattr(reading, "run", lambda *_, **__: pytest.fail("a process for one picture"))
    assert outcomes(*[saved(RED), b"?"] * 10) == ["read", f"{UNKNOWN}."] * 10
    assert len(commands) == 1


@posix
def test_a_file_is_taken_when_the_one_before_is_done() -> None:
    taken = []

    def files() -> Iterator[tuple[str, bytes]]:
        for i in range(9):
            taken.append(i)
            yield f"{i}", saved(RED)

    found = read_pictures(files())
    next(found)
    next(found)
    assert taken == [0, 1]
    found.close()


def test_on_windows_each_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.sys, "platform", "win32")
    monkeypatch.setattr(reading, "Popen", lambda *_, **__: pytest.fail("a process that forks"))
    with monkeypatch.context() as patch:
        patch.setattr(reading, "run", lambda *_, **__: reading_done(1, b"is dull\n"))
        assert outcomes(b"?", b"!") == ["is dull."] * 2


def reading_done(status: int, output: bytes) -> object:
    from subprocess import CompletedProcess

    return CompletedProcess([], status, output)


# --- limits, and processes that end badly


def limited(monkeypatch: pytest.MonkeyPatch, changes: str) -> None:
    """Decoders with other limits, or broken."""
    code = f"import os, sys, time; sys.path.insert(0, {str(ROOT)!r}); from explorer.pictures import decoding; {changes}"
    monkeypatch.setattr(reading, "DECODER", [sys.executable, "-c", f"{code}\nsys.exit(decoding.main())"])


# what a file's bytes say shall be done, in place of decoding
PLAYED = """
import signal
def decode(data):
    if data == b'crash': os.abort()
    if data == b'killed': os.kill(os.getpid(), 9)
    if data == b'hang': time.sleep(60)
    if data == b'stop': os.kill(os.getpid(), signal.SIGSTOP)
    if data == b'spin':
        while True: pass
    if data == b'leave': os._exit(0)
    if data == b'raise': raise RuntimeError
    if data == b'flood':
        while True: os.write(1, bytes(2**20))
    if data == b'kill parent': os.kill(os.getppid(), 9); time.sleep(60)
    if data == b'answer for others': os.write(0, bytes(99)); raise decoding.Refusal('is dull')
    return real(data)
real, decoding.decode = decoding.decode, decode
"""


@posix
@pytest.mark.parametrize("end", ["crash", "killed", "hang", "stop", "spin", "leave", "raise", "flood", "kill parent"])
def test_what_becomes_of_one_is_nothing_to_the_next(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, f"decoding.MOST_SECONDS = 1\n{PLAYED}")
    monkeypatch.setattr(reading, "MOST_TIME", 1.5 if end in {"hang", "stop"} else 20)
    start = time.monotonic()
    assert outcomes(saved(RED), end.encode(), saved(RED), b"?") == ["read", f"{UNREADABLE}.", "read", f"{UNKNOWN}."]
    assert time.monotonic() - start < 15


@posix
def test_no_file_answers_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, PLAYED)
    assert outcomes(b"answer for others", saved(RED)) == ["is dull.", "read"]


@linux
def test_memory_is_limited_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = bomb(4000), saved(RED)
    assert outcomes(large, small) == ["read"] * 2
    limited(monkeypatch, "decoding.MOST_MEMORY = 40_000_000")
    assert outcomes(small, large, small, large, small) == ["read", f"{UNREADABLE}."] * 2 + ["read"]


@linux
def test_the_bytes_of_the_file_are_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a process reads the file after it has confined itself."""
    limited(monkeypatch, "decoding.MOST_MEMORY = 50_000_000")
    alone = bomb(2600)  # 27 MB in Pillow's four bytes a pixel
    behind = alone + bytes(19_000_000)
    assert outcomes(alone, behind, alone) == ["read", f"{UNREADABLE}.", "read"]
    with pytest.raises(PictureError, match=UNREADABLE):
        read_picture(behind, "x")


@posix
def test_time_is_given_to_each_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that take 0.3 seconds of a processor take 1.2 together, where each may have 1."""
    slow = "\nreal = decoding.decode\ndef decode(data):\n while time.process_time() < 0.3: pass\n return real(data)"
    limited(monkeypatch, f"decoding.MOST_SECONDS = 1{slow}\ndecoding.decode = decode")
    assert outcomes(*[saved(RED)] * 4) == ["read"] * 4


@posix
def test_no_file_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = str(tmp_path / "x")
    limited(monkeypatch, f"decoding.decode = lambda data: open({place!r}, 'wb').write(data)")
    assert outcomes(b"x", b"y") == [f"{UNREADABLE}."] * 2
    assert not os.path.exists(place) or os.path.getsize(place) == 0


STUBS = {
    "silent": "import time; time.sleep(60)",
    "ended": "pass",
    "another answer": "print('hello' * 99)",
    "endless answer": "import sys; sys.stdout.buffer.write(bytes([0] + [255] * 8))",
    "cut answer": "import sys; sys.stdout.buffer.write(bytes([0] * 8 + [9, 1]))",
}


@posix
@pytest.mark.parametrize("stub", STUBS)
def test_a_process_that_does_not_answer_is_one_sentence(stub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "DECODER", [sys.executable, "-S", "-c", STUBS[stub]])
    monkeypatch.setattr(reading, "MOST_TIME", 0.2)
    monkeypatch.setattr(reading, "GRACE", 0.3 if stub == "silent" else 20)
    assert outcomes(saved(NOISE), saved(RED)) == [f"{UNREADABLE}."] * 2


@posix
def test_a_machine_without_processes_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, "\ndef fork(): raise BlockingIOError\ndecoding.os.fork = fork")
    later = "cannot be read now, as the server could not start a decoder: try again later."
    assert outcomes(saved(RED), saved(RED)) == [later] * 2
    monkeypatch.setattr(reading, "DECODER", ["/nowhere/python"])
    assert outcomes(saved(RED)) == [later]


@posix
def test_others_have_their_turn_between_two_pictures() -> None:
    files = (("x", saved(RED)) for _ in range(3))
    for found in read_pictures(files, owner="one"):
        assert isinstance(found, Picture)
        assert reading._running == []
        assert isinstance(read_picture(saved(NOISE), "x", "one"), Picture)


@posix
def test_who_stops_early_leaves_no_process() -> None:
    found = read_pictures([("x", saved(RED))] * 100)
    next(found)
    found.close()

    def broken() -> Iterator[tuple[str, bytes]]:
        yield "x", saved(RED)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(read_pictures(broken()))
