"""Maps and pictures on which positions are shown: a frame round what is read, and a map whose positions are clicked."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.plan.receptive_field import Field
from explorer.plots.colours import GAP, INVISIBLE, paint
from explorer.plots.mosaic import Picture, data_url, resize
from explorer.plots.plain import Figure

SIDE = 320  # pixels: browsers blur what they enlarge
MOST_MARKERS = 32  # along a side
FRAME = ((255, 255, 255), (17, 17, 17))  # outside and inside, of which one is seen on any colour
OUTSIDE = 0.35  # how much is left of the picture there


def framed_map(
    values: NDArray[np.floating], reach: float, signed: bool, rows: Sequence[int], columns: Sequence[int]
) -> Picture:
    """A map (H, W) with a frame round these positions; where they lie beyond the border, so much grey is added."""
    h, w = values.shape
    edge = max(0, -rows[0], -columns[0], rows[-1] - h + 1, columns[-1] - w + 1)
    painted = np.empty((h + 2 * edge, w + 2 * edge, 3), np.uint8)
    painted[:] = GAP
    painted[edge : edge + h, edge : edge + w] = paint(values, reach, signed)
    where = Field(rows[0] + edge, columns[0] + edge, rows[-1] + 1 + edge, columns[-1] + 1 + edge)
    return _framed(painted, where)


def framed_picture(seen: Picture, field: Field) -> Picture:
    """The network's input, (H, W, 3) or (H, W, 1), faint where the number does not see it."""
    where = field.within(len(seen))
    faint = (OUTSIDE * seen + (1 - OUTSIDE) * GAP[0]).astype(np.uint8)
    within = slice(where.top, where.bottom), slice(where.left, where.right)
    faint[within] = seen[within]
    return _framed(np.broadcast_to(faint, (*faint.shape[:2], 3)), where)


def _framed(picture: Picture, where: Field) -> Picture:
    times = max(1, SIDE // len(picture))
    large = resize(np.ascontiguousarray(picture), times * picture.shape[1])
    # round about it, since a 3x3 patch of a large map is smaller than its frame
    thickness = 2 * len(FRAME)
    top, left = (max(0, times * edge - thickness) for edge in (where.top, where.left))
    bottom, right = (min(len(large), times * edge + thickness) for edge in (where.bottom, where.right))
    for inset in range(thickness):
        colour = FRAME[inset // 2]
        inner = large[top + inset : bottom - inset, left + inset : right - inset]
        inner[:1] = inner[-1:] = colour
        inner[:, :1] = inner[:, -1:] = colour
    return large


def clickable_map(values: NDArray[np.floating], reach: float, signed: bool, row: int, column: int) -> Figure:
    """A map (H, W) with its chosen position; a click selects another, `customdata` being row * W + column.

    Large maps are clicked at every n-th position, since a browser draws each marker by itself.
    """
    h, w = values.shape
    step = math.ceil(max(h, w) / MOST_MARKERS)
    ys, xs = (
        part.ravel()
        for part in np.meshgrid(np.arange(step // 2, h, step), np.arange(step // 2, w, step), indexing="ij")
    )
    hidden = {"marker": {"opacity": 0}}
    markers = {
        "type": "scatter",
        "mode": "markers",
        "x": xs,
        "y": ys,
        "customdata": ys * w + xs,
        "marker": {"symbol": "square", "size": max(6, 250 * step // max(h, w)), "color": values[ys, xs], "opacity": 0},
        "hovertemplate": "row %{y}, column %{x}: %{marker.color:.4g}<extra></extra>",
        "selected": hidden,
        "unselected": hidden,
    }
    picture = {
        "source": data_url(resize(paint(values, reach, signed), SIDE)),
        "xref": "x",
        "yref": "y",
        "x": -0.5,
        "y": -0.5,
        "sizex": w,
        "sizey": h,
        "sizing": "stretch",
        "layer": "below",
    }
    box = {"type": "rect", "x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    lines = ({"color": "#ffffff", "width": 5}, {"color": "#111111", "width": 2})
    hidden_axis = {"visible": False, "constrain": "domain", "fixedrange": True}
    layout = {
        "images": [picture],
        "shapes": [{**box, "line": line} for line in lines],
        "xaxis": {**hidden_axis, "range": [-0.5, w - 0.5], "constraintoward": "left"},
        "yaxis": {**hidden_axis, "range": [h - 0.5, -0.5], "scaleanchor": "x", "constraintoward": "top"},
        "height": 264,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "dragmode": False,
        "hovermode": "closest",
        "showlegend": False,
        "plot_bgcolor": INVISIBLE,
    }
    return {"data": [markers], "layout": layout}
