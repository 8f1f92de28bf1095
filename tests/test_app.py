"""The app as its visitors use it, page by page: what they turn, open and send, and what they are told."""

import csv
from pathlib import Path
from urllib.error import URLError

import pandas as pd
import pytest
import torch
from made import made, register
from streamlit.testing.v1 import AppTest
from torchvision.models import DenseNet
from visitor import (
    ARCHITECTURE,
    FEATURE_MAPS,
    GRADIENT_FLOW,
    captions,
    chart,
    checkpoint,
    config,
    exact,
    figures,
    fine,
    messages,
    opened,
    photo,
    unvisited,
    upload,
    visit,
)

from explorer.families import FAMILIES, PRESETS, TITLES, plan
from explorer.pictures.images import SAMPLES
from explorer.running import weights
from explorer.running.network import build

ROOT = Path(__file__).parents[1]
SMALL = "resnet20_cifar"

with (ROOT / "tests" / "data" / "published.csv").open(newline="") as file:
    PUBLISHED = {row["name"]: row for row in csv.DictReader(file)}

pytestmark = pytest.mark.usefixtures("navigation")


def channels_shown(app: AppTest) -> list[int]:
    return chart(app, "mosaic.")["data"][0]["customdata"]


# --- the architecture of published networks


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_opens_with_its_published_costs(name):
    app = opened(network=name)
    assert app.title[0].value == TITLES[name]
    assert messages(app) == []
    assert app.query_params == {"network": name}
    if name not in PUBLISHED:
        return
    params, macs = (PUBLISHED[name][column] for column in ("params", "macs"))
    assert figures(app)["Parameters"][1] == f"{int(params):,}"
    if macs.isdigit():
        assert figures(app)["MACs"][1] == f"{int(macs):,}"
    elif macs:  # published in billions, to three digits
        assert f"{exact(app, 'MACs') / 1e9:.3f}e9" == macs
    assert exact(app, "FLOPs") == 2 * exact(app, "MACs")


def test_the_first_page_is_a_network():
    app = opened()
    assert (app.title[0].value, app.query_params) == ("ResNet-18", {"network": "resnet18"})
    assert figures(app)["Depth"][0] == "18"
    assert figures(app)["Parameters"][0] == "11.69 M"


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
    app.text_input(key="filter").input("layer2.0.conv1").run()
    assert rows(app).name.tolist() == ["layer2.0.conv1"]
    app.text_input(key="filter").input("no such ((").run()
    assert rows(app).empty


def test_a_larger_batch_takes_more_memory():
    app = opened(network=SMALL)
    before = figures(app)
    app.slider(key="link.peak_batch").set_value(64).run()
    after = figures(fine(app))
    assert after["Forward, peak"][1].startswith("batch of 64")
    assert {label for label in after if after[label] != before[label]} == {"Forward, peak", "Training step, peak"}


# --- the controls


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


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_opens_with_its_first_network(family):
    other = next(one for one in FAMILIES if one != family)
    app = opened(network=next(iter(FAMILIES[other].presets)))
    app.segmented_control(key="family").select(family).run()
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
        app.segmented_control(key="family").select("made").run()
        (sentence,) = messages(fine(app))
        assert "The family Made cannot write this network (IndexError: tuple index out of range)" in sentence
        app.segmented_control(key="family").select("densenet").run()
        assert messages(fine(app)) == []
        assert app.query_params == {"network": "densenet121"}


def test_a_preset_is_chosen():
    app = opened()
    app.selectbox(key="preset").select("wide_resnet50_2").run()
    assert fine(app).title[0].value == "Wide ResNet-50-2"
    assert exact(app, "Parameters") == int(PUBLISHED["wide_resnet50_2"]["params"])
    assert "This is **Wide ResNet-50-2**." in captions(app)


def test_a_depth_is_chosen():
    app = opened()
    app.selectbox(key="depth").select("50").run()
    assert fine(app).title[0].value == "ResNet-50"
    # it started from another network, and says so
    assert app.query_params == {"network": "resnet18", "block": "bottleneck", "blocks": "3-4-6-3"}
    app.segmented_control(key="family").select("densenet").run()
    app.selectbox(key="depth").select("169").run()
    assert fine(app).title[0].value == "DenseNet-169"


