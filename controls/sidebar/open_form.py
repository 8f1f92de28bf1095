"""Open a file: a configuration that the app has saved, or a checkpoint, of which the network is found."""

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from controls import sent, session, uploads
from controls.services import checkpoints
from controls.session import FileSaid
from controls.text import plain
from explorer.errors import ExplorerError
from explorer.running import checkpoint_folder, opening
from explorer.running.weights import WeightsError

UPLOAD, ON_SERVER = "open.file", "open.name"


def open_form() -> None:
    """Drawn before all that shows the network, so that it shows the file's."""
    with st.expander("Open a file", icon=":material/folder_open:"):
        st.file_uploader(  # what it returns is a copy, of hundreds of megabytes
            "A network's configuration (JSON) or a checkpoint",
            type=["json", "safetensors", "pt", "pth"],
            key=UPLOAD,
            max_upload_size=uploads.largest_file(),
            on_change=lambda: _choose(UPLOAD),
            help="JSON as this app saves it; safetensors; or torch.save(network.state_dict()). The network is found by "
            "the names and shapes of its tensors. "
            f"JSON has at most {opening.MOST_TEXT // 2**20} MB, a checkpoint {uploads.largest_file()} MB.",
        )
        if checkpoint_folder.folder():
            _folder()
    files, lost = sent.arrived(session.entered(UPLOAD))
    if lost:
        st.warning("The file did not reach the server: send it again.", icon=":material/warning:")
    known = session.visitor()
    if known.to_open:
        with st.spinner("Opening the file ...", show_time=True):
            known.file = _open(known.to_open, files[0] if files else None)
        known.to_open = ""  # last, since the script may be interrupted before: then the file is opened by the next run
        for file in files:
            sent.let_go(file)
    if known.file is not None:
        _say(known.file)


def _folder() -> None:
    names = checkpoint_folder.names()
    if not names:
        endings = ", ".join(checkpoint_folder.ENDINGS)
        st.caption(f"The server's folder of checkpoints has no file yet that ends in {endings}.")
        return
    used = session.chosen_weights()
    st.selectbox(
        "Or a checkpoint on the server",
        names,
        index=names.index(used.name) if used.source == "folder" and used.name in names else None,
        placeholder="Choose a file",
        key=ON_SERVER,
        on_change=lambda: _choose(ON_SERVER),
        help="Files in a folder that the server's owner has opened.",
    )


def _choose(key: str) -> None:
    files, _ = sent.arrived(session.entered(key) if key == UPLOAD else None)
    if not any(sent.known(file) for file in files):  # or it is there again, and open
        session.visitor().to_open = key


def _open(key: str, file: UploadedFile | None) -> FileSaid | None:
    """None where the file was taken away again."""
    name = session.entered(ON_SERVER)
    try:
        if key == UPLOAD and file is not None:
            return FileSaid(checkpoints.open_upload(file))
        if key == ON_SERVER and name is not None:
            return FileSaid(checkpoints.open_on_server(name))
    except WeightsError as error:
        return FileSaid(str(error), True, error.mismatches)
    except ExplorerError as error:
        return FileSaid(str(error), True)
    return None


def _say(file: FileSaid) -> None:
    if not file.refused:
        st.caption(f":material/check: {plain(file.sentence)}")
        return
    st.warning(plain(file.sentence), icon=":material/warning:")
    if len(file.misfits) > 1:
        with st.expander(f"What does not fit: {len(file.misfits):,} lines"):
            st.text("\n".join(file.misfits))
