"""Where do the published networks stand? Their costs, and the errors that torchvision's own weights reach."""

from functools import cache
from typing import NamedTuple

from explorer.families import FAMILIES, plan
from explorer.running.weights import published_accuracy, torchvision_weights

RECIPE = "IMAGENET1K_V1"  # the older recipe, which all of them have been trained with


class Published(NamedTuple):
    name: str
    title: str
    family: str
    colour: str
    params: int
    macs: int
    error: float  # top-1 on ImageNet's validation images, percent


@cache
def published_networks() -> tuple[Published, ...]:
    """The networks whose trained weights torchvision has, with the top-1 error that their metadata gives."""
    found = []
    for family in FAMILIES.values():
        for name, preset in family.presets.items():
            for weights in torchvision_weights(preset.torchvision):
                accuracy = published_accuracy(weights)
                if weights.identity.endswith(RECIPE) and accuracy is not None:
                    costs = plan(preset.config)
                    title = family.title, family.colour
                    found.append(Published(name, preset.title, *title, costs.params, costs.macs, 100 - accuracy))
    return tuple(found)
