"""A checkpoint's network by names and shapes alone: torchvision's and timm's own, the presets, and what is none."""

import time
from functools import cache

import pytest
import timm
import torch
import torchvision

from explorer import recognition
from explorer.families import FAMILIES, PRESETS, TITLES, write_plan
from explorer.plan.tensors import tensors
from explorer.recognition import Unrecognised, misfits, recognise, title

TORCHVISION = {
    preset.torchvision: name
    for family in FAMILIES.values()
    for name, preset in family.presets.items()
    if preset.torchvision
}
# published pairs that have the very same tensors: without a projection none tells whether there is a shortcut
TWINS = {f"plain{d}_cifar": f"resnet{d}_cifar" for d in (20, 32, 44, 56, 110)}


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@cache
def torchvisions(name, **fields):
    with torch.device("meta"):
        return shapes_of(torchvision.models.get_model(name, **fields))


def without_presets(monkeypatch):
    monkeypatch.setattr(recognition, "_published", lambda shapes: None)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_networks(name):
    """As they are fine-tuned, which is harder than with ImageNet's classes."""
    tuned = recognise(torchvisions(name, num_classes=10))
    assert tuned == PRESETS[TORCHVISION[name]].replace(classes=10)
    assert title(tuned) == f"{TITLES[TORCHVISION[name]]} for 10 classes"


def test_a_grey_image_and_no_counters():
    with torch.device("meta"):
        model = torchvision.models.resnet50()
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    shapes = {name: shape for name, shape in shapes_of(model).items() if "num_batches" not in name}
    assert recognise(shapes) == PRESETS["resnet50"].replace(channels=1)
    assert title(recognise(shapes)) == "ResNet-50 of grey images"


@pytest.mark.parametrize("name", ["resnet26d", "resnet50t", "seresnet50", "resnet14t", "resnext50d_32x4d"])
def test_timms_resnets_that_are_no_presets(name):
    with torch.device("meta"):
        shapes = shapes_of(timm.create_model(name))
    config = recognise(shapes)
    assert misfits(config, shapes) == ()
    assert (config.family, config.input_size) == ("resnet", 224)


@pytest.mark.parametrize("published", [True, False], ids=["by its preset", "by its family"])
def test_every_preset_is_recognised(published, monkeypatch):
    if not published:
        without_presets(monkeypatch)
    for name, preset in PRESETS.items():
        found = recognise(tensors(write_plan(preset)))
        if published:
            assert found == PRESETS[TWINS.get(name, name)], name
        else:
            # what no tensor tells is all that may differ
            assert found.changes(preset).keys() <= {"shortcut", "first_split"}, name
            assert found.input_size == preset.input_size, name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_example_and_its_neighbours_are_recognised(family):
    """But for what no tensor tells."""
    for example in family.examples:
        for config in (example, example.adapt(channels=1), example.adapt(norm="batch"), example.adapt(classes=7)):
            shapes = tensors(write_plan(config))
            assert misfits(recognise(shapes), shapes) == ()


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        (
            "densenet",
            {"growth_rate": 17, "compression": 0.37, "bottleneck": 3, "blocks": (2, 5, 3, 1), "input_size": 32},
        ),
        ("cliquenet", {"compression": 0.15, "second_pass_steps": 1, "block_feature": "first"}),
        ("resnet", {"squeeze_excitation": 5, "blocks": (1, 1, 3), "width": 20}),
        ("resnet", {"shortcut": "C", "stem_width": 12}),
        ("vgg", {"layers": (3, 1, 4), "widths": (8, 12, 8), "hidden": 0, "dropout": 0.5, "pool_size": 2}),
    ],
)
def test_odd_numbers_are_read_off_the_shapes(family, fields):
    config = FAMILIES[family].examples[0].adapt(**fields)
    found = recognise(tensors(write_plan(config)))
    assert {name: getattr(found, name) for name in fields if name != "input_size"} == {
        name: value for name, value in fields.items() if name != "input_size"
    }


def test_the_tensor_that_does_not_fit_is_named():
    shapes = torchvisions("resnet50") | {"layer3.2.conv2.weight": (256, 8, 3, 3)}
    with pytest.raises(Unrecognised) as refusal:
        recognise(shapes)
    line = "layer3.2.conv2.weight is (256, 8, 3, 3), and would have to be (256, 256, 3, 3)"
    assert str(refusal.value) == f"looks like a ResNet, but {line}"
    assert refusal.value.differences == (line,)


def test_another_family_is_none_of_these():
    with torch.device("meta"):
        shapes = shapes_of(torchvision.models.mobilenet_v2())
    with pytest.raises(Unrecognised, match=r"^has not the tensors of a VGG, .* or CliqueNet: its first tensor is"):
        recognise(shapes)


NAMES = ["layer1.0.conv1.weight", "features.0.weight", "features.denseblock1.denselayer1.conv1.weight"]
NAMES += ["block1.layer1.conv1.weight", "conv1.weight", "conv0.weight", "features.conv0.weight"]
HOSTILE = {
    "nothing": {},
    "zero sizes": dict.fromkeys(NAMES, (0, 0, 0, 0)),
    "no sizes": dict.fromkeys(NAMES, ()),
    "ones": dict.fromkeys(NAMES, (1, 1, 1, 1)) | {"fc.weight": (1, 1), "classifier.weight": (1, 1)},
    "huge": dict.fromkeys(NAMES, (10**30,) * 4) | {"fc.weight": (10**30, 1), "classifier.weight": (10**30, 1)},
    "10,000 blocks": torchvisions("resnet18") | {f"layer1.{b}.conv1.weight": (64, 64, 3, 3) for b in range(10_000)},
    "10,000 stages": torchvisions("resnet18") | {f"layer{s}.0.conv1.weight": (64, 64, 3, 3) for s in range(10_000)},
    "10,000 layers": torchvisions("vgg11") | {f"features.{i}.weight": (64, 64, 3, 3) for i in range(10_000)},
    "huge numbers": torchvisions("resnet18") | {f"layer1.{'9' * 5000}.conv1.weight": (64, 64, 3, 3)},
    "4 channels": torchvisions("resnet18") | {"conv1.weight": (64, 4, 7, 7)},
    "100,000 classes": torchvisions("resnet18") | {"fc.weight": (100_000, 512), "fc.bias": (100_000,)},
    "a long name": torchvisions("resnet18") | {"x" * 10**6: (1,)},
    "not printable": torchvisions("resnet18") | {"layer1.0.\u202e\n": (1,)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_is_refused_in_a_sentence_and_at_once(name):
    recognise(torchvisions("resnet18"))  # what is published is written down once
    begun = time.process_time()
    with pytest.raises(Unrecognised) as refusal:
        recognise(HOSTILE[name])
    assert time.process_time() - begun < 1
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300
