"""What does the network get of a picture, and how was that made of it?"""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls.panel import panel
from controls.services import built
from controls.text import plain
from explorer.families import Config
from explorer.pictures.preparation import described
from explorer.plots import mosaic
from explorer.running.weights import Weights


@panel
def network_input(seen: NDArray[np.uint8], config: Config, used: Weights) -> None:
    """`seen` is the picture as it is prepared, before it is normalised, (H, W, 3) or (H, W, 1)."""
    size = f"{config.input_size}×{config.input_size}"
    alt = "The picture, as it is prepared for the network"
    st.image(mosaic.data_url(seen), caption=f"What the network gets, {size}", alt=alt, width="stretch")
    st.caption(f"{described(built.preparation(config, used))} · {built.origin_of_preparation(config, used)}")


def say_doubt(config: Config, used: Weights) -> None:
    """That nobody knows how pictures are to be prepared, where that is so."""
    if sentence := built.doubt(config, used):
        st.info(plain(sentence), icon=":material/help:")
