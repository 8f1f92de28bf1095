"""The gradient flow page as its visitors use it."""

import re

import pytest
from visitor import GRADIENT_FLOW, fine, messages, opened

from explorer.families import PRESETS

pytestmark = pytest.mark.usefixtures("navigation")


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


def test_every_look_of_every_family():
    for name in ("resnet20_cifar", "plain20_cifar", "densenet40_12_cifar", "cliquenet_k36_t12"):
        app = opened(GRADIENT_FLOW, network=name)
        for look in ("Activations", "Shortcut share", "Who feeds whom", "Paths", "Gradient"):
            app.segmented_control(key="flow.look").select(look).run()
            assert messages(fine(app)) == [], (name, look)
            assert app.get("plotly_chart") or app.info, (name, look)


def test_settings_change_what_is_run():
    app = fine(opened(GRADIENT_FLOW, network="resnet20_cifar"))
    first = verdicts(app)
    app.segmented_control(key="flow.mode").select("eval").run()
    second = verdicts(fine(app))
    app.selectbox(key="flow.images").select("sample photographs").run()
    third = verdicts(fine(app))
    app.number_input(key="flow.label.10").set_value(3).run()
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
    assert "G MACs" in button.label
    assert verdicts(app) == []


def test_a_batch_that_is_too_large_is_refused_with_one_that_fits(monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "60MB")
    app = opened(GRADIENT_FLOW, network="resnet20_cifar")
    app.number_input(key="flow.batch").set_value(64).run()
    (sentence,) = (box.value for box in app.error)
    fits = int(re.search(r"batch of (\d+) would fit", sentence)[1])
    app.number_input(key="flow.batch").set_value(fits).run()
    assert [box.value for box in app.error] == []
    assert verdicts(fine(app))


def test_one_image_in_train_mode_is_refused_where_a_norm_has_one_value():
    app = opened(GRADIENT_FLOW, network="resnet20_cifar", input_size="8")
    app.number_input(key="flow.batch").set_value(1).run()
    assert verdicts(fine(app))  # 2x2 pixels are left
    app = opened(GRADIENT_FLOW, network="resnet18", input_size="32", classes="10")
    app.number_input(key="flow.batch").set_value(1).run()
    assert "at least 2 images" in app.error[0].value
