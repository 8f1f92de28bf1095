"""The attribution page as its visitors use it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from visitor import ATTRIBUTION, captions, fine, opened, upload

from controls import work
from explorer import links
from explorer.analyses.attribution.methods import METHODS
from explorer.families import FAMILIES, PRESETS, plan
from explorer.running import devices
from explorer.running.network import build
from explorer.running.weights import save_safetensors

pytestmark = pytest.mark.usefixtures("navigation")


def pictures(app):
    """How many maps are shown."""
    return sum(1 for found in app.get("plotly_chart") if found.key.startswith("scale."))


def test_maps_stand_side_by_side_each_with_its_stamp():
    app = fine(opened(ATTRIBUTION, network="resnet20_cifar", weights="fresh", **{"class": "0"}))
    assert "architecture, not of knowledge" in app.warning[0].value
    assert pictures(app) == 3
    assert [text.value for text in app.markdown if text.value.startswith("**")] == [
        "**Saliency**",
        "**Integrated Gradients**",
        "**Grad-CAM**",
    ]
    stamps = captions(app)
    assert stamps.count("untrained (seed 0), norms calibrated on photographs ·") == 3
    assert "layer3.2.relu2" in stamps
    assert "Complete: sums to" in stamps
    assert stamps.count("baseline: the data's mean colour") == 1


def shown(app):
    """The methods whose maps are shown, and those that are refused with the reason, in order."""
    maps = [found.key.rpartition(".")[2] for found in app.get("plotly_chart") if found.key.startswith("scale.")]
    return maps, [found.value.replace("\\", "") for found in app.info]


def link_of(family, **fields):
    """The family's plainest tiny network."""
    config = FAMILIES[family].examples[0].replace(**fields)
    return links.write(links.Choice(next(iter(FAMILIES[family].presets)), config))


@pytest.mark.parametrize("start", range(0, len(METHODS), 6))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_runs_on_every_family(family, start):
    methods = list(METHODS)[start : start + 6]
    link = link_of(family, activation="relu")
    app = opened(ATTRIBUTION, **link, methods=".".join(methods), steps="8", segments="16")
    app.number_input(key="link.samples").set_value(40).run()
    assert "".join(app.query_params["samples"]) == "40"
    for button in [one for one in fine(app).button if one.label.startswith("Explain")]:
        button.click().run()
    assert shown(fine(app)) == (methods, [])


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_for_relus_are_refused_on_other_functions_and_say_so(family):
    methods = "guided_backprop.saliency.deconvolution.deep_lift.guided_grad_cam.grad_cam"
    app = fine(opened(ATTRIBUTION, **link_of(family, activation="silu"), methods=methods))
    for button in [one for one in app.button if one.label.startswith("Explain")]:
        button.click().run()
    assert shown(fine(app)) == (
        ["saliency", "deep_lift", "grad_cam"],
        [
            f"{title} is a rule for the gradients of ReLUs, and this network has silu."
            for title in ("Guided backpropagation", "Deconvolution", "Guided Grad-CAM")
        ],
    )


def test_a_method_named_twice_is_shown_once():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="saliency.saliency"))
    assert shown(app) == (["saliency"], [])
    assert app.multiselect(key="link.methods").value == ["saliency"]


def test_a_link_alone_starts_nothing_long(monkeypatch):
    monkeypatch.setattr(devices, "macs_per_second", lambda device: 1e7)
    monkeypatch.setattr(work, "_delays", {})
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="integrated_gradients", steps="8"))
    (button,) = (one for one in app.button if one.label.startswith("Build and run"))
    app = fine(button.click().run())
    assert shown(app) == ([], [])
    # 10 passes forward and as many back through 68.86 M multiply-accumulates, 10 M a second; and they are narrow
    (button,) = (one for one in app.button if one.label.startswith("Explain"))
    assert button.label == "Explain (about 4 min)"
    button.click().run()
    assert shown(fine(app)) == (["integrated_gradients"], [])


def test_what_a_method_does_not_read_does_not_forget_its_map():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="saliency.integrated_gradients", steps="8"))

    def maps():
        return {key[2][2]: id(outcome.value) for key, outcome in app.session_state.visitor.results.items()}

    before = maps()
    app.selectbox(key="link.steps").set_value(16).run()
    after = maps()
    assert after["saliency"] == before["saliency"]
    assert after["integrated_gradients"] != before["integrated_gradients"]
    assert len(fine(app).session_state.visitor.results) == 3


