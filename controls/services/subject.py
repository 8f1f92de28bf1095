"""A network with its weights, the picture that it gets, and the device: what an analysis of one picture reads."""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule

from controls.services import built
from explorer.families import Config, plan
from explorer.pictures.preparation import Preparation, as_seen, to_tensor
from explorer.pictures.reading import Picture
from explorer.plan import Plan
from explorer.plan.lesions import NONE, Lesions, lesioned
from explorer.running.network import sharing
from explorer.running.weights import Weights


class Subject(NamedTuple):
    """A value, by which results are remembered; the network behind it is built where it is asked for."""

    config: Config
    weights: Weights
    picture: Picture
    device: str
    lesions: Lesions = NONE

    @property
    def plan(self) -> Plan:
        """Of what is left of the network. Raises LesionError."""
        return lesioned(plan(self.config), *self.lesions)

    @property
    def network(self) -> GraphModule:
        """That, with the weights of the whole one. Raises LesionError."""
        whole = built.network(self.config, self.weights, self.device)
        return sharing(whole, self.plan) if self.lesions else whole

    @property
    def identity(self) -> Hashable:
        """Of the whole network, for `Task.network`."""
        return built.identity(self.config, self.weights, self.device)

    @property
    def preparation(self) -> Preparation:
        return built.preparation(self.config, self.weights)

    @property
    def seen(self) -> NDArray[np.uint8]:
        """The picture that the network really gets, (H, W, 3) or (H, W, 1)."""
        return as_seen(self.picture, self.preparation)

    @property
    def image(self) -> Tensor:
        """That as the network's input, (1, C, H, W), normalised."""
        return to_tensor([self.seen], self.preparation).to(self.device)
