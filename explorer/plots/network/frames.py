"""Titles of what is opened, which close it when they are clicked, and lines that say how far it reaches."""

import math
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from explorer.drawing import Drawing, Frame
from explorer.plots.colours import INVISIBLE
from explorer.plots.network.labels import LETTER
from explorer.plots.network.places import LABEL, LANE, MARGIN, TITLE, Places

QUIET = {"hoverinfo": "skip", "showlegend": False}


class _Framed(NamedTuple):
    begin: float
    end: float
    y: float  # of the line
    title: str
    title_x: float
    title_y: float


def draw_frames(figure: go.Figure, drawing: Drawing, places: Places) -> None:
    """Titles of what is opened, with a line over each stage and under each block; and the names of lanes."""
    two_lanes = {node.row for node in drawing.nodes if node.lane < 0}
    framed = [
        _stage(frame, places) if frame.level == "stage" else _block(frame, places, frame.row in two_lanes)
        for frame in drawing.frames
    ]
    if framed:
        figure.add_scatter(
            x=np.array([x for one in framed for x in (one.begin, one.end, math.nan)], np.float32),
            y=np.array([y for one in framed for y in (one.y, one.y, math.nan)], np.float32),
            mode="lines",
            line={"color": "#999999", "width": 1},
            **QUIET,
        )
        figure.add_scatter(
            x=np.array([one.title_x for one in framed], np.float32),
            y=np.array([one.title_y for one in framed], np.float32),
            text=[one.title for one in framed],
            customdata=[frame.id for frame in drawing.frames],
            mode="markers+text",
            textposition="middle right",
            marker={"symbol": "square", "size": 14, "color": INVISIBLE},
            hovertemplate="close<extra></extra>",
            showlegend=False,
        )
    for row in sorted(two_lanes):
        figure.add_scatter(
            x=[-MARGIN + 8] * 2,
            y=[places.trunks[row] - 18, places.trunks[row] - LANE],
            text=["first pass", "second pass"],
            mode="text",
            textposition="middle right",
            textfont={"size": 11},
            **QUIET,
        )


def _stage(frame: Frame, places: Places) -> _Framed:
    """Over its nodes, at the top of the row."""
    spacing, y = places.spacing[frame.row], places.tops[frame.row] - TITLE
    begin, end = frame.first * spacing, (frame.last + 1) * spacing
    return _Framed(begin + 6, end - 6, y, f"▾ {frame.label}", begin + 8, y + 11)


def _block(frame: Frame, places: Places, two_lanes: bool) -> _Framed:
    """Under its nodes. A title that does not fit is left out; its sign closes the block all the same."""
    spacing, title = places.spacing[frame.row], f"▾ {frame.label}"
    begin, end = (frame.first + 0.1) * spacing, (frame.last + 0.9) * spacing
    y = places.trunks[frame.row] + LANE * frame.lane - (24 if two_lanes else LABEL + 4)
    fits = LETTER * len(title) <= end - begin and not two_lanes
    return _Framed(begin, end, y, title if fits else "▾", begin, y - 9)
