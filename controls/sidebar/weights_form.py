"""With which weights does the network run: fresh ones, trained ones, those of a run, or those of a file?"""

from collections.abc import Callable
from functools import partial

import streamlit as st

from controls import session, uploads
from controls.services import built, checkpoints, training
from controls.sidebar.card_form import card_form
from controls.text import plain
from explorer.running import checkpoint_folder, project_weights, unsaid, weights
from explorer.running.calibration import PHOTOGRAPHS, can_be_calibrated
from explorer.running.weights import Weights, WeightsError

OF_FILES = {"uploaded": "A checkpoint of your own", "folder": "A checkpoint on the server"}


def weights_form() -> None:
    """Fresh from a seed; torchvision's and the project's where the network is one of theirs; a run's; or a file's."""
    if checkpoints.gone():
        session.problems().append(f"{session.chosen_weights().name} was taken away; the network has fresh weights.")
        session.visitor().checkpoint = None
        session.use_fresh()
    config = session.config()
    of_runs = training.weights()
    offered = {one.identity: one for one in (*project_weights.offered(config), *weights.offered(config))} | of_runs
    chosen = session.chosen_weights()
    options = ["fresh", *offered, "uploaded", *(["folder"] if checkpoint_folder.folder() else [])]
    if (source := _option(chosen)) not in options:  # the network is no longer the one that these weights are for
        session.use(None)
        chosen = session.chosen_weights()
        source = _option(chosen)
    if session.entered("weights.source") not in OF_FILES:  # there a file may still be awaited
        session.show("weights.source", source)
    shown = session.entered("weights.source")
    titles = {"fresh": "Fresh (untrained)", **OF_FILES} | {name: _title(one) for name, one in offered.items()}
    picked = st.selectbox(
        "Weights",
        options,
        options.index(shown if shown in OF_FILES else source),
        format_func=titles.__getitem__,
        key="weights.source",
        on_change=lambda: _pick(offered),
        help="Fresh weights show what the architecture does by itself; trained ones what it has learned.",
    )
    if picked == "fresh":
        seed = int(chosen.identity) if chosen.source == "fresh" else 0
        session.show("weights.seed", seed)
        st.number_input(
            "Seed",
            0,
            session.MOST_SEED,
            seed,
            key="weights.seed",
            on_change=lambda: session.use_fresh(session.entered("weights.seed")),
            help="The same seed gives the same weights, on every machine.",
        )
        if can_be_calibrated(session.current_plan(), PHOTOGRAPHS):
            _norms(seed)
    elif picked in OF_FILES:
        _take_upload() if picked == "uploaded" else _take_from_folder()
        used = session.chosen_weights()
        if used.source == picked:
            _say(used)
            card_form(used)
            for sentence in unsaid.sentences(session.current_plan()):
                st.caption(sentence)
    elif chosen.source == "project":
        _about(chosen)
    elif chosen.source == "run":
        st.caption(f":material/model_training: {plain(training.said_of(chosen))}")


def _option(used: Weights) -> str:
    """By which name they stand in the box; a run's by that of the run, whatever its last checkpoint."""
    if used.source == "run":
        return used.identity.partition(".")[0]
    return used.identity if used.source in ("torchvision", "project") else used.source


def _title(used: Weights) -> str:
    if used.source == "torchvision":
        return f"torchvision: {used.name}"
    return f"Run: {used.name}" if used.source == "run" else used.name[:1].upper() + used.name[1:]


def _norms(seed: int) -> None:
    session.show("weights.calibrated", not session.visitor().raw_norms)
    st.toggle(
        "Calibrated norms",
        not session.visitor().raw_norms,
        key="weights.calibrated",
        on_change=lambda: session.use_fresh(seed, session.entered("weights.calibrated")),
        help="Batch norms of an untrained network have never seen an image: left so, activations grow with depth and "
        f"one class gets all. On: they take the statistics of {PHOTOGRAPHS} sample photographs.",
    )


def _pick(offered: dict[str, Weights]) -> None:
    picked = session.entered("weights.source")
    if picked in OF_FILES:
        checkpoint = session.visitor().checkpoint
        if checkpoint and checkpoint.weights.source == picked:
            session.use(checkpoint.weights)
    else:
        session.use(offered[picked]) if picked in offered else session.use_fresh()


def _take_upload() -> None:
    file = st.file_uploader(
        "Checkpoint",
        type=["safetensors", "pt", "pth"],
        key="weights.file",
        max_upload_size=uploads.largest_file(),
        help="safetensors, or torch.save(network.state_dict()). Names and shapes must be this network's. "
        f"At most {uploads.largest_file()} MB.",
    )
    if uploads.arrived(session.entered("weights.file"))[1]:
        st.warning("The checkpoint did not reach the server: send it again.", icon=":material/warning:")
    checkpoint = session.visitor().checkpoint
    if file is None or (checkpoint is not None and checkpoint.place == uploads.known(file)):
        return
    _check(partial(checkpoints.take_upload, file))


def _take_from_folder() -> None:
    names = checkpoint_folder.names()
    if not names:
        endings = ", ".join(checkpoint_folder.ENDINGS)
        st.caption(f"There are none yet: the server's folder has no file that ends in {endings}.")
        return
    used = session.chosen_weights()
    name = st.selectbox(
        "Checkpoint",
        names,
        index=names.index(used.name) if used.source == "folder" and used.name in names else None,
        placeholder="Choose a file",
        key="weights.name",
        persist_state="session",
        help="Files in a folder that the server's owner has opened. Names and shapes must be this network's.",
    )
    checkpoint = session.visitor().checkpoint
    if name is None or (used.source == "folder" and checkpoint is not None and checkpoint.place == name):
        return
    _check(partial(checkpoints.take_from_folder, name))


def _about(used: Weights) -> None:
    said = project_weights.about(used).about
    st.caption(f":material/school: Right on {said.accuracy:.1%} of {said.test_images:,} test images. {said.recipe}.")


def _check(take: Callable[[], None]) -> None:
    try:
        with st.spinner("Checking the file ..."):
            take()
    except WeightsError as error:
        built.tell(error)


def _say(used: Weights) -> None:
    """Which weights are in use, and whether they are this network's."""
    st.caption(f":material/check: In use: {plain(used.name)}")
    if used.moved:
        st.info(
            "These weights were loaded for a network that computes something else with the same tensors: turn the "
            "knobs back, or read the results as those of a network that nobody has trained.",
            icon=":material/warning:",
        )
