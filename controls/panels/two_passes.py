"""What does a second pass over the same features change?"""

import streamlit as st

from controls.panel import panel
from controls.panels.channels import BARE, COLOUR_SCALE
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.plots import charts, mosaic

TITLES = "After the first pass", "After the second pass", "What the second changed"


@panel
def two_passes(first: Maps, second: Maps) -> None:
    """A layer's channels, (C, H, W), after each pass, and their difference; the most changed first, on one scale."""
    three, reach = activations.refinement(first, second, mosaic.MOST_TILES)
    for column, title, maps in zip(st.columns(3), TITLES, three, strict=True):
        sheet = mosaic.mosaic(maps, reach, signed=True, width=500)
        column.image(mosaic.data_url(sheet.picture), caption=title, alt=f"Its channels: {title}", width="stretch")
    st.plotly_chart(charts.colour_scale(reach, signed=True), key="passes.bar", alt=COLOUR_SCALE, config=BARE)
