"""Uploaded checkpoints that mean harm, or are damaged: each is refused in one sentence, cheaply."""

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest
import safetensors.torch
import torch
from torch import nn

from explorer.running.checkpoints import Refused, contents
from explorer.running.weights import WeightsError, read_checkpoint

Expected = dict[str, torch.Tensor]
FLOATS = b"ctorch\nFloatStorage\n"
BYTEARRAY = b"cbuiltins\nbytearray\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def expected() -> Expected:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5)).state_dict()


def saved(state: Expected) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def archive(table: bytes, records: Mapping[str, bytes] = MappingProxyType({}), method: int = 0) -> bytes:
    """A zip file as torch.save lays it out (method 0: stored, not compressed), around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, record in {"data.pkl": table, "version": b"3\n", **records}.items():
            out.writestr(f"archive/{name}", record)
    return file.getvalue()


def safe(table: object, values: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    header = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + values


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(shape: tuple[int, ...], stride: tuple[int, ...], start: int = 0, count: int = 4) -> bytes:
    """The pickle of one tensor over record "0", as torch.save writes it."""
    storage = b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(count) + b"tQ"
    sizes = b"(" + b"".join(map(number, shape)) + b"t(" + b"".join(map(number, stride)) + b"t"
    return REBUILD + b"(" + storage + number(start) + sizes + b"\x89ccollections\nOrderedDict\n)RtR"


def state(*entries: bytes) -> bytes:
    """The pickle of a dict of text keys and the given values."""
    return b"\x80\x02}(" + b"".join(text(f"k{i}") + entry for i, entry in enumerate(entries)) + b"u."


def tensor_file(shape: tuple[int, ...], stride: tuple[int, ...], start: int = 0, record: int = 16) -> bytes:
    return archive(state(tensor(shape, stride, start, record // 4)), {"data/0": bytes(record)})


def shared_tuples(depth: int = 60) -> bytes:
    """A tuple of two times the same tuple, and so on: 2**60 leaves in 300 bytes, as the key of a dict."""
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))
    return b"\x80\x02})" + doubled + b"K\x01s."


def colliding_keys(count: int = 5000) -> bytes:
    """Integers with one hash: a dict of them takes time in the square of their number."""
    ints = ((2**61 - 1) * i for i in range(1, count + 1))
    return b"\x80\x02}(" + b"".join(b"\x8a\x0a" + i.to_bytes(10, "little") + b"N" for i in ints) + b"u."


def compressed_values() -> bytes:
    """A table that is stored, and a record of 100 MB in 100 kB."""
    file = io.BytesIO(archive(state(tensor((4,), (1,)))))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data/0", bytes(10**8))
    return file.getvalue()


def entries(**changes: object) -> dict[str, dict[str, object]]:
    """A good table of two tensors, 24 bytes of values, with changes to the second."""
    first: dict[str, object] = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return {"a": first, "b": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24], **changes}}


HUGE = 200_000
CLAIMS = {"0.weight": {"dtype": "F32", "shape": [HUGE, HUGE], "data_offsets": [0, 4 * HUGE * HUGE]}}
FOUR_HUNDRED = tensor((400,), (1,), count=400)
EMPTY = b"\x80\x02}."  # the pickle of {}

# Each with a part of the reason that the user is given.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # what the 200,000 x 200,000 floats of 1.6 kB would be: 160 GB
    "claimed shape": (lambda: tensor_file((HUGE, HUGE), (HUGE, 1), record=1600), "too few bytes"),
    "claimed by stride 0": (lambda: tensor_file((HUGE, HUGE), (0, 0)), "does not fit the network"),
    "claimed storage": (lambda: archive(state(FOUR_HUNDRED), {"data/0": bytes(16)}), "another size"),
    "beyond its storage": (lambda: tensor_file((5,), (1,)), "too few bytes"),
    "start beyond": (lambda: tensor_file((1,), (1,), start=4), "too few bytes"),
    "start before": (lambda: tensor_file((1,), (1,), start=-1), "is damaged"),
    "negative stride": (lambda: tensor_file((2,), (-1,), start=1), "is damaged"),
    "negative shape": (lambda: tensor_file((-2,), (1,)), "is damaged"),
    "40 dimensions": (lambda: tensor_file((1,) * 40, (1,) * 40), "is damaged"),
    "strides too few": (lambda: tensor_file((2, 2), (1,)), "is damaged"),
    "no record": (lambda: archive(state(tensor((4,), (1,)))), "is damaged"),
    "compressed": (lambda: archive(EMPTY, method=zipfile.ZIP_DEFLATED), "is compressed"),
    "many entries": (lambda: archive(EMPTY, {f"data/{i}": b"" for i in range(20_000)}), "far more entries"),
    "long table": (lambda: archive(b"\x80\x02" + b"}" * 10**7 + b"."), "far too long"),
    "flood of dicts": (lambda: archive(b"\x80\x02" + b"}" * 80_000 + b"."), "does not fit"),
    "deep tuple": (lambda: archive(b"\x80\x02})" + b"\x85" * 70_000 + b"K\x01s."), "is damaged"),
    "deep tuple, a value": (lambda: archive(state(b")" + b"\x85" * 70_000)), "does not fit"),
    "shared tuples": (lambda: archive(shared_tuples()), "is damaged"),
    "colliding keys": (lambda: archive(colliding_keys()), "does not fit"),
    "bytearray": (lambda: archive(state(BYTEARRAY + number(2**31 - 1) + b"\x85R")), "(builtins.bytearray)"),
    "memo at 2**31": (lambda: archive(b"\x80\x02}r\xff\xff\xff\x7f."), "does not fit"),
    "text of 4 GB": (lambda: archive(b"\x80\x02X\xff\xff\xff\xff."), "is damaged"),
    "integer of 2 GB": (lambda: archive(b"\x80\x02\x8b\xff\xff\xff\x7f."), "is damaged"),
    "dict of itself": (lambda: archive(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."), "does not fit"),
    "no end": (lambda: archive(b"\x80\x02}"), "is damaged"),
    "empty stack": (lambda: archive(b"\x80\x02."), "is damaged"),
    "extension": (lambda: archive(b"\x80\x02\x82\x01."), "(EXT1)"),
    "storage called": (lambda: archive(b"\x80\x02" + FLOATS + b"K\x05\x85R."), "is damaged"),
    "instance": (lambda: archive(b"\x80\x02ccollections\nOrderedDict\n)\x81."), "(NEWOBJ)"),
    "other byte order": (lambda: archive(EMPTY, {"byteorder": b"big"}), "other byte order"),
    "two tables": (lambda: archive(EMPTY, {"more/data.pkl": EMPTY}), "torch.save did not write"),
    "no table": (lambda: archive(b"", {}).replace(b"data.pkl", b"data.txt"), "torch.save did not write"),
    "compressed values": (compressed_values, "is compressed"),
    "st: claimed shape": (lambda: safe(CLAIMS, bytes(1500)), "more or fewer bytes"),
    "st: shape over bytes": (lambda: safe(entries(shape=[HUGE, HUGE]), bytes(24)), "claims a tensor"),
    "st: shape of 0": (lambda: safe(entries(shape=[0, 10**4000]), bytes(24)), "claims a tensor"),
    "st: overlap": (lambda: safe(entries(data_offsets=[8, 16]), bytes(16)), "overlap or leave gaps"),
    "st: gap": (lambda: safe(entries(data_offsets=[20, 28]), bytes(28)), "overlap or leave gaps"),
    "st: backwards": (lambda: safe(entries(data_offsets=[16, 8]), bytes(24)), "overlap or leave gaps"),
    "st: hidden tail": (lambda: safe(entries(), bytes(99)), "more or fewer bytes"),
    "st: cut": (lambda: safe(entries(), bytes(20)), "more or fewer bytes"),
    "st: fractions": (lambda: safe(entries(data_offsets=[16.0, 24.0]), bytes(24)), "is damaged"),
    "st: negative": (lambda: safe(entries(shape=[-2]), bytes(24)), "is damaged"),
    "st: 40 dimensions": (lambda: safe(entries(shape=[2] + [1] * 39), bytes(24)), "is damaged"),
    "st: odd dtype": (lambda: safe(entries(dtype="F8_E4M3"), bytes(24)), "type F8_E4M3"),
    "st: dtype a list": (lambda: safe(entries(dtype=["F32"]), bytes(24)), "is damaged"),
    "st: long header": (lambda: safe(b'{"a":' + b" " * 10**6 + b"}"), "far too long"),
    "st: header of 2**63": (lambda: struct.pack("<Q", 2**63) + b"{}", "cut short"),
    "st: deep header": (lambda: safe(b'{"a":' + b"[" * 60_000), "is damaged"),
    "st: not an object": (lambda: safe(b'{"a":1}'), "is damaged"),
    "st: not utf-8": (lambda: safe(b'{"\xff":1}'), "is damaged"),
}


def refusal(data: bytes, need: Expected) -> str:
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(data, "m.pt", need)
    return one_line(caught.value)


def one_line(error: WeightsError) -> str:
    sentence = str(error)
    assert sentence.startswith("m.pt ")
    assert sentence.endswith(".")
    assert all(line.isprintable() and len(line) < 400 for line in (sentence, *error.mismatches))
    return sentence


@cache
def hostile(name: str) -> bytes:
    return HOSTILE[name][0]()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_the_reason(name: str) -> None:
    assert HOSTILE[name][1] in refusal(hostile(name), expected())


class Command:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_that_a_file_names_is_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    attack = pickle.dumps({"0.weight": Command(marker)}, protocol)
    pickle.loads(attack)
    assert marker.exists()  # it is an attack: this is what opening it as a pickle does
    marker.unlink()
    for data in (attack, archive(attack), archive(state(attack[2:-1]))):
        refusal(data, expected())
    assert not marker.exists()
    if protocol == 2:  # what torch.save writes
        assert f"holds Python objects ({os.name}.system)" in refusal(archive(attack), expected())


def test_shapes_are_compared_before_anything_is_allocated() -> None:
    """The claim is the network's own shape: only the bytes that are not there speak against it."""
    with torch.device("meta"):
        need = {"k0": torch.empty(HUGE, HUGE)}
    assert "too few bytes" in refusal(tensor_file((HUGE, HUGE), (HUGE, 1), record=1600), need)
    claim = {"k0": {"dtype": "F32", "shape": [HUGE, HUGE], "data_offsets": [0, 1600]}}
    assert "claims a tensor" in refusal(safe(claim, bytes(1600)), need)


