"""With which weights does the network run: fresh ones, trained ones, those of a run, or those of an opened file?"""

import streamlit as st

from controls import session
from controls.services import checkpoints, training
from controls.sidebar.card_form import card_form
from controls.text import plain
from explorer.running import project_weights, unsaid, weights
from explorer.running.calibration import PHOTOGRAPHS, can_be_calibrated
from explorer.running.weights import Weights


def weights_form() -> None:
    """Fresh from a seed; torchvision's and the project's where the network is one of theirs; a run's; or a file's."""
    if checkpoints.gone():
        if session.chosen_weights().source == "uploaded":
            session.problems().append(f"{session.chosen_weights().name} was taken away; the network has fresh weights.")
            session.use_fresh()
        session.visitor().checkpoint = None
    config = session.config()
    of_runs = training.weights()
    offered = {one.identity: one for one in (*project_weights.offered(config), *weights.offered(config))} | of_runs
    chosen = session.chosen_weights()
    checkpoint = session.visitor().checkpoint
    of_file = {checkpoint.weights.source: f"File: {checkpoint.weights.name}"} if checkpoint else {}
    titles = {"fresh": "Fresh (untrained)"} | {name: _title(one) for name, one in offered.items()} | of_file
    if (source := _option(chosen)) not in titles:  # the network is no longer the one that these weights are for
        session.use(None)
        chosen = session.chosen_weights()
        source = _option(chosen)
    session.show("weights.source", source)
    st.selectbox(
        "Weights",
        list(titles),
        list(titles).index(source),
        format_func=titles.__getitem__,
        key="weights.source",
        on_change=lambda: _pick(offered),
        help="Fresh weights show what the architecture does by itself; trained ones what it has learned. A checkpoint "
        "of your own is among them once it was opened, at the top.",
    )
    if source == "fresh":
        seed = int(chosen.identity)
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
    elif chosen.of_file:
        _say(chosen)
        card_form(chosen)
        if checkpoint is not None and not checkpoint.named:
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
    picked, checkpoint = session.entered("weights.source"), session.visitor().checkpoint
    if checkpoint is not None and checkpoint.weights.source == picked:
        session.use(checkpoint.weights)
    else:
        session.use(offered[picked]) if picked in offered else session.use_fresh()


def _about(used: Weights) -> None:
    said = project_weights.about(used).about
    st.caption(f":material/school: Right on {said.accuracy:.1%} of {said.test_images:,} test images. {said.recipe}.")


def _say(used: Weights) -> None:
    """Whether the weights in use are this network's."""
    if used.moved:
        st.info(
            "These weights were loaded for a network that computes something else with the same tensors: turn the "
            "knobs back, or read the results as those of a network that nobody has trained.",
            icon=":material/warning:",
        )
