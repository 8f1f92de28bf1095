"""The fast form against the network that it is made from, and against torch's own fusion."""

import gc
import threading
import weakref

import pytest
import torch
from examples import example
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from possible import EXAMPLES, on_tiny_images, possible
from random_weights import random_state
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from explorer.families import FAMILIES, ConfigError, knobs, plan
from explorer.plan import Plan, Recorder
from explorer.plan.lesions import lesioned, parts
from explorer.running.fast_form import derived, fast_form
from explorer.running.kinds import RUNNING
from explorer.running.network import build, run, sharing


def trained(the_plan: Plan, dtype: torch.dtype = torch.float64, signs: bool = True):
    """Weights in which no norm is the identity; `signs`: of some channels the scale is negative, of one it is zero."""
    network = build(the_plan).to(dtype)
    network.load_state_dict(random_state(network))
    for module in network.modules():
        if signs and isinstance(module, nn.BatchNorm2d):
            module.weight.data[::3] *= -1
            module.weight.data[1:2] = 0
    return network


def images_of(the_plan: Plan, dtype: torch.dtype = torch.float64, count: int = 3):
    return torch.randn(count, *the_plan.ops[0].shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return ((one - other).abs().max() / one.abs().max().clamp(min=1e-30)).item()


def check(the_plan: Plan) -> None:
    network, images = trained(the_plan), images_of(the_plan)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    form = derived(network)
    with torch.inference_mode():
        said = network(images)
        assert apart(said, form(images)) < 1e-10
        assert torch.equal(form(images), form(images))
    own = images.clone().requires_grad_()
    ways = [torch.autograd.grad(one(own)[:, 0].sum(), own)[0] for one in (network, form)]
    assert apart(*ways) < 1e-8
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(weight.requires_grad and weight.is_contiguous() for weight in network.parameters())
    assert not any(module.inplace for module in network.modules() if isinstance(module, nn.ReLU))
    narrow = trained(the_plan, torch.float32)
    assert apart(narrow(images.float()), derived(narrow)(images.float())) < 2e-5


@pytest.mark.parametrize("kind", RUNNING)
def test_every_kind(kind):
    check(example(kind))


@pytest.mark.parametrize("config", EXAMPLES)
def test_every_familys_examples(config):
    check(plan(on_tiny_images(config)))


def drawn(family: str):
    """Any values of the knobs that are not numbers; the sizes stay those of an example."""
    config = FAMILIES[family].examples[0]
    chosen = {}
    for knob in knobs(type(config)):
        if knob.kind == "switch":
            chosen[knob.name] = st.booleans()
        elif knob.choices:
            chosen[knob.name] = st.sampled_from(knob.choices)
    return st.tuples(st.just(config), st.sampled_from(FAMILIES[family].examples), st.fixed_dictionaries(chosen))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(FAMILIES)).flatmap(drawn))
def test_any_configuration(found):
    _, near, values = found
    try:
        config = possible(type(near), near.model_dump() | values)
    except ConfigError:
        return
    check(plan(on_tiny_images(config)))


def pre_activation() -> Plan:
    """Norm, ReLU, 1x1; its norm; and a shortcut around both."""
    net = Recorder(3, 6)
    with net.stage("body"):
        x = net.conv("conv0", net.input, 8, kernel=3)
        y = net.activation("relu1", net.norm("norm1", x))
        y = net.conv("conv1", y, 4, kernel=1)
        y = net.conv("conv2", net.activation("relu2", net.norm("norm2", y)), 8, kernel=1)
        x = net.add("add", y, x)
        x = net.activation("relu3", net.norm("norm3", x))
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool", x), 3)
    return net.finish()


def norms_left(form: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in form.modules())


def test_norms_go_where_they_can():
    """norm2 into conv1, before it; norm1 past its ReLU into conv1; norm3 has a pool behind its ReLU, and stays."""
    network = trained(pre_activation())
    form = derived(network)
    assert norms_left(network) == 3
    assert norms_left(form) == 1
    check(pre_activation())


