"""One forward pass: a picture's maps and the network's answer, cached for all visitors who ask for the same."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls.services.subject import Subject
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.counting.memory import BYTES, forward_bytes, scratch_bytes
from explorer.running import devices

MOST_FORWARDS = 16  # remembered at once, for all visitors together


class Forward(NamedTuple):
    logits: NDArray[np.float32]  # (classes,)
    maps: dict[str, Maps]  # operation -> (C, H, W)
    seconds: float


def forward(subject: Subject, names: Sequence[str] = ()) -> Forward:
    """The answer to a picture, and the outputs of the named operations."""
    its = subject.config, subject.weights, subject.picture.digest, subject.device, subject.lesions
    key = *its, tuple(names)
    return _forward(key, subject, tuple(names))


@st.cache_data(max_entries=MOST_FORWARDS, show_spinner="Running the picture through the network ...")
def _forward(key: tuple[object, ...], _subject: Subject, _names: tuple[str, ...]) -> Forward:
    network, network_plan, images = _subject.network, _subject.plan, _subject.image
    needed = forward_bytes(network_plan) + BYTES * sum(network_plan[name].size for name in _names)
    needed += scratch_bytes(network_plan, 1, gradients=False)
    began = time.perf_counter()
    logits, maps = devices.within(
        _subject.device, network_plan, 1, needed, lambda: activations.forward(network, images, _names)
    )
    return Forward(logits[0], maps, time.perf_counter() - began)
