"""Maps held against the object, as a visitor of the attribution page sees it."""

import numpy as np
import pytest
from visitor import ATTRIBUTION, captions, chart, fine, opened, upload

from controls.panels.attribution_localisation import in_words, of_one
from controls.services import localisations
from controls.services.localisations import Examined
from explorer import links
from explorer.analyses.attribution.attribute import Attribution
from explorer.analyses.attribution.localisation import CHANCE, EDGES, Located, Ranking, rank
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Options, settings
from explorer.families import FAMILIES, plan
from explorer.learning.datasets.shapes import some
from explorer.pictures import shapes
from explorer.pictures.preparation import Preparation, as_seen, to_tensor
from explorer.running import weights
from explorer.running.card import Card
from explorer.running.network import build
from explorer.running.weights import save_safetensors

# tiny, and with smooth functions, of which methods for ReLUs say that they cannot explain them
CONFIG = FAMILIES["resnet"].examples[0].replace(classes=10, channels=3, input_size=16, activation="silu")
PREPARATION = Preparation(16, 16, (0.4, 0.5, 0.6), (0.2, 0.2, 0.25))
ABC = tuple("abcdefghij")
LINK = links.write(links.Choice(next(iter(FAMILIES["resnet"].presets)), CONFIG))

# ---- in words ----


def attribution(values):
    return Attribution(np.array(values, np.float32), True, 0.1, None, None, "")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[3, 0], [1, 0]], "75% of the evidence lies on the object (chance 25%); its strongest pixel lies on it."),
        ([[1, 0], [3, 0]], "25% of the evidence lies on the object (chance 25%); its strongest pixel lies off it."),
        (
            [[1, 1], [0, 0]],
            "50% of the evidence lies on the object (chance 25%); of its equally strong pixels 50% lie on it.",
        ),
        ([[0, -1], [0, 0]], "No evidence for the target, so none lies on the object."),
    ],
)
def test_one_map_in_words(values, said):
    assert of_one(attribution(values), np.array([[True, False], [False, False]])) == said


def located(mean, spread=0.001, images=64):
    """Energies of this mean."""
    energy = mean + spread * np.linspace(-1, 1, images)
    return Located(energy, energy, 0.1)


def test_a_ranking_in_words():
    references = {CHANCE: located(0.1), EDGES: located(0.4)}
    found = Ranking({"saliency": located(0.5), "grad_cam": located(0.7), "gradient": located(0.2)} | references)
    assert in_words(found) == (
        "**Grad-CAM** puts 70% of its evidence on the object, the most of these. It is above **Saliency** and "
        "**Gradient** by more than luck. The strongest pixel lies on the object most often for **Grad-CAM**, 70%. An "
        "edge detector, which knows no network, reaches 40%: it cannot be said that **Gradient** does better."
    )
    rather = Located(located(0.69).energy[::-1] + np.tile([0.2, -0.2], 32), located(0.8).pointing, 0.1)
    found = Ranking({"saliency": rather, "grad_cam": located(0.7), "lime": "It refuses."} | references)
    assert in_words(found) == (
        "**Grad-CAM** puts 70% of its evidence on the object, the most of these. It cannot be told apart from "
        "**Saliency**. The strongest pixel lies on the object most often for **Saliency**, 80%. An edge detector, "
        "which knows no network, reaches 40%: less than each of them by more than luck."
    )
    assert in_words(Ranking({"saliency": located(0.5)} | references)) == (
        "**Saliency** puts 50% of its evidence on the object. An edge detector, which knows no network, reaches 40%: "
        "less than it by more than luck."
    )
    assert (
        in_words(Ranking({"saliency": located(np.nan)} | references)) == "No map has any evidence for the true class."
    )


# ---- the work ----