MEASURE = """
    import sys, time, torch
    from pathlib import Path
    from explorer.running.weights import WeightsError, read_checkpoint

    def peak():
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    for path in sys.stdin.read().splitlines():
        data = Path(path).read_bytes()
        need = torch.load(Path(path).with_name("need.pt"), weights_only=True)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        before, start, outcome = peak(), time.process_time(), "read"
        try:
            read_checkpoint(data, "m.pt", need)
        except WeightsError:
            outcome = "refused"
        print(outcome, peak() - before, time.process_time() - start)
"""
GOOD = {f"layer{i}.weight": torch.ones(1_000_000) for i in range(6)}  # 23 MiB


def put(folder: Path, need: Expected, files: Iterable[bytes]) -> list[Path]:
    folder.mkdir()
    torch.save(need, folder / "need.pt")
    paths: list[Path] = []
    for data in files:
        paths.append(folder / f"{len(paths)}.bin")
        paths[-1].write_bytes(data)
    return paths


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, float]]:
    """(outcome, growth of peak memory in MiB, processor's seconds) of reading each file, in a process that dies for it.

    The peak is VmHWM, which can be reset; ru_maxrss begins with the parent's and would hide everything.
    """
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("peak memory is read from Linux's /proc")
    folder = tmp_path_factory.mktemp("files")
    double = {key: value.double() for key, value in GOOD.items()}
    good = {
        "good.pt": saved(GOOD),
        "good.safetensors": safetensors.torch.save(GOOD),
        "good64.pt": saved(double),
        "good64.safetensors": safetensors.torch.save(double),
    }
    # the first is a warm-up: it is sound, and reading it fills torch's own caches
    paths = put(folder / "bad", expected(), [saved(expected()), *map(hostile, HOSTILE)])
    paths += put(folder / "good", GOOD, good.values())
    lines = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(MEASURE)],
        input="\n".join(map(str, paths)),
        # what is freed goes back to the system, so that it counts when it is taken again
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert lines.returncode == 0, lines.stderr
    rows = [line.split() for line in lines.stdout.splitlines()]
    names = ["warm-up", *HOSTILE, *good]
    return {name: (row[0], float(row[1]), float(row[2])) for name, row in zip(names, rows, strict=True)}


