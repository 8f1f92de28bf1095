"""The network in the sidebar as visitors choose it, and what becomes of choices that cannot be."""

import pytest
import torch
from made import made, register
from published import PUBLISHED
from streamlit.testing.v1 import AppTest
from torchvision.models import DenseNet
from visitor import (
    ARCHITECTURE,
    FEATURE_MAPS,
    FOLDED,
    GRADIENT_FLOW,
    captions,
    config,
    exact,
    figures,
    fine,
    messages,
    opened,
    unvisited,
)

from controls.folded import key_of
from explorer.families import FAMILIES, PRESETS, TITLES

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet20_cifar"


def torchvision_densenet(growth_rate: int) -> int:
    with torch.device("meta"):
        network = DenseNet(growth_rate, (6, 12, 24, 16), 64)
    return sum(p.numel() for p in network.parameters())


def test_growth_rate_24():
    app = opened(network="densenet121")
    app.slider(key="densenet.growth_rate").set_value(24).run()
    assert exact(fine(app), "Parameters") == torchvision_densenet(24)
    assert app.title[0].value == "DenseNet of your own"
    assert "DenseNet-121 with growth rate k 32 → 24." in captions(app)
    assert app.query_params == {"network": "densenet121", "growth_rate": "24"}
    app.slider(key="densenet.growth_rate").set_value(32).run()
    assert app.title[0].value == "DenseNet-121"
    assert app.query_params == {"network": "densenet121"}


def test_what_is_folded_is_drawn_once_it_is_unfolded():
    app = unvisited(network="densenet121")
    for name in FOLDED:
        app.session_state[key_of(name)] = False

    def sizes() -> list[float]:
        return [one.value for one in fine(app).slider if one.key == "densenet.input_size"]

    app.run()
    assert sizes() == []
    app.session_state[key_of("knobs")] = True
    app.run()
    assert sizes() == [224]
    app.slider(key="densenet.input_size").set_value(96).run()
    app.session_state[key_of("knobs")] = False
    app.run()
    assert sizes() == []
    assert config(app).input_size == 96  # folded, it holds all the same
    app.session_state[key_of("knobs")] = True
    app.run()
    assert sizes() == [96]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_opens_with_its_first_network(family):
    other = next(one for one in FAMILIES if one != family)
    app = opened(network=next(iter(FAMILIES[other].presets)))
    app.pills(key="family").select(family).run()
    first = next(iter(FAMILIES[family].presets))
    assert app.title[0].value == TITLES[first]
    assert app.selectbox(key="preset").options == [preset.title for preset in FAMILIES[family].presets.values()]
    assert fine(app).query_params == {"network": first}


def test_a_fault_in_a_family_stays_with_it(monkeypatch):
    """One sentence on the pages of the network that cannot be written; the way to another network stays open."""

    def faulty(net, cfg):
        raise IndexError("tuple index out of range")

    register(monkeypatch, made(write=faulty))
    for page in (ARCHITECTURE, FEATURE_MAPS, GRADIENT_FLOW):
        app = opened(page, network=SMALL)
        assert messages(app) == []
        app.pills(key="family").select("made").run()
        (sentence,) = messages(fine(app))
        assert "The family Made cannot write this network (IndexError: tuple index out of range)" in sentence
        app.pills(key="family").select("densenet").run()
        assert messages(fine(app)) == []
        assert app.query_params == {"network": "densenet121"}


def test_a_preset_is_chosen():
    app = opened()
    app.selectbox(key="preset").select("wide_resnet50_2").run()
    assert fine(app).title[0].value == "Wide ResNet-50-2"
    assert exact(app, "Parameters") == int(PUBLISHED["wide_resnet50_2"]["params"])
    assert "This is **Wide ResNet-50-2**." in captions(app)


def test_a_preset_that_is_no_longer_in_the_list_is_one_sentence():
    """As a browser sends it that has not yet drawn the list of the family chosen meanwhile."""
    app = opened(network="densenet121")
    states = app._tree.get_widget_states()
    states.widgets.add(id=app.selectbox(key="preset").proto.id, string_value="ResNet-18")
    app._run(states)
    assert messages(fine(app)) == ["Not changed: ResNet-18 is not in the list that is shown now; choose again."]
    assert app.title[0].value == "DenseNet-121"
    assert messages(fine(app.run())) == []


def test_no_number_of_stages_leaves_it_as_it_is():
    app = opened(network="densenet121")
    (stages,) = (one for one in app.segmented_control if one.key == "densenet.blocks.count")
    states = app._tree.get_widget_states()
    for one in [one for one in states.widgets if one.id == stages.proto.id]:
        states.widgets.remove(one)
    states.widgets.add(id=stages.proto.id).string_array_value.SetInParent()
    app._run(states)
    assert config(fine(app)).blocks == PRESETS["densenet121"].blocks


