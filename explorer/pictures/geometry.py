"""Ten shapes as distances from their edges: which points are inside, and how far is the edge?

Each shape has area 1 and its centre of mass at the origin, so that neither the area nor the place of what is drawn
tells them apart. x points right, y down. A distance is below 0 inside; near the edge it is exact but at corners, where
pieces meet. All is computed as explorer/pictures/shapes.py says, so that it is the same on every machine.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Point = tuple[float, float]


class Shape(NamedTuple):
    """distance(x, y), two arrays of one shape; and reach: how far its farthest point is from its centre of mass."""

    distance: Callable[[Floats, Floats], Floats]
    reach: float


def coarse(value: float) -> float:
    """To a multiple of 2**-20, so that the last bits of a library's sine do not matter."""
    return round(value * 2**20) / 2**20


def _disc(x: Floats, y: Floats, radius: float) -> Floats:
    found: Floats = np.sqrt(x * x + y * y) - np.float32(radius)
    return found


def _circle() -> Shape:
    radius = math.sqrt(1 / math.pi)
    return Shape(lambda x, y: _disc(x, y, radius), radius)


def _ring(hole: float) -> Shape:
    """The hole's radius is this share of the ring's."""
    outer = math.sqrt(1 / (math.pi * (1 - hole * hole)))
    middle, half = outer * (1 + hole) / 2, outer * (1 - hole) / 2
    return Shape(lambda x, y: np.abs(_disc(x, y, middle)) - np.float32(half), outer)


def _crescent(bite: float, offset: float) -> Shape:
    """A disc of radius 1 without another, of radius `bite`, whose centre is `offset` to the right; then scaled."""
    horn = (1 + offset * offset - bite * bite) / (2 * offset)  # x where the two circles meet
    height = math.sqrt(1 - horn * horn)
    # What is bitten off are two caps: the disc's right of the horns, and the bite's left of them.
    disc_cap = coarse(math.acos(horn)) - horn * height
    bite_cap = bite * bite * coarse(math.acos((offset - horn) / bite)) - (offset - horn) * height
    area = math.pi - disc_cap - bite_cap
    # The caps' moments are 2/3 height^3 and offset * bite_cap - 2/3 height^3.
    middle = -offset * bite_cap / area
    scale = math.sqrt(area)

    def distance(x: Floats, y: Floats) -> Floats:
        x, y = x * np.float32(scale) + np.float32(middle), y * np.float32(scale)
        found: Floats = np.maximum(_disc(x, y, 1), -_disc(x - np.float32(offset), y, bite)) * np.float32(1 / scale)
        return found

    return Shape(distance, math.sqrt((horn - middle) ** 2 + height * height) / scale)


def _heart() -> Shape:
    """A square of side 2 that stands on a corner, a disc of radius 1 about the middle of each upper side; scaled."""
    area = 4 + math.pi
    half = math.sqrt(0.5)
    middle = -(math.pi + 4 / 3) * half / area  # a half disc's centre of mass is 4 / (3 pi) from the side it sits on
    scale = math.sqrt(area)

    def distance(x: Floats, y: Floats) -> Floats:
        x, y = np.abs(x) * np.float32(scale), y * np.float32(scale) + np.float32(middle)
        square = (x + np.abs(y)) * np.float32(half) - 1
        found: Floats = np.minimum(square, _disc(x - np.float32(half), y + np.float32(half), 1)) * np.float32(1 / scale)
        return found

    return Shape(distance, (2 * half - middle) / scale)


def _polygon(corners: Sequence[Point]) -> Shape:
    """Any polygon that does not cross itself, moved and scaled."""
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    crosses = [ax * by - bx * ay for (ax, ay), (bx, by) in edges]
    area = sum(crosses) / 2
    middle_x = sum((ax + bx) * cross for ((ax, _), (bx, _)), cross in zip(edges, crosses, strict=True)) / (6 * area)
    middle_y = sum((ay + by) * cross for ((_, ay), (_, by)), cross in zip(edges, crosses, strict=True)) / (6 * area)
    scale = 1 / math.sqrt(abs(area))
    points = [((x - middle_x) * scale, (y - middle_y) * scale) for x, y in corners]

    def distance(x: Floats, y: Floats) -> Floats:
        """To the nearest edge; a point is inside if a ray from it to the right crosses an odd number of them."""
        nearest = np.full(x.shape, np.inf, np.float32)  # squared
        inside = np.zeros(x.shape, np.bool_)
        for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
            ex, ey = bx - ax, by - ay
            px, py = x - ax, y - ay
            crossed = px * ey < py * ex if ey > 0 else px * ey > py * ex
            inside ^= crossed & ((py < 0) != (y < by))
            along = px * (ex / (ex * ex + ey * ey))  # in place from here on: half of all time is spent in these lines
            along += py * (ey / (ex * ex + ey * ey))
            np.clip(along, 0, 1, out=along)
            px -= along * ex
            py -= along * ey
            px *= px
            py *= py
            px += py
            np.minimum(nearest, px, out=nearest)
        np.sqrt(nearest, out=nearest)
        return np.where(inside, -nearest, nearest)

    return Shape(distance, max(math.sqrt(x * x + y * y) for x, y in points))


def _spokes(corners: int, *radii: float) -> list[Point]:
    """Corners at even angles from the top, with these radii in turn."""
    points = []
    for i in range(corners):
        angle, radius = 2 * math.pi * i / corners, radii[i % len(radii)]
        points.append((coarse(radius * math.sin(angle)), coarse(-radius * math.cos(angle))))
    return points


_SQUARE = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
_CROSS = [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]
_ARROW = [(0, -5), (4.5, 0), (1.6, 0), (1.6, 5), (-1.6, 5), (-1.6, 0), (-4.5, 0)]

SHAPES = {
    "circle": _circle(),
    "square": _polygon(_SQUARE),
    "triangle": _polygon(_spokes(3, 1)),
    "star": _polygon(_spokes(10, 1, 0.47)),
    "cross": _polygon(_CROSS),
    "ring": _ring(hole=0.5),
    "crescent": _crescent(bite=0.75, offset=0.6),
    "heart": _heart(),
    "arrow": _polygon(_ARROW),
    "hexagon": _polygon(_spokes(6, 1)),
}
