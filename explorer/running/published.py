"""Where do the published networks stand? Their costs, and the errors that torchvision's own weights reach."""

from functools import cache
from typing import NamedTuple

from explorer.families import PRESETS, TITLES, family_of, plan
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
    for name, config in PRESETS.items():
        for weights in torchvision_weights(name):
            accuracy = published_accuracy(weights)
            if weights.identity.endswith(RECIPE) and accuracy is not None:
                family, counted = family_of(config), plan(config)
                row = (name, TITLES[name], family.title, family.colour, counted.params, counted.macs, 100 - accuracy)
                found.append(Published(*row))
    return tuple(found)