def test_bombs_take_neither_memory_nor_time(costs: dict[str, tuple[str, float, float]]) -> None:
    print(costs)
    for name in HOSTILE:
        outcome, growth, seconds = costs[name]
        assert outcome == "refused", name
        assert growth < 32, name
        assert seconds < 5, name


def test_good_files_take_little_more_than_their_tensors(costs: dict[str, tuple[str, float, float]]) -> None:
    for name in ("good.pt", "good.safetensors", "good64.pt", "good64.safetensors"):
        outcome, growth, _ = costs[name]
        assert outcome == "read", name
        assert growth < 1.5 * 23, name


# --- damage


def damaged(data: bytes, table: range, count: int) -> Iterator[bytes]:
    """Seeded variants of a file: flipped bits, cuts, insertions, and edits of its table of contents."""
    draw = random.Random(0)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 8))):
            where = draw.choice((range(len(data)), table))
            at = min(draw.choice(where), len(changed) - 1)
            match draw.randrange(5):
                case 0:
                    changed[at] ^= 1 << draw.randrange(8)
                case 1:
                    changed[at] = draw.choice(b'0123456789{}[],"()tRQsu.q\x00\xff')
                case 2:
                    del changed[at:]
                    changed += bytes(1)
                case 3:
                    changed[at:at] = draw.randbytes(draw.randrange(1, 9))
                case 4:
                    del changed[at : at + draw.randrange(1, 9)]
        yield bytes(changed)


