"""What an uploaded checkpoint holds, read without trusting a byte of it.

Both formats are read in the same way: the file's table of contents becomes names and `Stored` tensors, each
a dtype, a shape and a slice of the file, whose bytes are in memory (`memoryview`) or on disk (`OnDisk`). A tensor
is made only when it is asked for, after the caller has compared names, shapes and dtypes with the network. Nothing is
unpacked, and nothing that a file names is run.

A `.pt` file's table of contents is a pickle. It is interpreted here, as data, because `torch.load` with
`weights_only=True` (torch 2.15, even onto the meta device) runs no foreign code but otherwise does what the
pickle says: 300 bytes make it allocate gigabytes, 450 bytes keep it hashing one nested tuple for ever, and
300 kB overflow its stack, which ends the process.
"""

import io
import json
import math
import os
import pickletools
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import torch

from explorer.wording import clean

_MOST_DIMENSIONS = 8

# What a table of contents may weigh: torch and safetensors write about 130 bytes a tensor, and an optimizer's
# state beside the weights makes it up to four times as long. The constants leave room for notes.
_TABLE_BYTES, _TABLE_BYTES_PER_TENSOR = 65_536, 2_048
_FEW_STEPS = 100_000  # of a pickle, which take a tenth of a second
_ZIP_COMMENT = 65_536  # bytes after the directory of a zip file, at most
_CHUNK = 1 << 20  # bytes read from disk at a time where they are only looked through

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "C64": torch.complex64,
}
_STORAGES = {
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch ComplexFloatStorage": torch.complex64,
}
_FUNCTIONS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}


class Refused(Exception):
    """Why a file is not read: the rest of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class OnDisk:
    """A slice of an open file, `start` to `end` in bytes; nothing is read before it is asked for.

    Not mapped into memory: a mapped file that somebody cuts short ends the process that reads it.
    """

    file: int  # its descriptor
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, part: slice) -> "OnDisk":
        begin, end, _ = part.indices(len(self))
        return OnDisk(self.file, self.start + begin, self.start + max(begin, end))

    def __bytes__(self) -> bytes:
        return bytes(self.copy())

    def copy(self) -> bytearray:
        values = bytearray(len(self))
        rest, done = memoryview(values), 0
        while done < len(values):
            read = os.preadv(self.file, [rest[done:]], self.start + done)
            if not read:
                raise Refused("was cut short while it was read")
            done += read
        return values


Raw = memoryview | OnDisk


@contextmanager
def on_disk(path: Path) -> Iterator[OnDisk]:
    """A file's bytes, none of them read. Raises OSError, also for what is no ordinary file."""
    # neither a link that took the place of the file since it was found, nor a pipe that would be waited for
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not S_ISREG(status.st_mode):
            raise OSError(f"{path.name} is not a file")
        yield OnDisk(file, 0, status.st_size)
    finally:
        os.close(file)


@dataclass(frozen=True)
class Stored:
    """A tensor that still lies in the file: `raw` begins with its first value and reaches to its last."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    raw: Raw

    def tensor(self) -> torch.Tensor:
        """The one copy that is made of the file's bytes: a tensor must not write into the upload."""
        if not self.raw:
            return torch.empty(self.shape, dtype=self.dtype)
        values = self.raw.copy() if isinstance(self.raw, OnDisk) else bytearray(self.raw)
        return torch.frombuffer(values, dtype=self.dtype).as_strided(self.shape, self.stride)


def contents(data: bytes | OnDisk, tensors: int) -> Mapping[str, object]:
    """A file's table of contents: `Stored` tensors by name, or a training checkpoint's dicts around them.

    `tensors` is how many the network has, which bounds how long the table may be: reading takes time and
    memory in proportion to it, not to what the file claims. The kind of the file is decided by content, since
    a name's ending proves nothing. Raises Refused; for a damaged file also what zipfile, json or pickletools
    raise.
    """
    raw, table_bytes = _raw(data), _table_bytes(tensors)
    head = bytes(raw[:262])
    if head[:4] == b"PK\x03\x04":
        return _torch_contents(raw, table_bytes)
    if head[8:9] == b"{":
        return _safetensors_contents(raw, table_bytes)
    if head[:1] == b"\x80" or head[257:262] == b"ustar":
        raise Refused("is a pickle or from before torch 1.6, and is not opened because it could run code")
    raise Refused("is neither a safetensors file nor one that torch.save wrote")


def metadata(data: bytes | OnDisk, tensors: int) -> Mapping[str, object]:
    """What a safetensors file says beside its tensors; {} for a file of the other kind.

    Raises as `contents` does.
    """
    raw = _raw(data)
    if bytes(raw[8:9]) != b"{":
        return {}
    table, _ = _safetensors_table(raw, _table_bytes(tensors))
    found = table.get("__metadata__")
    return found if isinstance(found, dict) else {}


