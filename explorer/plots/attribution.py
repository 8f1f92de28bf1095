"""A map over its image, and whether it tells the truth, drawn."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from explorer.analyses import activations
from explorer.analyses.attribution.attribute import Attribution, on_pixels
from explorer.analyses.attribution.checks import Curve, Randomised
from explorer.analyses.attribution.display import clipped, common_reach
from explorer.plots import mosaic
from explorer.plots.colours import faint, paint

DELETION, INSERTION = "#D55E00", "#0072B2"
LAYOUT = {"height": 380, "margin": {"l": 0, "r": 0, "t": 10, "b": 0}, "legend": {"orientation": "h", "y": -0.3}}


MOST_CHANNELS = 64  # of a map of channels, in one picture
WIDTH, SMALL = 500, 160  # pixels of that picture; of a map among many


class Painted(NamedTuple):
    """`reach` is the number with the full colour, `share` the share of pixels beyond it, 0..1."""

    picture: NDArray[np.uint8]  # (H, W, 3)
    reach: float
    share: float


def over_image(found: Attribution, seen: NDArray[np.uint8], opacity: float, reach: float = 0) -> Painted:
    """A map of pixels or positions over what the network gets, (H, W, 3) or (H, W, 1); 0 is the map's own reach."""
    flat = on_pixels(found.map, _size(seen))
    own = clipped(flat)
    painted = paint(flat, reach or own.reach, found.signed)
    return Painted(mosaic.overlay(seen, painted, opacity), reach or own.reach, own.share)


def outlined(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A picture (nH, nW, 3) with a line around an object (H, W): black within and white without, so that it is seen on
    any colour.
    """
    times, drawn = picture.shape[0] // mask.shape[0], picture.copy()
    large = mask.repeat(times, 0).repeat(times, 1)
    drawn[find_boundaries(large, mode="inner")] = 0
    drawn[find_boundaries(large, mode="outer")] = 255
    return drawn


def channels(found: Attribution) -> Painted:
    """A map of an operation's channels: the strongest ones side by side, on one scale."""
    best = activations.strongest(found.map, MOST_CHANNELS)
    reach = mosaic.reaches(found.map, each=False)[best]
    return Painted(mosaic.mosaic(found.map[best], reach, found.signed, WIDTH).picture, float(reach[0]), 0.0)


def small(found: Attribution, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A map without its image, on its own scale, where values that are not finite count as zero."""
    flat = np.nan_to_num(on_pixels(found.map, _size(seen)))
    return mosaic.resize(paint(flat, clipped(flat).reach, found.signed), SMALL)


def one_reach(found: Iterable[Attribution], seen: NDArray[np.uint8]) -> float:
    """A scale by which several maps of one image compare; 0 where all are zero."""
    return common_reach(on_pixels(one.map, _size(seen)) for one in found)


def _size(seen: NDArray[np.uint8]) -> tuple[int, int]:
    return seen.shape[0], seen.shape[1]


def deletion_and_insertion(deleted: Curve, inserted: Curve, y_title: str) -> go.Figure:
    """The score as the map's best pixels go, and as they come; the areas stand in the legend."""
    figure = go.Figure()
    for curve, name, colour in ((deleted, "deletion", DELETION), (inserted, "insertion", INSERTION)):
        figure.add_scatter(
            x=curve.shares,
            y=curve.scores,
            mode="lines",
            name=f"{name}, area {curve.area:.3f}",
            line={"color": colour, "width": 2},
            fill="tozeroy",
            fillcolor=faint(colour, 0.15),
            hovertemplate="%{x:.0%} of the pixels: %{y:.3g}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="share of pixels, strongest first", tickformat=".0%")
    figure.update_yaxes(title=y_title, rangemode="tozero")
    figure.update_layout(LAYOUT)
    return figure


def randomisation(found: Sequence[Randomised]) -> go.Figure:
    """How like the original the map stays while stage after stage loses what it learned."""
    figure = go.Figure()
    for name, colour, dash, values in (
        ("rank correlation", INSERTION, "solid", [one.rank for one in found]),
        ("rank correlation of magnitudes", INSERTION, "dot", [one.rank_absolute for one in found]),
        ("SSIM", DELETION, "solid", [one.ssim for one in found]),
        ("SSIM of magnitudes", DELETION, "dot", [one.ssim_absolute for one in found]),
    ):
        figure.add_scatter(
            x=["none", *(one.stage for one in found)],
            y=[1.0, *values],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="%{x}: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.add_hline(0, line={"color": "#888888", "width": 1})
    figure.update_xaxes(title="fresh weights from the classifier down to", type="category")
    figure.update_yaxes(title="likeness to the original map", range=[-1.05, 1.05])
    figure.update_layout(LAYOUT)
    return figure
