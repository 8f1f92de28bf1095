"""What is asked of a method: a map is remembered by just what its method reads, and costs what it costs."""

import dataclasses

import numpy as np
import pytest
import torch
from possible import small

from explorer.analyses.attribution import request
from explorer.analyses.attribution.attribute import attribute
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import FIRST, METHODS
from explorer.analyses.attribution.request import Compared, Options, compared, read_by
from explorer.analyses.attribution.score import Class
from explorer.families import plan
from explorer.pictures.preparation import standard_preparation
from explorer.pictures.reading import Picture
from explorer.running.network import build

SIZE = 16
CASES = [(name, noise) for name, method in METHODS.items() for noise in ("", "smoothgrad") if method.noise or not noise]
# field of Settings -> what a method says that it reads where it reads the field
NAMES = {
    "baseline": {"baseline", "baselines"},
    "operation": {"operation"},
    "relu": {"relu"},
    "superpixels": {"superpixels"},
    "steps": {"steps"},
    "samples": {"samples"},
    "window": {"window"},
    "stride": {"window"},
    "noise_level": {"noise"},
    "noise_samples": {"noise"},
    "precision": {"precision"},
}


def picture(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
    return Picture("noise.png", f"digest {seed}", pixels)


@pytest.fixture(scope="module")
def network():
    return build(plan(small("resnet", input_size=SIZE, activation="relu")), seed=0)


class Watched(Settings):
    """Settings that note what is read of them."""

    def __getattribute__(self, name):
        if not name.startswith("__"):
            object.__getattribute__(self, "__dict__").setdefault("read", set()).add(name)
        return object.__getattribute__(self, name)


@pytest.mark.parametrize(("method", "noise"), CASES)
def test_a_method_reads_what_it_says(network, method, noise):
    chosen = METHODS[method]
    options = Options(steps=4, samples=20, superpixels=9, noise=noise)
    plain = request.settings(chosen, options, picture(), standard_preparation(SIZE))
    watched = Watched(**{field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)})
    attribute(network, request.image_of(picture(), standard_preparation(SIZE)), Class(1), method, watched)
    read = vars(watched)["read"] & NAMES.keys()
    expected = {field for field, names in NAMES.items() if names & chosen.reads}
    # the noise's size only where there is noise
    assert read == (expected if noise else expected - {"noise_level", "noise_samples"})
    assert ("seed" in vars(watched)["read"]) == bool(chosen.draws or noise)


CHANGES = {
    "baseline": {"baseline": Compared("black")},
    "operation": {"operation": "layer1.0.conv1"},
    "relu": {"relu": False},
    "superpixels": {"superpixels": 16},
    "steps": {"steps": 8},
    "samples": {"samples": 7},
    "noise": {"noise": "smoothgrad"},
    "precision": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", METHODS)
def test_the_key_changes_with_what_is_read_and_with_nothing_else(method, change):
    chosen = METHODS[method]
    reads = chosen.compares if change == "baseline" else change in chosen.reads
    assert (read_by(chosen, Options(**CHANGES[change])) != read_by(chosen, Options())) == reads


def test_a_seed_is_read_where_there_is_chance():
    assert read_by(METHODS["saliency"], Options(seed=3)) == Options()
    assert read_by(METHODS["saliency"], Options(seed=3, noise="vargrad")) == Options(seed=3, noise="vargrad")
    assert read_by(METHODS["lime"], Options(seed=3)).seed == 3
    assert compared("noise", None, 3) == Compared("noise", None, 3)
    assert compared("black", picture(), 3) == Compared("black")
    assert compared("image", picture(1), 3) == Compared("image", picture(1))


def test_zero_samples_are_the_methods_own():
    lime = METHODS["lime"]
    assert read_by(lime, Options()) == read_by(lime, Options(samples=lime.samples))


def test_who_has_chosen_none_gets_methods_that_there_are():
    assert set(FIRST) <= METHODS.keys()


@pytest.mark.parametrize(("method", "noise"), CASES)
def test_passes_are_counted_before_they_are_made(network, method, noise):
    chosen, seen = METHODS[method], []
    options = Options(steps=20, samples=30, superpixels=9, noise=noise)
    settings = request.settings(chosen, options, picture(), standard_preparation(SIZE))
    image = request.image_of(picture(), standard_preparation(SIZE))
    attribute(network, image, Class(1), method, settings, lambda done, _: seen.append(done))
    expected = request.passes(plan(small("resnet", input_size=SIZE, activation="relu")), chosen, options)
    if "superpixels" in chosen.reads and not chosen.samples:
        # as many as SLIC finds, and one
        assert settings.superpixels is not None
        expected += int(settings.superpixels.max()) + 1 - options.superpixels
    assert seen[-1] == expected


def test_a_backward_pass_without_weights_gradients_is_a_forward_pass():
    network = plan(small("resnet", input_size=SIZE))
    assert request.macs(network, METHODS["saliency"], Options()) == 2 * network.macs
    assert request.macs(network, METHODS["feature_ablation"], Options(superpixels=9)) == 10 * network.macs


def test_settings_are_the_options_in_the_networks_space():
    preparation = standard_preparation(SIZE)
    options = Options(baseline=Compared("image", picture(1)), superpixels=9)
    made = request.settings(METHODS["lime"], options, picture(), preparation)
    assert torch.equal(made.baseline, request.image_of(picture(1), preparation))
    assert made.superpixels.shape == (SIZE, SIZE)
    assert len(request.settings(METHODS["gradient_shap"], Options(), picture(), preparation).baseline) == request.DRAWS
    nothing = request.settings(METHODS["saliency"], options, picture(), preparation)
    assert nothing.baseline is None
    assert nothing.superpixels is None
