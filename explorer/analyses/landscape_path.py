"""The way that an optimizer took, seen in a plane of the weights. Li et al., 1712.09913, section 7."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.analyses.landscape import Grid, LandscapeError, Plane

Values = NDArray[np.float64]
State = Mapping[str, Tensor]  # a state dict

MARGIN = 0.25  # of the path's extent, around it
NOTHING = 1e-10  # of the largest: a direction with less variance is none


class Projected(NamedTuple):
    """coordinates (k, 2) of the path's k points in the plane. `explained`: which share of the squared distances from
    the trained network the plane holds.
    """

    coordinates: Values
    explained: float


class Principal(NamedTuple):
    """`shares` (2,) of the path's variance that lie along each direction. Both have length 1."""

    plane: Plane
    shares: Values


def project(path: Sequence[State], final: State, plane: Plane) -> Projected:
    """The nearest point of the plane through `final` to each of the path, by least squares: random directions are not
    quite at right angles. Only weights that the plane moves are looked at.
    """
    gram = np.array([[_dot(one, other) for other in plane] for one in plane])
    along = np.empty((len(path), 2))
    squared = np.empty(len(path))
    for i, state in enumerate(path):
        step = {name: state[name].double() - final[name].double() for name in plane.first}
        along[i] = [_dot(step, direction) for direction in plane]
        squared[i] = _dot(step, step)
    try:
        coordinates: Values = np.linalg.solve(gram, along.T).T
    except np.linalg.LinAlgError:
        raise LandscapeError("The plane's two directions are one and the same.") from None
    held = float((coordinates * along).sum())
    return Projected(coordinates, held / total if (total := float(squared.sum())) else math.nan)


def principal_directions(path: Sequence[State], final: State, names: Sequence[str]) -> Principal:
    """The two directions along which the path varies most, from the differences to the trained network (section 7.2);
    filters are not scaled there. `names` are the weights that count.

    Raises LandscapeError where the path has no two directions.
    """
    if len(path) < 2:
        raise LandscapeError("A path needs two points beside the trained network.")
    gram = np.zeros((len(path), len(path)))
    for name in names:
        steps = torch.stack([(state[name].double() - final[name].double()).flatten() for state in path])
        steps -= steps.mean(0)
        gram += (steps @ steps.T).cpu().numpy()
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    if not values[1] > NOTHING * values[0]:
        raise LandscapeError("The path is a straight line, or a point: there is no plane that it lies in.")
    first, second = (_mixed(path, names, vectors[:, i] / math.sqrt(values[i])) for i in range(2))
    return Principal(Plane(first, second), values[:2] / values.sum())


def _mixed(path: Sequence[State], names: Sequence[str], weights: Values) -> dict[str, Tensor]:
    """Sum of weights times the path's distances from their mean; the final network falls out of it."""
    weights = weights - weights.mean()
    found: dict[str, Tensor] = {}
    for name in names:
        mixed = sum(
            (weight * state[name].double() for weight, state in zip(weights.tolist(), path, strict=True)),
            torch.zeros((), dtype=torch.float64, device=path[0][name].device),
        )
        found[name] = mixed.to(path[0][name].dtype)
    return found


def around(coordinates: Values, side: int) -> Grid:
    """side x side points that hold the path (k, 2) and the trained network, with room about them. The network is one
    of the points: as far to both sides along each direction.
    """
    reach = (1 + MARGIN) * np.abs(coordinates).max(0)
    reach = np.maximum(reach, max(float(reach.max()) / 4, 1e-12))
    xs, ys = (np.linspace(-one, one, side) for one in reach)
    return Grid(xs, ys)


def _dot(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return sum(float((value.double() * other[name].double()).sum()) for name, value in one.items())
