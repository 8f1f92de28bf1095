"""With which weights does the network run: fresh ones, torchvision's, or the visitor's own?"""

import streamlit as st

from controls import session
from controls.services import built
from explorer.running import weights
from explorer.running.network import blank
from explorer.running.weights import WeightsError

MOST_CHECKPOINT = 600  # MB


def weights_form() -> None:
    """Fresh from a seed, torchvision's where the network is one of theirs, or a file."""
    offered = {w.identity: w for w in weights.offered(session.config())}
    chosen = session.chosen_weights()
    options = ["fresh", *offered, "uploaded"]
    source = chosen.identity if chosen.source == "torchvision" else chosen.source
    if source not in options:  # the network is no longer the one that these weights are for
        session.use(weights.fresh(0))
        source = "fresh"
    if session.entered("weights.source") != "uploaded":  # there a file may still be awaited
        session.show("weights.source", source)
    titles = {"fresh": "Fresh (untrained)", "uploaded": "A checkpoint of your own"}
    picked = st.selectbox(
        "Weights",
        options,
        format_func=lambda name: titles.get(name) or f"torchvision: {offered[name].name}",
        key="weights.source",
        on_change=lambda: _pick(offered),
        help="Fresh weights show what the architecture does by itself; trained ones what it has learned.",
    )
    if picked == "fresh":
        session.show("weights.seed", int(chosen.identity) if chosen.source == "fresh" else 0)
        st.number_input(
            "Seed",
            0,
            session.MOST_SEED,
            key="weights.seed",
            on_change=lambda: session.use(weights.fresh(session.entered("weights.seed"))),
            help="The same seed gives the same weights, on every machine.",
        )
    elif picked == "uploaded":
        _upload()


def _pick(offered: dict[str, weights.Weights]) -> None:
    picked = session.entered("weights.source")
    if picked == "uploaded":
        if checkpoint := session.visitor().checkpoint:
            session.use(weights.uploaded(*checkpoint))
    else:
        session.use(offered.get(picked) or weights.fresh(0))


def _upload() -> None:
    file = st.file_uploader(
        "Checkpoint",
        type=["safetensors", "pt", "pth"],
        max_upload_size=MOST_CHECKPOINT,
        help="safetensors, or torch.save(network.state_dict()). Names and shapes must be this network's.",
    )
    if file is None:
        return
    data = file.getvalue()
    candidate = weights.uploaded(data, file.name)
    if candidate == session.chosen_weights():
        return
    try:
        with st.spinner("Checking the file ..."):
            weights.read_checkpoint(data, file.name, blank(session.current_plan()).state_dict())
    except WeightsError as error:
        built.tell(error)
    else:
        session.visitor().checkpoint = data, file.name
        session.use(candidate)
