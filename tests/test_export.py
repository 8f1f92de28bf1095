"""Files that carry a network with its weights: read back by the programs that they are for."""

import errno
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
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

ROOT = Path(__file__).parents[1]


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

    def run(command, meanwhile):
        export._write(command[-2], Path(command[-1]))
        return 0, ""

    monkeypatch.setattr(export, "_run", run)


@pytest.fixture
def write(tmp_path):
    """The bytes of a file that is written; nothing else stays beside it."""

    def written(form, network, *about):
        path = tmp_path / "network"
        export.write(form, network, path, *about)
        assert list(tmp_path.iterdir()) == [path]
        return path.read_bytes()

    return written


def test_safetensors_hold_the_state_dict(network, write):
    found = safetensors.torch.load(write("safetensors", network))
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.usefixtures("within")
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_a_program_gives_the_same_logits_for_any_number_of_images(network, images, write):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    program = torch.export.load(io.BytesIO(write("pt2", network))).module()
    with torch.no_grad():
        for count in (1, 3):
            torch.testing.assert_close(program(images[:count]), network(images[:count]), rtol=0, atol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.usefixtures("within")
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_logits_for_any_number_of_images(network, images, write):
    session = onnxruntime.InferenceSession(write("onnx", network))
    with torch.no_grad():
        for count in (1, 3):
            (logits,) = session.run(["logits"], {"images": images[:count].numpy()})
            np.testing.assert_allclose(logits, network(images[:count]).numpy(), atol=1e-4)


def test_onnx_that_is_not_installed_is_one_sentence(network, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"^ONNX needs onnxscript, .* pip install onnx onnxscript\.$"):
        write("onnx", network)


def test_other_threads_compute_meanwhile(write):
    """torch's exporters patch torch: in this process, other visitors' logits would be wrong for as long."""
    exported, used = (build(plan(small("resnet")), seed=seed) for seed in (0, 1))
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = used(images)
        with ThreadPoolExecutor() as pool:
            file = pool.submit(write, "pt2", exported)
            while not file.done():
                assert torch.equal(used(images), expected)
        assert file.result()


def test_a_program_that_cannot_be_made_is_one_sentence(monkeypatch, write):
    network = build(plan(small("resnet")))
    with monkeypatch.context() as broken:
        broken.setattr(export.pickle, "dumps", lambda plan: b"no plan")
        with pytest.raises(ExportError, match=r"^pt2 cannot be made of this network \(.*UnpicklingError.+\); take the"):
            write("pt2", network)
    monkeypatch.setattr(export, "PATIENCE", 0.1)
    with pytest.raises(ExportError, match=r"^pt2 took more than .* minutes; take the weights alone\.$"):
        write("pt2", network)


FULL = r"^%s was not written, since the disk is full: make room there, or try again later\.$"


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is not limited there")
@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("beyond", [-1000, 1000], ids=["before", "at the end"])
def test_a_full_disk_is_one_sentence(form, beyond, tmp_path):
    """No file may have more bytes than the weights, and some: then the process that makes the program fails."""
    import resource

    network = build(plan(small("resnet")))
    export.write("safetensors", network, tmp_path / "weights")
    room = (tmp_path / "weights").stat().st_size + beyond
    if form == "safetensors" and beyond > 0:
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(ExportError, match=FULL % form):
            export.write(form, network, tmp_path / "network")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [one.name for one in tmp_path.iterdir()] == ["weights"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "There was too little memory to make pt2"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "too little memory",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    ],
)
def test_what_the_machine_lacks_is_said_by_the_process_that_meets_it(error, words, monkeypatch, write):
    """Also where the exporter says its own around it."""

    def fail(form, folder):
        try:
            raise error
        except Exception as cause:
            raise ValueError("The export has failed.") from cause

    def run(command, meanwhile):
        with pytest.raises(SystemExit) as ended, export._telling():
            export._write(command[-2], Path(command[-1]))
        return ended.value.code, ""

    monkeypatch.setattr(export, "_write", fail)
    monkeypatch.setattr(export, "_run", run)
    with pytest.raises(ExportError, match=words):
        write("pt2", build(plan(small("resnet"))))
    monkeypatch.setattr(export, "_run", lambda command, meanwhile: (-9, ""))  # as the system ends what takes too much
    with pytest.raises(ExportError, match="There was too little memory"):
        write("pt2", build(plan(small("resnet"))))


def test_more_than_a_file_of_onnx_can_hold_is_refused_at_once(monkeypatch, write):
    monkeypatch.setattr(export, "MOST_ONNX", 1000)
    with pytest.raises(ExportError, match=r"^An ONNX file holds 2 GB at most, and these weights have .* take pt2\.$"):
        write("onnx", build(plan(small("resnet"))))


class Left(BaseException):
    """As a visitor does whose page is ended."""


def exporters(folder: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if "explorer.running.export" in words and words[-1].startswith(str(folder)):
            found.append(one)
    return found


def test_it_ends_where_nobody_wants_it_any_more(tmp_path):
    seen = []

    def meanwhile():
        seen[:] = exporters(tmp_path)
        if seen:
            raise Left

    with pytest.raises(Left):
        export.write("pt2", build(plan(small("resnet"))), tmp_path / "network", meanwhile=meanwhile)
    assert seen
    assert exporters(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


WAITING = """
import sys
from pathlib import Path
from explorer.families import PRESETS, plan
from explorer.network import build
from explorer.running import export
export.write("pt2", build(plan(PRESETS["resnet20_cifar"])), Path(sys.argv[1], "network"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process has no other parent there when its own has gone")
def test_it_ends_with_the_process_that_wanted_it(tmp_path):
    """Which may be killed, and then ends nothing."""
    with subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)], cwd=ROOT) as wanting:
        while not (found := exporters(tmp_path)):
            assert wanting.poll() is None
            time.sleep(0.05)
        wanting.kill()
    _, alive = psutil.wait_procs(found, 30)
    assert alive == []
    assert not list(tmp_path.rglob("network.pt2"))  # it has not gone on to its end


# --- what is known of the weights goes along

CARD = Card(Preparation(16, 20, (0.5, 0.25, 0.75), (0.5, 0.25, 0.125), "bicubic"), ("cat", 'the "dog"', "it's\\n"))


@pytest.fixture
def exported(within, write):
    return {form: write(form, build(plan(small("resnet"))), CARD, small("resnet")) for form in EXPORTS}


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
