"""The gradient flow page as its visitors use it."""

import re

import pytest
from visitor import GRADIENT_FLOW, fine, messages, opened

from controls import work
from explorer.families import PRESETS

pytestmark = pytest.mark.usefixtures("navigation")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """One of 20 billion multiply-accumulates a second, however busy this one is."""
    monkeypatch.setattr(work, "_speeds", {})
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 2e10)
    monkeypatch.setattr(work, "TELLING", float("inf"))


def verdicts(app):
    return [line for text in app.markdown for line in text.value.splitlines() if line.startswith("- **")]


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


def test_vanishing_is_told():
    app = fine(opened(GRADIENT_FLOW, network="plain110_cifar", norm="none", init="default"))
    assert "exactly zero" in verdicts(app)[0]


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
    app = opened(GRADIENT_FLOW, network=name)
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
        assert app.query_params == {"network": name} | ({"view": view} if view != "gradient" else {})


def test_settings_change_what_is_run():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar"))
    first = verdicts(app)
    app.segmented_control(key="link.mode").select("eval").run()
    second = verdicts(fine(app))
    app.selectbox(key="link.images").select("samples").run()
    third = verdicts(fine(app))
    app.number_input(key="link.label").set_value(3).run()
    assert len({*first, *second, *third, *verdicts(fine(app))}) == 4


def test_a_classical_comparison_is_one_click():
    app = fine(opened(GRADIENT_FLOW, network="densenet121"))
    (button,) = (one for one in app.button if one.label == "Four ways to join layers")
    button.click().run()
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
    app = fine(opened(GRADIENT_FLOW, network="resnet50"))
    (button,) = (one for one in app.button if one.label.startswith("Measure"))
    # 4.09 G MACs, three times for forward and back, 8 images, 3 seeds: 294 G, 20 G a second
    assert button.label == "Measure (about 15 s)"
    assert verdicts(app) == []


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
    app = opened(GRADIENT_FLOW, network="resnet18", input_size="32", classes="10")
    app.number_input(key="link.batch").set_value(1).run()
    assert "at least 2 images" in app.error[0].value
