"""Weights: what they are called, how they are fetched, which files fit. Files and servers are made here."""

import hashlib
import io
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from made import TINY, made, register
from torch import nn
from torchvision.models import densenet

from explorer.families import FAMILIES, Family, Preset, known_as, plan
from explorer.pictures.preparation import Preparation
from explorer.running import weights
from explorer.running.network import blank
from explorer.running.source import python_source
from explorer.running.weights import Weights, WeightsError, read_checkpoint, read_torchvision, torchvision_weights

State = dict[str, torch.Tensor]


def small(seed: int = 0) -> nn.Sequential:
    """Convolution, norm, linear: 9 tensors, of which one is an integer."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))


def saved(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def assert_same(found: State, expected: State) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def refusal(data: bytes, expected: State, name: str = "model.pt") -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(data, name, expected)
    assert "\n" not in str(caught.value)
    return caught.value


# --- what weights are called


def test_labels_say_where_weights_come_from() -> None:
    newest, oldest = torchvision_weights("resnet50")
    upload = weights.uploaded("1f", "C:\\files\\..\\mo\x1bdel.safetensors")

    assert weights.fresh(3).label == "untrained (seed 3)"
    assert newest.label == "torchvision ImageNet, IMAGENET1K_V2"
    assert oldest.name == "ImageNet (IMAGENET1K_V1)"
    assert upload.label == "uploaded: mo?del.safetensors"
    assert [w.trained for w in (weights.fresh(3), newest, upload)] == [False, True, True]


def test_weights_are_equal_when_their_numbers_are() -> None:
    assert weights.uploaded("a" * 64, "x.pt") == weights.uploaded("a" * 64, "y.pt")
    assert weights.uploaded("a" * 64, "x.pt") != weights.uploaded("b" * 64, "x.pt")
    assert len({weights.fresh(1), weights.fresh(1), weights.fresh(2)}) == 2


def test_torchvision_facts_are_the_published_ones() -> None:
    # https://docs.pytorch.org/vision/stable/models.html and the recipe of each pair of weights
    v2, v1 = torchvision_weights("resnet50")
    assert (v2.identity, v1.identity) == ("ResNet50_Weights.IMAGENET1K_V2", "ResNet50_Weights.IMAGENET1K_V1")
    assert (weights.published_accuracy(v2), weights.published_accuracy(v1)) == (80.858, 76.13)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert weights.preparation(v2) == Preparation(224, 232, mean, std, "bilinear")
    assert weights.preparation(v1) == Preparation(224, 256, mean, std, "bilinear")
    names = weights.categories(v1)
    assert len(names) == 1000
    assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")
    assert weights.class_names(v1, 1000) == names
    assert weights.class_names(weights.fresh(0), 3) == ("class 0", "class 1", "class 2")


def test_only_weights_of_networks_like_ours_are_offered() -> None:
    for name in ("cliquenet", "", "resnet50.evil", "fcn_resnet50", "quantized_resnet50"):
        assert torchvision_weights(name) == ()
    # torchvision's second file for vgg16 has features alone, and a classifier that is not a number
    assert [found.identity for found in torchvision_weights("vgg16")] == ["VGG16_Weights.IMAGENET1K_V1"]
    fresh = weights.fresh(0)
    assert weights.categories(fresh) == ()
    assert weights.preparation(fresh) is None
    assert weights.published_accuracy(fresh) is None
    for identity in ("ResNet50_Weights.V9", "FCN_ResNet50_Weights.DEFAULT", "os.system", "nonsense", ""):
        with pytest.raises(WeightsError, match="torchvision has no weights named"):
            weights.categories(Weights("torchvision", identity, ""))


def test_torchvisions_weights_are_for_the_networks_that_a_family_says_are_torchvisions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name alone says nothing: another network called alexnet is offered none of AlexNet's weights."""
    register(monkeypatch, made(presets={"alexnet": Preset("A network of mine", TINY)}))
    assert known_as(TINY) == "alexnet"
    assert weights.offered(TINY) == ()
    assert "torchvision" not in python_source(TINY)
    register(monkeypatch, made(presets={"mine": Preset("A network of mine", TINY, torchvision="alexnet")}))
    (found,) = weights.offered(TINY)
    assert found.identity == "AlexNet_Weights.IMAGENET1K_V1"
    # whatever the size of its images, and not with other knobs
    assert weights.offered(TINY.replace(input_size=64)) == (found,)
    assert weights.offered(TINY.replace(width=5)) == ()
    assert "torchvision.models.alexnet is the same network" in python_source(TINY)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_a_family_says_is_torchvisions_has_torchvisions_tensors(family: Family) -> None:
    for preset in family.presets.values():
        if preset.torchvision:
            with torch.device("meta"):
                theirs = torchvision.models.get_model(preset.torchvision, weights=None).state_dict()
            ours = blank(plan(preset.config)).state_dict()
            assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in theirs.items()}
            assert weights.offered(preset.config)


