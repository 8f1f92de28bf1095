"""A published file from the internet: all of it and unchanged, or nothing and the reason."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from explorer.wording import clean

_CHUNK = 1 << 20  # bytes read, and reported as progress, at a time

Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0 if the server does not say)


class DownloadError(Exception):
    """Why a download failed, in a few words."""


def download(
    url: str, path: Path, algorithm: str, digest: str, progress: Progress | None = None, timeout: float = 10
) -> None:
    """The file at `url` as `path`, whose folder is made where it is missing.

    Its `algorithm`'s hexadecimal digest begins with `digest`. `timeout` in seconds of silence. May run in several
    threads and processes at once: each writes a file of its own, and the last rename wins. Raises DownloadError,
    after which nothing is left behind.
    """
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, partial, progress, timeout)
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if not found.startswith(digest):
            raise OSError("the file that came is not the one torchvision published")
        os.replace(partial, path)
    except (OSError, HTTPException) as error:
        raise DownloadError(_reason(error, urlsplit(url).netloc, timeout)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _fetch(url: str, to: Path, progress: Progress | None, timeout: float) -> None:
    """The bytes of `url` in the new file `to`; OSError or HTTPException if they do not all arrive."""
    # As torch.hub does: an ordinary file, not tempfile's, which other users of a shared cache could not read.
    request = Request(url, headers={"User-Agent": "torch.hub"})
    with urlopen(request, timeout=timeout) as response, to.open("xb") as file:
        total, done = response.length or 0, 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    if done < total:
        raise OSError(f"it broke off after {done} of {total} bytes")


def _reason(error: Exception, host: str, timeout: float) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"{host} answered {error.code}"
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"{host} was silent for {timeout:g} s"
    if isinstance(error, URLError | ConnectionError | HTTPException):
        return f"no connection to {host}"
    return clean(getattr(cause, "strerror", None) or str(cause))
