"""What would two knobs cost, turned together?"""

import streamlit as st

from controls import session
from controls.choices import OneOf
from controls.clicks import clickable
from controls.panel import panel
from explorer.counting import design_space
from explorer.counting.design_space import MEASURES, Measure
from explorer.families import Config
from explorer.plots import design_space as plots

ACROSS, UPWARD = OneOf("x", ""), OneOf("y", "")  # which axis; at first the first two of the family
MEASURE: OneOf[Measure] = OneOf("measure", "params", tuple(MEASURES))


@panel
def knob_map(config: Config) -> None:
    """A measure over two axes that are chosen; a click on a cell turns the knobs to it."""
    axes = {axis.name: axis for axis in design_space.axes(config)}
    box = st.columns([3, 3, 5])
    across = ACROSS.select(
        box[0], "Across", list(axes), title=lambda name: axes[name].title, help="The knob on the horizontal axis."
    )
    upward = UPWARD.select(
        box[1],
        "Upward",
        [name for name in axes if name != across],
        title=lambda name: axes[name].title,
        help="The knob on the vertical axis.",
    )
    measure = MEASURE.segments(box[2], "Colour")
    x, y = axes[across], axes[upward]
    grid = design_space.grid(config, x, y, measure)

    def turn(point: tuple[float, float]) -> None:
        session.change(**design_space.at(config, x, point[0], y, point[1]))

    present = x.value(config), y.value(config)
    figure = plots.knob_map(grid, present, design_space.marks(config, grid), *plots.UNITS[measure])
    clickable(figure, "map", f"Map: {measure} by {x.title} and {y.title}", turn, {"displayModeBar": False})