# --- download

RESNET = torchvision_weights("resnet50")[0]
BODY = saved({"w": torch.arange(400_000.0)})  # 1.6 MB: more than one chunk
NAME = f"tiny-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"


class Server:
    """A web server on this machine; `answer` writes each response. Its torch cache is `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.requests = folder, 0
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.whole
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def whole(self, handler: BaseHTTPRequestHandler, body: bytes = BODY, promised: int = len(BODY)) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(promised))
        handler.end_headers()
        handler.wfile.write(body)

    def stop(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/models/{NAME}"

    @property
    def files(self) -> list[str]:
        return [path.name for path in (self.folder / "checkpoints").iterdir()]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(tmp_path / "hub")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(made.folder))
    monkeypatch.setattr(weights, "_url", lambda _: made.url)
    yield made
    made.stop()


def failure(server: Server, timeout: float = 10) -> str:
    """The sentence of a download that fails and leaves nothing behind."""
    with pytest.raises(WeightsError) as caught:
        weights.download(RESNET, timeout=timeout)
    assert server.files == []
    sentence = str(caught.value)
    assert sentence.startswith("ImageNet weights for resnet50 could not be downloaded (")
    assert sentence.endswith("); the network keeps fresh weights.")
    return sentence


def test_download_reports_progress_and_torch_finds_the_file(server: Server) -> None:
    steps: list[tuple[int, int]] = []
    path = weights.download(RESNET, progress=lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == BODY
    assert steps == [(1 << 20, len(BODY)), (len(BODY), len(BODY))]

    server.stop()  # from here on only the cache can answer, ours and torch's
    assert weights.download(RESNET, progress=lambda done, total: pytest.fail("it was there")) == path
    state = torch.hub.load_state_dict_from_url(server.url, check_hash=True, weights_only=True)
    assert torch.equal(state["w"], torch.arange(400_000.0))
    assert (server.requests, server.files) == (1, [NAME])


def test_another_file_than_the_published_one_is_refused(server: Server) -> None:
    server.answer = lambda handler: server.whole(handler, body=BODY[:-1] + b"!")
    assert "not the one torchvision published" in failure(server)


def test_a_file_that_breaks_off_is_refused(server: Server) -> None:
    server.answer = lambda handler: server.whole(handler, body=BODY[:5000])
    assert f"broke off after 5000 of {len(BODY)} bytes" in failure(server)


def test_a_missing_file_is_an_answer(server: Server) -> None:
    server.answer = lambda handler: handler.send_error(404)
    assert "answered 404" in failure(server)


def test_a_silent_server_is_not_waited_for(server: Server) -> None:
    server.answer = lambda handler: time.sleep(0.5)
    start = time.monotonic()
    assert "was silent for 0.2 s" in failure(server, timeout=0.2)
    assert time.monotonic() - start < 0.5


def test_no_server_and_no_such_host(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.url
    server.stop()
    assert f"no connection to {url.split('/')[2]}" in failure(server)
    monkeypatch.setattr(weights, "_url", lambda _: "http://nowhere.invalid/resnet50-00000000.pth")
    assert "no connection to nowhere.invalid" in failure(server)


def test_a_server_that_speaks_no_http(server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    server.answer = answer
    assert "no connection to 127.0.0.1" in failure(server)


def test_a_cache_that_cannot_be_written(server: Server) -> None:
    server.folder.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"File exists|Not a directory"):
        weights.download(RESNET)


def test_two_downloads_at_once_both_succeed(server: Server) -> None:
    both = threading.Barrier(2, timeout=10)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        both.wait()
        server.whole(handler)

    server.answer = answer
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(weights.download(RESNET))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == server.requests == 2
    assert server.files == [NAME]
    assert paths[0].read_bytes() == BODY


# --- torchvision's files


def old_densenet(state: State) -> State:
    """As torchvision's files have it: "norm.1" for "norm1", and no counters."""
    old = {}
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            for name in ("norm1", "norm2", "conv1", "conv2"):
                if "denselayer" in key:
                    key = key.replace(f".{name}.", f".{name[:-1]}.{name[-1]}.")
            old[key] = value
    return old


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_old_densenet_files_are_read_as_torchvision_reads_them(tmp_path: Path, zipped: bool) -> None:
    torch.manual_seed(0)
    state = old_densenet(torchvision.models.densenet121().state_dict())
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    path = tmp_path / "densenet121-a639ec97.pth"
    path.write_bytes(saved(state, _use_new_zipfile_serialization=zipped))

    class File:  # what torchvision's own loader asks for its state dict
        def get_state_dict(self, **_: object) -> State:
            return dict(state)

    theirs = torchvision.models.densenet121()
    densenet._load_state_dict(theirs, File(), progress=False)
    assert_same(read_torchvision(path, "densenet121", theirs.state_dict()), theirs.state_dict())


