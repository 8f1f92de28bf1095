"""Networks that run: built once for all visitors who look at the same one, and never changed."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from torch import Tensor
from torch.fx import GraphModule

from controls import session
from controls.text import plain
from explorer.families import Config, plan
from explorer.pictures.preparation import Preparation, standard_preparation
from explorer.running import devices, weights
from explorer.running.network import blank, build
from explorer.running.weights import Weights, WeightsError

MOST_NETWORKS = 4  # kept at once, for all visitors together

StateDict = Mapping[str, Tensor]


def current() -> tuple[GraphModule, Weights]:
    """The visitor's network on the chosen device, in eval mode, and the weights that it really has.

    Weights that cannot be had, or that do not fit, are told about and replaced by fresh ones.
    """
    config, wanted = session.config(), session.chosen_weights()
    with st.spinner("Building the network ...", show_time=True):
        try:
            return network(config, wanted, session.device()), wanted
        except WeightsError as error:
            tell(error)
        wanted = weights.fresh(0)
        return network(config, wanted, session.device()), wanted


def network(config: Config, wanted: Weights, device: str) -> GraphModule:
    """Any network, in eval mode; whoever runs it only reads it. Raises WeightsError."""
    return _network(config, wanted, device, lambda: _values(config, wanted))


def tell(error: WeightsError) -> None:
    """Say why weights cannot be used, with all the differences behind a click."""
    st.warning(plain(str(error)), icon=":material/warning:")
    if len(error.mismatches) > 1:
        with st.expander(f"What does not fit: {len(error.mismatches)} lines"):
            st.text("\n".join(error.mismatches))


@st.cache_resource(max_entries=MOST_NETWORKS, show_spinner=False)
def _network(config: Config, wanted: Weights, device: str, _values: Callable[[], StateDict | None]) -> GraphModule:
    seed = int(wanted.identity) if wanted.source == "fresh" else 0
    network = build(plan(config), seed=seed)
    values = _values()
    if values is not None:
        weights.load(network, values)
    return network.to(device)


def _values(config: Config, wanted: Weights) -> StateDict | None:
    """The state dict of weights that are not fresh. Raises WeightsError."""
    if wanted.source == "fresh":
        return None
    expected = blank(plan(config)).state_dict()
    if wanted.source == "uploaded":
        checkpoint = session.visitor().checkpoint
        if checkpoint is None:
            raise WeightsError(f"{wanted.name} is no longer there; upload it again.")
        return weights.read_checkpoint(*checkpoint, expected)
    bar = st.progress(0.0, f"Downloading {wanted.name} ...")

    def show(done: int, total: int) -> None:
        bar.progress(min(1.0, done / total) if total else 0.0)

    try:
        path = weights.download(wanted, show)
    finally:
        bar.empty()
    return weights.read_torchvision(path, wanted.name, expected)


def preparation(config: Config, of: Weights) -> Preparation:
    """How a picture becomes this network's input: as its weights were trained, at the network's size."""
    trained = weights.preparation(of)
    if trained is None or config.input_size != trained.size:
        return standard_preparation(config.input_size, config.channels)
    return trained


def within(config: Config, batch: int, needed: int, work: Callable[[], Any]) -> Any:
    """Runs `work` on the visitor's device when there is room for it."""
    return devices.within(session.device(), plan(config), batch, needed, work)
