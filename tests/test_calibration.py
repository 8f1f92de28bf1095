"""Norms that have seen images: against the definition, and against what they are for."""

import pytest
import torch

from explorer.families import FAMILIES, PRESETS, plan
from explorer.plan.kinds import KINDS
from explorer.running.calibration import calibrate, can_be_calibrated
from explorer.running.network import build, plan_of, run

EXAMPLES = [config for family in FAMILIES.values() for config in family.examples]


def images_of(config, count=4):
    draw = torch.Generator().manual_seed(2)
    return torch.rand(count, config.channels, config.input_size, config.input_size, generator=draw)


def norms_of(network):
    return [op for op in plan_of(network).ops if KINDS[op.kind].batch_statistics(op)]


@pytest.mark.parametrize("config", EXAMPLES, ids=repr)
def test_every_norm_makes_mean_zero_and_variance_one_of_those_images(config):
    network, images = build(plan(config)), images_of(config)
    norms = norms_of(network)
    assert can_be_calibrated(plan(config), 4) == bool(norms)
    if not norms:
        with pytest.raises(ValueError, match="no norm"):
            calibrate(network, images)
        return
    weights = {name: value.clone() for name, value in network.named_parameters()}
    calibrate(network, images)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, weights[name]) for name, value in network.named_parameters())
    # what reaches each norm while all before it normalise by the batch
    other = build(plan(config))
    for op in norms:
        other.get_submodule(op.name).train()
    with torch.no_grad():
        _, kept = run(other, images, [op.inputs[0] for op in norms])
    for op in norms:
        into, norm = kept[op.inputs[0]], network.get_submodule(op.name)
        torch.testing.assert_close(norm.running_mean, into.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, into.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
        assert norm.momentum == 0.1


def test_an_untrained_network_stays_sane():
    """ResNet-152 at 64 pixels: its activations without it go beyond a thousand, and one class has all of the chance."""
    config = PRESETS["resnet152"].replace(input_size=64)
    network, images = build(plan(config)), images_of(config)
    last = plan(config)["layer4.2.relu3"].name
    with torch.no_grad():
        logits, kept = run(network, images, [last])
        assert kept[last].max() > 1000
        assert logits.softmax(1).max() > 0.99
        calibrate(network, images)
        logits, kept = run(network, images, [last])
    assert kept[last].max() < 100
    assert logits.softmax(1).max() < 0.1


def test_one_value_a_channel_has_no_variance():
    tiny = plan(PRESETS["resnet18"].replace(input_size=32))  # the last stage is one pixel
    assert can_be_calibrated(tiny, 2)
    assert not can_be_calibrated(tiny, 1)
    with pytest.raises(ValueError, match="two values"):
        calibrate(build(tiny), torch.rand(1, 3, 32, 32))