def test_a_network_that_is_not_quite_torchvisions(tmp_path: Path) -> None:
    path = tmp_path / "resnet18-f37072fd.pth"
    path.write_bytes(saved(torchvision.models.resnet18().state_dict()))
    with torch.device("meta"):
        ours = torchvision.models.resnet18(num_classes=10)
    with pytest.raises(WeightsError, match="resnet18 does not fit the network") as caught:
        read_torchvision(path, "resnet18", ours.state_dict())
    assert caught.value.mismatches == (
        "fc.weight: file has (1000, 512), network needs (10, 512)",
        "fc.bias: file has (1000,), network needs (10,)",
    )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="delete it to download it again"):
        read_torchvision(path, "resnet18", ours.state_dict())


# --- uploaded files that are welcome


def test_uploads_have_the_values_that_their_own_libraries_read() -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    state = network.state_dict()
    with torch.device("meta"):
        expected = torchvision.models.resnet18().state_dict()

    zipped, tensors = saved(state), weights.save_safetensors(network)
    assert_same(read_checkpoint(zipped, "a.pt", expected), torch.load(io.BytesIO(zipped), weights_only=True))
    assert_same(read_checkpoint(zipped, "a.safetensors", expected), state)  # content decides, not the name
    assert_same(read_checkpoint(tensors, "a.pt", expected), state)
    assert_same({key: safetensors.torch.load(tensors)[key] for key in state}, state)


def test_a_loaded_network_computes_what_the_saved_one_did() -> None:
    theirs, ours, x = small(1).eval(), small(2).eval(), torch.randn(2, 3, 4, 4)
    weights.load(ours, read_checkpoint(saved(theirs.state_dict()), "m.pt", ours.state_dict()))
    assert torch.equal(ours(x), theirs(x))


def training_checkpoint(network: nn.Module) -> dict[str, object]:
    """As training scripts save it, here after one step of Adam."""
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    notes = {"epoch": 7, "best": 0.5, "args": {"lr": [1e-3], "big": 2**40}}
    return {"state_dict": network.state_dict(), "optimizer": optimizer.state_dict(), **notes}


def shared_storage(state: State) -> State:
    """All floats as views of one buffer, as optimizers that flatten parameters leave them."""
    flat = torch.cat([value.flatten() for value in state.values() if value.is_floating_point()])
    views, start = dict(state), 0
    for key, value in state.items():
        if value.is_floating_point():
            views[key] = flat[start : start + value.numel()].view(value.shape)
            start += value.numel()
    return views


