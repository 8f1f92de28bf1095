"""Files that carry a network with its weights: read back by the programs that they are for."""

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from possible import RICHEST, small
from torchvision.models import ResNet18_Weights
from torchvision.transforms.functional import normalize

from explorer.families import parse, plan
from explorer.pictures.preparation import Preparation
from explorer.running import export
from explorer.running.card import KEY, NETWORK, Card
from explorer.running.export import EXPORTS, ExportError
from explorer.running.network import build, plan_of
from explorer.running.source import WIDTH, python_source
from explorer.running.weights import categories, torchvision_weights


@pytest.fixture(params=RICHEST)
def network(request):
    torch.manual_seed(0)
    found = build(plan(request.param), seed=3)
    # statistics as after training, so that a norm that was left out or folded wrongly would show
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return found


@pytest.fixture
def images(network):
    return torch.randn(3, *plan_of(network).ops[0].shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def within(monkeypatch):
    """The exporters in this process, where nobody computes meanwhile: to start another takes longer than they do."""

    def run(command, **_):
        export._write(command[-2], Path(command[-1]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(export.subprocess, "run", run)


def test_safetensors_hold_the_state_dict(network):
    found = safetensors.torch.load(EXPORTS["safetensors"](network))
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.usefixtures("within")
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_a_program_gives_the_same_logits_for_any_number_of_images(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    program = torch.export.load(io.BytesIO(EXPORTS["pt2"](network))).module()
    with torch.no_grad():
        for count in (1, 3):
            torch.testing.assert_close(program(images[:count]), network(images[:count]), rtol=0, atol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.usefixtures("within")
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_logits_for_any_number_of_images(network, images):
    session = onnxruntime.InferenceSession(EXPORTS["onnx"](network))
    with torch.no_grad():
        for count in (1, 3):
            (logits,) = session.run(["logits"], {"images": images[:count].numpy()})
            np.testing.assert_allclose(logits, network(images[:count]).numpy(), atol=1e-4)


def test_onnx_that_is_not_installed_is_one_sentence(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"^ONNX needs onnxscript, .* pip install onnx onnxscript\.$"):
        EXPORTS["onnx"](network)


def test_other_threads_compute_meanwhile():
    """torch's exporters patch torch: in this process, other visitors' logits would be wrong for as long."""
    exported, used = (build(plan(small("resnet")), seed=seed) for seed in (0, 1))
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = used(images)
        with ThreadPoolExecutor() as pool:
            file = pool.submit(EXPORTS["pt2"], exported)
            while not file.done():
                assert torch.equal(used(images), expected)
        assert file.result()


def test_a_program_that_cannot_be_made_is_one_sentence(monkeypatch):
    network = build(plan(small("resnet")))
    monkeypatch.setattr("explorer.running.export.save_safetensors", lambda network: safetensors.torch.save({}))
    with pytest.raises(ExportError, match=r"^pt2 cannot be made of this network \(.+\); take the weights alone\.$"):
        EXPORTS["pt2"](network)
    monkeypatch.setattr("explorer.running.export.PATIENCE", 0.1)
    with pytest.raises(ExportError, match=r"^pt2 took more than .* minutes; take the weights alone\.$"):
        EXPORTS["pt2"](network)


# --- what is known of the weights goes along

CARD = Card(Preparation(16, 20, (0.5, 0.25, 0.75), (0.5, 0.25, 0.125), "bicubic"), ("cat", 'the "dog"', "it's\\n"))


@pytest.fixture
def exported(within):
    return {form: write(build(plan(small("resnet"))), CARD, small("resnet")) for form, write in EXPORTS.items()}


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_every_form_carries_the_card_and_the_configuration(exported, tmp_path):
    (tmp_path / "network.safetensors").write_bytes(exported["safetensors"])
    with safetensors.safe_open(tmp_path / "network.safetensors", "pt") as file:
        found = [file.metadata()]
    extra = {KEY: "", NETWORK: ""}
    torch.export.load(io.BytesIO(exported["pt2"]), extra_files=extra)
    found.append(extra)
    session = onnxruntime.InferenceSession(exported["onnx"])
    found.append(session.get_modelmeta().custom_metadata_map)
    for said in found:
        assert parse(json.loads(said[NETWORK])) == small("resnet")
        assert json.loads(said[KEY]) == {
            "mean": [0.5, 0.25, 0.75],
            "std": [0.5, 0.25, 0.125],
            "size": 16,
            "resize": 20,
            "interpolation": "bicubic",
            "classes": list(CARD.classes),
        }


def test_the_source_carries_the_card():
    scope: dict[str, object] = {"__name__": "network"}
    exec(python_source(small("resnet"), CARD), scope)
    assert scope["CLASSES"] == CARD.classes
    assert (scope["RESIZE"], scope["SIZE"], scope["INTERPOLATION"]) == (20, 16, "bicubic")
    # torchvision's own normalisation is the reference
    pixels = torch.arange(256.0).reshape(1, 1, 16, 16).repeat(2, 3, 1, 1)
    expected = normalize(pixels / 255, list(CARD.preparation.mean), list(CARD.preparation.std))
    torch.testing.assert_close(scope["prepare"](pixels), expected)
    assert "prepare" not in python_source(small("resnet"))
    assert "CLASSES" not in python_source(small("resnet"), Card(CARD.preparation))


def test_a_thousand_names_are_lines_that_fit():
    names = torchvision_weights("resnet18")[0]
    source = python_source(small("resnet"), Card(classes=categories(names)))
    assert max(map(len, source.splitlines())) <= WIDTH
    scope: dict[str, object] = {"__name__": "network"}
    exec(source, scope)
    assert scope["CLASSES"] == tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
