"""Networks against torch and torchvision: counts, shapes, logits, any tensor by name; and sharing changes nothing."""

import contextlib
import copy
import gc
import io
import itertools
import re
import threading
import tracemalloc
import weakref
from collections import Counter

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from possible import (
    EXAMPLES,
    applied,
    ends,
    larger,
    most,
    on_large_enough_images,
    on_tiny_images,
    possible,
    small,
    with_chance,
)
from random_weights import random_state
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from explorer.families import FAMILIES, PRESETS, ConfigError, knobs, parse, plan
from explorer.running.network import blank, build, plan_of, run

SMALL_PRESETS = ("resnet20_cifar", "densenet_bc100_12_cifar", "cliquenet_k36_t12")


def images_of(config, count=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, config.channels, config.input_size, config.input_size, generator=draw)


def target_of(op):
    """The module that computes an operation: its own, or the one that holds a shared kernel."""
    return getattr(op.attributes, "shared", "") or op.name


# -- counts and shapes ------------------------------------------------------------------------------------------------


def check_counts_and_shapes(network, config):
    """The plan's params, MACs and shapes are those that torch finds: in all, and for each operation."""
    p = plan_of(network)
    images = torch.zeros(2, *p.ops[0].shape, device=next(network.parameters()).device)
    # the counter sets hooks on every module of the process: this is the only place that uses it
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        with counter:
            network(images)
        logits, kept = run(network, images, keep=[op.name for op in p.ops])
    assert logits.shape == (2, config.classes)
    for op in p.ops:
        assert kept[op.name].shape == (2, *op.shape), op.name
    assert p.params == sum(w.numel() for w in network.parameters())
    assert 2 * p.macs * len(images) == counter.get_total_flops()
    params, macs = Counter(), Counter()
    for op in p.ops[1:]:
        params[target_of(op)] += op.params
        macs[target_of(op)] += op.macs
    for name, module in network.named_modules():
        assert sum(w.numel() for w in module.parameters(recurse=False)) == params[name], name
    counted = {name.partition(".")[2]: sum(flops.values()) for name, flops in counter.get_flop_counts().items()}
    assert all(counted[name] == 2 * count * len(images) for name, count in macs.items() if count)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_their_plan_says(name):
    """Wide networks on torch's meta device, where nothing is allocated; deep ones faster on the CPU."""
    config = PRESETS[name]
    if plan(config).params < 4e7:
        config = on_tiny_images(config)
        check_counts_and_shapes(blank(plan(config)).to_empty(device="cpu"), config)
    else:
        check_counts_and_shapes(blank(plan(config)), config)


DRAWS = 115  # for each family, of which some are alike


def values_of(knob, example):
    """Any value of a knob, as far as is drawn."""
    match knob.kind:
        case "choice":
            return st.sampled_from(knob.choices)
        case "switch":
            return st.booleans()
        case "real":
            return st.floats(knob.least, knob.most)
        case "whole":
            return st.integers(int(knob.least), int(most(knob, example)))
        case "list":
            numbers = st.integers(int(knob.least), int(most(knob, example)))
            return st.integers(*knob.length).flatmap(lambda n: st.tuples(*[numbers] * n))


