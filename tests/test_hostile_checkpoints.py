"""Two hundred checkpoints that mean harm, read by a process that is watched by Python's own audit events.

None runs code, opens a file, or keeps memory. That they are attacks is shown on a few: opened as pickles, they act.
"""

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
from collections.abc import Callable, Iterator

import pytest
import safetensors.torch
import torch

Values = dict[str, torch.Tensor]
STATE: Values = {"0.weight": torch.ones(5, 4), "0.bias": torch.zeros(5)}
SAFE = safetensors.torch.save(STATE)


# --- code in pickles: what is called, and how it is asked for

CALLED = [
    ("posix", "mkdir"),
    ("posix", "system"),
    ("os", "open"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "open"),
    ("builtins", "getattr"),
    ("subprocess", "Popen"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
    ("numpy", "load"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("shutil", "rmtree"),
    ("socket", "create_connection"),
    ("torch.jit", "load"),
]


def word(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


Form = Callable[[str, str, str], bytes]
FORMS: dict[str, Form] = {
    "reduce": lambda module, name, given: f"c{module}\n{name}\n".encode() + b"(" + word(given) + b"tR",
    "stack global": lambda module, name, given: short(module) + short(name) + b"\x93" + short(given) + b"\x85R",
    "instance": lambda module, name, given: b"(" + word(given) + f"i{module}\n{name}\n".encode(),
    "object": lambda module, name, given: f"(c{module}\n{name}\n".encode() + word(given) + b"o",
    "memo": lambda module, name, given: f"c{module}\n{name}\nq\x05".encode() + word(given) + b"\x85q\x0600h\x05h\x06R",
    "new object": lambda module, name, given: f"c{module}\n{name}\n".encode() + word(given) + b"\x85\x81",
    "build": lambda module, name, given: f"c{module}\n{name}\n".encode() + b"}" + word("x") + word(given) + b"sb",
}
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "value": lambda attack: b"\x80\x02}" + word("0.weight") + attack + b"s.",
    "whole": lambda attack: b"\x80\x02" + attack + b".",
    "identity": lambda attack: b"\x80\x02}" + word("0.weight") + attack + b"Qs.",
}


def archive(table: bytes, records: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, record in {"archive/data.pkl": table, "archive/version": b"3\n", **(records or {})}.items():
            out.writestr(name, record)
    return file.getvalue()


def with_code(target: str) -> Iterator[tuple[str, bytes]]:
    """16 functions in 7 forms, in one of three places each."""
    for i, (module, name) in enumerate(CALLED):
        for j, (form, write) in enumerate(FORMS.items()):
            place = list(PLACES)[(i + j) % len(PLACES)]
            yield f"{module}.{name}, {form}, {place}", archive(PLACES[place](write(module, name, target)))


# --- zip files that lie


def saved() -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file)
    return file.getvalue()


def lying_zips() -> Iterator[tuple[str, bytes]]:
    table = b"\x80\x02}."
    for name in (
        "../../etc/cron.d/x",
        "/etc/passwd",
        "archive/../../x",
        "C:\\x",
        "archive/data/0\0.txt",
        "\u202earchive",
    ):
        yield f"entry {name!r}", archive(table, {name: b"x"})
    good = saved()
    end, first = good.rindex(b"PK\x05\x06"), good.index(b"PK\x01\x02")
    fields = {  # at which byte, and of how many
        "entries": (end + 8, 2),
        "all entries": (end + 10, 2),
        "directory's size": (end + 12, 4),
        "directory's place": (end + 16, 4),
        "comment": (end + 20, 2),
        "method": (first + 10, 2),
        "flags": (first + 8, 2),
        "packed size": (first + 20, 4),
        "size": (first + 24, 4),
        "name": (first + 28, 2),
        "extra": (first + 30, 2),
        "header's place": (first + 42, 4),
    }
    for field, (at, size) in fields.items():
        for value in (0, 1, 2 ** (8 * size) - 1):
            changed = good[:at] + value.to_bytes(size, "little") + good[at + size :]
            yield f"{field} = {value}", changed
    # a directory that claims to be the whole of 64 MB
    huge = bytearray(b"PK\x03\x04" + bytes(64 * 2**20) + good[end:])
    where = len(huge) - (len(good) - end)
    huge[where + 12 : where + 20] = struct.pack("<II", where, 0)
    yield "directory of 64 MB", bytes(huge)


# --- cards that mean harm: the weights are sound, and must not be read by what the card asks for


def safe(metadata: object) -> bytes:
    size = int.from_bytes(SAFE[:8], "little")
    table = json.loads(SAFE[8 : 8 + size])
    header = json.dumps({**table, "__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header + SAFE[8 + size :]


def evil_cards() -> Iterator[tuple[str, bytes]]:
    numbers = ["NaN", "Infinity", "-1e308", "1e-300", "0", "9" * 5000, '"x"', "null", "true", "[[1]]", "{}"]
    cards = [f'{{"mean": {number}, "std": 1}}' for number in numbers]
    cards += [f'{{"mean": 0, "std": {number}}}' for number in numbers]
    cards += [f'{{"mean": 0, "std": 1, "{name}": {number}}}' for name in ("size", "resize") for number in numbers]
    cards += ["[" * 20_000, '{"a":' * 9_000, '{"classes": ["' + "x" * 50_000 + '"]}', '{"classes": [1]}', "", "null"]
    cards += ['{"classes": ["![x](https://evil.example/x.png)", "<script>", "\\u202e", "\\u0000", "\\ud800"]}']
    for text in cards:
        yield f"card {text[:40]}", safe({"explorer.card": text})
    for metadata in (
        ["explorer.card"],
        "explorer.card",
        7,
        {"explorer.card": {"mean": 0}},
        {"explorer.card": None},
        None,
    ):
        yield f"metadata {metadata}", safe(metadata)


WATCHED = """
    import gc, json, os, pickle, sys, torch
    from pathlib import Path
    from explorer.running.card import CardError
    from explorer.running.weights import WeightsError, check_checkpoint, read_card, read_checkpoint

    def memory(what):
        return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0]) / 1024

    def read(data):
        try:
            check_checkpoint(data, "m.pt", need)
            read_checkpoint(data, "m.pt", need)
        except WeightsError as error:
            return str(error)
        try:
            return str(read_card(data, 8, len(need)))
        except CardError as error:
            return str(error)

    folder = Path(sys.argv[1])
    need = {"0.weight": torch.empty(5, 4, device="meta"), "0.bias": torch.empty(5, device="meta")}
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    # what reading needs is imported by the first ones
    for data in files.values():
        read(data)
    watching, seen = False, []
    sys.addaudithook(lambda event, _: seen.append(event) if watching else None)
    before, handles, worst = memory("VmRSS"), os.listdir("/proc/self/fd"), 0.0
    answers, events = {}, {}
    for name, data in files.items():
        Path("/proc/self/clear_refs").write_text("5")
        now, watching = memory("VmHWM"), True
        answers[name] = read(data)
        watching = False
        events[name], worst = sorted(set(seen)), max(worst, memory("VmHWM") - now)
        seen.clear()
    gc.collect()
    grown, open_now = memory("VmRSS") - before, len(os.listdir("/proc/self/fd")) - len(handles)
    watching = True
    pickle.loads(Path(sys.argv[2]).read_bytes())  # what the watch says of a file that is believed
    watching = False
    print(json.dumps([answers, events, worst, grown, open_now, seen]))
"""
HARMLESS = {"builtins.id", "object.__getattr__", "object.__setattr__", "sys._getframe", "gc.collect"}


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    target = str(tmp_path_factory.mktemp("target") / "made")
    found = dict([*with_code(target), *lying_zips(), *evil_cards()])
    draw = random.Random(0)
    for i in range(20):  # and any of them with a bit turned
        name, data = draw.choice([pair for pair in found.items() if len(pair[1]) < 10**6])
        changed = bytearray(data)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        found[f"{i}: {name}, one bit turned"] = bytes(changed)
    return found


@pytest.mark.parametrize("form", ["reduce", "stack global", "instance", "object", "memo"])
def test_they_are_attacks(tmp_path, form):
    made = tmp_path / "made"
    pickle.loads(PLACES["value"](FORMS[form]("posix", "mkdir", str(made))))
    assert made.is_dir()


def test_none_runs_code_or_leaks_a_file_or_memory(attacks, tmp_path, tmp_path_factory):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("memory is read from Linux's /proc")
    assert 200 <= len(attacks) <= 260
    for i, data in enumerate(attacks.values()):
        (tmp_path / f"{i:03}").write_bytes(data)
    believed = tmp_path_factory.mktemp("believed") / "attack"
    believed.write_bytes(PLACES["value"](FORMS["reduce"]("posix", "mkdir", f"{believed}.made")))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WATCHED), str(tmp_path), str(believed)],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers, events, worst, grown, handles, when_believed = json.loads(done.stdout)
    assert {"pickle.find_class", "os.mkdir"} <= set(when_believed)
    for name, answer, seen in zip(attacks, answers.values(), events.values(), strict=True):
        assert set(seen) <= HARMLESS, name
        assert len(answer) < 700, name
        assert answer.isprintable(), name
        if "posix" in name or "subprocess" in name:
            assert answer.startswith("m.pt "), name
    assert worst < 32
    assert grown < 16
    assert handles == 0