def test_what_is_explained_is_in_the_link():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="grad_cam", op="layer2.2.relu2"))
    app.selectbox(key="link.class").set_value(4).run()
    app.selectbox(key="link.minus").set_value(7).run()
    app.selectbox(key="link.baseline").set_value("blurred").run()
    app.toggle(key="link.relu").set_value(False).run()
    stamps = captions(fine(app))
    assert "class 4" in stamps
    assert "rather than class 7" in stamps
    assert "layer2.2.relu2" in stamps
    link = dict(app.query_params)
    expected = {"class": "4", "minus": "7", "baseline": "blurred", "relu": "off", "methods": "grad_cam"}
    assert expected.items() <= {name: "".join(value) for name, value in link.items()}.items()
    again = fine(opened(ATTRIBUTION, **{name: "".join(value) for name, value in link.items()}))
    assert pictures(again) == 1
    assert "rather than class 7" in captions(again)


def test_a_map_in_bfloat16_says_so_and_the_others_stay():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", input_size="16", methods="saliency.deep_lift"))

    def maps():
        return {key[2][2]: id(outcome.value) for key, outcome in app.session_state.visitor.results.items()}

    before = maps()
    assert "bfloat16" not in captions(app)
    app.selectbox(key="link.precision").set_value("bfloat16").run()
    assert captions(fine(app)).count("bfloat16") == 1
    assert maps()["deep_lift"] == before["deep_lift"]
    assert maps()["saliency"] != before["saliency"]
    link = {name: "".join(value) for name, value in app.query_params.items()}
    assert link["precision"] == "bfloat16"
    assert captions(fine(opened(ATTRIBUTION, **link))).count("bfloat16") == 1


def test_the_operation_is_chosen_here_too():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="grad_cam"))
    app.selectbox(key="operation.box").set_value("layer1.1.conv2").run()
    assert "layer1.1.conv2" in captions(fine(app))
    assert "".join(app.query_params["op"]) == "layer1.1.conv2"


def test_nonsense_in_the_link_falls_back():
    app = fine(
        opened(
            ATTRIBUTION,
            network="resnet32_cifar",
            methods="saliency.<b>",
            steps="-1",
            baseline="x",
            channel="9e9",
            relu="?",
        )
    )
    assert pictures(app) == 1
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="nothing", **{"class": "77"}))
    assert "at least one method" in app.info[0].value


def test_a_channel_takes_the_classs_place():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", methods="gradient", op="layer1.0.conv1", channel="5"))
    assert "layer1.0.conv1, channel 5" in captions(app)


def test_a_map_is_put_to_the_test():
    app = fine(opened(ATTRIBUTION, network="resnet32_cifar", input_size="16", methods="gradient"))
    (button,) = (one for one in app.button if one.label.startswith("Check it"))
    button.click().run()
    fine(app)
    keys = {found.key for found in app.get("plotly_chart")}
    assert "attribution.curves" in keys
    assert [found.label for found in app.metric] == ["Infidelity", "Maximum sensitivity"]
    # fresh weights in the place of fresh ones would draw a likeness of 1, which reads as a failed check
    assert "attribution.randomisation" not in keys
    assert any("nothing can be unlearned" in found.value for found in app.info)


def test_networks_side_by_side():
    app = opened(ATTRIBUTION, network="resnet32_cifar", methods="saliency", against="plain.densenet40_12_cifar")
    app.toggle(key="link.across").set_value(True).run()
    assert pictures(fine(app)) == 3
    titles = [text.value for text in app.markdown]
    assert "**without shortcuts**" in titles


def test_trained_weights_are_not_called_untrained():
    app = opened(ATTRIBUTION, network="resnet32_cifar", methods="saliency")
    network = build(plan(PRESETS["resnet32_cifar"]), seed=3)
    with torch.no_grad():
        network.get_parameter("fc.bias").copy_(torch.eye(10)[2] * 1e6)
    upload(app, "mine.safetensors", save_safetensors(network))
    assert [box.value for box in app.warning] == []
    assert "class 2 100.0%" in captions(app)
    (button,) = (one for one in app.button if one.label.startswith("Check it"))
    button.click().run()
    assert "attribution.randomisation" in {found.key for found in fine(app).get("plotly_chart")}


def test_ones_own_picture_and_another_as_baseline():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(file, "PNG")
    app = opened(ATTRIBUTION, network="resnet32_cifar", methods="deep_lift", baseline="image")
    uploader = next(box for box in app.file_uploader if box.label == "Your own pictures")
    uploader.upload("mine.png", file.getvalue(), "image/png").run()
    assert pictures(fine(app)) == 1
