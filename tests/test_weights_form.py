"""The weights in the sidebar: those that are offered, sent, and refused."""

import hashlib
import io
import re
from urllib.error import URLError

import pytest
import torch
from PIL import Image
from visitor import ARCHITECTURE, FEATURE_MAPS, captions, checkpoint, fine, link, messages, opened, upload, visit

from controls import kept
from explorer.families import PRESETS, plan
from explorer.pictures.preparation import Preparation
from explorer.running import downloading, unsaid, weights
from explorer.running.card import UNKNOWN, Card
from explorer.running.network import build

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet32_cifar"


def test_without_a_connection_the_page_goes_on_with_fresh_weights(monkeypatch, tmp_path):
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(downloading, "urlopen", offline)
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
    same = opened(FEATURE_MAPS, network=SMALL, seed="7", norms="raw")
    assert app.dataframe[0].value.equals(same.dataframe[0].value)
    # on another page and back
    visit(app.switch_page(ARCHITECTURE), FEATURE_MAPS)
    assert "uploaded: mine.safetensors" in captions(app)


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


# --- how pictures are prepared for a checkpoint


GREY = 122  # of 255: 0.478, above ImageNet's mean (0.449 over the channels) and below 0.5


def brighter_than_the_mean(card=UNKNOWN):
    """A checkpoint that answers class 1 for a grey picture above the mean of its preparation, and else class 0.

    Its first convolution averages the channels of a pixel, shortcuts carry what is above zero to the classifier, and
    there it counts for class 1 against 0.05 for class 0.
    """
    network = build(plan(PRESETS[SMALL]), seed=0)
    state = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
    for key, value in state.items():
        if key.endswith("running_var") or key == "bn1.weight":
            value.fill_(1)
    state["conv1.weight"][0, :, 1, 1] = 1 / 3
    state["fc.weight"][1] = 1
    state["fc.bias"].copy_(torch.tensor([0.05, 0] + [-9.0] * 8))
    network.load_state_dict(state)
    return weights.save_safetensors(network, card)


def grey_picture():
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (GREY,) * 3).save(file, "PNG")
    return file.getvalue()


def looking_at_grey(page=FEATURE_MAPS):
    app = opened(page, network=SMALL)
    app.main.file_uploader[0].set_value(("grey.png", grey_picture(), "image/png")).run()
    return fine(app)


def answer(app):
    return fine(app).dataframe[0].value.answer[0]


def infos(app):
    return [re.sub(r"\\(\W)", r"\1", found.value) for found in app.info]


def say(app, **typed):
    """The form beside the checkpoint, filled and sent."""
    for name, value in typed.items():
        (box,) = [box for box in (*app.text_input, *app.text_area) if (box.key or "").endswith(f".{name}")]
        box.set_value(value)
    next(button for button in app.button if button.label == "Use").click()
    return fine(app.run())


OWN = Preparation(32, 32, (0.5,) * 3, (0.5,) * 3)


def test_an_unknown_preparation_is_said_and_can_be_typed():
    app = upload(looking_at_grey(), "mine.safetensors", brighter_than_the_mean()).run()
    assert answer(app) == "class 1"  # 0.478 is above ImageNet's mean
    assert [
        said for said in infos(app) if said.startswith("How pictures were prepared for mine.safetensors is not known")
    ]
    assert "mean 0.485, 0.456, 0.406; std 0.229, 0.224, 0.225 · ImageNet's" in captions(app)
    say(app, mean="0.5", std="0.5", names="dark\nbright\n" + "\n".join("cdefghij"))
    assert answer(app) == "dark"  # and below 0.5
    assert infos(app) == []
    assert "mean 0.5, 0.5, 0.5; std 0.5, 0.5, 0.5 · said of this checkpoint" in captions(app)
    # on another page, and after other weights
    visit(app.switch_page("pages/attribution.py"), "pages/attribution.py")
    assert answer(app) == "dark"


@pytest.mark.parametrize("page", [FEATURE_MAPS, "pages/attribution.py"])
def test_a_file_that_says_its_preparation_is_believed(page):
    card = Card(OWN, tuple("abcdefghij"))
    app = upload(looking_at_grey(page), "mine.safetensors", brighter_than_the_mean(card)).run()
    assert answer(app) == "a"
    assert infos(app) == []


def test_gradient_flow_says_it_too():
    app = upload(opened("pages/gradient_flow.py", network=SMALL, images="samples"), "m.pt", brighter_than_the_mean())
    assert any("is not known" in said for said in infos(fine(app.run())))


def test_what_cannot_be_is_refused_in_one_sentence_and_changes_nothing():
    app = upload(looking_at_grey(), "mine.safetensors", brighter_than_the_mean()).run()
    for typed, reason in (
        ({"mean": "half", "std": "1"}, "'half' is not a number"),
        ({"mean": "0.5", "std": "0"}, "a deviation is above 0"),
        ({"mean": "0.5", "std": ""}, "give one or three values of each"),
        ({"mean": "0.1, 0.2", "std": "1, 1"}, "give one or three values of each"),
        ({"mean": "", "std": "", "names": "only one"}, "There are 1 class names, and the network has 10 classes"),
    ):
        (sentence,) = messages(say(app, **typed))
        assert reason in sentence
        assert answer(app) == "class 1"


