"""The feature maps page as its visitors use it."""

import pytest
import torch
from streamlit.testing.v1 import AppTest
from visitor import (
    ARCHITECTURE,
    ATTRIBUTION,
    FEATURE_MAPS,
    captions,
    chart,
    click,
    config,
    fine,
    messages,
    opened,
    photo,
    upload,
    visit,
)

from controls import work
from controls.services import built
from explorer.families import PRESETS, plan
from explorer.pictures.samples import SAMPLES
from explorer.running import weights
from explorer.running.network import build

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet32_cifar"


def channels_shown(app: AppTest) -> list[int]:
    return chart(app, "mosaic.")["data"][0]["customdata"]


def test_a_sample_picture_is_chosen():
    app = opened(FEATURE_MAPS, network=SMALL)
    assert set(SAMPLES) < set(app.selectbox(key="link.picture").options)
    before = app.dataframe[0].value
    app.selectbox(key="link.picture").select(list(SAMPLES)[1]).run()
    assert not fine(app).dataframe[0].value.equals(before)
    # and is kept where the visitor goes on to another network, or to another page and back
    app.slider(key="resnet.blocks.0").set_value(2).run()
    visit(app.switch_page(ARCHITECTURE), FEATURE_MAPS)
    assert app.selectbox(key="link.picture").value == list(SAMPLES)[1]


def test_answers_are_the_most_probable_classes():
    app = opened(FEATURE_MAPS, network=SMALL)
    table = app.dataframe[0].value
    assert len(table) == 5
    assert table.probability.is_monotonic_decreasing
    assert 0 < table.probability.sum() <= 100
    assert set(table.answer) <= {f"class {i}" for i in range(10)}


def test_ones_own_picture_is_looked_at():
    app = opened(FEATURE_MAPS, network=SMALL)
    app.main.file_uploader[0].set_value(
        [("one.png", photo(1), "image/png"), ("text.png", b"not a picture", "image/png")]
    ).run()
    (sentence,) = messages(fine(app))
    assert "text.png" in sentence
    assert app.selectbox(key="link.picture").options[0] == "one.png"
    assert app.selectbox(key="link.picture").format_func(app.selectbox(key="link.picture").value) == "one.png"
    app.run()
    assert messages(fine(app)) == []


@pytest.mark.parametrize("name", ["input", "conv1", "layer2.0.pad", "layer3.2.add", "avgpool", "fc"])
def test_any_operation_is_looked_at(name):
    app = opened(FEATURE_MAPS, network=SMALL)
    app.selectbox(key="operation.box").select(name).run()
    op = plan(PRESETS[SMALL])[name]
    assert f"{op.shape[0]} channels of {op.shape[1]}×{op.shape[2]}" in captions(fine(app))
    assert channels_shown(app) == list(range(op.shape[0]))
    assert app.query_params == {"network": SMALL, "op": name}


def test_the_operation_is_kept_until_the_network_has_it_no_more():
    app = opened(FEATURE_MAPS, network=SMALL, op="layer2.1.conv2")
    app.slider(key="resnet.width").set_value(20).run()
    assert fine(app).selectbox(key="operation.box").value == "layer2.1.conv2"
    app.slider(key="resnet.blocks.1").set_value(1).run()
    assert fine(app).selectbox(key="operation.box").value == "layer3.4.relu2"
    assert app.query_params == {"network": SMALL, "blocks": "5-1-5", "width": "20"}


def test_channels_are_ordered():
    app = opened(FEATURE_MAPS, network=SMALL, op="layer1.0.conv1")
    orders = {}
    for by in ("index", "mean", "variance", "maximum"):
        app.segmented_control(key="link.sort").select(by).run()
        orders[by] = channels_shown(fine(app))
        if by in ("mean", "maximum"):
            # "channel 3<br>mean 0.123, max 4.56<br>zeros 0%"
            labels = chart(app, "mosaic.")["data"][0]["text"]
            values = [
                float(label.split(f"{by[:4].removesuffix('i')} ")[1].split("<")[0].split(",")[0]) for label in labels
            ]
            assert values == sorted(values, reverse=True)
    assert orders["index"] == list(range(16))
    assert all(sorted(order) == orders["index"] for order in orders.values())
    assert len(set(map(tuple, orders.values()))) == 4


def test_one_scale_for_the_layer_or_one_for_each_channel():
    app = opened(FEATURE_MAPS, network=SMALL, op="layer1.0.conv1")
    together = chart(app, "mosaic.")["layout"]["images"][0]["source"]
    scale = chart(app, "scale.bar")["layout"]["xaxis"]["tickvals"]
    assert scale[0] == -scale[-1] < 0  # a convolution's output has a sign
    app.segmented_control(key="link.scale").select("channel").run()
    assert chart(fine(app), "mosaic.")["layout"]["images"][0]["source"] != together
    assert not [one for one in app.get("plotly_chart") if one.key == "scale.bar"]
    assert "Each channel's full colour is its own largest absolute value" in captions(app)


def test_many_channels_are_on_pages():
    # 16 + 3·12·12 = 448 channels
    name = "features.denseblock3.concat"
    app = opened(FEATURE_MAPS, network="densenet40_12_cifar", op=name)
    assert channels_shown(app) == list(range(256))
    app.number_input(key="link.maps_page").set_value(2).run()
    assert channels_shown(fine(app)) == list(range(256, 448))
    app.segmented_control(key="link.sort").select("mean").run()
    second = channels_shown(fine(app))
    app.number_input(key="link.maps_page").set_value(1).run()
    assert sorted(channels_shown(fine(app)) + second) == list(range(448))


