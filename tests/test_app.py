"""The app around its pages: links, what is too large for the machine, and visitors side by side."""

import pytest
from published import PUBLISHED
from visitor import (
    ARCHITECTURE,
    DESIGN_SPACE,
    FEATURE_MAPS,
    config,
    exact,
    fine,
    messages,
    opened,
    unvisited,
    visit,
    went,
)

from explorer import links
from explorer.families import PRESETS, plan

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet32_cifar"


LINK = {"network": "densenet40_12_cifar", "growth_rate": "8", "blocks": "2-3-4", "dropout": "0.2"}


@pytest.mark.parametrize("page", [ARCHITECTURE, FEATURE_MAPS])
def test_a_link_opens_the_same_network_on_every_page(page):
    app = opened(page, **LINK, op="features.denseblock1.denselayer2.concat", seed="3")
    assert config(app) == PRESETS["densenet40_12_cifar"].replace(growth_rate=8, blocks=(2, 3, 4), dropout=0.2)
    assert app.slider(key="densenet.growth_rate").value == 8
    assert app.number_input(key="weights.seed").value == 3
    assert app.session_state.visitor.operation == "features.denseblock1.denselayer2.concat"
    assert app.query_params == LINK | {"op": "features.denseblock1.denselayer2.concat", "seed": "3"}
    assert messages(app) == []


def test_the_address_is_the_whole_state():
    app = opened(FEATURE_MAPS, network=SMALL)
    app.segmented_control(key="resnet.channels").select(1).run()
    app.slider(key="resnet.dropout").set_value(0.3).run()
    app.toggle(key="resnet.zero_init").set_value(True).run()
    app.number_input(key="weights.seed").set_value(7).run()
    app.selectbox(key="operation.box").select("layer2.0.conv1").run()
    copied = dict(fine(app).query_params)
    again = opened(FEATURE_MAPS, **copied)
    assert messages(again) == []
    assert config(again) == config(app) != PRESETS[SMALL]
    assert again.query_params == copied
    assert again.dataframe[0].value.equals(app.dataframe[0].value)
    assert again.selectbox(key="operation.box").value == "layer2.0.conv1"


def test_keys_pressed_faster_than_the_address_follows():
    app = opened(network="densenet121")
    for growth_rate in (31, 30, 29):
        app.slider(key="densenet.growth_rate").set_value(growth_rate)
        app.query_params = {"network": "densenet121"}  # as the browser still has it
        app.run()
        assert config(fine(app)).growth_rate == growth_rate
    assert messages(fine(app.run())) == []
    assert app.query_params == {"network": "densenet121", "growth_rate": "29"}


def test_going_back_in_the_browser_restores_all_that_the_address_says():
    other = "plain20_cifar"
    app = opened(FEATURE_MAPS, network=other)
    app.selectbox(key="operation.box").select("layer2.0.conv1").run()
    app.selectbox(key="preset").select("resnet20_cifar").run()
    app.slider(key="resnet.width").set_value(8).run()
    went(app, network="resnet20_cifar")
    assert app.slider(key="resnet.width").value == 16
    went(app, network=other, op="layer2.0.conv1")
    assert config(app) == PRESETS[other]
    assert app.selectbox(key="operation.box").value == "layer2.0.conv1"
    went(app, network=other)
    assert app.session_state.visitor.operation is None
    went(app)  # to an address that says nothing
    assert config(app) == PRESETS[links.DEFAULT]
    assert app.query_params == {}
    # and forward, to a page as it was left
    went(app, ARCHITECTURE, network="densenet121", growth_rate="8")
    assert exact(app, "Parameters") == plan(PRESETS["densenet121"].replace(growth_rate=8)).params


def test_a_page_is_turned_with_the_address_as_it_is():
    app = opened(network="plain20_cifar", op="conv1")
    app.query_params = {}  # as a browser drops it
    fine(app.switch_page(DESIGN_SPACE).run())
    assert app.query_params == {"network": "plain20_cifar", "op": "conv1"}
    # but for a link of ours, which says where it leads
    app.query_params = {"network": "plain20_cifar", "op": "fc"}
    fine(app.switch_page(ARCHITECTURE).run())
    assert app.session_state.visitor.operation == "fc"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"network": "<script>alert(1)</script>"}, "script"),
        ({"growth_rate": "1e999"}, "growth_rate"),
        ({"blocks": "-" * 1000}, "blocks"),
        ({"norm": "'; drop table"}, "norm"),
        ({"op": "layer9.conv1"}, "layer9.conv1"),
        ({"weights": "ResNet50_Weights.DEFAULT"}, "ResNet50_Weights.DEFAULT"),
        ({"seed": "-1"}, "seed"),
        ({"seed": "²"}, "seed"),
        ({"seed": "9" * 5000}, "seed"),
    ],
)
def test_a_bad_link_is_told_about_and_opens_all_the_same(bad, word):
    app = unvisited(**{"network": "densenet40_12_cifar", "growth_rate": "2"} | bad)
    app.run()
    (sentence,) = messages(fine(app))
    assert word in sentence
    assert len(sentence) < 400


def test_a_value_that_a_link_gives_twice_does_no_harm():
    app = unvisited(network=["densenet121", "densenet169"], growth_rate=["8", "x"])
    fine(app.run())


def test_a_network_that_is_too_large_is_counted_and_not_run(monkeypatch):
    # its 464,154 parameters would fit, its activations beside them do not
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "1.9MB")
    app = opened(network=SMALL, seed="77")  # which no other test has built
    (sentence,) = messages(app)
    assert "It can be counted here, not run" in sentence
    assert "the limit is 1.9 MB" in sentence
    assert exact(app, "Parameters") == int(PUBLISHED[SMALL]["params"])
    visit(app, FEATURE_MAPS)
    assert [found.value for found in app.warning] == []
    (sentence,) = messages(app)
    assert "the limit is 1.9 MB" in sentence
    monkeypatch.delenv("EXPLORER_MAX_MEMORY")
    assert messages(fine(app.run())) == []


def test_sessions_do_not_disturb_one_another():
    one = opened(FEATURE_MAPS, network=SMALL, op="conv1")
    other = opened(network="densenet121")
    other.slider(key="densenet.growth_rate").set_value(24).run()
    one.run()
    assert fine(one).query_params == {"network": SMALL, "op": "conv1"}
    assert other.query_params == {"network": "densenet121", "growth_rate": "24"}
