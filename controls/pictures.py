"""Which picture goes through the network: one of the samples, or the visitor's own."""

import streamlit as st

from controls.text import plain
from explorer.pictures.images import SAMPLES, Picture, PictureError, read_picture, sample

MOST_PICTURES = 12  # of one visitor's own that are kept

state = st.session_state


def chosen_picture() -> Picture:
    """Controls for the picture, and the picture."""
    own: dict[str, Picture] = state.setdefault("pictures", {})
    options = [*own, *SAMPLES]
    if state.get("picture") not in options:
        state.picture = options[0]
    key = st.selectbox(
        "Picture",
        options,
        format_func=lambda name: own[name].name if name in own else name,
        key="picture",
        persist_state="session",
        help="A sample photograph from scikit-image, or one of your own.",
    )
    st.file_uploader(
        "Your own pictures",
        type=["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"],
        accept_multiple_files=True,
        key="uploads",
        on_change=_take,
        help="They stay in this session's memory and are gone when it ends.",
    )
    for message in state.pop("picture_problems", []):
        st.error(plain(message))
    return own[key] if key in own else sample(key)


def _take() -> None:
    """Read what was uploaded; a file that cannot be read is told about, and the others are kept."""
    own: dict[str, Picture] = state.setdefault("pictures", {})
    problems = []
    for file in state.uploads or []:
        try:
            picture = read_picture(file.getvalue(), file.name)
        except PictureError as error:
            problems.append(str(error))
        else:
            if picture.digest not in own:
                own[picture.digest] = picture
                state.picture = picture.digest
    while len(own) > MOST_PICTURES:
        del own[next(iter(own))]
    state.picture_problems = problems
