"""One forward pass: a picture's maps and the network's answer, cached for all visitors who ask for the same."""

import time
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from torch.fx import GraphModule

from controls import session
from controls.services import built
from controls.services.subject import Subject
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.counting.memory import BYTES, forward_bytes
from explorer.families import Config, plan
from explorer.pictures.preparation import as_seen, to_tensor
from explorer.pictures.reading import Picture
from explorer.running.weights import Weights

MOST_FORWARDS = 16  # remembered at once, for all visitors together


class Forward(NamedTuple):
    logits: NDArray[np.float32]  # (classes,)
    maps: dict[str, Maps]  # operation -> (C, H, W)
    seconds: float


def seen(picture: Picture, config: Config, weights: Weights) -> NDArray[np.uint8]:
    """The picture that the network really gets, (H, W, 3) or (H, W, 1)."""
    return as_seen(picture, built.preparation(config, weights))


def forward(
    network: GraphModule, config: Config, weights: Weights, picture: Picture, names: tuple[str, ...]
) -> Forward:
    """The outputs of the named operations for a picture. The network must be `built.current()`'s."""
    return _forward(config, weights, session.device(), picture.digest, names, network, picture)


def logits(subject: Subject) -> NDArray[np.float32]:
    """What a network answers to its picture, (classes,)."""
    return _forward(
        subject.config, subject.weights, subject.device, subject.picture.digest, (), subject.network, subject.picture
    ).logits


@st.cache_data(max_entries=MOST_FORWARDS, show_spinner="Running the picture through the network ...")
def _forward(
    config: Config,
    weights: Weights,
    device: str,
    digest: str,
    names: tuple[str, ...],
    _network: GraphModule,
    _picture: Picture,
) -> Forward:
    preparation = built.preparation(config, weights)
    images = to_tensor([as_seen(_picture, preparation)], preparation).to(device)
    network_plan = plan(config)
    needed = forward_bytes(network_plan) + BYTES * sum(network_plan[name].size for name in names)
    began = time.perf_counter()
    logits, maps = built.within(config, 1, needed, lambda: activations.forward(_network, images, names))
    return Forward(logits[0], maps, time.perf_counter() - began)