def _raw(data: bytes | OnDisk) -> Raw:
    return data if isinstance(data, OnDisk) else memoryview(data)


def _table_bytes(tensors: int) -> int:
    return _TABLE_BYTES + _TABLE_BYTES_PER_TENSOR * tensors


def _stored(dtype: torch.dtype, start: int, shape: object, stride: object, raw: Raw) -> Stored:
    """`start` and `stride` in values. The bytes for every index must be there, whatever the file claims."""
    shape, stride = _sizes(shape), _sizes(stride)
    if len(shape) != len(stride) or start < 0:
        raise ValueError("strides that do not belong to the shape")
    last = start + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    end = last + 1 if math.prod(shape) else start
    if end * dtype.itemsize > len(raw):
        raise Refused(f"claims a tensor of {clean(str(shape))} and has too few bytes for it")
    return Stored(dtype, shape, stride, raw[start * dtype.itemsize : end * dtype.itemsize])


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _MOST_DIMENSIONS:
        raise ValueError("not a shape")
    if not all(type(size) is int and size >= 0 for size in value):
        raise ValueError("a shape of something else than sizes")
    return tuple(value)


# --- safetensors: 8 bytes of length, a JSON table, the values


def _safetensors_table(raw: Raw, table_bytes: int) -> tuple[dict[str, Any], Raw]:
    """The table, and the values behind it."""
    length = int.from_bytes(bytes(raw[:8]), "little")
    if length > len(raw) - 8:
        raise Refused("is cut short: its table of contents is longer than the file")
    if length > table_bytes:
        raise Refused("has a table of contents far too long for this network")
    table = json.loads(bytes(raw[8 : 8 + length]))
    return table, raw[8 + length :]


def _safetensors_contents(raw: Raw, table_bytes: int) -> dict[str, Stored]:
    table, values = _safetensors_table(raw, table_bytes)
    table.pop("__metadata__", None)
    _check_tiling([tuple(entry["data_offsets"]) for entry in table.values()], len(values))
    return {name: _safetensors_entry(entry, values) for name, entry in table.items()}


def _check_tiling(spans: list[tuple[int, ...]], size: int) -> None:
    """The format's own rule: tensors lie end to end and fill the file, so that nothing hides or overlaps."""
    position = 0
    for begin, end in sorted(spans):
        if begin != position or end < begin:
            raise Refused("has tensors that overlap or leave gaps")
        position = end
    if position != size:
        raise Refused("has more or fewer bytes of values than its table of contents says")


def _safetensors_entry(entry: Mapping[str, Any], values: Raw) -> Stored:
    shape = _sizes(entry["shape"])
    begin, end = entry["data_offsets"]
    if entry["dtype"] not in _DTYPES:
        raise Refused(f"has values of type {clean(str(entry['dtype']))}, which no network here has")
    dtype = _DTYPES[entry["dtype"]]
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise Refused(f"claims a tensor of {clean(str(shape))} in {end - begin} bytes")
    return _stored(dtype, 0, shape, [math.prod(shape[i + 1 :]) for i in range(len(shape))], values[begin:end])


# --- torch.save: a zip file of one pickle (the table) and one record a storage


class _Directory(io.RawIOBase):
    """A zip file for zipfile, which reads its directory at once, whatever length the file claims."""

    def __init__(self, raw: Raw, most: int) -> None:
        self.raw, self.most, self.at = raw, most, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: len(self.raw)}[whence]
        if self.at < 0:
            raise OSError("before the file's beginning")
        return self.at

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, len(self.raw) - self.at)
        size = rest if size is None or size < 0 else min(size, rest)
        if size > self.most:
            raise Refused("has far more entries than this network has tensors")
        found = bytes(self.raw[self.at : self.at + size])
        self.at += size
        return found


def _torch_contents(raw: Raw, table_bytes: int) -> Mapping[str, object]:
    with zipfile.ZipFile(_Directory(raw, table_bytes + _ZIP_COMMENT)) as archive:
        members = {member.filename: member for member in archive.infolist()}
    tables = [name for name in members if name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in members):
        raise Refused("is a TorchScript archive, which holds a program")
    if len(tables) != 1:
        raise Refused("is a zip file that torch.save did not write")
    folder = tables[0].removesuffix("data.pkl")

    @cache
    def record(name: str) -> Raw:
        return _record(raw, members[folder + name])

    if folder + "byteorder" in members and bytes(record("byteorder")) != sys.byteorder.encode():
        raise Refused("was saved by a machine of the other byte order")
    if members[tables[0]].file_size > table_bytes:
        raise Refused("has a table of contents far too long for this network")
    found = _interpret(bytes(record("data.pkl")), record)
    if not isinstance(found, dict):
        raise Refused("holds no state dict")
    return found


