"""Files that a visitor sends, as a page gets them: read once, kept on disk under a name for links, and found by it.

Streamlit holds an upload in memory as long as its session is open; here it is let go of as soon as it is on disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec

from controls import kept, uploads
from controls.kept import Kept
from controls.session import identity, visitor
from explorer.running.card import Card
from explorer.running.checkpoints import OnDisk


def arrived(value: Any) -> tuple[list[UploadedFile], bool]:
    """The files in an uploader's value, and whether there are others of which the server has no bytes."""
    files = value if isinstance(value, list) else [] if value is None else [value]
    found = [file for file in files if isinstance(file, UploadedFile)]
    lost = [file for file in files if isinstance(file, DeletedFile) and not _taken_over(file.file_id)]
    return found, bool(lost)


def _taken_over(file_id: str) -> bool:
    """Whether a file was kept by a process before this one, under a name that the page still has; from now on it goes
    where it is removed here. Only the browser that has sent it knows its id.
    """
    known, context = visitor(), get_script_run_ctx()
    links = {*known.pictures, *([known.checkpoint.place] if known.checkpoint else ())}
    found = {name: one for name in links if (one := kept.find(name, identity())) and one.sent_as == file_id}
    for name, one in found.items():
        if context is not None:
            record = UploadedFileRec(file_id, one.name, "application/octet-stream", b"")
            uploads.in_memory(context.uploaded_file_mgr).add_file(context.session_id, record)
        known.sent[name] = file_id
        kept.sender(name, identity())
    return bool(found)


def known(file: UploadedFile) -> str:
    """The name by which links know a file that this visitor has sent; "" where none does."""
    names = [name for name, file_id in visitor().sent.items() if file_id == file.file_id]
    return names[-1] if names else ""  # with what was said of it last


def name_of(file: UploadedFile) -> str:
    """The name by which links know a file that this visitor has sent, from now on if not before. Raises KeptError."""
    for name, file_id in list(visitor().sent.items()):
        if file_id and not _there(file_id):
            forget(name)
    if name := known(file):
        return name
    name = kept.keep(file.name, file.getvalue(), identity(), file.file_id, uploads.server_limit())
    visitor().sent[name] = file.file_id
    return name


@contextmanager
def opened(file: UploadedFile) -> Iterator[bytes | OnDisk]:
    """Its bytes, wherever they are by now. Raises KeptError."""
    found = find(known(file))
    if found is None:
        yield file.getvalue()
    else:
        with kept.opened(found.digest) as data:
            yield data


def let_go(file: UploadedFile) -> None:
    """Free the memory that a file takes which is kept, or will not be read again; its uploader goes on showing it."""
    context = get_script_run_ctx()
    if context is not None:
        manager = uploads.in_memory(context.uploaded_file_mgr)
        with manager._lock:  # or a file that is removed at this moment would be there again
            files = manager.file_storage.get(context.session_id, {})
            if record := files.get(file.file_id):
                files[file.file_id] = record._replace(data=b"")
                manager._total_bytes -= len(record.data)
    file.truncate(0)  # the session's own copy, which Python shares with Streamlit's until then


def forget(name: str) -> None:
    """No link shall know it any more."""
    visitor().sent.pop(name, None)
    kept.forget(name)


def say(name: str, about: Card) -> str:
    """Another name for the same file, with something that its visitor says of it; `name` stays what it was.

    Raises KeptError.
    """
    file_id = visitor().sent.get(name, "")
    other = kept.say(name, about, identity(), own=bool(file_id))
    visitor().sent[other] = file_id
    return other


def find(name: str) -> Kept | None:
    """What a link names; None where the server does not have it any more. It goes where its visitor removes it."""
    file_id = visitor().sent.get(name)
    if file_id and not _there(file_id):
        forget(name)
    return kept.find(name, identity())


def _there(file_id: str) -> bool:
    """Whether the visitor has not removed it."""
    context = get_script_run_ctx()
    return bool(context and context.uploaded_file_mgr.get_files(context.session_id, [file_id]))
