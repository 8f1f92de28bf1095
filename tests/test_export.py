"""Files that carry a network with its weights: read back by the programs that they are for."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from possible import RICHEST, small

from explorer.families import plan
from explorer.running.export import EXPORTS, ExportError
from explorer.running.network import build, plan_of


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


def test_safetensors_hold_the_state_dict(network):
    found = safetensors.torch.load(EXPORTS["safetensors"](network))
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_program_gives_the_same_logits_for_any_number_of_images(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    program = torch.export.load(io.BytesIO(EXPORTS["pt2"](network))).module()
    with torch.no_grad():
        for count in (1, 3):
            torch.testing.assert_close(program(images[:count]), network(images[:count]), rtol=0, atol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.filterwarnings("ignore")  # the exporter's own
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