@pytest.mark.parametrize("family", FAMILIES)
def test_any_configuration_is_what_its_plan_says(family):
    config_type, example = FAMILIES[family].config, FAMILIES[family].examples[0]
    drawn, refused = set(), []

    @settings(max_examples=DRAWS, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(st.fixed_dictionaries({knob.name: values_of(knob, example) for knob in knobs(config_type)}))
    def check(values):
        try:
            config = possible(config_type, values)
        except ConfigError as error:
            refused.append(str(error))
            return
        if config not in drawn:
            drawn.add(config)
            check_counts_and_shapes(build(plan(config)), config)

    check()
    assert len(drawn) >= 76, refused  # four families: more than 300
    assert len(refused) <= 0.15 * DRAWS, refused


def neighbours(family):
    """A small network with each choice of each knob, and with the ends of what is drawn."""
    example = FAMILIES[family].examples[0]
    for knob in knobs(type(example)):
        base = applied(example, knob)
        match knob.kind:
            case "choice":
                values = knob.choices
            case "switch":
                values = False, True
            case "real":
                values = knob.least, knob.most
            case "whole":
                values = ends(base, knob)
            case "list":
                values = tuple((int(end),) * n for end in (knob.least, most(knob, base)) for n in knob.length)
        for value in values:
            yield pytest.param(base, {knob.name: value}, id=f"{family}-{knob.name}-{value}")


@pytest.mark.parametrize(("base", "change"), [case for family in FAMILIES for case in neighbours(family)])
def test_every_knob_alone(base, change):
    config = on_large_enough_images(base, change)
    assert getattr(config, *change) == next(iter(change.values()))
    check_counts_and_shapes(build(plan(config)), config)


@pytest.mark.parametrize("example", EXAMPLES)
@torch.no_grad()
def test_group_norm_runs_on_one_image_or_is_refused(example):
    """torch raises ValueError for a group with one value, in training and after."""
    sizes = []
    for size in (8, 12, 16, 24, 32, 48, 64):
        try:
            config = example.adapt(norm="group", input_size=size)
        except ConfigError as error:
            if str(error).startswith("norm='group'"):
                (enough,) = re.findall(r"input_size=(\d+) and more", str(error))
                example.adapt(norm="group", input_size=int(enough))
            continue
        sizes.append(size)
        network, images = build(plan(config)), images_of(config, count=1)
        assert network(images).isfinite().all()
        assert network.train()(images).isfinite().all()
    assert sizes[-1] == 64


@pytest.mark.parametrize("family", FAMILIES)
def test_no_group_norm_is_left_with_one_value(family):
    """The narrowest network of the family, at the smallest sizes that it takes."""
    narrow = FAMILIES[family].examples[0]
    for knob in knobs(type(narrow)):
        if knob.kind in ("whole", "list") and knob.changes_costs and knob.name not in ("input_size", "classes"):
            value = getattr(narrow, knob.name)
            least = (int(knob.least),) * len(value) if knob.kind == "list" else max(1, int(knob.least))
            with contextlib.suppress(ConfigError):
                narrow = narrow.adapt(**{knob.name: least})
    runs = 0
    for size in range(8, 40):
        with contextlib.suppress(ConfigError):
            config = narrow.adapt(norm="group", input_size=size)
            assert build(plan(config))(images_of(config, count=1)).isfinite().all()
            runs += 1
    assert runs


# -- the same numbers as torchvision, and as the papers' figures by hand ----------------------------------------------

# the model of torchvision.models -> the configuration of which its family says that it is this one
TORCHVISION = {
    preset.torchvision: preset.config
    for family in FAMILIES.values()
    for preset in family.presets.values()
    if preset.torchvision
}


@pytest.mark.parametrize("name", TORCHVISION)
@torch.no_grad()
def test_torchvision_state_dicts_give_torchvision_logits(name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None).eval()
    ours = blank(plan(TORCHVISION[name]))
    state = random_state(theirs)
    for network in (ours, theirs):
        # assigned, not copied: the largest has half a gigabyte
        network.load_state_dict(state, strict=True, assign=True)
    # sides 25, 13, 7, 4, 2 and, in a DenseNet, 25, 13, 6, 3, 1
    images = torch.randn(2, 3, 50, 50, generator=torch.Generator().manual_seed(1))
    logits = ours(images)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0
    assert torch.equal(logits, theirs(images))


SMALL_TORCHVISION = {
    "resnet18": (torchvision.models.resnet18, PRESETS["resnet18"]),
    "resnext": (
        lambda: torchvision.models.ResNet(
            torchvision.models.resnet.Bottleneck, [1, 2, 1, 1], groups=4, width_per_group=8, num_classes=10
        ),
        parse({"family": "resnet", "blocks": (1, 2, 1, 1), "cardinality": 4, "group_width": 8, "classes": 10}),
    ),
    "densenet": (
        lambda: torchvision.models.DenseNet(8, (2, 3, 2), 16, bn_size=2, num_classes=10),
        parse(
            {
                "family": "densenet",
                "growth_rate": 8,
                "blocks": (2, 3, 2),
                "stem_width": 16,
                "bottleneck": 2,
                "classes": 10,
            }
        ),
    ),
}


@pytest.mark.parametrize("name", SMALL_TORCHVISION)
def test_training_steps_are_torchvisions(name):
    make, config = SMALL_TORCHVISION[name]
    ours, theirs = build(plan(config), seed=3), make()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(random_state(theirs), strict=True)
    theirs.load_state_dict(random_state(theirs), strict=True)
    draw = torch.Generator().manual_seed(4)
    for network in (ours, theirs):
        network.train()
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9) for network in (ours, theirs)]
    for _ in range(2):
        images = torch.randn(4, 3, 50, 50, generator=draw)
        labels = torch.randint(config.classes, (4,), generator=draw)
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    start, expected = random_state(theirs), theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for key, value in ours.state_dict().items():
        assert torch.equal(value, expected[key]), key
        assert not torch.equal(value, start[key]), key


