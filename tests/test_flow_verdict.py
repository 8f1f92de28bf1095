"""Verdicts on a gradient: thresholds by hand, theory against networks that run, and what is published of them."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from controls.panels import gradient_verdicts
from controls.panels.gradient_verdicts import SIGNS, amount, consequences, number, power, why
from explorer.analyses import gradients
from explorer.analyses.flow_reading import Reading
from explorer.analyses.flow_verdict import BATCH_NORM, DEFAULT_INIT, SUM, Verdict, _label, judge
from explorer.families import FAMILIES, PRESETS, plan
from explorer.families.vgg import VGGConfig

NAN = math.nan


def judged(config, mode="train", count=8, seeds=1):
    here = plan(config)
    batches = [gradients.noise(here, count, seed) for seed in range(seeds)]
    return judge(gradients.flow(gradients.fresh(here, range(seeds), mode), batches), mode, trained=False)


def reading(ratio, layers=100, **fields):
    standard = {"arrival": "reaches", "convolutions": layers + 1, "broken": 0, "zero": 0, "ratio": ratio}
    standard |= {"a_layer": ratio ** (1 / layers), "reference": ("last",), "last": "last", "deviation": (1.0, 1.0)}
    return Reading(**(standard | {"zeros": 0.5, "loss": 2.3, "chance": 2.3} | fields))


@pytest.mark.parametrize(
    ("ratio", "layers", "label"),
    [
        (11, 18, "healthy"),  # ResNet-20
        (1.21**33, 33, "healthy"),  # a plain network of 34 layers with batch norm, which He et al. call so
        (1.21**55, 55, "grows"),  # of 56, which learns worse than one of 20
        (1.21**109, 109, "explodes"),  # of 110, which hardly learns
        (8.4e3, 154, "healthy"),  # ResNet-152: 1.06 a layer
        (1 / 1.6e4, 8, "shrinks"),
        (1 / 1.8e4, 8, "vanishes"),  # He et al.: 1.7·10^4
        (1 / 500, 20, "healthy"),
    ],
)
def test_thresholds_are_those_of_published_networks(ratio, layers, label):
    assert _label(reading(ratio, layers), diverges=False) == label


def test_what_cannot_be_compared_has_a_label_too():
    nothing = {"ratio": NAN, "a_layer": NAN}
    arrivals = {"overflows": "overflows", "vanishes": "vanishes", "alone": "healthy"}
    for arrival, label in arrivals.items():
        assert _label(reading(2.0)._replace(arrival=arrival, **nothing), diverges=False) == label
    assert _label(reading(2.0), diverges=True) == "explodes"


def test_batch_norm_enlarges_gradients_of_a_plain_network_by_the_published_factor():
    # Yang et al. (1902.08129), for large batches: norms by the root of pi/(pi - 1) = 1.2112 a layer. In layers of one
    # position, in the middle of the network, so that neither end counts.
    torch.manual_seed(0)
    x = torch.randn(256, 256, requires_grad=True)
    outputs = [x]
    for _ in range(20):
        weight = torch.randn(256, 256) / 16
        outputs.append(F.relu(F.batch_norm(outputs[-1] @ weight, None, None, training=True)))
    ends = torch.autograd.grad((outputs[-1] * torch.randn(256, 256)).sum(), [outputs[4], outputs[16]])
    first, last = (float(end.norm()) for end in ends)
    assert (first / last) ** (1 / 12) == pytest.approx(BATCH_NORM, rel=0.02)
    assert pytest.approx(1.2112, abs=1e-4) == BATCH_NORM


def test_plain_networks_grow_by_what_their_verdict_says():
    batch_norm = judged(PRESETS["plain56_cifar"], count=4)
    assert (batch_norm.label, batch_norm.cause, batch_norm.factor) == ("grows", "norms", BATCH_NORM)
    assert batch_norm.reading.a_layer == pytest.approx(1.21, abs=0.03)
    bare = PRESETS["plain20_cifar"].adapt(norm="none", init="default")
    default = judged(bare, count=4)
    assert (default.label, default.cause, default.factor) == ("vanishes", "default", DEFAULT_INIT)
    assert default.reading.a_layer == pytest.approx(0.408, abs=0.03)
    kept = judged(bare.adapt(init="kaiming"), count=4)
    assert (kept.label, kept.cause) == ("healthy", "kaiming")


def test_sums_without_norms_grow_by_the_root_of_two_a_block_and_diverge():
    found = judged(PRESETS["resnet56_cifar"].adapt(norm="none"), count=2)
    assert (found.label, found.cause, found.factor) == ("explodes", "sums without norms", SUM)
    assert found.reading.a_layer**2 == pytest.approx(SUM, abs=0.06)  # two layers a block
    assert found.diverges
    # and they do: SGD with momentum 0.9 at a learning rate of 0.1
    here = plan(PRESETS["resnet56_cifar"].adapt(norm="none"))
    (network,), batch = gradients.fresh(here, [0], "train"), gradients.noise(here, 2, 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(network(batch.images), batch.labels).backward()
        optimizer.step()
    assert not torch.isfinite(network(batch.images)).all()


def test_the_step_is_the_gradient_of_a_layers_weights_over_their_size():
    config = VGGConfig(layers=(1, 1, 1), widths=(4, 4, 8), input_size=16, pool_size=1, hidden=0, classes=5, dropout=0.5)
    here = plan(config.adapt(norm="batch"))
    (network,), batch = gradients.fresh(here, [0], "train"), gradients.noise(here, 4, 0)
    F.cross_entropy(network(batch.images), batch.labels).backward()
    steps = {
        name: 0.1 * float(weight.grad.norm() / weight.detach().norm())
        for name, weight in network.named_parameters()
        if weight.ndim > 1
    }
    found = judged(config.adapt(norm="batch"), count=4)
    assert found.step == pytest.approx(max(steps.values()), rel=1e-4)
    assert found.changed == max(steps, key=steps.__getitem__).removesuffix(".weight")
    assert found.first_step == pytest.approx(steps["features.0.weight"], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_verdict_and_a_reason(family):
    for config in FAMILIES[family].examples:
        found = judged(config)
        assert found.label in SIGNS
        assert number(found).startswith("It ")
        assert why(found).endswith(".")
        assert "nan" not in number(found) + why(found)


def test_norms_of_the_batch_that_counted_nothing_are_no_norms():
    plain = PRESETS["plain20_cifar"]
    assert judged(plain, "eval", count=2).cause == "kaiming"
    assert judged(plain.adapt(norm="group"), "eval", count=2).cause == "norms"
    flow = gradients.flow(gradients.fresh(plan(plain), [0], "eval"), [gradients.noise(plan(plain), 2, 0)])
    assert judge(flow, "eval", trained=True).cause == "trained"


# --- in words


VERDICT = Verdict("explodes", reading(1.9e8, 109), "norms", BATCH_NORM, 7.4e5, "conv1", 7.4e5, False)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (11.3, "11"),
        (2.34, "2.3"),
        (99.7, "100"),
        (2810, "2,800"),
        (99_999, "100,000"),
        (1.9e8, "1.9·10⁸"),
        (1e6, "10⁶"),
    ],
)
def test_numbers_are_said_with_two_digits(value, said):
    assert amount(value) == said


def test_powers_are_said_as_one_checks_them():
    assert power(1.2112, 18) == "1.21¹⁸ ≈ 31"  # 31.45
    assert power(0.40825, 18) == "0.41¹⁸ ≈ 10⁻⁷"  # 9.9·10^-8


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (11.4, "It reaches the first layer **11 times larger** than the last."),
        (1 / 230, "It reaches the first layer **230 times smaller** than the last."),
        (1.2, "It reaches the first layer **about as large** as the last."),
    ],
)
def test_the_number_is_said_in_words(ratio, said):
    assert number(VERDICT._replace(reading=reading(ratio))) == said


def test_a_step_is_told_where_it_is_remarkable():
    (lost,) = consequences(VERDICT)
    assert "changes conv1 by 7.4·10⁵ times its own size: what was drawn there is lost" in lost
    (diverges,) = consequences(VERDICT._replace(diverges=True))
    assert "The first steps will diverge" in diverges
    (still,) = consequences(VERDICT._replace(label="vanishes", step=0.1, first_step=1e-9))
    assert "less than float32 can add" in still
    assert np.float32(1) + np.float32(2.0**-24) == 1
    assert consequences(VERDICT._replace(label="healthy")) == []


def test_the_rule_names_every_verdict_and_its_source():
    for word in (
        "healthy",
        "grows",
        "shrinks",
        "explodes",
        "vanishes",
        "1,000",
        "1512.03385",
        "1902.08129",
        "1502.01852",
    ):
        assert word in gradient_verdicts.RULE
