"""The gradient flow page as its visitors use it."""

import re

import pytest
from visitor import (
    GRADIENT_FLOW,
    captions,
    chart,
    checkpoint,
    click,
    fine,
    link,
    link_of_weights,
    messages,
    opened,
    upload,
)

from controls import work
from explorer.families import PRESETS

pytestmark = pytest.mark.usefixtures("navigation")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """One of 50 billion multiply-accumulates a second, however busy this one is."""
    monkeypatch.setattr(work, "_delays", {})
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 5e10)
    monkeypatch.setattr(work, "TELLING", float("inf"))


def verdicts(app):
    """What is said of each network below the chart."""
    return [line for text in app.markdown for line in text.value.splitlines() if "; loss " in line]


def cards(app):
    """The title and the verdict of each network, above it."""
    found = (re.fullmatch(r"\*\*(.*)\*\* :(?:\w+)-badge\[\S+ (.*)\]", text.value) for text in app.markdown)
    return [one.groups() for one in found if one]


def test_a_network_and_its_siblings_are_told_apart():
    app = fine(opened(GRADIENT_FLOW, network="resnet56_cifar", against="plain.no-norm"))
    assert messages(app) == []
    residual, plain, bare = verdicts(app)
    assert residual.startswith("- **this network")
    times = [float(re.search(r"is ([\d.e+-]+) times", line)[1]) for line in (residual, plain)]
    assert times[1] > 100 * times[0] > 100  # a plain network's gradient explodes toward the input
    assert plain.startswith("- **without shortcuts")
    assert bare.startswith("- **without norm")
    assert app.query_params["against"] == "plain.no-norm"
    assert [title for title, _ in cards(app)] == ["this network", "without shortcuts", "without norm"]
    healthy, grows, explodes = (words for _, words in cards(app))
    assert "healthy" in healthy
    assert "grows" in grows
    assert "explodes" in explodes


def test_the_most_telling_network_stands_beside_until_it_is_taken_away():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar"))
    assert [title for title, _ in cards(app)] == ["this network", "without shortcuts"]
    assert "against" not in app.query_params
    app.multiselect(key="against.box").set_value([]).run()
    assert [title for title, _ in cards(fine(app))] == ["this network"]
    assert app.query_params["against"] == "none"
    app.segmented_control(key="link.mode").select("eval").run()
    assert [title for title, _ in cards(fine(app))] == ["this network"]
    again = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", against="none"))
    assert [title for title, _ in cards(again)] == ["this network"]
    assert messages(again) == []


def test_vanishing_is_told():
    app = fine(opened(GRADIENT_FLOW, network="plain110_cifar", norm="none", init="default", seeds="1", batch="2"))
    assert "exactly zero" in verdicts(app)[0]
    assert cards(app)[0] == ("this network", "The signal vanishes")
    assert cards(app)[1][0] == "with shortcuts"


CHARTS = {
    "gradient": ["flow.chart.0"],
    "activations": ["flow.deviation.0", "flow.mean.0", "flow.dead.0"],
    "shortcuts": ["flow.shares"],
    "feeds": ["flow.feeds", "flow.reuse"],
    "paths": ["flow.paths"],
}
# views that a network has nothing to show in, and how it says so
MISSING = {
    "resnet20_cifar": {"feeds": "a block is read by the next one alone"},
    "plain20_cifar": {
        "shortcuts": "no residual blocks",
        "feeds": "a block is read by the next one alone",
        "paths": "one path through this network",
    },
    "densenet40_12_cifar": {"shortcuts": "no residual blocks", "paths": "one path through this network"},
    "cliquenet_k36_t12": {"shortcuts": "no residual blocks", "paths": "one path through this network"},
}


@pytest.mark.parametrize("name", MISSING)
def test_every_view_of_every_family(name):
    app = opened(GRADIENT_FLOW, network=name, against="none", seeds="1")
    for view in ("activations", "shortcuts", "feeds", "paths", "gradient"):
        app.segmented_control(key="link.view").select(view).run()
        assert messages(fine(app)) == [], view
        charts, said = [one.key for one in app.get("plotly_chart")], [one.value for one in app.info]
        if view in MISSING[name]:
            assert charts == []
            (sentence,) = said
            assert MISSING[name][view] in sentence
        else:
            assert (charts, said) == (CHARTS[view], [])
        in_link = {"network": name, "against": "none", "seeds": "1"} | ({"view": view} if view != "gradient" else {})
        assert app.query_params == in_link | link_of_weights(name)


def test_settings_change_what_is_run():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", against="none"))
    first = verdicts(app)
    app.segmented_control(key="link.mode").select("eval").run()
    second = verdicts(fine(app))
    app.selectbox(key="link.images").select("samples").run()
    third = verdicts(fine(app))
    app.number_input(key="link.label").set_value(3).run()
    assert len({*first, *second, *third, *verdicts(fine(app))}) == 4