def resnet_by_hand(state, config, x):
    """ResNets as figures 2 and 5 of 1512.03385 and figure 1 of 1603.05027 draw them, knowing nothing of plans."""
    function = {"relu": F.relu, "silu": F.silu, "tanh": torch.tanh}[config.activation]

    def conv(name, x, stride=1, groups=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2, groups=groups)

    def norm(name, x):
        if config.norm == "none":
            return x
        scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
        if config.norm == "group":
            return F.group_norm(x, min(32, len(scale)), scale, shift)
        return F.batch_norm(x, state[f"{name}.running_mean"], state[f"{name}.running_var"], scale, shift)

    def branch(name, x, stride):
        """The convolutions of a block, each between its norm and function as the order says."""
        strides = [stride, 1]
        if config.block == "bottleneck":
            strides = [stride, 1, 1] if config.stride_on == "1x1" else [1, stride, 1]
        for i, step in enumerate(strides, start=1):
            groups = config.cardinality if i == 2 else 1
            if config.order == "pre":
                x = function(norm(f"{name}.bn{i}", x)) if i > 1 else x
                x = conv(f"{name}.conv{i}", x, step, groups)
            else:
                x = norm(f"{name}.bn{i}", conv(f"{name}.conv{i}", x, step, groups))
                x = function(x) if i < len(strides) else x
        if config.squeeze_excitation:
            gate = function(conv(f"{name}.se.fc1", x.mean((2, 3), keepdim=True)))
            x = x * torch.sigmoid(conv(f"{name}.se.fc2", gate))
        return x

    def around(name, x, stride, out):
        if config.shortcut == "A" and (stride > 1 or x.shape[1] < out):
            x = x[:, :, ::stride, ::stride]
            zeros = x.new_zeros(len(x), out - x.shape[1], *x.shape[2:])
            return torch.cat([x, zeros], 1)
        if config.shortcut == "D" and f"{name}.downsample.1.weight" in state:
            if stride == 2:  # the mean of 2x2 pixels, of fewer at an odd edge
                x, there = (F.pad(y, (0, y.shape[3] % 2, 0, y.shape[2] % 2)) for y in (x, torch.ones_like(x)))
                x = F.avg_pool2d(x, 2) / F.avg_pool2d(there, 2)
            x = conv(f"{name}.downsample.1", x)
            return norm(f"{name}.downsample.2", x) if config.order == "post" else x
        if f"{name}.downsample.0.weight" in state:
            x = conv(f"{name}.downsample.0", x, stride)
            return norm(f"{name}.downsample.1", x) if config.order == "post" else x
        return x

    if config.stem in ("deep", "tiered"):
        x = function(norm("conv1.1", conv("conv1.0", x, 2)))
        x = function(norm("conv1.4", conv("conv1.3", x)))
        x = conv("conv1.6", x)
    else:
        x = conv("conv1", x, 1 if config.stem == "cifar" else 2)
    x = function(norm("bn1", x)) if config.order == "post" else x
    x = x if config.stem == "cifar" else F.max_pool2d(x, 3, 2, 1)
    for stage, blocks in enumerate(config.blocks):
        for b in range(blocks):
            name, stride = f"layer{stage + 1}.{b}", 2 if stage and not b else 1
            out = config.width * 2**stage * (4 if config.block == "bottleneck" else 1)
            y = function(norm(f"{name}.bn1", x)) if config.order == "pre" else x
            # blocks that change the shape split after the function, and the first too (1603.05027, appendix) or not
            changes = stride > 1 or x.shape[1] != out
            after = changes or (stage == b == 0 and config.first_split == "after")
            split = y if config.order == "pre" and after else x
            y = branch(name, y, stride)
            y = y if config.shortcut == "none" else y + around(name, split, stride, out)
            x = function(y) if config.order == "post" else y
    x = function(norm("bn", x)) if config.order == "pre" else x
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