def _record(data: Raw, member: zipfile.ZipInfo) -> Raw:
    """An entry's bytes as they lie in the file: nothing is unpacked, so nothing can grow."""
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise Refused("is compressed, which torch.save never does")
    header = member.header_offset
    names = sum(int.from_bytes(bytes(data[at : at + 2]), "little") for at in (header + 26, header + 28))
    start = header + 30 + names
    raw = data[start : start + member.file_size]
    if len(raw) != member.file_size or _checksum(raw) != member.CRC:
        raise Refused("is damaged (a checksum is wrong)")
    return raw


def _checksum(raw: Raw) -> int:
    if isinstance(raw, memoryview):
        return zlib.crc32(raw)
    found = 0
    for start in range(0, len(raw), _CHUNK):
        found = zlib.crc32(raw[start : start + _CHUNK].copy(), found)
    return found


class _Global(NamedTuple):
    """A name in a pickle. It stays a name: nothing is imported."""

    name: str


class _Storage(NamedTuple):
    dtype: torch.dtype
    raw: Raw


_MARK = object()
_FRESH: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}


def _interpret(table: bytes, record: Callable[[str], Raw]) -> object:
    """What a pickle of torch.save describes: dicts, lists, tuples, numbers, text, and `Stored` for tensors.

    Time and memory are linear in `table`: only text is hashed, and nothing is called.
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for steps, (operation, argument, _) in enumerate(pickletools.genops(table)):
        if steps > max(_FEW_STEPS, len(table) // 2):  # torch writes 3.6 bytes a step
            raise Refused("has a pickle of far more steps than weights need")
        match operation.name:
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case name if name in _FRESH:
                stack.append(_FRESH[name]())
            case "GLOBAL":
                stack.append(_Global(_known(str(argument))))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE":
                stack.append(tuple(_to_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                items = [stack.pop() for _ in range(int(name[-1]))]
                stack.append(tuple(reversed(items)))
            case "APPEND" | "APPENDS" as name:
                items = _to_mark(stack) if name == "APPENDS" else [stack.pop()]
                _of(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS" as name:
                items = _to_mark(stack) if name == "SETITEMS" else [stack.pop(), stack.pop()][::-1]
                # as text: a number's hash is known beforehand, so numbers can be made to collide
                keys = [str(_of(str | int, key)) for key in items[::2]]
                _of(dict, stack[-1]).update(zip(keys, items[1::2], strict=True))
            case "BINPERSID":
                stack.append(_storage(stack.pop(), record))
            case "REDUCE":
                arguments = _of(tuple, stack.pop())
                stack.append(_described(_of(_Global, stack.pop()).name, arguments))
            case "BUILD":  # a state dict's `_metadata`: the versions of its modules, nothing that is loaded
                stack.pop()
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case name:
                raise Refused(f"has an operation in its pickle that weights do not need ({name})")
    raise ValueError("a pickle without an end")


def _known(name: str) -> str:
    if name not in _FUNCTIONS and name not in _STORAGES:
        raise Refused(f"holds Python objects ({clean(name.replace(' ', '.'))}), not only weights")
    return name


def _to_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _of(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} in the wrong place")
    return value


def _storage(identifier: object, record: Callable[[str], Raw]) -> _Storage:
    """From ("storage", type, key, device it was on, number of values)."""
    kind, storage, key, _, count = _of(tuple, identifier)
    if kind != "storage" or _of(_Global, storage).name not in _STORAGES:
        raise ValueError("a reference to something else than a storage")
    dtype, raw = _STORAGES[storage.name], record(f"data/{_of(str, key)}")
    if _of(int, count) * dtype.itemsize != len(raw):
        raise Refused("has a record of another size than its table of contents says")
    return _Storage(dtype, raw)


def _described(function: str, arguments: tuple[Any, ...]) -> object:
    """What torch would make by calling `function`."""
    if function == "collections OrderedDict":
        if arguments:
            raise ValueError("an ordered dict that is not filled item by item")
        return {}
    if function == "torch._utils _rebuild_parameter":
        return _of(Stored, arguments[0])
    if function == "torch._utils _rebuild_tensor_v2":
        storage, start, shape, stride = arguments[:4]
        return _stored(_of(_Storage, storage).dtype, _of(int, start), shape, stride, storage.raw)
    raise ValueError("a storage that is called")