def test_without_exchange_a_norm_stays_in_front_of_its_activation():
    network, images = trained(pre_activation()), images_of(pre_activation())
    form = derived(network, exchange=False)
    assert norms_left(form) == 2  # norm1 too
    assert apart(network(images), form(images)) < 1e-10


def test_torchs_own_fusion_gives_the_same_weights():
    net = Recorder(3, 6)
    with net.stage("body"):
        x = net.activation("relu", net.norm("norm", net.conv("conv", net.input, 8, kernel=3)))
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool", x), 3)
    network = trained(net.finish())
    theirs = fuse_conv_bn_eval(network.get_submodule("conv"), network.get_submodule("norm"))
    ours = derived(network).get_submodule("conv")
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-12)
    assert torch.allclose(ours.bias, theirs.bias, rtol=1e-12, atol=1e-14)


def test_at_its_bound_a_relu_has_no_gradient_still():
    """Fresh norms have no offset, so that the zeros of a ReLU before them lie at the next one's bound."""
    net = Recorder(2, 4)
    with net.stage("body"):
        x = net.activation("relu0", net.input)
        x = net.conv("conv", net.activation("relu1", net.norm("norm", x)), 3, kernel=1)
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool", x), 2)
    network = build(net.finish())
    images = torch.randn(2, 2, 4, 4, requires_grad=True)
    ours, plain = (torch.autograd.grad(one(images).sum(), images)[0] for one in (derived(network), network))
    assert torch.equal(ours == 0, plain == 0)
    assert apart(plain, ours) < 1e-5


def test_an_operation_inside():
    the_plan = pre_activation()
    network, images = trained(the_plan), images_of(the_plan)
    for op in the_plan.ops[1:]:
        _, kept = run(network, images, [op.name])
        assert apart(kept[op.name].flatten(1), fast_form(network, op.name)(images)) < 1e-10
    with pytest.raises(KeyError):
        fast_form(network, "nothing")


def test_a_network_in_training_mode_is_asked_as_in_eval_mode():
    the_plan = pre_activation()
    network, images = trained(the_plan), images_of(the_plan)
    said = network(images)
    network.train()
    assert apart(said, fast_form(network)(images)) < 1e-10
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("config", EXAMPLES[::3])
def test_lesions(config):
    the_plan = plan(on_tiny_images(config))
    network, images = trained(the_plan), images_of(the_plan)
    for part in parts(the_plan)[:4]:
        left = sharing(network, lesioned(the_plan, (part.name,)))
        assert apart(left(images), fast_form(left)(images)) < 1e-10


def test_it_is_remembered_until_the_weights_change_and_no_longer_than_the_network():
    network, images = trained(pre_activation()), images_of(pre_activation())
    form = fast_form(network)
    assert fast_form(network) is form
    with torch.no_grad():
        network.get_parameter("conv1.weight").mul_(2)
    assert fast_form(network) is not form
    assert apart(network(images), fast_form(network)(images)) < 1e-10
    with torch.no_grad():
        network.get_buffer("norm3.running_mean").add_(1)
    assert apart(network(images), fast_form(network)(images)) < 1e-10
    gone = weakref.ref(fast_form(network))
    del network, form
    gc.collect()
    assert gone() is None


def test_threads_get_the_same_answers():
    network, images = trained(pre_activation()), images_of(pre_activation())
    wanted, found = derived(network)(images), []

    def ask():
        for _ in range(20):
            found.append(fast_form(network)(images))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(torch.equal(one, wanted) for one in found)


def test_it_can_be_made_where_no_gradients_are_recorded_and_asked_for_them_later():
    network = trained(pre_activation())
    with torch.inference_mode():
        form = fast_form(network)
    images = images_of(pre_activation()).requires_grad_()
    assert torch.autograd.grad(form(images).sum(), images)[0].abs().max() > 0
