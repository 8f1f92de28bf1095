"""Which picture goes through the network: a test image, a photograph, or the visitor's own."""

import re
from contextlib import suppress

import streamlit as st

from controls import kept, sent, session, uploads
from controls.choices import OneOf
from controls.kept import KeptError
from controls.services import data, trained_on
from controls.text import plain
from explorer.errors import ExplorerError
from explorer.learning import datasets
from explorer.pictures.reading import MOST_BYTES, Picture, PictureError, read_picture
from explorer.pictures.samples import SAMPLES, sample

PICTURE = OneOf("picture", "")
TEST_IMAGE = re.compile(r"([a-z0-9-]{1,80})[.]([0-9]{1,7})")  # a data set and a number
OWN_SET = re.compile(kept.NAME.pattern + r"([.][0-9a-f]{20}){0,11}")
SHAPES = "shapes"
USUAL = 3  # of Shapes a star, which is less easily mistaken than a circle for a hexagon
OFFERED = range(10)  # test images of a data set, by their numbers: of Shapes one of each class


def test_image(data: str, number: int) -> str:
    """A data set's test image by the name that it has among pictures, and in the link."""
    return f"{data}.{number}"


def titles() -> dict[str, str]:
    """Of the pictures that there are, by name: the visitor's own, and one that the link names; test images of the data
    set that the weights have learned, and the one that the link names; photographs; and drawn shapes.
    """
    wanted = PICTURE.in_link()
    if kept.NAME.fullmatch(wanted):
        _take_linked(wanted)
    own = {name: picture.name for name, picture in session.visitor().pictures.items()}
    learned = trained_on.learned_from(session.chosen_weights())
    named_in_link = _titles_of(wanted) if TEST_IMAGE.fullmatch(wanted) else {}
    photographs = {name: name for name in SAMPLES}
    return own | named_in_link | _of_data(learned) | photographs | _of_data(SHAPES)


def usual() -> str:
    """The picture that is shown unless another is chosen: one of those that the weights have learned."""
    learned = trained_on.learned_from(session.chosen_weights())
    return test_image(learned, USUAL) if _of_data(learned) else next(iter(SAMPLES))


def named(name: str) -> Picture:
    """The picture of one of these names. Raises DataError and PictureError."""
    own = session.visitor().pictures
    if name in own:
        return own[name]
    return _test_images(name)[0] if TEST_IMAGE.fullmatch(name) else sample(name)


def sets(linked: str) -> dict[str, tuple[str, tuple[Picture, ...]]]:
    """Of several pictures at once, by what a link says of them: title and pictures. One that is `linked`, and is no
    other, is the visitor's own as they were when the link was written.
    """
    found = {"noise": ("noise", ()), "samples": ("sample photographs", tuple(map(sample, SAMPLES)))}
    own = session.visitor().pictures
    if OWN_SET.fullmatch(linked):
        names = [f"own-{end}" for end in linked.removeprefix("own-").split(".")]
        for name in names:
            _take_linked(name)
        if there := tuple(own[name] for name in names if name in own):
            found[linked] = f"your pictures ({len(there)})", there
        if len(there) < len(names):
            st.warning("A picture of this link is no longer on the server; upload it again.", icon=":material/warning:")
    if own:
        text = "own-" + ".".join(name.removeprefix("own-") for name in own)
        found.setdefault(text, (f"your pictures ({len(own)})", tuple(own.values())))
    return found


def _of_data(name: str) -> dict[str, str]:
    return _titles_of(*(test_image(name, number) for number in OFFERED)) if name else {}


def _titles_of(*names: str) -> dict[str, str]:
    """{} where there are no such images."""
    with suppress(ExplorerError):
        return {name: picture.name for name, picture in zip(names, _test_images(*names), strict=True)}
    return {}


def _test_images(*names: str) -> tuple[Picture, ...]:
    """Of one data set, at the size of the network, as far as there are such. Raises DataError."""
    found = [match for match in map(TEST_IMAGE.fullmatch, names) if match]
    source, config = datasets.find(found[0][1]), session.config()
    least, most = source.sizes
    size = min(max(config.input_size, least), most)
    channels = config.channels if config.channels in source.channels else source.channels[0]
    numbers = [int(match[2]) for match in found]
    return tuple(one.picture for one in data.examples(source.name, size, channels, numbers))


def current_picture() -> Picture:
    """The one that is chosen, without a control for it. Raises what `named` raises."""
    return named(PICTURE.value(tuple(titles()), usual()))


def chosen_picture() -> Picture:
    """A control for the picture, and the one chosen."""
    title_of = titles()
    name = PICTURE.select(
        st,
        "Picture",
        tuple(title_of),
        usual(),
        title=title_of.__getitem__,
        help="A test image, a photograph from scikit-image, or one of your own.",
    )
    st.file_uploader(
        "Your own pictures",
        type=["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"],
        accept_multiple_files=True,
        max_upload_size=uploads.largest(MOST_BYTES),
        key="uploads",
        on_change=_take,
        help="They stay on the server until an hour after their last page was closed, or until they are removed here. "
        "Nobody sees them but who has a link to one.",
    )
    if kept.NAME.fullmatch(wanted := PICTURE.in_link()) and wanted not in title_of:
        st.warning("The picture of this link is no longer on the server; upload it again.", icon=":material/warning:")
    refused = session.visitor().refused_pictures
    while refused:
        st.error(plain(refused.pop(0)))
    return named(name)


def _take() -> None:
    """Read what was uploaded: a message for each file that cannot be read, and the others are kept."""
    own, refused = session.visitor().pictures, session.visitor().refused_pictures
    for name in [name for name in own if sent.find(name) is None]:  # it was removed
        del own[name]
    files, lost = sent.arrived(session.entered("uploads"))
    if lost:
        refused.append("A picture did not reach the server, or was removed from it: send it again.")
    for file in files:
        if sent.known(file) in own:
            continue
        try:
            with sent.opened(file) as data:
                picture = read_picture(bytes(data), file.name, owner=session.whose())
            if picture not in own.values():
                name = sent.name_of(file)
                sent.let_go(file)
                own[name] = picture
                PICTURE.set(name)
        except (PictureError, KeptError) as error:
            refused.append(str(error))
    _limit(own)


def _take_linked(name: str) -> None:
    """Read what a link names, where the server still has it."""
    own = session.visitor().pictures
    found = None if name in own else sent.find(name)
    if found is not None:
        with suppress(PictureError, KeptError), kept.opened(found.digest) as data:
            own[name] = read_picture(bytes(data), found.name, owner=session.whose())
            _limit(own)


def _limit(own: dict[str, Picture]) -> None:
    while len(own) > uploads.MOST_PICTURES:
        del own[next(iter(own))]
