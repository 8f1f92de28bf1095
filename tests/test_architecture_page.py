"""The architecture page as its visitors use it."""

import re

import pandas as pd
import pytest
import safetensors.torch
import torch
from published import PUBLISHED, equals
from streamlit.testing.v1 import AppTest
from visitor import (
    FEATURE_MAPS,
    change,
    click_cell,
    exact,
    figures,
    fine,
    link,
    link_of_weights,
    messages,
    opened,
    press,
    scene,
    visit,
)

from explorer.families import PRESETS, TITLES, plan
from explorer.running.network import build

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet20_cifar"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_opens_with_its_published_costs(name):
    app = opened(network=name)
    assert app.title[0].value == TITLES[name]
    assert messages(app) == []
    assert link(app) == {"network": name} | link_of_weights(name)
    if name not in PUBLISHED:
        return
    params, macs = (PUBLISHED[name][column] for column in ("params", "macs"))
    assert figures(app)["Parameters"][1] == f"{int(params):,}"
    assert not macs or equals(exact(app, "MACs"), macs)
    assert exact(app, "FLOPs") == 2 * exact(app, "MACs")


def test_the_first_page_is_a_network():
    app = opened()
    assert app.title[0].value == "ResNet-20 (CIFAR)"
    assert link(app) == {"network": "resnet20_cifar", "weights": "shapes"}  # one that has learned something
    assert figures(app)["Depth"][0] == "20"
    assert figures(app)["Parameters"][0] == "269.7 k"


def rows(app: AppTest) -> pd.DataFrame:
    """The table of operations."""
    (table,) = (frame.value for frame in fine(app).dataframe if "params_share" in frame.value)
    return table


def test_every_operation_is_in_the_table():
    app = opened(network=SMALL)
    app.segmented_control(key="link.level").select("operation").run()
    table = rows(app)
    assert table.name.tolist() == [op.name for op in plan(PRESETS[SMALL]).ops[1:]]
    assert table.params.sum() == exact(app, "Parameters")
    app.text_input(key="link.filter").input("layer2.0.conv1").run()
    assert rows(app).name.tolist() == ["layer2.0.conv1"]
    app.text_input(key="link.filter").input("no such ((").run()
    assert rows(app).empty


def test_a_row_is_clicked_anywhere():
    app = opened(network=SMALL, level="operation")
    for row in (4, 7):
        click_cell(app, "rows.operation", row)
        assert app.query_params["op"] == plan(PRESETS[SMALL]).ops[1 + row].name


def test_a_plain_network_is_explained_as_one():
    app = opened(network="plain20_cifar")
    assert "How a plain network works" in [found.value for found in app.subheader]
    assert not [found.value for found in app.markdown if "The shortcut is the identity" in found.value]


def test_a_larger_batch_takes_more_memory():
    app = opened(network=SMALL)
    before = figures(app)
    app.slider(key="link.peak_batch").set_value(64).run()
    after = figures(fine(app))
    assert after["Forward, peak"][1].startswith("batch of 64")
    assert {label for label in after if after[label] != before[label]} == {"Forward, peak", "Training step, peak"}


def drawings(app: AppTest) -> list[str]:
    """Keys of what is drawn."""
    return [
        one.proto.id.rpartition("-")[2] for one in app.get("bidi_component") if "network" in one.proto.component_name
    ]


def drawn(app: AppTest) -> set[str]:
    """What there is to click in the drawing."""
    found = scene(app, "drawing.own")
    return {part["id"] for part in (*found["nodes"], *found["frames"])}


def test_a_level_opens_the_drawing_and_stands_in_the_link():
    app = opened(network=SMALL)
    assert {"stem", "stage 1/block 0", "head"} <= drawn(app)
    app.segmented_control(key="link.open").select("stage").run()
    assert drawn(app) == {"input", "stem", "stage 1", "stage 2", "stage 3", "head"}
    assert app.query_params == {"network": SMALL, "open": "stage"} | link_of_weights(SMALL)
    assert drawn(opened(**app.query_params)) == drawn(app)