def test_a_depth_is_chosen():
    app = opened(network="resnet18")
    app.selectbox(key="depth").select("50").run()
    assert fine(app).title[0].value == "ResNet-50"
    # it started from another network, and says so
    assert app.query_params == {"network": "resnet18", "block": "bottleneck", "blocks": "3-4-6-3"}
    app.pills(key="family").select("densenet").run()
    app.selectbox(key="depth").select("169").run()
    assert fine(app).title[0].value == "DenseNet-169"


def test_a_depth_that_nobody_has_named():
    app = opened(network="resnet18")
    app.slider(key="resnet.blocks.0").set_value(5).run()
    # two convolutions in each of 5 + 2 + 2 + 2 blocks, the stem's and the classifier
    assert app.selectbox(key="depth").value == "custom (24)"
    assert figures(fine(app))["Depth"][0] == "24"
    app.selectbox(key="depth").select("34").run()
    assert fine(app).title[0].value == "ResNet-34"
    assert app.selectbox(key="depth").options == ["18", "34", "50", "101", "152"]


def test_knobs_that_do_nothing_are_hidden_and_say_why():
    def drawn(app: AppTest) -> set[str]:
        widgets = (*app.sidebar.slider, *app.sidebar.segmented_control, *app.sidebar.toggle, *app.sidebar.selectbox)
        return {widget.key.partition(".")[2] for widget in widgets}

    app = opened(network="resnet18")
    assert not {"cardinality", "group_width", "stride_on"} & drawn(app)
    assert "Cardinality, Group width: hidden, since only a bottleneck has a grouped 3x3" in captions(app)
    assert "Stride on: hidden, since a basic block has no 1x1." in captions(app)
    app.segmented_control(key="resnet.block").select("bottleneck").run()
    assert {"cardinality", "group_width", "stride_on"} <= drawn(fine(app))
    assert not any(f"{title}: hidden" in captions(app) for title in ("Group width", "Stride on"))


def test_what_cannot_be_is_refused_with_a_sentence():
    app = opened(network="resnet50")
    before = figures(app)
    app.slider(key="resnet.cardinality").set_value(3).run()
    (sentence,) = messages(fine(app))
    assert "cardinality=3 does not divide width=64" in sentence
    assert figures(app) == before
    assert app.slider(key="resnet.cardinality").value == 1
    assert app.query_params == {"network": "resnet50"}
    app.run()
    assert messages(app) == []  # it is said once


def test_a_small_input_is_refused_where_stages_would_have_no_pixels():
    app = opened(network="densenet121")
    app.slider(key="densenet.input_size").set_value(24).run()
    (sentence,) = messages(fine(app))
    assert "halve the image 5 times" in sentence
    assert app.slider(key="densenet.input_size").value == config(app).input_size == 224


def test_reset():
    app = opened(network="densenet121", growth_rate="24", blocks="6-6-6", norm="group")
    (reset,) = (button for button in app.button if button.label == "Reset")
    reset.click().run()
    assert config(fine(app)) == PRESETS["densenet121"]
    assert app.slider(key="densenet.growth_rate").value == 32
    assert app.query_params == {"network": "densenet121"}
    (reset,) = (button for button in app.button if button.label == "Reset")
    assert reset.disabled


def test_bottleneck_with_cardinality_becomes_basic():
    app = opened(network="resnext50_32x4d")
    app.segmented_control(key="resnet.block").select("basic").run()
    assert messages(fine(app)) == []
    # 3-4-6-3 basic blocks are those of ResNet-34
    assert app.title[0].value == "ResNet-34"
    assert exact(app, "Parameters") == int(PUBLISHED["resnet34"]["params"])


def test_stages_are_added_and_taken_away():
    app = opened(network="densenet121")
    app.segmented_control(key="densenet.blocks.count").select(3).run()
    assert config(fine(app)).blocks == (6, 12, 24)
    app.segmented_control(key="densenet.blocks.count").select(5).run()
    assert config(fine(app)).blocks == (6, 12, 24, 24, 24)
    app.slider(key="densenet.blocks.4").set_value(2).run()
    assert config(fine(app)).blocks == (6, 12, 24, 24, 2)
    app.pills(key="family").select("cliquenet").run()
    app.segmented_control(key="cliquenet.widths.count").select(3).run()
    assert (config(fine(app)).widths, config(app).layers) == ((36, 64, 100), (5, 6, 6))
