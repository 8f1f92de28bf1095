"""The panel about one operation, in what it says and as a visitor has it."""

import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from visitor import ARCHITECTURE, ATTRIBUTION, FEATURE_MAPS, captions, fine, messages, opened, visit

from controls import work
from controls.panels.one_operation import facts, sees
from controls.services import built
from explorer.families import PRESETS, plan
from explorer.plan.receptive_field import Field, field_at
from explorer.plots.positions import framed_picture

SMALL, CONCAT = "resnet20_cifar", "features.denseblock3.denselayer6.concat"


def test_the_frame_stands_round_what_is_seen():
    found = framed_picture(np.full((32, 32, 3), 90, np.uint8), Field(10, 12, 20, 40))
    # a pixel is 10 wide: rows 100 .. 199 are seen; the lines are two wide, the white one outside
    assert [int(found[row, 160, 0]) for row in (96, 97, 98, 99, 100, 199, 200, 201, 202, 203)] == [
        *(255, 255, 17, 17, 90),
        *(90, 17, 17, 255, 255),
    ]
    # at the border of the picture, which the field passes, they stand inside
    assert [int(found[150, column, 0]) for column in (119, 120, 315, 316, 317, 318, 319)] == [
        *(17, 90, 90, 17, 17, 255, 255)
    ]


def test_what_is_seen_is_said():
    network = plan(PRESETS[SMALL])

    def said(name: str, row: int, column: int) -> str:
        return sees(network[name], field_at(network, name, row, column), 32)

    assert said("input", 16, 16) == "The middle of a map sees one pixel."
    # 3 by the stem, 2 more by each of the six convolutions of the stage, and by the one with stride 2
    assert said("layer2.0.conv1", 8, 8) == "The middle of a map sees 17×17 pixels."
    assert said("layer2.0.conv1", 0, 8) == "The middle of a map sees 17×17 pixels, cut at the border."
    assert said("fc", 0, 0).startswith("It sees all of the picture: ")
    assert sees(network["conv1"], Field(0, 0, 32, 32), 32) == "The middle of a map sees all of the picture."


def test_the_facts_are_those_of_hand_arithmetic():
    network = plan(PRESETS[SMALL])
    weights = 3 * 3 * 16 * 32
    assert facts(network, network["layer2.0.conv1"]) == {
        "C×H×W": "16×32×32 → 32×16×16",
        "Parameters": f"{weights:,} ({weights / network.params:.1%})",
        "MACs": f"{weights * 16 * 16:,} ({weights * 16 * 16 / network.macs:.1%})",
        "Stride": "2 px of the picture",
    }
    assert facts(network, network["input"]) == {
        "C×H×W": "3×32×32",
        "Parameters": "none",
        "MACs": "none",
        "Stride": "1 px of the picture",
    }
    assert "Stride" not in facts(network, network["fc"])


# -- as a visitor has it ----------------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("navigation")


def panel(app: AppTest) -> str:
    """Its name, facts and bars, as they are read."""
    own = [one.value for one in app.main.html if re.search("class='(one|bars)'", one.value)]
    return re.sub(r"<style>.*?</style>|<[^>]*>", " ", " ".join(own).replace("<wbr>", ""), flags=re.DOTALL)


def alternatives(app: AppTest) -> list[str]:
    return [image.alt for found in app.main.image for image in found.proto.imgs]


def go(app: AppTest, title: str, name: str) -> AppTest:
    """A click on one of the operations that the selected one reads, or is read by."""
    key = f"one_operation.{title}.{app.query_params['op']}"
    found = app.pills if key in [one.key for one in app.pills] else app.selectbox
    found(key=key).select(name).run()
    return fine(app)


def test_one_walks_through_the_network_and_closes_the_panel():
    app = opened(network=SMALL, op="layer1.0.conv1")
    assert "layer1.0.conv1" in panel(app)
    assert "conv, 3×3" in panel(app)
    field, maps = alternatives(app)
    assert field == "The picture, framed. The middle of a map sees 5×5 pixels."
    assert maps.startswith("Its 8 strongest of 16 maps: layer1.0.conv1")
    go(app, "Reads", "relu")
    assert app.query_params["op"] == "relu"
    assert "ReLU" in panel(app)
    assert "red ·" in captions(app)  # nothing below zero, so no blue
    go(app, "Reads", "bn1")
    go(app, "Reads", "conv1")
    go(app, "Reads", "input")
    assert "3×32×32" in panel(app)
    assert not [one for one in app.main.get("page_link") if "Gradient flow" in one.proto.label]
    app.button(key="one_operation.close").click().run()
    assert panel(fine(app)) == ""
    assert "op" not in app.query_params


def test_of_vectors_there_are_numbers_and_of_logits_answers():
    app = opened(network=SMALL, op="avgpool")
    assert panel(app).count("channel ") == 8
    go(app, "Read by", "fc")
    assert "star" in panel(app)  # the test image is one, and these weights know it
    assert "Its top answers · trained on Shapes" in captions(app)
    assert messages(app) == []


def test_pages_open_with_the_operation():
    app = opened(network=SMALL, op="layer2.0.conv2")
    pages = [one.proto.page for one in app.main.get("page_link") if one.proto.label.split(":")[0] != "Weights"]
    assert pages[-3:] == ["feature-maps", "gradient-flow", "attribution"]
    for page in (FEATURE_MAPS, ATTRIBUTION):
        visit(app.switch_page(page), page)
        assert app.selectbox(key="operation.box").value == "layer2.0.conv2"


def test_the_picture_is_that_of_the_other_pages():
    app = opened(network=SMALL, op="conv1")
    usual = app.main.image[0].value
    visit(app.switch_page(FEATURE_MAPS), FEATURE_MAPS)
    app.selectbox(key="link.picture").select("Coffee").run()
    visit(app.switch_page(ARCHITECTURE), ARCHITECTURE)
    assert app.main.image[0].value != usual


def test_what_takes_long_waits_for_a_click_once_for_a_network(monkeypatch):
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 1e8)
    monkeypatch.setattr(work, "_delays", {})
    asked = []
    real = built._network
    monkeypatch.setattr(built, "_network", lambda *these: asked.append(these) or real(*these))
    app = opened(network="densenet40_12_cifar", op=CONCAT)
    (button,) = (one for one in app.button if one.label.startswith("Show its maps (about "))
    assert (asked, len(alternatives(app))) == ([], 1)
    button.click().run()
    assert len(alternatives(fine(app))) == 2
    go(app, "Reads", "features.transition2.pool")  # one of seven, in a box
    assert len(alternatives(app)) == 2
    app.slider(key="densenet.growth_rate").set_value(13).run()
    assert len(alternatives(fine(app))) == 1