def test_settings_stand_in_the_link():
    settings = {
        "images": "samples",
        "label": "3",
        "batch": "2",
        "seeds": "1",
        "mode": "eval",
        "points": "block ends",
        "gradient": "relative",
    }
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", **settings))
    assert messages(app) == []
    assert link(app) == {"network": "resnet20_cifar"} | settings | link_of_weights("resnet20_cifar")
    assert app.selectbox(key="link.images").value == "samples"
    assert [app.number_input(key=f"link.{name}").value for name in ("label", "batch", "seeds")] == [3, 2, 1]
    figure = chart(app, "flow.chart.")
    assert figure["layout"]["yaxis"]["title"]["text"] == "norm of dLoss/dWeight over norm of weight"
    # of each block's weights the last
    (line,) = (trace for trace in figure["data"] if trace.get("name") == "this network")
    assert [name for name, _ in line["customdata"]] == [
        f"layer{stage}.{block}.conv2" for stage in (1, 2, 3) for block in (0, 1, 2)
    ]


def test_settings_that_cannot_be_are_passed_over():
    bad = {"images": "own", "label": "10", "batch": "9" * 20, "seeds": "0", "mode": "<b>", "view": "x", "points": ""}
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", **bad))
    assert messages(app) == []
    assert verdicts(app) == verdicts(fine(opened(GRADIENT_FLOW, network="resnet20_cifar")))


def test_a_click_on_a_line_selects_the_operation():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", against="plain"))
    click(app, "flow.chart.", ["layer2.0.conv1", 0])
    assert app.query_params["op"] == "layer2.0.conv1"
    click(app, "flow.chart.", ["no.such.operation", 1])
    assert app.query_params["op"] == "layer2.0.conv1"


def test_a_last_norm_at_zero_is_no_division_by_zero():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", zero_init="on", shortcut="B"))
    sentence, _ = verdicts(app)
    assert "the last one's that is not exactly zero (layer3.0.downsample.0)" in sentence
    assert "inf" not in sentence
    assert "nan" not in sentence
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", zero_init="on"))
    assert "all convolutions but the first have a gradient of exactly zero" in verdicts(app)[0]


def test_trained_weights_are_run_as_they_are():
    app = opened(GRADIENT_FLOW, network="resnet20_cifar", mode="eval", seeds="1")
    fresh = verdicts(app)
    upload(app, "mine.safetensors", checkpoint("resnet20_cifar", seed=0)).run()
    # the same numbers, from a file
    assert verdicts(fine(app)) == fresh
    upload(app, "other.safetensors", checkpoint("resnet20_cifar", seed=1)).run()
    assert verdicts(fine(app)) != fresh


def test_a_classical_comparison_is_one_click():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar", against="none", seeds="1", batch="2"))
    app.session_state["classical"] = True  # its menu is open
    (button,) = (one for one in app.run().button if one.label == "Four ways to join layers")
    button.click().run()
    assert app.session_state["classical"] is False
    app = fine(app)
    assert app.session_state["visitor"].choice.config == PRESETS["resnet56_cifar"]
    assert [line.split("**")[1].split(" (")[0] for line in verdicts(app)][1:] == [
        "Plain-56",
        "DenseNet-40, k=12",
        "CliqueNet k=36, T=12",
    ]


def test_what_the_network_cannot_be_compared_with_is_told():
    app = opened(network="densenet40_12_cifar", against="plain.<script>.no-norm")
    (sentence,) = messages(app)
    assert "cannot be compared with" in sentence
    app.switch_page(GRADIENT_FLOW).run()
    assert len(verdicts(fine(app))) == 2


def test_a_large_run_waits_for_a_click():
    app = fine(opened(GRADIENT_FLOW, network="resnet50", against="none", batch="8", seeds="3"))
    (button,) = (one for one in app.button if one.label.startswith("Measure"))
    # 4.09 G MACs, three times for forward and back, 8 images, 3 seeds: 294 G, 50 G a second
    assert button.label == "Measure (about 6 s)"
    assert verdicts(app) == []


def test_who_has_chosen_nothing_gets_as_few_images_as_start_at_once(monkeypatch):
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 2e8)
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar"))
    # 40.6 M MACs, three times for forward and back: 24 of them are 15 s, 2 are 1.2 s, for each of two networks
    assert [app.number_input(key=f"link.{name}").value for name in ("batch", "seeds")] == [2, 1]
    assert len(verdicts(app)) == 2
    assert "few images and seeds" in captions(app)
    app.number_input(key="link.batch").set_value(8).run()
    assert app.query_params["batch"] == "8"
    assert any(one.label.startswith("Measure") for one in fine(app).button)


def test_a_batch_that_is_too_large_is_refused_with_one_that_fits(monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "60MB")
    app = opened(GRADIENT_FLOW, network="resnet20_cifar")
    app.number_input(key="link.batch").set_value(64).run()
    (sentence,) = (box.value for box in app.error)
    fits = int(re.search(r"batch of (\d+) would fit", sentence)[1])
    app.number_input(key="link.batch").set_value(fits).run()
    assert [box.value for box in app.error] == []
    assert verdicts(fine(app))


def test_one_image_in_train_mode_is_refused_where_a_norm_has_one_value():
    app = opened(GRADIENT_FLOW, network="resnet20_cifar", input_size="8")
    app.number_input(key="link.batch").set_value(1).run()
    assert verdicts(fine(app))  # 2x2 pixels are left
    app = opened(GRADIENT_FLOW, network="resnet18", input_size="32", classes="10", against="none")
    app.number_input(key="link.batch").set_value(1).run()
    assert "at least 2 images" in app.error[0].value
