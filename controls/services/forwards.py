"""One forward pass: a picture's maps and the network's answer, cached for all visitors who ask for the same."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls import work
from controls.services.subject import Subject
from controls.work import Progress
from explorer.analyses import activations, arithmetic
from explorer.analyses.activations import Maps
from explorer.analyses.arithmetic import OneNumber
from explorer.counting.memory import BYTES, forward_bytes, scratch_bytes
from explorer.remembering import Remembered
from explorer.running import devices

MOST_FORWARDS, MOST_BYTES = 16, 128_000_000  # remembered at once, for all visitors together


class Forward(NamedTuple):
    """Read-only: visitors share it."""

    logits: NDArray[np.float32]  # (classes,)
    maps: dict[str, Maps]  # operation -> (C, H, W)
    seconds: float


_known: Remembered[Forward] = Remembered(MOST_BYTES, MOST_FORWARDS)


def forward(subject: Subject, names: Sequence[str] = ()) -> Forward:
    """The answer to a picture, and the outputs of the named operations."""
    its = subject.config, subject.weights, subject.picture.digest, subject.device, subject.lesions
    return _known.get((*its, tuple(names)), partial(_carried_out, subject, tuple(names)))


def _carried_out(subject: Subject, names: tuple[str, ...]) -> Forward:
    with st.spinner("Running the picture through the network ..."):
        found = work.carry_out(partial(_run, subject, names), network=subject.identity)
    for array in (found.logits, *found.maps.values()):
        array.setflags(write=False)
    return found


def _run(subject: Subject, names: tuple[str, ...], progress: Progress) -> Forward:
    network, its, images = subject.network, subject.plan, subject.image
    needed = forward_bytes(its) + BYTES * sum(its[name].size for name in names)
    needed += scratch_bytes(its, 1, gradients=False)
    began = time.perf_counter()
    logits, maps = devices.within(subject.device, its, 1, needed, lambda: activations.forward(network, images, names))
    return Forward(logits[0], maps, time.perf_counter() - began)


def one_number(subject: Subject, maps: Mapping[str, Maps], name: str, channel: int, row: int, column: int) -> OneNumber:
    """How the network came to it, from the maps that `arithmetic.needed` names. Raises as `arithmetic.one_number`."""
    needed = {one: maps[one] for one in arithmetic.needed(subject.plan, name)}
    at = name, channel, row, column
    return work.carry_out(partial(_one_number, subject, needed, *at), network=subject.identity)


def _one_number(
    subject: Subject, maps: Mapping[str, Maps], name: str, channel: int, row: int, column: int, progress: Progress
) -> OneNumber:
    return arithmetic.one_number(subject.network, maps, name, channel, row, column)
