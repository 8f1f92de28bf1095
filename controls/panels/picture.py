"""Which picture goes through the network: one of the samples, or the visitor's own."""

import streamlit as st

from controls import session, uploads
from controls.text import plain
from explorer.pictures.reading import Picture, PictureError, read_picture
from explorer.pictures.samples import SAMPLES, sample


def titles() -> dict[str, str]:
    """Of the pictures that there are, by name: the visitor's own, whose names are digests, then the samples."""
    own = session.visitor().pictures
    return {name: picture.name for name, picture in own.items()} | {name: name for name in SAMPLES}


def named(name: str) -> Picture:
    """The picture of one of these names."""
    own = session.visitor().pictures
    return own[name] if name in own else sample(name)


def chosen_picture() -> Picture:
    """Controls for the picture, and the picture."""
    title_of = titles()
    if session.entered("picture") not in title_of:
        session.show("picture", next(iter(title_of)))
    name = st.selectbox(
        "Picture",
        list(title_of),
        format_func=title_of.__getitem__,
        key="picture",
        persist_state="session",
        help="A sample photograph from scikit-image, or one of your own.",
    )
    st.file_uploader(
        "Your own pictures",
        type=["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"],
        accept_multiple_files=True,
        max_upload_size=uploads.largest_picture(),
        key="uploads",
        on_change=_take,
        help="They stay in this session's memory and are gone when it ends.",
    )
    refused = session.visitor().refused_pictures
    while refused:
        st.error(plain(refused.pop(0)))
    return named(name)


def _take() -> None:
    """Read what was uploaded: a message for each file that cannot be read, and the others are kept."""
    own, refused = session.visitor().pictures, session.visitor().refused_pictures
    files, lost = uploads.arrived(session.entered("uploads"))
    if lost:
        refused.append("A picture did not reach the server, or was removed from it: send it again.")
    for file in files:
        try:
            picture = read_picture(file.getvalue(), file.name, owner=id(session.visitor()))
        except PictureError as error:
            refused.append(str(error))
        else:
            if picture.digest not in own:
                own[picture.digest] = picture
                session.show("picture", picture.digest)
    while len(own) > uploads.MOST_PICTURES:
        del own[next(iter(own))]
