"""What do the channels of one operation see, and what does one of them?"""

from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from controls.choices import OneOf, Real, Whole
from controls.clicks import clickable
from controls.panel import panel
from controls.text import plain
from explorer.analyses import activations
from explorer.analyses.activations import Maps, Order
from explorer.plots import charts, mosaic
from explorer.plots.colours import paint
from explorer.wording import number, shape

SORT: OneOf[Order] = OneOf("sort", "index", ("index", "mean", "variance", "maximum"))
SCALE = OneOf("scale", "layer", ("layer", "channel"))
CHANNEL = Whole("map", -1)  # until one is chosen, the strongest
PAGE = Whole("maps_page", 1, least=1)
OPACITY = Real("overlay", 0.7, 0.0, 1.0)
# two quick clicks are two choices: plotly would take the second back, and zoom
BARE = {"displayModeBar": False, "doubleClick": False, "doubleClickDelay": 1}
COLOUR_SCALE = "The colour scale of the picture"


@panel
def channels(name: str, maps: Maps, seen: NDArray[np.uint8], weights: str, colour: str) -> None:
    """All maps of an operation, (C, H, W), and one of them over the picture that the network has seen, (H, W, 3) or
    (H, W, 1). `weights` are named beside them; `colour` is the family's.
    """
    box = st.columns([4, 2, 2])
    by = SORT.segments(box[0], "Order of channels")
    each = SCALE.segments(
        box[1],
        "Scale",
        help="One for the layer lets channels be compared; one for each makes weak ones visible, and look strong.",
    )
    signed, reach = mosaic.is_signed(maps), mosaic.reaches(maps, each == "channel")
    pages = activations.pages(len(maps), mosaic.MOST_TILES)
    page = PAGE.number(box[2], f"Page, of {pages}", most=pages) if pages > 1 else 1
    shown = activations.on_page(activations.order(maps, by), page, mosaic.MOST_TILES)
    sheet = mosaic.mosaic(maps[shown], reach[shown], signed)
    stats = activations.channels(maps)
    st.caption(
        f"{len(maps)} channels of {shape(maps.shape[1:])} · values {number(maps.min())} to {number(maps.max())} · "
        f"{stats.zero_share:.1%} exact zeros · {stats.dead_count} channels dead on this image · {plain(weights)}"
    )
    chart, detail = st.columns([5, 3], gap="medium")
    with chart:
        if each == "channel":
            st.caption("Each channel's full colour is its own largest absolute value: hover for the numbers.")
        else:
            scale = charts.colour_scale(float(reach[0]), signed)
            st.plotly_chart(scale, key="scale.bar", alt=COLOUR_SCALE, config=BARE)
        clickable(
            charts.clickable(sheet, charts.channel_labels(stats, shown), shown.tolist()),
            f"mosaic.{name}.{by}.{page}",
            f"The channels of {name}, {len(shown)} pictures",
            CHANNEL.set,
            BARE,
        )
    strongest = activations.strongest(maps, 1).item()
    channel = CHANNEL.value(0, len(maps) - 1, strongest)
    with detail:
        st.markdown(f"**Channel {channel}**{', the strongest; click another' * (channel == strongest)}")
        opacity = OPACITY.slider(st, "Opacity of the map over the image", step=0.1)
        painted = paint(maps[channel], reach[channel], signed)
        over = mosaic.overlay(seen, painted, opacity)
        st.image(mosaic.data_url(over), alt=f"Channel {channel} of {name} over the image", width="stretch")
        alt = f"Histogram of the values of channel {channel}"
        st.plotly_chart(charts.histogram(maps[channel], colour), key="histogram", alt=alt, config=BARE)
    with st.container(horizontal=True):
        st.download_button("Mosaic as PNG", mosaic.png(sheet.picture), f"{name}.png", "image/png", on_click="ignore")
        st.download_button(
            "Maps as NPZ", partial(activations.npz, name, maps), f"{name}.npz", "application/x-npz", on_click="ignore"
        )
