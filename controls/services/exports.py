"""A network as a file with its weights, written where no page waits for it, and kept for whoever asks for the same."""

from functools import partial

import streamlit as st

from controls import work
from controls.services import built
from controls.work import Progress
from explorer.families import Config
from explorer.running.export import EXPORTS
from explorer.running.weights import Weights

MOST_KEPT = 2  # for all visitors together


@st.cache_data(max_entries=MOST_KEPT, show_spinner="Exporting the network ...")
def exported(config: Config, used: Weights, form: str) -> bytes:
    """`form` is one of EXPORTS. Exports are made on the CPU."""
    return work.carry_out(partial(_export, config, used, form), network=built.identity(config, used, "cpu"))


def _export(config: Config, used: Weights, form: str, progress: Progress) -> bytes:
    return EXPORTS[form](built.network(config, used, "cpu"), built.card(config, used), config)