@pytest.mark.parametrize("order", ["post", "pre"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shortcut": "A"},
        {"shortcut": "none"},
        {"shortcut": "A", "stem_width": 4, "input_size": 13},
        {"block": "bottleneck", "cardinality": 2, "group_width": 3, "stem_width": 32},
        {"block": "bottleneck", "stride_on": "1x1", "shortcut": "A", "squeeze_excitation": 4},
        {"norm": "group", "activation": "silu", "squeeze_excitation": 2},
        {
            "norm": "none",
            "activation": "tanh",
            "stem": "deep",
            "stem_width": 9,
            "input_size": 33,
            "blocks": (1, 1, 2, 1),
        },
        {"stem": "imagenet", "input_size": 30, "dropout": 0.5, "drop_path": 0.5},
        {"shortcut": "D", "input_size": 21, "stem_width": 16, "stem": "tiered"},
        {"shortcut": "D", "input_size": 13, "norm": "none", "blocks": (1, 1, 1, 1)},
    ],
    ids=str,
)
@torch.no_grad()
def test_resnets_by_hand(order, fields):
    config = small("resnet", order=order, **fields)
    network = build(plan(config))
    state = random_state(network)
    network.load_state_dict(state)
    images = images_of(config).double()
    expected = resnet_by_hand({name: value.double() for name, value in state.items()}, config, images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(network.double()(images), expected)


def test_projections_everywhere():
    """Option C: with the projections of the blocks that keep their shape set to the identity, option B."""
    config = small("resnet", shortcut="C", norm="none", blocks=(2, 2, 2))
    network, other = build(plan(config)), build(plan(config.replace(shortcut="B")))
    with torch.no_grad():
        for stage in (1, 2, 3):
            for block in (0, 1) if stage == 1 else (1,):
                projection = network.get_submodule(f"layer{stage}.{block}.downsample.0")
                torch.nn.init.dirac_(projection.weight)
                projection.bias.zero_()
        missing, unexpected = other.load_state_dict(network.state_dict(), strict=False)
        assert not missing
        assert len(unexpected) == 4 * 2
        torch.testing.assert_close(network(images_of(config)), other(images_of(config)))


# -- any tensor by name -----------------------------------------------------------------------------------------------


def hooked(network, images):
    """The output of each operation, in order, by hooks on a copy."""
    network, outputs = copy.deepcopy(network), []
    for _, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    network(images)
    return outputs


@pytest.mark.parametrize("name", SMALL_PRESETS)
@torch.no_grad()
def test_any_tensor_is_what_a_hook_sees(name):
    config = PRESETS[name]
    network = build(plan(config))
    network.load_state_dict(random_state(network))
    images = images_of(config)
    names = [op.name for op in plan(config).ops]
    logits, kept = run(network, images, keep=names)
    assert list(kept) == names
    assert torch.equal(logits, network(images))
    seen = [images, *hooked(network, images)]
    assert len(seen) == len(names)
    for name, expected in zip(names, seen, strict=True):
        # a linear layer's module makes vectors, (N, C); every tensor of the network is as its plan says
        assert torch.equal(kept[name], expected.reshape(2, *plan(config)[name].shape)), name
    # one at a time, and in any order
    some = names[:: len(names) // 7]
    for chosen in ([name] for name in some):
        assert torch.equal(run(network, images, chosen)[1][chosen[0]], kept[chosen[0]])
    again = run(network, images, keep=some[::-1])[1]
    assert list(again) == some[::-1]
    assert all(torch.equal(again[name], kept[name]) for name in some)


def test_kept_tensors_carry_gradients():
    """dLogit/dx of a kept tensor, by autograd and by finite differences on the classifier alone."""
    config = small("resnet")
    network = build(plan(config))
    logits, kept = run(network, images_of(config), keep=["avgpool"])
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), kept["avgpool"])
    expected = network.get_submodule("fc").weight[2].expand(2, -1)
    torch.testing.assert_close(gradient.flatten(1), expected)
    assert all(weight.grad is None for weight in network.parameters())
    with torch.no_grad():
        assert not run(network, images_of(config))[0].requires_grad


