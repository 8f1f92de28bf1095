"""What takes time beside the arithmetic, by the hand."""

import pytest

from explorer.counting import effort
from explorer.families import PRESETS, plan
from explorer.plan import Recorder


def one_layer(channels: int, out: int, size: int):
    net = Recorder(channels, size)
    net.linear("fc", net.conv("conv", net.input, out, 3), 10)
    return net.finish()


def test_narrow_layers_on_large_images_are_slow():
    # 1 -> 2 channels of 64x64: 9 multiply-accumulates for each of 8,192 numbers, and 8,192 x 10 of the classifier;
    # read and written are 4,096 numbers of the image, 8,192 of the map and 10 of the answer
    narrow = one_layer(1, 2, 64)
    assert narrow.macs == 9 * 8192 + 81920
    assert effort.slowness(narrow) == effort.ELEMENT * (4096 + 8192 + 10) / narrow.macs
    # 512 -> 512 channels: 4,608 for each number
    assert effort.slowness(one_layer(512, 512, 8)) == 1


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "resnet20_cifar"])
def test_building_draws_each_weight_and_starts_each_operation(name):
    network = plan(PRESETS[name])
    drawn, starts = effort.building(network)
    assert drawn / effort.PARAMETER == network.params
    assert starts / effort.BUILDING == len(network.ops)