def test_a_channel_that_was_clicked_is_shown():
    app = opened(FEATURE_MAPS, network=SMALL, op="conv1")
    assert "the strongest; click another" in app.main.markdown[-1].value
    click(app, "mosaic.", 13)
    assert app.main.markdown[-1].value == "**Channel 13**"
    assert app.query_params["map"] == "13"


def test_a_clique_shows_both_passes():
    app = opened(FEATURE_MAPS, network="cliquenet_k12_t36", widths="4-4-4", layers="3-2-2")
    assert app.selectbox(key="link.layer").options == [
        *(f"block 1, layer {j}" for j in (1, 2, 3)),
        *(f"block {b}, layer {j}" for b in (2, 3) for j in (1, 2)),
    ]
    assert [image.captions[0] for image in app.main.image][-3:] == [
        "After the first pass",
        "After the second pass",
        "What the second changed",
    ]
    scale = chart(app, "passes.bar")["layout"]["xaxis"]["tickvals"]
    app.selectbox(key="link.layer").select("block 3, layer 2").run()
    assert chart(fine(app), "passes.bar")["layout"]["xaxis"]["tickvals"] != scale


def test_without_a_second_pass_there_is_none_to_show():
    app = opened(FEATURE_MAPS, network="cliquenet_k36_t12", block_feature="first", transit="first")
    assert "First pass, second pass" not in [found.value for found in app.subheader]
    assert "link.layer" not in [box.key for box in app.selectbox]


@pytest.mark.parametrize("name", [SMALL, "densenet40_12_cifar", "cliquenet_k36_t12"])
def test_grey_images_of_an_odd_size(name):
    app = opened(FEATURE_MAPS, network=name, input_size="19", channels="1")
    assert "19×19" in app.main.image[0].captions[0]
    assert (messages(app), config(app).channels) == ([], 1)


def test_a_network_whose_values_overflow_has_a_page_all_the_same():
    # as deep networks do before their norms have seen data: ResNet-1202's reach 10^38 in its second stage
    network = build(plan(PRESETS[SMALL]), seed=0)
    with torch.no_grad():
        for parameter in (network.get_submodule("conv1").weight, network.get_submodule("layer1.0.conv1").weight):
            parameter.mul_(1e38)
    app = opened(FEATURE_MAPS, network=SMALL)
    upload(app, "diverged.safetensors", weights.save_safetensors(network)).run()
    assert "uploaded: diverged.safetensors" in captions(fine(app))
    for name in ("conv1", "layer1.0.conv1", "layer1.0.relu1", "fc"):
        app.selectbox(key="operation.box").select(name).run()
        fine(app)


@pytest.mark.parametrize("page", [FEATURE_MAPS, ATTRIBUTION])
def test_a_link_alone_starts_no_long_work(page, monkeypatch):
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 1e7)  # a machine a thousand times slower
    monkeypatch.setattr(work, "_delays", {})
    asked = []
    monkeypatch.setattr(built, "_network", lambda *these: asked.append(these))
    app = fine(opened(page, network=SMALL))
    (button,) = (one for one in app.button if one.label.startswith("Build and run this network (about "))
    assert asked == []
    assert not app.dataframe
    monkeypatch.undo()
    button.click().run()
    assert len(fine(app).dataframe[0].value) == 5
    # it is asked once for a network, not once for a picture
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 1e7)
    app.selectbox(key="link.picture").select(list(SAMPLES)[1]).run()
    assert len(fine(app).dataframe[0].value) == 5


# -- down to one number -----------------------------------------------------------------------------------------------


def the_number(app: AppTest) -> float:
    """What the network itself has, as the page says."""
    return float(captions(app).split("in float32, has ")[-1].split(" in ")[0].replace("−", "-"))


def test_one_number_is_followed_from_a_click_back_to_the_picture():
    app = opened(FEATURE_MAPS, network="resnet20_cifar", op="layer1.0.conv1")
    markers = chart(app, "one_number.layer1.0.conv1")["data"][0]
    assert len(markers["customdata"]["bdata"]) > 0
    click(app, "one_number.layer1.0.conv1", 5 * 32 + 7)
    assert (app.query_params["row"], app.query_params["column"]) == ("5", "7")
    app.number_input(key="link.map").set_value(3).run()
    chosen = the_number(fine(app))
    # the same number by another visitor, from the link
    other = opened(FEATURE_MAPS, **{name: app.query_params[name] for name in app.query_params})
    assert the_number(other) == chosen
    app.button(key="one_number.to.0").click().run()
    assert fine(app).query_params["op"] == "relu"
    # behind the stem's ReLU is its convolution, which reads the picture: there is no way further back
    assert not [button for button in app.button if (button.key or "").startswith("one_number.to")]
    app.button(key="one_number.largest").click().run()
    assert not {"row", "column", "map"} & fine(app).query_params.keys()


def test_what_a_link_says_of_one_number_is_taken_as_far_as_it_is_there():
    app = opened(FEATURE_MAPS, network=SMALL, op="layer3.0.conv1", map="9999", row="7", column="8")
    # 64 maps of 8x8: there is a row 7, and neither that channel nor a column 8
    values = {name: app.number_input(key=f"link.{name}").value for name in ("map", "row", "column")}
    assert values["row"] == 7
    assert values["map"] < 64
    assert values["column"] < 8