FORMS: dict[str, Callable[[nn.Sequential], object]] = {
    "plain": lambda net: net.state_dict(),
    "dict of parameters": lambda net: {**net.state_dict(), **dict(net.named_parameters())},
    "training checkpoint": training_checkpoint,
    "under model": lambda net: {"model": net.state_dict()},
    "DataParallel": lambda net: nn.DataParallel(net).state_dict(),
    "no counters": lambda net: {k: v for k, v in net.state_dict().items() if not k.endswith("tracked")},
    "channels last": lambda net: net.to(memory_format=torch.channels_last).state_dict(),
    "one storage": lambda net: shared_storage(net.state_dict()),
    "other order": lambda net: dict(reversed(net.state_dict().items())),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_state_dicts(form: str) -> None:
    network = small()
    data = saved(FORMS[form](network))
    found = read_checkpoint(data, "m.pt", small(1).state_dict())
    assert_same(found, network.state_dict())
    assert all(value.is_contiguous() for value in found.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [saved, safetensors.torch.save], ids=["pt", "safetensors"])
def test_other_precisions_are_cast(dtype: torch.dtype, save: Callable[[State], bytes]) -> None:
    network = small().to(dtype)
    expected = small(1).state_dict()
    found = read_checkpoint(save(network.state_dict()), "m", expected)
    assert_same(found, {key: value.to(expected[key].dtype) for key, value in network.state_dict().items()})


def test_save_safetensors_writes_tied_and_strided_weights() -> None:
    network = small().to(memory_format=torch.channels_last)
    network.add_module("tied", network[3])
    found = safetensors.torch.load(weights.save_safetensors(network))
    assert_same({key: found[key] for key in network.state_dict()}, network.state_dict())


# --- uploaded files that do not fit


def test_mismatches_name_every_difference() -> None:
    with torch.device("meta"):
        expected = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)).state_dict()
    error = refusal(saved({**small().state_dict(), "epo\nch": 3}), expected)
    assert error.mismatches == (
        "0.weight: file has (4, 3, 3, 3), network needs (8, 3, 3, 3)",
        "0.bias: file has (4,), network needs (8,)",
        "missing: 2.weight",
        "missing: 2.bias",
        "unexpected: 3.weight",
        "unexpected: 3.bias",
        "unexpected: epo?ch",
    )
    assert str(error) == (
        "model.pt does not fit the network (0.weight: file has (4, 3, 3, 3), "
        "network needs (8, 3, 3, 3) and 6 more); choose the network it was saved from."
    )


def test_a_long_list_of_mismatches_is_cut() -> None:
    error = refusal(saved({f"w{i}": torch.zeros(1) for i in range(60)}), {"v": torch.zeros(1)})
    assert len(error.mismatches) == 51
    assert (error.mismatches[0], error.mismatches[-1]) == ("missing: v", "and 11 more")


@pytest.mark.parametrize("save", [saved, safetensors.torch.save], ids=["pt", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.complex64])
def test_only_floats_are_read_as_floats(dtype: torch.dtype, save: Callable[[State], bytes]) -> None:
    state = small().state_dict()
    state["3.bias"] = state["3.bias"].to(dtype)
    assert refusal(save(state), small().state_dict()).mismatches == (
        f"3.bias: file has {dtype} values, network needs torch.float32",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_must_be_finite_in_the_networks_precision(value: float) -> None:
    state = small().double().state_dict()
    state["1.running_var"][2] = value
    sentence = str(refusal(saved(state), small().state_dict()))
    assert sentence.startswith("model.pt has NaN or infinity in 1.running_var;")


def test_a_name_that_comes_twice() -> None:
    state = small().state_dict()
    twice = saved({**state, "module.3.bias": state["3.bias"]})
    assert "3.bias under an old and a new name" in str(refusal(twice, state))


def scripted() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; people still have its files
        torch.jit.save(torch.jit.script(small()), file)
    return file.getvalue()


OTHER_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "legacy": (lambda: saved(small().state_dict(), _use_new_zipfile_serialization=False), "before torch 1.6"),
    "pickle": (lambda: pickle.dumps({"0.weight": [1.0]}), "is a pickle"),
    "module": (lambda: saved(small()), "holds Python objects (torch.nn.modules.container.Sequential)"),
    "script": (scripted, "is a TorchScript archive"),
    "protocol": (lambda: saved(small().state_dict(), pickle_protocol=4), "(FRAME)"),
    "tensor": (lambda: saved(torch.ones(3)), "holds no state dict"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), "is neither a safetensors file nor"),
    "nothing": (lambda: b"", "is neither a safetensors file nor"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_other_files_are_refused_with_the_way_out(kind: str) -> None:
    make, reason = OTHER_FILES[kind]
    sentence = str(refusal(make(), small().state_dict(), "/tmp/my.pt"))
    assert sentence.startswith("my.pt ")
    assert reason in sentence
    assert sentence.endswith('; save the weights again with torch.save(network.state_dict(), "model.pt").')


def test_load_changes_nothing_unless_all_fits() -> None:
    network = small()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = {**small(1).state_dict(), "3.weight": torch.zeros(5, 17)}
    with pytest.raises(WeightsError) as caught:
        weights.load(network, state)
    assert caught.value.mismatches == ("3.weight: file has (5, 17), network needs (5, 16)",)
    assert_same(network.state_dict(), before)
