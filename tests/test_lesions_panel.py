"""Blocks and shortcuts switched off on the feature maps page, as its visitors do it."""

import io
import runpy
from contextlib import redirect_stdout

import pytest
import torch
from streamlit.testing.v1 import AppTest
from visitor import ARCHITECTURE, FEATURE_MAPS, captions, chart, config, fine, messages, opened, visit, went

from controls.services import lesions as measuring
from explorer.families import PRESETS, plan
from explorer.plan.lesions import Lesions
from explorer.plots import lesions as plots
from explorer.running.source import python_source

pytestmark = pytest.mark.usefixtures("navigation")
RESIDUAL, PLAIN = "resnet20_cifar", "plain20_cifar"


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(measuring, "IMAGES", 20)


def row(app: AppTest, stage: str, lesion: str = "branch", word: str = "block"):
    return app.pills(key=f"lesions.{stage}.{word}.{lesion}")


def link_of(app: AppTest) -> dict[str, str]:
    """What the address says of lesions."""
    return {name: app.query_params[name] for name in ("off", "cut") if name in app.query_params}


def metrics(app: AppTest) -> dict[str, str]:
    return {one.label.removesuffix(", with lesions"): one.value for one in app.metric if "with lesions" in one.label}


def answers(app: AppTest):
    return next(one.value for one in app.dataframe if {"whole", "left"} <= {*one.value.columns})


def test_a_network_is_whole_at_first():
    app = opened(FEATURE_MAPS, network=RESIDUAL)
    assert metrics(app) == {}
    assert not any(row(app, f"stage {s}", lesion).value for s in (1, 2, 3) for lesion in ("branch", "shortcut"))
    assert "lesions.forget" not in [one.key for one in app.button]


def test_a_block_is_switched_off_and_on_again():
    app = opened(FEATURE_MAPS, network=RESIDUAL)
    before = app.dataframe[0].value
    row(app, "stage 1").select("layer1.1").run()
    assert link_of(app) == {"off": "layer1_1"}
    assert "Branches off, so that the shortcut alone goes on: layer1.1." in "".join(
        one.value for one in app.info
    ).replace("\\", "")
    # two 3x3 convolutions of 16 to 16 channels on 32x32, and their norms
    params, macs = 2 * (16 * 16 * 9 + 2 * 16), 2 * 16 * 16 * 9 * 32 * 32
    whole = plan(PRESETS[RESIDUAL])
    assert f"{whole.params - params:,}" in captions(app)
    assert f"{whole.macs - macs:,}" in captions(app)
    # the answers above are of what is left, and the table below has both
    both = answers(app)
    assert not fine(app).dataframe[0].value.equals(before)
    assert both.whole.max() == pytest.approx(before.probability.max())
    assert both.left.max() == pytest.approx(app.dataframe[0].value.probability.max())
    assert "20 test images of Shapes" in captions(app)
    app.button(key="lesions.forget").click().run()
    assert link_of(fine(app)) == {}
    assert app.dataframe[0].value.equals(before)


def test_a_block_keeps_its_branch_or_its_shortcut():
    """The newer choice holds: of a block without both nothing would be left."""
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer1_1.layer2_0")
    row(app, "stage 1", "shortcut").select("layer1.1").run()
    assert link_of(app) == {"off": "layer2_0", "cut": "layer1_1"}
    assert row(fine(app), "stage 1").value == []


def test_back_and_forward():
    app = opened(FEATURE_MAPS, network=RESIDUAL)
    row(app, "stage 2").select("layer2.1").run()
    went(app, network=RESIDUAL)
    assert row(app, "stage 2").value == []
    assert metrics(app) == {}
    went(app, network=RESIDUAL, off="layer2_1")
    assert row(app, "stage 2").value == ["layer2.1"]
    assert {"Parameters", "MACs", "Accuracy"} == metrics(app).keys()


def test_a_block_that_is_gone_drops_out_of_the_link():
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer1_1.layer1_2", weights="fresh")
    app.slider(key="resnet.blocks.0").set_value(2).run()
    assert fine(app).query_params["off"] == "layer1_1"
    assert messages(app) == []
    app.slider(key="resnet.blocks.0").set_value(1).run()
    assert "off" not in fine(app).query_params
    assert metrics(app) == {}


def test_lesions_stay_on_other_pages():
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer1_1")
    visit(app.switch_page(ARCHITECTURE), FEATURE_MAPS)
    assert row(app, "stage 1").value == ["layer1.1"]