def test_a_depth_that_nobody_has_named():
    app = opened()
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
    assert "hidden, since" not in captions(app)


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
    app.segmented_control(key="family").select("cliquenet").run()
    app.segmented_control(key="cliquenet.widths.count").select(3).run()
    assert (config(fine(app)).widths, config(app).layers) == ((36, 64, 100), (5, 6, 6))


# --- links

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


def test_going_back_in_the_browser_goes_back_to_that_network():
    app = opened(network="densenet121")
    app.slider(key="densenet.growth_rate").set_value(24).run()
    app.query_params = {"network": "densenet121"}
    app.run()
    assert fine(app).title[0].value == "DenseNet-121"
    assert app.slider(key="densenet.growth_rate").value == 32


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


# --- what is too large, and weights that cannot be had


def test_a_network_that_is_too_large_is_counted_and_not_run(monkeypatch):
    # its 269,722 parameters would fit, its activations beside them do not
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "1.1MB")
    app = opened(network=SMALL)
    (sentence,) = messages(app)
    assert "It can be counted here, not run" in sentence
    assert "the limit is 1.1 MB" in sentence
    assert exact(app, "Parameters") == int(PUBLISHED[SMALL]["params"])
    visit(app, FEATURE_MAPS)
    assert [found.value for found in app.warning] == []
    (sentence,) = messages(app)
    assert "the limit is 1.1 MB" in sentence
    monkeypatch.delenv("EXPLORER_MAX_MEMORY")
    assert messages(fine(app.run())) == []


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


# --- feature maps


def test_a_sample_picture_is_chosen():
    app = opened(FEATURE_MAPS, network=SMALL)
    assert app.selectbox(key="picture").options == list(SAMPLES)
    before = app.dataframe[0].value
    app.selectbox(key="picture").select(list(SAMPLES)[1]).run()
    assert not fine(app).dataframe[0].value.equals(before)
    # and is kept where the visitor goes on to another network, or to another page and back
    app.slider(key="resnet.blocks.0").set_value(2).run()
    visit(app.switch_page(ARCHITECTURE), FEATURE_MAPS)
    assert app.selectbox(key="picture").value == list(SAMPLES)[1]


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
    assert app.selectbox(key="picture").options == ["one.png", *SAMPLES]
    assert app.selectbox(key="picture").format_func(app.selectbox(key="picture").value) == "one.png"
    app.run()
    assert messages(fine(app)) == []


@pytest.mark.parametrize("name", ["conv1", "layer2.0.pad", "layer3.2.add", "avgpool", "fc"])
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
    assert fine(app).selectbox(key="operation.box").value == "layer3.2.relu2"
    assert app.query_params == {"network": SMALL, "blocks": "3-1-3", "width": "20"}


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
    app.number_input(key=f"page.{name}").set_value(2).run()
    assert channels_shown(fine(app)) == list(range(256, 448))
    app.segmented_control(key="link.sort").select("mean").run()
    second = channels_shown(fine(app))
    app.number_input(key=f"page.{name}").set_value(1).run()
    assert sorted(channels_shown(fine(app)) + second) == list(range(448))


def test_a_channel_that_was_clicked_is_shown():
    app = opened(FEATURE_MAPS, network=SMALL, op="conv1")
    assert "the strongest; click another" in app.main.markdown[-1].value
    points = {"points": [{"customdata": 13}], "point_indices": [13], "box": [], "lasso": []}
    app.session_state["mosaic.conv1.index.1"] = {"selection": points}
    app.run()
    assert fine(app).main.markdown[-1].value == "**Channel 13**"


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


def test_sessions_do_not_disturb_one_another():
    one = opened(FEATURE_MAPS, network=SMALL, op="conv1")
    other = opened(network="densenet121")
    other.slider(key="densenet.growth_rate").set_value(24).run()
    one.run()
    assert fine(one).query_params == {"network": SMALL, "op": "conv1"}
    assert other.query_params == {"network": "densenet121", "growth_rate": "24"}
