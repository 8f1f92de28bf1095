"""The published networks against the numbers that torchvision publishes, written down by hand."""

import pytest
from published import TORCHVISION, equals
from torchvision.models import get_model_builder

from explorer.running.published import published_networks

# torchvision's documentation, "Table of all available classification weights": acc@1 of IMAGENET1K_V1
TOP_1 = {
    "resnet18": 69.758,
    "resnet34": 73.314,
    "resnet50": 76.13,
    "resnet101": 77.374,
    "resnet152": 78.312,
    "resnext50_32x4d": 77.618,
    "resnext101_32x8d": 79.312,
    "resnext101_64x4d": 83.246,
    "wide_resnet50_2": 78.468,
    "wide_resnet101_2": 78.848,
    "densenet121": 74.434,
    "densenet161": 77.138,
    "densenet169": 75.6,
    "densenet201": 76.896,
    "vgg11": 69.02,
    "vgg13": 69.928,
    "vgg16": 71.592,
    "vgg19": 72.376,
    "vgg11_bn": 70.37,
    "vgg13_bn": 71.586,
    "vgg16_bn": 73.36,
    "vgg19_bn": 74.218,
}

# Okabe and Ito, "Color Universal Design", 2008: colours that colour-blind people can tell apart
OKABE_ITO = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}


def test_these_are_the_networks_whose_weights_torchvision_has():
    names = [network.name for network in published_networks()]
    assert sorted(names) == sorted(TOP_1) == sorted(TORCHVISION)


@pytest.mark.parametrize("name", TOP_1)
def test_errors_and_counts(name):
    found = next(network for network in published_networks() if network.name == name)
    assert found.error == pytest.approx(100 - TOP_1[name])
    assert found.params == int(TORCHVISION[name]["params"])
    assert equals(found.macs, TORCHVISION[name]["macs"])


@pytest.mark.parametrize("name", TOP_1)
def test_they_are_called_as_torchvision_calls_them(name):
    found = next(network for network in published_networks() if network.name == name)
    title, _, _ = get_model_builder(name).__doc__.strip().partition(" from")
    # it writes "Densenet", and "VGG-19_BN" beside "VGG-16-BN"
    assert found.title.lower() == title.removesuffix(" model").lower().replace("_", "-")


def test_a_family_has_one_colour_of_the_palette():
    colours = {}
    for network in published_networks():
        colours.setdefault(network.family, set()).add(network.colour)
    assert all(len(of_family) == 1 for of_family in colours.values())
    distinct = set.union(*colours.values())
    assert len(distinct) == len(colours) > 1
    assert distinct < OKABE_ITO


def test_they_are_looked_up_once():
    assert published_networks() is published_networks()
