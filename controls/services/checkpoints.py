"""Files of weights: those that a visitor brings are found sound and kept; all of them are opened when they are read."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from streamlit.runtime.uploaded_file_manager import UploadedFile

from controls import kept, sent, session
from controls.kept import KeptError
from controls.session import Checkpoint
from explorer.counting import budget
from explorer.errors import ExplorerError
from explorer.families import Config, plan
from explorer.learning import trained
from explorer.running import checkpoint_folder, opening, project_weights, weights
from explorer.running.card import Card, CardError
from explorer.running.checkpoints import OnDisk
from explorer.running.network import blank
from explorer.running.weights import Weights, WeightsError


def open_upload(file: UploadedFile) -> str:
    """Look at an uploaded file's network from now on, with its weights if it has some; the sentence says what it is.

    Raises ExplorerError, and leaves everything as it was.
    """
    with sent.opened(file) as data:
        if opening.is_text(data, file.name):
            found = opening.read_configuration(data, file.name)
            session.choose_config(found.config)
            if session.chosen_weights().source == "uploaded":  # a file that this one has taken the place of
                session.use(None)
            return found.said
        found = opening.find_network(data, file.name, session.config())
    place = sent.name_of(file)
    try:
        _take_kept(place, found.config)
    except ExplorerError:
        sent.forget(place)
        raise
    return found.said


def open_on_server(name: str) -> str:
    """The same with a checkpoint in the server's folder."""
    with checkpoint_folder.opened(name) as data:
        found = opening.find_network(data, name, session.config())
    _take_from_folder(name, found.config)
    return found.said


def take_linked(named: str) -> None:
    """Use the upload that a link names, with what its visitor has said of it, or the file on the server, for the link's
    network; else say why not.
    """
    known, name = session.visitor(), named.removeprefix(session.FILE)
    try:
        if name in checkpoint_folder.names():
            _take_from_folder(name, session.config())
        elif name != named:
            raise WeightsError(f"The link names a checkpoint {name[:60]!r} that is not in the server's folder.")
        elif known.checkpoint and known.checkpoint.place == named and sent.find(named):
            session.use(known.checkpoint.weights)  # the visitor has gone back to it
        else:
            _take_kept(named, session.config())
    except ExplorerError as error:
        session.problems().append(str(error))


def _take_kept(place: str, config: Config) -> None:
    found, refusal = sent.find(place), "The checkpoint of this link is no longer on the server; upload it again."
    if found is None:
        raise WeightsError(refusal)
    with _upload(found.digest, refusal) as data:
        _take(config, data, found.name, weights.uploaded(found.digest, found.name), place, found.about)


def _take_from_folder(name: str, config: Config) -> None:
    with checkpoint_folder.opened(name) as data:
        _take(config, data, name, checkpoint_folder.weights_of(name), name)


def _take(config: Config, data: OnDisk, name: str, found: Weights, place: str, card: Card | None = None) -> None:
    """Look at this network, with these weights. Raises ExplorerError."""
    its = plan(config)
    budget.check(its)
    expected = blank(its).state_dict()
    weights.check_checkpoint(data, name, expected)
    try:
        card = card or weights.read_card(data, config.input_size, len(expected))
        card.fit(config.input_size, config.channels, config.classes)
        found = replace(found, card=card)
    except CardError as error:
        session.problems().append(f"What {found.name} says of its own pictures and classes is left out: {error}")
    session.choose_config(config)
    session.visitor().checkpoint = Checkpoint(found, place, its, opening.names_network(data, config))
    session.use(found)


def describe(card: Card) -> None:
    """Take what the visitor says of the pictures and classes of the weights in use. Raises CardError, and KeptError."""
    config, known = session.config(), session.visitor()
    card.fit(config.input_size, config.channels, config.classes)
    if known.checkpoint is not None and known.weights is not None and known.weights.of_file:
        described = replace(known.checkpoint.weights, card=card)
        place = known.checkpoint.place
        place = sent.say(place, card) if described.source == "uploaded" else place
        known.checkpoint = replace(known.checkpoint, weights=described, place=place)
        session.use(described)


@contextmanager
def opened(wanted: Weights) -> Iterator[OnDisk]:
    """The bytes of a file's weights. Raises WeightsError where they are gone, or others by now.

    By the weights alone, whoever's they are, in whatever process.
    """
    if wanted.source == "project":
        with project_weights.opened(wanted) as file:
            yield file
        return
    if wanted.source == "run":
        with trained.opened(wanted) as file:
            yield file
        return
    if wanted.source == "uploaded":
        with _upload(wanted.identity, _gone(wanted.name)) as file:
            yield file
        return
    with checkpoint_folder.opened(checkpoint_folder.name_of(wanted)) as file:
        yield file


@contextmanager
def _upload(digest: str, refusal: str) -> Iterator[OnDisk]:
    """Raises WeightsError with this sentence where it is gone."""
    with ExitStack() as until_read:
        try:
            file = until_read.enter_context(kept.opened(digest))
        except KeptError:
            raise WeightsError(refusal) from None
        yield file


def gone() -> bool:
    """Whether the visitor has taken away the upload whose weights could be used."""
    checkpoint = session.visitor().checkpoint
    if checkpoint is None or checkpoint.weights.source != "uploaded":
        return False
    return sent.find(checkpoint.place) is None


def _gone(name: str) -> str:
    return f"{name} is no longer there; upload it again."