def test_a_click_opens_one_stage_and_a_level_closes_it_again():
    app = opened(network=SMALL, open="stage")
    before = drawn(app)
    press(app, "drawing.own", "stage 2")
    assert "stage 2/block 0" in drawn(app)
    assert not [identity for identity in drawn(app) if identity.startswith(("stage 1/", "stage 3/"))]
    press(app, "drawing.own", "stage 2")
    assert drawn(app) == before
    press(app, "drawing.own", "stage 3")
    app.segmented_control(key="link.open").select("stage").run()
    assert drawn(app) == before
    # what was clicked is still there to go back to
    app.segmented_control(key="link.open").select("clicked").run()
    assert "stage 3/block 0" in drawn(app)


def test_a_link_to_what_was_clicked_elsewhere_opens_blocks():
    app = opened(network=SMALL, open="clicked")
    assert messages(app) == []
    assert drawn(app) == drawn(opened(network=SMALL))


def test_a_click_on_an_operation_selects_it_on_every_page():
    app = opened(network=SMALL, open="operation")
    press(app, "drawing.own", "layer2.0.conv1")
    assert app.query_params["op"] == "layer2.0.conv1"
    visit(app.switch_page(FEATURE_MAPS), FEATURE_MAPS)
    assert app.selectbox(key="operation.box").value == "layer2.0.conv1"


def test_the_network_beside_the_one_it_started_from():
    app = opened(network=SMALL, width="20")
    assert drawings(app) == ["drawing.own"]
    app.toggle(key="link.compare").set_value(True).run()
    assert drawings(fine(app)) == ["drawing.own", "drawing.origin"]
    # both on one scale, and what differs is marked in both
    one, other = (scene(app, key) for key in drawings(app))
    assert one["ruler"] == other["ruler"]
    assert any(node["changed"] for node in one["nodes"])
    # without a difference there is nothing to compare
    app.slider(key="resnet.width").set_value(16).run()
    assert drawings(fine(app)) == ["drawing.own"]


def bar(app: AppTest) -> str:
    """The costs that stay in view, as text."""
    (found,) = (one.proto.body for one in app.get("html") if "class='costs'" in one.proto.body)
    return re.sub(r"<[^>]*>", " ", found.partition("</style>")[2])


def test_the_bar_says_what_has_changed_since_the_knob_was_first_touched():
    app = opened(network="densenet_bc40_12_cifar")
    assert "176,122" in bar(app)
    assert "(×" not in bar(app)
    app.slider(key="densenet.growth_rate").set_value(20).run()
    app.slider(key="densenet.growth_rate").set_value(36).run()
    # since 12, not since 20
    assert "growth rate k 12 → 36" in bar(app)
    grown = plan(PRESETS["densenet_bc40_12_cifar"].replace(growth_rate=36)).params
    assert f"{grown:,}" in bar(app)
    assert f"(×{grown / 176122:.3g})" in bar(app)
    # another knob begins anew
    app.slider(key="densenet.bottleneck").set_value(2).run()
    assert "bottleneck b 4 → 2" in bar(app)
    assert "growth rate" not in bar(app)
    app.slider(key="densenet.bottleneck").set_value(4).run()
    assert "(×" not in bar(app)


def test_figures_say_what_has_changed_since_the_preset():
    app = opened(network="resnet50", classes="10")
    # 990 rows fewer in a classifier of 2048 columns and biases
    fewer = 990 * 2049
    assert change(app, "Parameters") == f"-{fewer / 1e6:.4g} M"
    assert change(app, "Receptive field") == ""


def test_the_network_is_taken_along_with_its_weights():
    app = opened(network="resnet20_cifar", weights="fresh", norms="raw")
    (form,) = (one for one in app.segmented_control if one.key == "along.form")
    form.set_value("safetensors").run()
    labels = [one.label.replace("\\", "") for one in fine(app).get("download_button")]
    assert "resnet20_cifar.safetensors, untrained (seed 0)" in labels
    found = safetensors.torch.load(app.session_state.visitor.export[1].read())
    expected = build(plan(PRESETS["resnet20_cifar"]), seed=0).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
