"""A file that somebody opens: what it is found to be, which network it gives, and what is refused."""

import io
import json
import struct
import time
import zipfile

import pytest
import safetensors.torch
import torch
from possible import small
from visitor import FEATURE_MAPS, captions, config, fine, messages, opened, upload

from explorer.errors import ExplorerError
from explorer.families import PRESETS, plan
from explorer.pictures.preparation import Preparation
from explorer.running import opening
from explorer.running.card import NETWORK, Card
from explorer.running.network import build
from explorer.running.weights import save_safetensors

TINY = small("densenet").adapt(input_size=32)  # the size that is usual for its stem


def network_of(config):
    return build(plan(config), seed=7)


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


STATE = network_of(TINY).state_dict()
TENSORS = f"{len(STATE):,} tensors"


@pytest.mark.parametrize(
    "data",
    [
        safetensors.torch.save(STATE),
        saved(STATE),
        saved({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in STATE.items()}}),
        saved({"model": {name.replace("norm1", "norm.1").replace("conv1", "conv.1"): v for name, v in STATE.items()}}),
    ],
    ids=["safetensors", "pt", "wrapped and parallel", "wrapped and old"],
)
def test_names_and_shapes_tell_the_network(data):
    found = opening.find_network(data, "mine.pt", PRESETS["resnet20_cifar"])
    assert found.config == TINY
    assert found.said == f"mine.pt is a DenseNet of depth 18: {TENSORS} have its names and shapes."
    assert not opening.names_network(data, TINY)


def test_the_network_that_is_looked_at_keeps_its_size_of_images():
    at_64 = TINY.adapt(input_size=64, activation="gelu")
    found = opening.find_network(safetensors.torch.save(STATE), "mine.pt", at_64)
    assert found.config == at_64
    assert found.said.startswith("mine.pt fits the network chosen")


def test_what_the_file_says_of_its_network_comes_first():
    """It tells the activation, and the size of images, which no tensor does."""
    gelu = TINY.adapt(activation="gelu", input_size=48)
    data = save_safetensors(network_of(gelu), config=gelu)
    assert opening.find_network(data, "mine.safetensors", TINY).config == gelu
    assert opening.names_network(data, gelu)
    assert not opening.names_network(data, TINY)
    # but for the size of images where that very network is looked at
    at_64 = gelu.adapt(input_size=64)
    assert opening.find_network(data, "mine.safetensors", at_64).config == at_64


def test_a_card_tells_the_size_of_images():
    card = Card(Preparation(48, 48, (0.5,) * 3, (0.5,) * 3))
    assert opening.find_network(save_safetensors(network_of(TINY), card), "mine.safetensors").config.input_size == 48


def with_metadata(said):
    return safetensors.torch.save(STATE, {NETWORK: said})


NUMBER = '{"family": "densenet", "growth_rate": %s}'
SENTENCES = {  # file -> what its refusal begins with
    "100 MB": (b'{"a":' + b" " * 10**8 + b"1}", "x has 100 MB, and a network's configuration at most 1"),
    "deep": (b"[" * 10_000, "x is not JSON"),
    "deep in a field": (
        b'{"family": "densenet", "blocks": ' + b"[" * 400 + b"]" * 400 + b"}",
        "x holds no network that",
    ),
    "NaN": (NUMBER.replace("%s", "NaN").encode(), "x holds no network that can be: growth_rate=nan"),
    "infinite": (NUMBER.replace("%s", "1e999").encode(), "x holds no network that can be: growth_rate=inf"),
    "long number": (NUMBER.replace("%s", "9" * 5000).encode(), "x is not JSON"),
    "text": (NUMBER.replace("%s", '"<b>"').encode(), "x holds no network that can be: growth_rate='<b>'"),
    "no knob": (b'{"family": "densenet", "![x](//h)": 1}', "x holds no network that can be: '![x](//h)' is not a knob"),
    "family of a wrong type": (b'{"family": ["densenet"]}', "x holds no network that can be: family="),
    "a list": (b"[1, 2]", "x holds no network"),
    "a card": (b'{"mean": 0.5, "std": 0.5}', "x holds no network"),
    "not UTF-8": (b'{"family": "\xff"}', "x is not JSON"),
    "nothing": (b"", "x is neither"),
    "metadata: no JSON": (with_metadata("{"), "The metadata of x holds no network"),
    "metadata: deep": (with_metadata("[" * 10_000), "The metadata of x holds no network"),
    "metadata: 10,000 blocks": (
        with_metadata('{"family": "resnet", "blocks": [10000, 1, 1]}'),
        "The metadata of x holds",
    ),
    "metadata: another network": (with_metadata('{"family": "resnet"}'), "x says that it is ResNet-50, but it has no"),
    "a long header": (struct.pack("<Q", 3 * 10**6) + b"{" + bytes(3 * 10**6), "x has a table of contents far too long"),
    "a long pickle": (saved({"x" * 3 * 10**6: None}), "x has a table of contents far too long"),
    "tensors of no network": (safetensors.torch.save({"a": torch.ones(2)}), "x has not the tensors of a VGG"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_hostile_files_are_refused_at_once_in_a_sentence(name):
    data, begins = SENTENCES[name]
    read = opening.read_configuration if opening.is_text(data, "x") else opening.find_network
    begun = time.process_time()
    with pytest.raises(ExplorerError) as refusal:
        read(data, "x")
    assert time.process_time() - begun < 1
    assert str(refusal.value).startswith(begins)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


def test_a_pickle_of_the_shortest_steps_is_not_followed_for_long():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"}" * 2 * 10**5 + b".")
    with pytest.raises(ExplorerError, match="far more steps than weights need"):
        opening.find_network(file.getvalue(), "x")


@pytest.mark.usefixtures("navigation")
def test_the_page_opens_files_and_an_unknown_one_changes_nothing():
    app = opened(FEATURE_MAPS, network="resnet20_cifar")
    wanted = PRESETS["densenet40_12_cifar"].replace(growth_rate=4, blocks=(2, 2, 2))
    upload(app, "![x](y).json", json.dumps(wanted.model_dump()).encode())
    assert messages(app) == []
    assert config(app) == wanted
    assert app.query_params["network"] == "densenet40_12_cifar"
    assert "![x](y).json is the configuration of a DenseNet of depth 10." in captions(app)
    upload(app, "mine.safetensors", safetensors.torch.save(STATE))
    assert messages(app) == []
    assert config(app) == TINY
    assert f"mine.safetensors is a DenseNet of depth 18: {TENSORS} have its names and shapes." in captions(app)
    assert "uploaded: mine.safetensors" in captions(app)
    # another network first, then back to the file's weights
    app.selectbox(key="weights.source").select("fresh").run()
    assert "untrained" in captions(fine(app))
    app.selectbox(key="weights.source").select("uploaded").run()
    assert "uploaded: mine.safetensors" in captions(fine(app))
    upload(app, "none.pt", saved({"features.0.weight": torch.ones(8, 3, 3, 3)}))
    assert sorted(messages(app)) == [
        "mine.safetensors was taken away; the network has fresh weights.",
        "none.pt looks like a VGG, but has no classifier.weight.",
    ]
    assert config(app) == TINY
