"""Files kept where all nodes reach them, by whatever fsspec knows: an object store's bucket, say, as a URL."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.errors import ExplorerError
from explorer.wording import clean

# whose files appear whole or not at all; elsewhere one is written beside and then renamed
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}
AT_ONCE = 64  # files read at the same time, where fsspec does so


class StorageError(ExplorerError):
    """What cannot be read or written there: one sentence."""


class Storage:
    """Names are those of files below one folder, with slashes. Everything raises StorageError."""

    def __init__(self, url: str) -> None:
        """Raises it for a storage that fsspec does not know, or lacks a package for."""
        import fsspec

        # a relative path is another one where it is seen from elsewhere
        self.url = url if "://" in url else str(Path(url).expanduser().absolute())
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except Exception as error:  # each kind of storage has its own
            raise StorageError(f"{clean(url)} is no storage: {_reason(error)}.") from None
        protocols = {*self._files.protocol} if isinstance(self._files.protocol, tuple) else {self._files.protocol}
        self._is_object_store = bool(OBJECT_STORES & protocols)
        self._made: set[str] = set()

    def put(self, file: Path, name: str) -> None:
        """Whoever reads it finds the old content or the new."""
        with self._told("written"):
            if self._is_object_store:
                self._files.put_file(str(file), self._path(name))
                return
            self._make(name.rpartition("/")[0])
            partial = self._path(f"{name}.{secrets.token_hex(4)}.partial")
            self._files.put_file(str(file), partial)
            self._files.mv(partial, self._path(name))

    def write(self, name: str, data: bytes) -> None:
        with self._told("written"):
            self._make(name.rpartition("/")[0])
            self._files.pipe_file(self._path(name), data)

    def get(self, name: str, file: Path) -> None:
        """Raises FileNotFoundError too."""
        with self._told("read", FileNotFoundError):
            self._files.get_file(self._path(name), str(file))

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """What stands in those that are there."""
        paths = {self._path(name): name for name in names}
        wanted, found = list(paths), {}
        with self._told("read"):
            for first in range(0, len(wanted), AT_ONCE):
                read = self._files.cat(wanted[first : first + AT_ONCE], on_error="omit")
                found.update({paths[path]: data for path, data in read.items()})
        return found

    def names(self, folder: str) -> list[str]:
        """Of all files below a folder, from there on; none where there is no such folder."""
        with self._told("read"):
            self._files.invalidate_cache()
            top = self._path(folder)
            found = self._files.find(top) if self._files.exists(top) else []
            return sorted(str(path)[len(top) + 1 :] for path in found)

    def has(self, name: str) -> bool:
        with self._told("read"):
            self._files.invalidate_cache()
            return bool(self._files.exists(self._path(name)))

    def remove(self, name: str) -> None:
        """If it is there."""
        if self.has(name):
            with self._told("written"):
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make(self, folder: str) -> None:
        """Object stores have no folders."""
        if not self._is_object_store and folder not in self._made:
            self._files.makedirs(self._path(folder), exist_ok=True)
            self._made.add(folder)

    @contextmanager
    def _told(self, done: str, *but: type[Exception]) -> Iterator[None]:
        """Whatever is raised as one sentence, `but` for some."""
        try:
            yield
        except but:
            raise
        except Exception as error:  # each kind of storage has its own
            raise StorageError(f"{clean(self.url)} cannot be {done}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return clean(said or str(error).rstrip(".") or type(error).__name__, 200)