def outcomes(files: Iterator[bytes], need: Expected) -> tuple[int, int]:
    """How many files were read, in the right shapes, and how many refused; anything else fails."""
    read = refused = 0
    specs = [(key, value.shape, value.dtype) for key, value in need.items()]
    for data in files:
        try:
            found = read_checkpoint(data, "m.pt", need)
        except WeightsError as error:
            one_line(error)
            refused += 1
        else:
            assert [(k, v.shape, v.dtype) for k, v in found.items()] == specs
            assert all(bool(value.isfinite().all()) for value in found.values())
            read += 1
    return read, refused


def test_damaged_safetensors() -> None:
    need = expected()
    data = safetensors.torch.save(need)
    read, refused = outcomes(damaged(data, range(8 + int.from_bytes(data[:8], "little")), 600), need)
    assert read + refused == 600
    assert min(read, refused) > 20  # the damage is neither always nor never fatal


def test_damaged_zip_files() -> None:
    need = expected()
    data = saved(need)
    directory = range(data.index(b"PK\x01\x02"), len(data))
    read, refused = outcomes(damaged(data, directory, 400), need)
    assert read + refused == 400
    assert refused > 300  # a checksum finds it


def test_one_flipped_bit_among_the_values_is_found() -> None:
    need = expected()
    data = bytearray(saved(need))
    data[data.index(need["3.weight"].numpy().tobytes())] ^= 1
    assert "a checksum is wrong" in refusal(bytes(data), need)


def test_damaged_pickles_in_sound_zip_files() -> None:
    need = expected()
    with zipfile.ZipFile(io.BytesIO(saved(need))) as parts:
        records = {name.removeprefix("archive/"): parts.read(name) for name in parts.namelist()}
    table = records.pop("data.pkl")
    files = (archive(changed, records) for changed in damaged(table, range(len(table)), 1000))
    read, refused = outcomes(files, need)
    assert read + refused == 1000
    assert min(read, refused) > 20


def test_contents_reads_no_values() -> None:
    """The table of contents of a good file is slices of the upload, in the file's own dtypes."""
    data = safetensors.torch.save({"a": torch.ones(2, 3, dtype=torch.float16)})
    (entry,) = contents(data, 1).values()
    assert (entry.dtype, entry.shape, entry.stride) == (torch.float16, (2, 3), (3, 1))
    assert entry.raw.obj is data
    with pytest.raises(Refused):
        contents(b"", 1)