def test_only_weights_that_know_the_shapes_are_asked():
    known, other = (weights.Weights("uploaded", "0", "x", Card(PREPARATION, names)) for names in (shapes.CLASSES, ABC))
    assert localisations.offered(CONFIG, known)
    assert not localisations.offered(CONFIG, other)
    assert not localisations.offered(CONFIG, weights.fresh(0))
    assert not localisations.offered(CONFIG.replace(classes=11), known)
    assert not localisations.offered(CONFIG.replace(input_size=256), known)
    assert not localisations.offered(
        CONFIG, weights.Weights("uploaded", "0", "x", Card(PREPARATION, tuple("abcdefghij")))
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_gets_what_was_drawn(channels):
    prepared = Preparation(16, 16, (0.5,) * channels, (0.25,) * channels)
    known = weights.Weights("uploaded", "0", "x", Card(prepared, shapes.CLASSES))
    found = localisations.examples(Examined(CONFIG.replace(channels=channels), known, "cpu", 12))
    drawn = shapes.draw(np.arange(12), 1, 16, channels)
    assert found.images.numpy() == pytest.approx((drawn.images / 255 - 0.5) / 0.25, abs=1e-5)
    assert np.array_equal(found.masks, drawn.masks)
    assert found.labels.tolist() == [*range(10), 0, 1]
    assert len({one.picture for one in found.subjects}) == 12


# ---- the page ----


@pytest.fixture(scope="module")
def network():
    return build(plan(CONFIG), seed=3)


def trained_on_shapes(app, network, classes=shapes.CLASSES):
    """The session after weights were sent whose card names these classes."""
    return upload(app, "shapes.safetensors", save_safetensors(network, Card(PREPARATION, classes)))


def images_of(app):
    return [one.url for found in app.get("image") for one in found.proto.imgs]


@pytest.mark.usefixtures("navigation")
def test_each_map_is_held_against_the_object(network):
    app = opened(ATTRIBUTION, **LINK, methods="saliency.grad_cam.layer_conductance")
    assert "lies on the object" not in captions(app)
    assert "link.outline" not in {toggle.key for toggle in app.toggle}
    app.selectbox(key="link.picture").select("shapes.3").run()
    # of the map of an operation's channels nothing can be said
    assert captions(fine(app)).count("the object") == 2
    assert "(chance " in captions(app)
    before = images_of(app)
    app.toggle(key="link.outline").set_value(True).run()
    assert "".join(fine(app).query_params["outline"]) == "on"
    same = [one == other for one, other in zip(before, images_of(app), strict=True)]
    # the network's input and the map of channels have no outline
    assert same == [True, False, False, True]


def compare(app):
    """The session after a click on the panel's button, and the panel's table."""
    (button,) = (one for one in app.button if one.label.startswith("Compare on 16 images"))
    button.click().run()
    (shown,) = (one.value for one in fine(app).dataframe if "energy" in one.value)
    return shown


@pytest.mark.usefixtures("navigation")
def test_methods_are_compared_on_images_whose_objects_are_known(network):
    app = opened(ATTRIBUTION, **LINK, methods="saliency.grad_cam.guided_backprop.layer_conductance")
    assert "Which method finds the object?" not in [one.value for one in app.subheader]
    app = trained_on_shapes(app, network)
    assert "Which method finds the object?" in [one.value for one in app.subheader]
    app.segmented_control(key="link.objects").set_value(16).run()
    shown = compare(app)
    assert shown["title"].tolist() == ["Saliency", "Grad-CAM", "Guided Backpropagation", "Chance", "Edge detector"]
    # what the library finds when it is asked directly
    drawn = shapes.draw(np.arange(16), 1, 16)
    pictures = [one.picture for one in some(16, 3, range(16))]
    expected = rank(
        network,
        to_tensor([as_seen(one, PREPARATION) for one in pictures], PREPARATION),
        drawn.labels,
        drawn.masks,
        ["saliency", "grad_cam", "guided_backprop"],
        lambda method, i: settings(METHODS[method], Options(), pictures[i], PREPARATION),
    ).table()
    for measure in ("energy", "energy_low", "pointing", "pointing_high"):
        assert shown[measure].to_numpy() == pytest.approx(100 * expected[measure].to_numpy(), rel=1e-4, nan_ok=True)
    # one that refuses is listed with its sentence
    assert (
        shown["note"].tolist()[2]
        == "Guided backpropagation is a rule for the gradients of ReLUs, and this network has silu."
    )
    assert shown["energy"].isna().tolist() == [False, False, True, False, False]
    traces = chart(app, "attribution.ranking")["data"]
    assert {name for trace in traces for name in trace["y"]} == {"Saliency", "Grad-CAM", "Edge detector"}
    assert any("An edge detector, which knows no network, reaches" in one.value for one in app.markdown)

    # of one method more, that one alone is measured
    def measured():
        found = app.session_state.visitor.results.items()
        return {key[2][1]: id(outcome) for key, outcome in found if key[1] == "_measure"}

    before = measured()
    app.multiselect(key="link.methods").set_value(["saliency", "gradient"]).run()
    assert compare(app)["title"].tolist() == ["Saliency", "Gradient", "Chance", "Edge detector"]
    assert measured().keys() == {*before, "gradient"}
    assert before.items() < measured().items()