@pytest.mark.parametrize("keep", [["layer1.0.conv9"], ["conv1", ""], ["layer1"], ["conv1.weight"]])
def test_unknown_names_are_refused(keep):
    config = small("resnet")
    network = build(plan(config))
    with pytest.raises(KeyError) as error:
        run(network, images_of(config), keep)
    assert repr(keep[-1]) in error.value.args[0]
    assert run(network, images_of(config), ["conv1"])[1].keys() == {"conv1"}


@torch.no_grad()
def test_two_threads_share_one_network():
    config = small("resnet", input_size=8, stem_width=4, width=4, blocks=(1, 1, 1))
    network = build(plan(config))
    names = [op.name for op in plan(config).ops]
    calls = {thread: [] for thread in ("a", "b")}
    for number, thread in enumerate(calls):
        for i in range(500):
            images = images_of(config, count=1, seed=1000 * number + i)
            calls[thread].append((images, names[(7 * i + number) % len(names)]))
    outcomes, start = {}, threading.Barrier(2)

    def visitor(thread):
        start.wait()
        with torch.no_grad():  # each thread has its own grad mode
            outcomes[thread] = [run(network, images, [name]) for images, name in calls[thread]]

    threads = [threading.Thread(target=visitor, args=(thread,)) for thread in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = copy.deepcopy(network)
    for thread, asked in calls.items():
        for (images, name), (logits, kept) in zip(asked, outcomes[thread], strict=True):
            expected, tensors = run(alone, images, names)
            assert torch.equal(logits, expected)
            assert torch.equal(kept[name], tensors[name])


def facts(network):
    """All that a use of the network could change."""
    modules = dict(network.named_modules())
    hooks = [
        (name, kind, list(getattr(module, kind)))
        for name, module in modules.items()
        for kind in vars(module)
        if kind.endswith("_hooks") and isinstance(getattr(module, kind), dict)
    ]
    flags = [(name, module.training) for name, module in modules.items()]
    grads = [(name, weight.grad, weight.requires_grad) for name, weight in network.named_parameters()]
    nodes = [(node.name, node.op, node.target, node.args) for node in network.graph.nodes]
    return list(modules), hooks, flags, grads, nodes, network.code


@pytest.mark.parametrize("family", FAMILIES)
def test_keeping_changes_nothing_of_the_network(family):
    config = small(family, dropout=0.5)
    network = build(plan(config))
    before, state = facts(network), copy.deepcopy(network.state_dict())
    hooks = before[1]
    assert hooks
    assert not any(registered for _, _, registered in hooks)
    logits, _ = run(network, images_of(config), keep=[op.name for op in plan(config).ops])
    torch.autograd.grad(logits.sum(), list(network.parameters()))
    assert facts(network) == before
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_the_mode_is_the_networks_own():
    """A change of mode, of a weight or of the device reaches what `run` had prepared before."""
    config = small("resnet", dropout=0.5)
    network, images = build(plan(config)), images_of(config)
    before = run(network, images, ["avgpool"])[1]["avgpool"]
    network.train()
    torch.manual_seed(0)
    training = run(network, images, ["avgpool"])[1]["avgpool"]
    torch.manual_seed(0)
    assert not torch.equal(training, before)
    assert network.get_submodule("bn1").num_batches_tracked == 1
    network.eval()
    fresh = build(plan(config), seed=5)
    network.load_state_dict(fresh.state_dict())
    after = run(network, images, ["avgpool"])[1]["avgpool"]
    assert torch.equal(after, run(fresh, images, ["avgpool"])[1]["avgpool"])
    network.double()
    assert run(network, images.double(), ["avgpool"])[1]["avgpool"].dtype == torch.float64


def pairs_of_names(network, count):
    names = [op.name for op in plan_of(network).ops]
    return list(itertools.islice(itertools.product(names, names), count))


@torch.no_grad()
def test_what_run_remembers_is_bounded():
    """Whatever visitors ask for: neither modules nor sources of generated code pile up."""
    config = small("resnet", input_size=8, blocks=(1, 1, 1))
    network, images = build(plan(config)), images_of(config)
    asked = pairs_of_names(network, 84)
    held = []
    tracemalloc.start()
    try:
        for some in (asked[:36], asked[36:60], asked[60:]):
            for keep in some:
                run(network, images, keep)
            gc.collect()
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # after what is made but once; generated code alone would be some 100 kB
    assert held[2] - held[1] < 1000 * 48


@torch.no_grad()
def test_a_network_is_gone_with_its_last_user():
    """At once: the garbage collector may come late, and the largest network has half a gigabyte of weights."""
    config = small("densenet")
    network = build(plan(config))
    for keep in pairs_of_names(network, 5):
        run(network, images_of(config), keep)
    gone = [weakref.ref(network), *map(weakref.ref, network.modules()), *map(weakref.ref, network.parameters())]
    assert len(gone) > 100
    gc.disable()
    try:
        del network
        assert not [alive() for alive in gone if alive() is not None]
    finally:
        gc.enable()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_copy_has_weights_of_its_own(family):
    config = small(family)
    network, images = build(plan(config)), images_of(config)
    name = plan(config).ops[len(plan(config).ops) // 2].name
    logits, kept = run(network, images, [name])
    twin = copy.deepcopy(network)
    assert plan_of(twin) == plan_of(network)
    assert torch.equal(run(twin, images, [name])[1][name], kept[name])
    storages = {weight.data_ptr() for weight in network.parameters()}
    assert storages.isdisjoint(weight.data_ptr() for weight in twin.parameters())
    for weight in twin.parameters():
        weight.mul_(1.5).add_(0.1)
    changed = run(twin, images, [name])
    assert not torch.equal(changed[1][name], kept[name])
    assert torch.equal(changed[0], twin(images))
    again = run(network, images, [name])
    assert torch.equal(again[0], logits)
    assert torch.equal(again[1][name], kept[name])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_weights_go_through_a_file(family):
    config = small(family)
    network, other = build(plan(config)), build(plan(config), seed=1)
    network.load_state_dict(random_state(network))
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(other(images_of(config)), network(images_of(config)))


# -- fresh weights ----------------------------------------------------------------------------------------------------


def same_weights(network, other):
    state, expected = network.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    return all(torch.equal(value, expected[name]) for name, value in state.items())


@pytest.mark.parametrize("init", ["kaiming", "default"])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_depend_on_plan_and_seed_alone(family, init):
    config = small(family, init=init, norm="none" if init == "default" else "batch")
    torch.manual_seed(1)
    network = build(plan(config), seed=7)
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            torch.manual_seed(3)
            torch.rand(5)

    other = threading.Thread(target=disturb)
    other.start()
    try:
        assert all(same_weights(network, build(plan(config), seed=7)) for _ in range(5))
    finally:
        stop.set()
        other.join()
    assert not same_weights(network, build(plan(config), seed=8))


@pytest.mark.parametrize("family", FAMILIES)
def test_building_draws_nothing_from_the_global_generator(family):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network = build(plan(small(family)))
    run(network, images_of(small(family)), ["input"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_networks(family):
    network = build(plan(small(family, norm="batch")))
    assert not any(module.training for module in network.modules())
    assert {weight.device.type for weight in network.parameters()} == {"cpu"}
    assert all(weight.requires_grad for weight in network.parameters())
    state = network.state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())
    # torch's own start of a norm
    fresh = torch.nn.BatchNorm2d(1).state_dict()
    norms = {name.rpartition(".")[0] for name in state if name.endswith("running_mean")}
    assert norms
    for norm in norms:
        for name, value in fresh.items():
            assert (state[f"{norm}.{name}"] == value).all()


def kernels(network):
    """Convolution kernels of which there are enough numbers to measure their spread."""
    found = {name: weight for name, weight in network.named_parameters() if weight.dim() == 4 and weight.numel() > 2000}
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_kaiming_is_normal_by_fan_out(family):
    network = build(plan(larger(small(family))), seed=2)
    for name, weight in kernels(network).items():
        out, _, size, _ = weight.shape
        expected = (2 / (out * size * size)) ** 0.5
        # five standard errors of a normal sample's standard deviation, and of its mean
        assert weight.std().item() == pytest.approx(expected, rel=5 / (2 * weight.numel()) ** 0.5), name
        assert abs(weight.mean().item()) < 5 * expected / weight.numel() ** 0.5
        # normal, not uniform: 4.6 % beyond two deviations
        beyond = (weight.abs() > 2 * expected).float().mean().item()
        assert beyond == pytest.approx(0.0455, abs=5 * (0.0455 / weight.numel()) ** 0.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_default_is_what_pytorch_does(family):
    """Uniform within 1 / sqrt(fan in), and so the biases (torch.nn.Conv2d.reset_parameters)."""
    network = build(plan(larger(small(family, init="default", norm="none"))), seed=2)
    for name, weight in kernels(network).items():
        bound = weight[0].numel() ** -0.5
        bias = network.get_parameter(name.replace("weight", "bias"))
        assert 0.99 * bound < weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=5 / (2 * weight.numel()) ** 0.5)
        assert 0.5 * bound < bias.abs().max().item() <= bound


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_of_kaiming_are_zero(family):
    network = build(plan(small(family, norm="none")))
    classifier = plan_of(network).ops[-1].name
    biases = {name: value for name, value in network.named_parameters() if name.endswith("bias")}
    assert len(biases) > 5
    for name, bias in biases.items():
        assert name == f"{classifier}.bias" or not bias.any(), name


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@torch.no_grad()
def test_zero_init_makes_every_block_the_identity(block):
    config = small("resnet", block=block, zero_init=True, blocks=(2, 2, 2))
    network = build(plan(config))
    last = {"basic": "bn2", "bottleneck": "bn3"}[block]
    for name, weight in network.named_parameters():
        if "bn" in name and name.endswith("weight"):
            assert (weight == (0 if name.endswith(f"{last}.weight") else 1)).all(), name
    keep = [f"layer{stage}.{i}.relu{last[-1]}" for stage in (1, 2, 3) for i in (0, 1)]
    kept = run(network, images_of(config), keep)[1]
    for before, after in zip(keep[::2], keep[1::2], strict=True):
        assert kept[before].any()
        assert torch.equal(kept[before], kept[after])


# -- other tools understand the network -------------------------------------------------------------------------------


@pytest.mark.parametrize("config", EXAMPLES)
@torch.no_grad()
def test_export(config):
    network, images = build(plan(config)), images_of(config)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
    assert {*exported.state_dict} == {*network.state_dict()}


@pytest.mark.parametrize("config", EXAMPLES)
@torch.no_grad()
def test_retracing(config):
    network, images = build(plan(config)), images_of(config)
    assert torch.equal(torch.fx.symbolic_trace(network)(images), network(images))


@pytest.mark.parametrize("config", EXAMPLES)
def test_no_operation_writes_over_its_input(config):
    """Gradients by name and DeepLift need every tensor as it was, and a module of its own for each activation."""
    config = with_chance(config, 0.3)
    network = build(plan(config)).train()
    assert not any(getattr(module, "inplace", False) for module in network.modules())
    operations = [op for op in plan_of(network).ops if op.kind == "activation"]
    assert len({id(network.get_submodule(op.name)) for op in operations}) == len(operations)
    names = [op.name for op in plan_of(network).ops]
    _, kept = run(network, images_of(config).requires_grad_(), names)
    for name in names:
        assert kept[name]._version == 0, name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_cuda_gives_the_same_logits(family):
    config = small(family)
    on_cpu, on_cuda = build(plan(config)), build(plan(config), device="cuda")
    assert {weight.device.type for weight in on_cuda.parameters()} == {"cuda"}
    torch.testing.assert_close(on_cuda(images_of(config).cuda()).cpu(), on_cpu(images_of(config)), atol=1e-3, rtol=1e-3)
