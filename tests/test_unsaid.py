"""What no name or shape says: held against networks that differ in it and whose weights fit all the same."""

import pytest
import safetensors.torch
import timm
import torch
from possible import EXAMPLES
from random_weights import random_state

from explorer.families import PRESETS, ConfigError, knobs, plan
from explorer.plan.kinds import KINDS
from explorer.running.network import blank, build
from explorer.running.unsaid import sentences, unsaid
from explorer.running.weights import read_checkpoint


@pytest.mark.parametrize("name", ["resnetblur50", "resnetaa50"])
@torch.no_grad()
def test_what_differs_in_timms_networks_of_equal_names_and_shapes_is_named(name):
    """They load in silence as a ResNet-50 and compute something else: they pool where it has strides."""
    written = plan(PRESETS["resnet50"])
    ours = blank(written)
    plain, theirs = (timm.create_model(found, pretrained=False).eval() for found in ("resnet50", name))
    theirs.load_state_dict(random_state(theirs))
    file = safetensors.torch.save(theirs.state_dict())
    ours.load_state_dict(read_checkpoint(file, f"{name}.safetensors", ours.state_dict()), assign=True)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = theirs(images)
    assert (ours(images) - expected).norm() > 0.05 * expected.norm()
    modules = dict(theirs.named_modules())
    differing = {
        path
        for path, module in plain.named_modules()
        if path in written
        if type(module) is not type(modules[path])
        or getattr(module, "stride", 0) != getattr(modules[path], "stride", 0)
    }
    assert differing >= {"layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2", "maxpool"}
    assert differing <= {operation for named in unsaid(written).values() for operation in named}


def changed(example):
    """The same network with each other choice that a knob has."""
    for knob in knobs(type(example)):
        if knob.name not in ("channels", "init"):
            for value in knob.choices or ((False, True) if knob.kind == "switch" else ()):
                try:
                    yield knob.name, example.adapt(**{knob.name: value})
                except ConfigError:
                    continue


def joined(written):
    """What is put side by side."""
    return [op.inputs for op in written.ops if KINDS[op.kind].join == "concat"]


@pytest.mark.parametrize("example", EXAMPLES)
@torch.no_grad()
def test_what_changes_the_logits_of_equal_tensors_is_said(example):
    """But for which tensors are put side by side, which the last sentence leaves to the reader."""
    written = plan(example)
    network = build(written)
    state = random_state(network)
    network.load_state_dict(state)
    images = torch.randn(2, *written.ops[0].shape, generator=torch.Generator().manual_seed(1))
    logits = network(images)
    for name, config in changed(example):
        other = build(plan(config))
        theirs = other.state_dict()
        if {key: value.shape for key, value in theirs.items()} != {key: value.shape for key, value in state.items()}:
            continue
        other.load_state_dict(state)
        if not torch.allclose(other(images), logits, rtol=1e-4, atol=1e-4):
            said = unsaid(plan(config)) != unsaid(written)
            assert said or joined(plan(config)) != joined(written), (name, getattr(config, name))


def test_a_resnet_by_hand():
    """ResNet-18 halves the image in its stem, in the first convolution of three stages and in their projections."""
    clauses = unsaid(plan(PRESETS["resnet18"]))
    halving = [f"layer{s}.0.{name}" for s in (2, 3, 4) for name in ("conv1", "downsample.0")]
    assert clauses["the convolution has a stride of 2"] == ("conv1", *halving)
    assert clauses["the pool takes the largest of 3x3 pixels at a stride of 2"] == ("maxpool",)
    assert len(clauses["the batch norm adds 1e-05 to the variance"]) == 1 + 2 * 8 + 3
    assert len(clauses["the activation is relu"]) == 1 + 2 * 8
    assert clauses["the branch is added to a projection that starts at the activation"] == tuple(
        f"layer{s}.0.add" for s in (2, 3, 4)
    )
    first, last = sentences(plan(PRESETS["resnet18"]))
    assert "the convolution has a stride of 2 (conv1, layer2.0.conv1, layer2.0.downsample.0 and 4 more); " in first
    assert "compare the logits" in last


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("resnet20_cifar", {"shortcut": "none"}),
        ("preresnet18", {"first_split": "after"}),
        ("resnet18", {"activation": "silu"}),
        ("resnet50", {"stride_on": "1x1"}),
        ("resnet18d", {"activation": "gelu"}),
    ],
)
def test_networks_with_the_same_tensors_are_told_apart(name, change):
    one, other = plan(PRESETS[name]), plan(PRESETS[name].adapt(**change))
    shapes = [{key: value.shape for key, value in blank(p).state_dict().items()} for p in (one, other)]
    assert shapes[0] == shapes[1]
    assert sentences(one) != sentences(other)
