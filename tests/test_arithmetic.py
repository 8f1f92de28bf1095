"""One number's arithmetic: what the network has computed, for every kind, family and border; and hand arithmetic."""

import math
import random

import numpy as np
import pytest
import torch
from examples import example

from explorer.analyses import arithmetic
from explorer.errors import ExplorerError
from explorer.families import FAMILIES, plan
from explorer.plan import Plan, Recorder
from explorer.running.kinds import RUNNING
from explorer.running.network import build, run


def subject(plan: Plan) -> tuple[torch.fx.GraphModule, dict[str, np.ndarray]]:
    """A network with weights, statistics and biases that are all drawn, in float64, and all of its maps."""
    network, draw = build(plan).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, numbers in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith(("bias", "running_mean")) or "norm" in name or "bn" in name:
                numbers.copy_(torch.rand(numbers.shape, generator=draw) + 0.5)
        images = torch.randn(1, *plan.ops[0].shape, generator=draw, dtype=torch.float64)
        _, kept = run(network, images, [op.name for op in plan.ops])
    return network, {name: tensor[0].numpy() for name, tensor in kept.items()}


def some_positions(shape: tuple[int, int, int], chance: random.Random) -> list[tuple[int, ...]]:
    """The corners of the first and last channel, and three anywhere."""
    c, h, w = shape
    corners = [(0, 0, 0), (c - 1, h - 1, w - 1), (c - 1, 0, w - 1)]
    return corners + [tuple(chance.randrange(side) for side in shape) for _ in range(3)]


def agrees(plan: Plan) -> None:
    network, maps = subject(plan)
    chance = random.Random(0)
    for op in plan.ops[1:]:
        read = {name: maps[name] for name in arithmetic.needed(plan, op.name)}
        for position in some_positions(op.shape, chance):
            found = arithmetic.one_number(network, read, op.name, *position)
            assert found.steps[found.asked].op == op
            for step in found.steps:
                where = step.op.name, position
                assert step.computed == maps[step.op.name][position], where
                assert step.arithmetic.result == pytest.approx(step.computed, rel=1e-9, abs=1e-9), where


@pytest.mark.parametrize("kind", RUNNING)
def test_of_every_kind_it_comes_to_what_the_network_computed(kind):
    agrees(example(kind))


@pytest.mark.parametrize("config", [config for family in FAMILIES.values() for config in family.examples])
def test_of_every_family_it_comes_to_what_the_network_computed(config):
    agrees(plan(config))


def small() -> tuple[Plan, torch.fx.GraphModule, torch.Tensor]:
    """1 2 / 3 4 through a 3x3 kernel of 1 .. 9, bias 10, norm, ReLU."""
    net = Recorder(1, 2)
    x = net.conv("conv", net.input, 1, kernel=3, bias=True)
    net.activation("relu", net.norm("norm", x))
    here = net.finish()
    network = build(here)
    with torch.no_grad():
        network.conv.weight.copy_(torch.arange(1.0, 10).view(1, 1, 3, 3))
        network.conv.bias.fill_(10)
        network.norm.running_mean.fill_(17)
        network.norm.running_var.fill_(4 - 1e-5)
        network.norm.weight.fill_(3)
        network.norm.bias.fill_(-100)
    return here, network, torch.tensor([[[[1.0, 2], [3, 4]]]])


def test_convolution_norm_and_relu_by_hand():
    _, network, image = small()
    found = arithmetic.of_image(network, image, "conv", 0, 0, 0)
    (patch,) = found.made.patches
    # zeros above and to the left of the corner
    assert patch.values.tolist() == [[[0, 0, 0], [0, 1, 2], [0, 3, 4]]]
    assert patch.inside.tolist() == [[False] * 3, [False, True, True], [False, True, True]]
    assert patch.products.tolist() == [[[0, 0, 0], [0, 5, 12], [0, 24, 36]]]
    assert found.made.formula == ("sum {sum} + bias {bias}", {"sum": 77, "bias": 10})
    assert [step.op.name for step in found.steps] == ["conv", "norm", "relu"]
    # (87 - 17) / 2 · 3 - 100 = 5
    assert [step.arithmetic.result for step in found.steps] == [87, pytest.approx(5), pytest.approx(5)]
    # 1·1 + 2·2 + 3·4 + 4·5 = 37 and 10; (47 - 17) / 2 · 3 - 100 = -55
    corner = arithmetic.of_image(network, image, "conv", 0, 1, 1)
    assert [step.computed for step in corner.steps] == [47, pytest.approx(-55), 0]


def test_the_chain_ends_where_another_number_has_a_say():
    net = Recorder(3, 8)
    a = net.activation("relu", net.norm("norm", net.conv("conv", net.input, 3, kernel=1)))
    net.activation("end", net.add("add", a, net.conv("branch", a, 3, kernel=3)))
    here = net.finish()
    assert arithmetic.needed(here, "conv") == ("input", "conv", "norm", "relu")  # two read the last
    assert arithmetic.needed(here, "relu") == arithmetic.needed(here, "norm") == arithmetic.needed(here, "conv")
    assert arithmetic.needed(here, "branch") == ("relu", "branch")
    assert arithmetic.needed(here, "add") == ("relu", "branch", "add", "end")


def test_the_largest_contributions_and_the_rest_add_up():
    net = Recorder(3, 1)
    x = net.conv("wide", net.input, 4, kernel=1, bias=False)
    net.linear("fc", x, 2)
    network = build(net.finish())
    with torch.no_grad():
        network.wide.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])[:, :, None, None])
        network.fc.weight.copy_(torch.tensor([[1.0, -5, 1, 0.5], [0, 0, 0, 0]]))
    image = torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)
    found = arithmetic.of_image(network, image, "fc", 0, 0, 0).made
    # 1·1, 2·-5, 3·1, 6·0.5
    parts = arithmetic.parts(found, 2)
    assert [(part.patch.channels, part.contribution) for part in parts.largest] == [([1], -10), ([2], 3)]
    assert (parts.others, parts.rest) == (2, 4)
    assert found.result == pytest.approx(-10 + 3 + 4 + network.fc.bias[0].item())


@pytest.mark.parametrize(
    ("position", "sentence"),
    [((1, 0, 0), "no channel 1: .* 0 to 0"), ((0, 2, 0), "no row 2"), ((0, 0, -1), "column -1")],
)
def test_a_number_that_there_is_not_is_refused(position, sentence):
    _, network, image = small()
    with pytest.raises(ExplorerError, match=sentence):
        arithmetic.of_image(network, image, "conv", *position)


def test_the_picture_has_no_arithmetic():
    _, network, image = small()
    with pytest.raises(ExplorerError, match="picture itself"):
        arithmetic.of_image(network, image, "input", 0, 0, 0)


def test_the_strongest_position():
    maps = np.array([[[1, 5], [math.nan, 2]], [[math.nan] * 2] * 2], np.float32)
    assert arithmetic.strongest_position(maps, 0) == (0, 1)
    assert arithmetic.strongest_position(maps, 1) == (0, 0)
