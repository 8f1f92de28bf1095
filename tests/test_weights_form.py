"""The weights in the sidebar: those that are offered, sent, and refused."""

from urllib.error import URLError

import pytest
from visitor import ARCHITECTURE, FEATURE_MAPS, captions, checkpoint, config, fine, messages, opened, upload, visit

from explorer.families import PRESETS
from explorer.running import weights

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet20_cifar"


def test_without_a_connection_the_page_goes_on_with_fresh_weights(monkeypatch, tmp_path):
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(weights, "urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    small = {"network": "resnet18", "input_size": "64"}
    app = opened(FEATURE_MAPS, **small)
    app.selectbox(key="weights.source").select("ResNet18_Weights.IMAGENET1K_V1").run()
    (sentence,) = messages(fine(app))
    assert "could not be downloaded" in sentence
    assert "no connection to download.pytorch.org" in sentence
    assert "untrained (seed 0)" in captions(app)
    assert "torchvision ImageNet" not in captions(app)
    assert app.query_params == small | {"weights": "ResNet18_Weights.IMAGENET1K_V1"}
    app.selectbox(key="weights.source").select("fresh").run()
    assert messages(fine(app)) == []


def test_torchvision_weights_are_offered_to_torchvision_networks_only():
    app = opened(network="resnet50")
    offered = app.selectbox(key="weights.source").options
    assert [title for title in offered if title.startswith("torchvision")] == [
        "torchvision: ImageNet (IMAGENET1K_V2)",
        "torchvision: ImageNet (IMAGENET1K_V1)",
    ]
    app.slider(key="resnet.blocks.0").set_value(4).run()
    assert not [title for title in app.selectbox(key="weights.source").options if title.startswith("torchvision")]


def test_an_uploaded_checkpoint_is_used_and_named():
    app = opened(FEATURE_MAPS, network=SMALL)
    upload(app, "mine.safetensors", checkpoint(SMALL, seed=7))
    app.run()
    assert messages(fine(app)) == []
    assert "uploaded: mine.safetensors" in captions(app)
    assert "untrained" not in captions(app)
    # it is the network of seed 7, and answers as that does
    same = opened(FEATURE_MAPS, network=SMALL, seed="7")
    assert app.dataframe[0].value.equals(same.dataframe[0].value)
    # on another page and back
    visit(app.switch_page(ARCHITECTURE), FEATURE_MAPS)
    assert "uploaded: mine.safetensors" in captions(app)


def test_a_checkpoint_of_another_network_is_told_about_and_changes_nothing():
    app = opened(FEATURE_MAPS, network=SMALL, growth_rate="2", seed="3", op="conv1")
    before = app.dataframe[0].value
    upload(app, "other.safetensors", checkpoint("resnet32_cifar", seed=0))
    (sentence,) = messages(app)
    assert "other.safetensors does not fit the network" in sentence
    (lines,) = app.sidebar.text
    assert "unexpected: layer1.3.conv1.weight" in lines.value
    assert app.dataframe[0].value.equals(before)
    assert "untrained (seed 3)" in captions(app)
    assert config(app) == PRESETS[SMALL]
    assert app.selectbox(key="operation.box").value == "conv1"


def test_a_file_that_is_no_checkpoint_is_told_about():
    app = opened(FEATURE_MAPS, network=SMALL)
    upload(app, "evil.pt", b"cos\nsystem\n(S'true'\ntR.")
    (sentence,) = messages(app)
    assert sentence.startswith("evil.pt ")
    assert "untrained (seed 0)" in captions(app)


def test_a_checkpoint_for_a_network_that_was_changed_since():
    app = opened(FEATURE_MAPS, network=SMALL)
    upload(app, "mine.safetensors", checkpoint(SMALL, seed=7)).run()
    app.slider(key="resnet.width").set_value(24).run()
    (sentence,) = messages(fine(app))
    assert "mine.safetensors does not fit the network" in sentence
    assert "untrained" in captions(app)
    app.slider(key="resnet.width").set_value(16).run()
    assert messages(fine(app)) == []
    assert "uploaded: mine.safetensors" in captions(app)
