"""Which files are in an untrusted zip, and their bytes: no more of them than is allowed, whatever it declares.

Nothing of it is written under its own names.
"""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from explorer.learning.datasets.picture_files import MOST_PICTURES, File, Refused, check_name, hidden, quoted, too_many
from explorer.pictures.reading import MOST_BYTES

MOST_ZIP = 200_000_000  # bytes
MOST_UNPACKED = 500_000_000  # bytes of all files
MOST_TABLE = 6_000_000  # bytes of the table of contents: 300 for each of the most pictures
CHUNK = 2**20  # bytes unpacked at a time
LOCAL_HEADER = 30  # bytes before each file, without its name
UTF8, LOCKED = 0x800, 0x2041  # flags of an entry: its name is UTF-8; it is encrypted, in one way or another

TOO_MUCH = f"there are more than {MOST_UNPACKED / 1e6:g} MB once it is unpacked: make the pictures smaller"


class _Sparing(io.BufferedReader):
    """Refuses to read more at once than a zip of so many pictures needs: zipfile takes a table of any length."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_TABLE:
            raise Refused("the table of contents is far too long: leave some files out")
        return super().read(size)


@contextmanager
def zip_files(data: bytes | Path) -> Iterator[list[File]]:
    """All files in a zip but hidden ones, to be read before the block's end. Raises Refused."""
    with _Sparing(io.BytesIO(data) if isinstance(data, bytes) else data.open("rb", buffering=0)) as file:
        size = file.seek(0, io.SEEK_END)
        if size > MOST_ZIP:
            raise Refused(f"there are {size / 1e6:.0f} MB, more than {MOST_ZIP / 1e6:g}: make the pictures smaller")
        with _opened(file) as archive:
            entries = archive.infolist()
            _refuse_tricks(entries, archive.start_dir)
            wanted = [entry for entry in entries if not entry.is_dir() and not hidden(_name(entry))]
            if len(wanted) > MOST_PICTURES:
                raise too_many()
            yield [File(_name(entry), partial(_read, archive, entry)) for entry in wanted]


def _opened(file: BinaryIO) -> ZipFile:
    try:
        return ZipFile(file)
    except Refused:
        raise
    except Exception:  # a damaged table can fail anywhere in zipfile, struct or a codec
        raise Refused("nothing can be read, as it is no zip or is damaged: make the zip again") from None


def _name(entry: ZipInfo) -> str:
    """As it was written: zipfile cuts names at a NUL, and takes those of macOS, UTF-8 without its flag, for cp437.

    Raises Refused.
    """
    name = entry.orig_filename
    if not entry.flag_bits & UTF8 and not name.isascii():
        try:
            return name.encode("cp437").decode()
        except UnicodeError:
            raise Refused(f"{quoted(name)} is not written in UTF-8: give it another name") from None
    return name


def _refuse_tricks(entries: list[ZipInfo], table: int) -> None:
    """Raises Refused for what no program that packs a folder writes."""
    names, unpacked = set(), 0
    for entry in entries:
        name, kind = _name(entry), stat.S_IFMT(entry.external_attr >> 16)
        check_name(name)
        if name in names:
            raise Refused(f"{quoted(name)} is there twice: make the zip again")
        names.add(name)
        if kind == stat.S_IFLNK:
            raise Refused(f"{quoted(name)} is a link: put the picture itself there")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused(f"{quoted(name)} is no file: take it away")
        if entry.flag_bits & LOCKED:
            raise Refused(f"{quoted(name)} is encrypted: make a zip without a password")
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Refused(f"{quoted(name)} is packed in an unusual way: make a zip with deflate, as is usual")
        unpacked += entry.file_size
    if unpacked > MOST_UNPACKED:
        raise Refused(TOO_MUCH)
    # files that share their bytes unpack to many times what is there
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        start, end_before = entry.header_offset, end
        end = start + LOCAL_HEADER + entry.compress_size
        if start < end_before or end > table:
            raise Refused(f"{quoted(_name(entry))} overlaps with another part: make the zip again")


def _read(archive: ZipFile, entry: ZipInfo) -> bytes:
    """As far as one byte more than a picture may have. Raises Refused."""
    data = b""
    try:
        with archive.open(entry) as file:
            while len(data) <= MOST_BYTES and (some := file.read(CHUNK)):
                data += some
    except Exception:  # zlib, checksums, a local header that says something else
        raise Refused(f"{quoted(_name(entry))} is damaged or cut short: make the zip again") from None
    return data
