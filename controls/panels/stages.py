"""What does the network see at the end of each stage?"""

from collections.abc import Mapping

import streamlit as st

from controls.panel import panel
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.plan import Op
from explorer.plots import mosaic
from explorer.wording import shape

CHANNELS = 9  # strongest ones of a stage
WIDTHS = 112, 1008  # pixels, of the components and of the channels


@panel
def stages(ends: Mapping[str, Op], maps_of: Mapping[str, Maps]) -> None:
    """A row a stage. `maps_of` are the outputs of the operations in `ends`, by name."""
    st.caption(
        "The end of each stage, from input to classifier. Left its first three principal components as red, green "
        "and blue, grey being the mean; then its strongest channels, white being zero, on one scale a stage."
    )
    for stage, op in ends.items():
        maps = maps_of[op.name]
        text, colours, strip = st.columns([2, 1, CHANNELS], vertical_alignment="center")
        strongest = activations.strongest(maps, CHANNELS)
        found = mosaic.mosaic(
            maps[strongest], mosaic.reaches(maps, each=False)[strongest], mosaic.is_signed(maps), WIDTHS[1], CHANNELS
        )
        sign = "±" if found.signed else "0 to "
        text.markdown(f"**{stage}**  \n:small[{shape(op.shape)}]  \n:small[{sign}{found.reach[0]:.3g}]")
        components = mosaic.components_picture(activations.principal_components(maps), WIDTHS[0])
        colours.image(
            mosaic.data_url(components),
            alt=f"{stage}: its first three principal components as colours",
            width="stretch",
        )
        strip.image(mosaic.data_url(found.picture), alt=f"{stage}: its strongest channels", width="stretch")