def test_a_card_of_another_network_is_left_out_and_the_weights_are_used():
    card = Card(OWN, ("only", "two"))
    app = upload(looking_at_grey(), "mine.safetensors", brighter_than_the_mean(card)).run()
    assert answer(app) == "class 1"
    assert any("is not known" in said for said in infos(app))


def test_a_json_file_beside_the_checkpoint():
    app = upload(looking_at_grey(), "mine.safetensors", brighter_than_the_mean()).run()
    box = next(box for box in app.file_uploader if box.label == "Or as a file")
    box.set_value(("card.json", b'{"mean": 0.5, "std": 0.5, "classes": ["a","b","c","d","e","f","g","h","i","j"]}', ""))
    say(app)
    assert answer(app) == "a"
    values = [box.value for box in (*app.text_input, *app.text_area) if (box.key or "").startswith("card.")]
    assert values == ["0.5", "0.5", "\n".join("abcdefghij")]


# --- what weights are good for


def test_the_same_tensors_in_a_network_that_computes_something_else_are_said_to_be():
    app = upload(opened(FEATURE_MAPS, network=SMALL), "mine.safetensors", checkpoint(SMALL, seed=7)).run()
    said = "loaded for a network that computes something else with the same tensors"
    assert not any(said in one for one in infos(app))
    # a shortcut of type A has no parameters: without it the same tensors fit
    app.selectbox(key="resnet.shortcut").select("none").run()
    assert any(said in one for one in infos(fine(app)))
    assert "uploaded: mine.safetensors, loaded for another network" in captions(app)
    # other sizes of images are no other network, and back is back
    app.selectbox(key="resnet.shortcut").select("A").run()
    app.slider(key="resnet.input_size").set_value(48).run()
    assert not any(said in one for one in infos(fine(app)))


def test_what_names_and_shapes_do_not_show_is_said():
    app = upload(opened(FEATURE_MAPS, network=SMALL), "mine.safetensors", checkpoint(SMALL, seed=7)).run()
    for sentence in unsaid.sentences(plan(PRESETS[SMALL])):
        assert sentence in captions(app)


def test_a_file_that_the_visitor_takes_away_is_gone():
    app = upload(opened(FEATURE_MAPS, network=SMALL), "mine.safetensors", checkpoint(SMALL, seed=7)).run()
    app.file_uploader(key="open.file").clear().run()
    assert messages(fine(app)) == ["mine.safetensors was taken away; the network has fresh weights."]
    assert "untrained (seed 0)" in captions(app)


def test_the_digest_of_an_upload_is_computed_once(monkeypatch):
    read: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(kept.hashlib, "sha256", lambda data=b"": read.append(len(data)) or real(data))
    data = checkpoint(SMALL, seed=7)
    app = upload(opened(network=SMALL), "mine.safetensors", data).run()
    for width in (20, 16, 16):
        app.slider(key="resnet.width").set_value(width).run()
    visit(app.switch_page(FEATURE_MAPS), FEATURE_MAPS)
    assert read.count(len(data)) == 1


def test_a_checkpoint_on_the_server(tmp_path, monkeypatch):
    assert "open.name" not in {box.key for box in opened(network=SMALL).selectbox}
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.safetensors").write_bytes(checkpoint(SMALL, seed=7))
    (tmp_path / "other.pt").write_bytes(b"nothing")
    monkeypatch.setenv("EXPLORER_CHECKPOINTS", str(tmp_path))
    app = opened(FEATURE_MAPS, network=SMALL)
    assert app.selectbox(key="open.name").options == ["other.pt", "digits/mine.safetensors"]
    app.selectbox(key="open.name").select("digits/mine.safetensors").run()
    assert messages(fine(app.run())) == []
    assert "checkpoint: digits/mine.safetensors" in captions(app)
    assert link(app)["weights"] == "file-digits/mine.safetensors"
    assert "checkpoint: digits/mine.safetensors" in captions(opened(FEATURE_MAPS, **link(app)))
    (sentence,) = messages(opened(network=SMALL, weights="file-../other.pt"))
    assert sentence == "The link names a checkpoint '../other.pt' that is not in the server's folder."
    same = opened(FEATURE_MAPS, network=SMALL, seed="7", norms="raw")
    assert app.dataframe[0].value.equals(same.dataframe[0].value)
    app.selectbox(key="open.name").select("other.pt").run()
    (sentence,) = messages(fine(app))
    assert sentence.startswith("other.pt is neither")
    assert "checkpoint: digits/mine.safetensors" in captions(app)


EVIL = "![x](https:&#47;&#47;evil.example&#47;x.png)[win](x)<b>"


@pytest.mark.parametrize("page", [FEATURE_MAPS, "pages/attribution.py", ARCHITECTURE])
def test_names_of_files_and_classes_are_no_markdown(page):
    card = Card(OWN, tuple(f"{EVIL}{i}" for i in range(10)))
    link = {"methods": "saliency"} if "attribution" in page else {}
    app = upload(opened(page, network=SMALL, **link), f"{EVIL}.safetensors", brighter_than_the_mean(card)).run()
    texts = [found.value for kind in (app.caption, app.markdown, app.info, app.warning, app.error) for found in kind]
    shown = [text for text in texts if "evil" in text]
    assert shown
    for text in shown:
        assert not re.search(r"(?<!\\)[\[\]()<>&#]", re.sub(r":material/\w+:", "", text).replace("(#", "")), text