def test_a_link_that_leaves_nothing_is_refused_in_a_sentence():
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer1_1", cut="layer1_1")
    (sentence,) = messages(app)
    assert "layer1.1 would have neither branch nor shortcut" in sentence
    assert metrics(app) == {}


def test_a_link_with_names_that_there_are_not_is_passed_over():
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer9_1.all.none")
    assert metrics(app) == {}
    assert "off" not in app.query_params


def test_an_operation_that_a_lesion_took_away_gives_way():
    app = opened(FEATURE_MAPS, network=RESIDUAL, op="layer1.1.conv1", off="layer1_1")
    assert app.selectbox(key="operation.box").value == "layer3.2.relu2"
    assert "layer1.1.conv1" not in app.selectbox(key="operation.box").options
    # what stands where the sum was is an operation like any other
    app.selectbox(key="operation.box").select("layer1.1.add").run()
    assert "in layer1.1.add" in captions(fine(app))


def test_the_numbers_of_a_layer_that_is_off_are_zeros():
    name = "features.denseblock1.denselayer1"
    app = opened(FEATURE_MAPS, network="densenet40_12_cifar", op=f"{name}.conv1", off=name.replace(".", "_"))
    assert "What was here is taken away: its numbers are zeros." in captions(app)
    assert "channels dead" in captions(app)


def test_a_plain_network_has_blocks_and_no_shortcuts():
    app = opened(FEATURE_MAPS, network=PLAIN)
    assert not [one.key for one in app.pills if one.key and one.key.endswith(".shortcut")]
    row(app, "stage 2").select("layer2.0").run()
    assert "Blocks skipped" in "".join(one.value for one in fine(app).info)


def test_both_passes_of_a_clique():
    app = opened(FEATURE_MAPS, network="cliquenet_k12_t12", weights="fresh")
    row(app, "block 1", word="second").select("block1.second.layer2").run()
    assert fine(app).query_params["off"] == "block1_second_layer2"
    assert "block 1, layer 2" not in app.selectbox(key="link.layer").options
    assert "block 1, layer 3" in app.selectbox(key="link.layer").options
    row(app, "block 1", word="first").select("block1.first.layer1").run()
    assert metrics(fine(app)).keys() == {"Parameters", "MACs"}  # nothing was learned, so there is no accuracy
    assert "nothing was learned" in captions(app)


def test_each_block_in_turn():
    app = opened(FEATURE_MAPS, network=RESIDUAL)
    app.button(key="work.Accuracy with each block removed in turn").click().run()
    (bars,) = chart(fine(app), "lesions.each")["data"]
    assert bars["customdata"] == [f"layer{s}.{b}" for s in (1, 2, 3) for b in range(3)]
    assert all(0 <= share <= 1 and share * 20 == pytest.approx(round(share * 20)) for share in bars["y"])
    # the bar of a block is what switching it off gives
    row(app, "stage 3").select("layer3.1").run()
    assert metrics(fine(app))["Accuracy"] == f"{bars['y'][7]:.1%}"


def test_more_bars_than_names_have_room():
    import plotly.graph_objects as go

    from explorer.plan.lesions import parts

    found = parts(plan(PRESETS[RESIDUAL].replace(blocks=(20, 20, 20))))
    figure = plots.each_removed(found, [0.5] * 60, 0.9, 0.1)
    assert figure["layout"]["xaxis"]["ticktext"] == ["layer1.0", "layer2.0", "layer3.0"]
    assert go.Figure(figure).data[0].y == (0.5,) * 60


def test_the_source_says_what_is_off_and_runs(tmp_path):
    lesions = Lesions(("layer1.1",), ("layer2.1",))
    text = python_source(PRESETS[RESIDUAL], lesions=lesions)
    head = " ".join(text.split('"""')[1].split())
    assert "Branches off, so that the shortcut alone goes on: layer1.1." in head
    assert "Shortcuts cut, so that the branch alone goes on: layer2.1." in head
    (tmp_path / "source.py").write_text(text)
    with redirect_stdout(io.StringIO()):
        made = runpy.run_path(str(tmp_path / "source.py"), run_name="__main__")["Network"]()
    assert made.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert "With lesions" not in python_source(PRESETS[RESIDUAL])


def test_the_network_itself_stays_whole():
    """What is switched off is switched off for this page alone: the network that is counted and trained has all."""
    app = opened(FEATURE_MAPS, network=RESIDUAL, off="layer1_1")
    assert config(app) == PRESETS[RESIDUAL]
