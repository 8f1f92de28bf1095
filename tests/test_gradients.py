"""Gradient flow against hand arithmetic, finite differences, autograd on its own, and what was published or measured
elsewhere."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from possible import EXAMPLES, with_chance
from possible import small as example
from torch.nn import functional as F

from explorer.analyses import gradients, paths
from explorer.analyses.gradients import Batch, GradientError
from explorer.families import PRESETS, plan
from explorer.plan import Recorder
from explorer.plan.wiring import forks, residual_blocks
from explorer.running.network import build, run


def small(family, **fields):
    return plan(example(family, **{"input_size": 8} | fields))


def own(the_plan, seed=0, mode="train"):
    return next(gradients.fresh(the_plan, [seed], mode)).double()


def batch_of(the_plan, count=3, seed=0):
    images, labels = gradients.noise(the_plan, count, seed)
    return Batch(images.double(), labels)


def fixed(name, seeds=3, **fields):
    config = PRESETS[name]
    the_plan = plan(config.adapt(**fields) if fields else config)
    return gradients.flow(
        gradients.fresh(the_plan, range(seeds), "train"), (gradients.noise(the_plan, 8, s) for s in range(seeds))
    )


# --- by hand


@pytest.fixture
def by_hand():
    """h = 3x; s = h + b h with b = -1/4; logits = (2, -1) s; x = 1, and the right class is the second."""
    net = Recorder(1, 1, norm="none")
    with net.stage("stage 1"), net.block("block 0", "0."):
        h = net.conv("conv1", net.input, 1, kernel=1, bias=False)
        s = net.add("add", net.conv("conv2", h, 1, kernel=1, bias=False), h)
    net.linear("fc", s, 2)
    the_plan = net.finish()
    network = own(the_plan)
    values = {"0.conv1.weight": 3.0, "0.conv2.weight": -0.25, "fc.weight": [[2.0], [-1.0]], "fc.bias": [0.0, 0.0]}
    for name, value in values.items():
        parameter = network.get_parameter(name)
        parameter.data = torch.tensor(value, dtype=torch.float64).reshape(parameter.shape)
    batch = Batch(torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.tensor([1]))
    s = 3 * 0.75
    p = np.exp(2 * s) / (np.exp(2 * s) + np.exp(-s))  # of the first class
    return network, batch, p, s


def test_a_network_worked_out_by_hand(by_hand):
    network, batch, p, s = by_hand
    found = gradients.flow([network], [batch])
    # dL/dlogits = (p, p - 1 + ...) = (p, -p); dL/ds = 2 p + p; dL/dh = 0.75 dL/ds
    ds = 3 * p
    expected = {"0.conv1": 0.75 * ds, "0.conv2": ds, "0.add": ds, "fc": np.sqrt(2) * p}
    assert dict(zip(found.operations, found.activation[0], strict=True)) == pytest.approx(expected)
    weights = {"0.conv1": 0.75 * ds, "0.conv2": 3 * ds, "fc": np.sqrt(2) * p * s}
    assert dict(zip(found.weighted, found.weight[0], strict=True)) == pytest.approx(weights)
    sizes = {"0.conv1": 3.0, "0.conv2": 0.25, "fc": np.sqrt(5)}
    assert found.relative[0] == pytest.approx([weights[name] / sizes[name] for name in found.weighted])
    assert found.losses[0] == pytest.approx(-np.log(1 - p))
    assert found.mean[0] == pytest.approx([3, -0.75, s, s / 2])
    assert found.deviation[0] == pytest.approx([0, 0, 0, 1.5 * s], abs=1e-7)


def test_the_split_by_hand(by_hand):
    network, batch, p, _ = by_hand
    (split,) = gradients.splits(gradients.routes(network, batch))
    assert (split.join, split.source, split.role) == ("0.add", "0.conv1", "identity")
    # through the shortcut all of dL/ds, through the branch -1/4 of it, which works against
    assert (split.whole, split.shortcut, split.branch) == pytest.approx((2.25 * p, 3 * p, -0.75 * p))
    assert split.share == pytest.approx(4 / 3)


def test_paths_by_hand(by_hand):
    network, batch, p, _ = by_hand
    found = paths.paths(network, batch, samples=1)
    assert (found.blocks, found.lengths) == (1, (0, 1))
    assert found.gradient[:, 0] == pytest.approx([3 * p, 0.75 * p])
    assert found.carried == pytest.approx([0.8, 0.2])


def test_work_is_counted_in_passes_of_the_network(by_hand):
    the_plan = gradients.plan_of(by_hand[0])
    # two convolutions of one pixel, and a classifier of two
    assert the_plan.macs == 4
    assert gradients.macs(the_plan, 5) == 3 * 4 * 5
    # lengths 0 and 1, five paths of each, half a pass each; and one pass forward
    assert paths.macs(the_plan, 5) == (1 + 10 / 2) * 4 * 5


# --- against finite differences and autograd


@pytest.mark.parametrize("config", EXAMPLES)
def test_weights_by_finite_differences(config):
    the_plan = plan(with_chance(config.adapt(norm="group", activation="tanh"), 0))
    network, batch = own(the_plan), batch_of(the_plan)
    found = gradients.flow([network], [batch])
    step = 1e-6
    for name in (found.weighted[0], found.weighted[2], found.weighted[-1]):
        attributes = the_plan[name].attributes
        weight = network.get_parameter(f"{getattr(attributes, 'shared', '') or name}.weight").data.view(-1)
        # along a random direction, where a whole gradient would take thousands of passes
        losses, direction = [], torch.randn(len(weight), generator=torch.Generator().manual_seed(1)).double()
        (gradient,) = torch.autograd.grad(
            F.cross_entropy(network(batch.images), batch.labels),
            [network.get_parameter(f"{getattr(attributes, 'shared', '') or name}.weight")],
        )
        for sign in (1, -1):
            weight += sign * step * direction
            with torch.no_grad():
                losses.append(F.cross_entropy(network(batch.images), batch.labels).item())
            weight -= sign * step * direction
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient.view(-1).dot(direction).item(), rel=1e-4)
        assert found.weight[0, found.weighted.index(name)] == pytest.approx(gradient.norm().item(), rel=1e-10)


@pytest.mark.parametrize("config", EXAMPLES)
def test_activations_are_those_of_autograd(config):
    the_plan = plan(with_chance(config, 0))
    found = gradients.flow([own(the_plan)], [batch_of(the_plan)], every=True)
    assert found.operations == tuple(op.name for op in the_plan.ops[1:])
    logits, kept = run(own(the_plan), batch_of(the_plan).images, found.operations)
    each = torch.autograd.grad(F.cross_entropy(logits, batch_of(the_plan).labels), list(kept.values()))
    assert found.activation[0] == pytest.approx([g.norm().item() for g in each], rel=1e-9)
    for name, gradient, zeros in zip(found.operations, each, found.zeros[0], strict=True):
        if the_plan[name].kind in ("conv", "linear"):
            assert zeros == pytest.approx((gradient == 0).double().mean().item(), abs=1e-12)
        else:
            assert np.isnan(zeros)
    assert found.mean[0] == pytest.approx([t.mean().item() for t in kept.values()], abs=1e-12)
    assert found.deviation[0] == pytest.approx([t.std(unbiased=False).item() for t in kept.values()], abs=1e-6)
    for name, dead in zip(found.operations, found.dead[0], strict=True):
        if getattr(the_plan[name].attributes, "function", "") == "relu":
            assert dead == (kept[name] == 0).all(0).all(1).all(1).double().mean()
        else:
            assert np.isnan(dead)


@pytest.mark.parametrize("config", EXAMPLES)
def test_the_edges_of_a_source_add_up(config):
    the_plan = plan(with_chance(config, 0))
    routes = gradients.routes(own(the_plan), batch_of(the_plan))
    readers = Counter(name for op in the_plan.ops for name in op.inputs)
    assert routes.whole.keys() == {name for name, count in readers.items() if count > 1}
    for source, whole in routes.whole.items():
        assert sum(part for edge, part in routes.along.items() if edge[0] == source) == pytest.approx(whole, rel=1e-9)
    for split in gradients.splits(routes):
        assert split.shortcut + split.branch == pytest.approx(split.whole, rel=1e-9)
    assert len(gradients.splits(routes)) == sum(op.kind == "add" for op in the_plan.ops)
    for one in gradients.feeds(routes):
        wholes = {round(whole, 9) for whole in routes.whole.values()}
        assert {round(total, 9) for total in np.nansum(one.values, 0)} <= wholes


def test_what_a_layer_receives_is_its_slice_of_the_concats_gradient():
    the_plan = small("densenet", blocks=(3, 2, 2))
    layer = "features.denseblock1.denselayer1.conv2"
    concats = [op.name for op in the_plan.ops if layer in op.inputs]
    assert len(concats) == 3  # layers 2 and 3, and the block's end
    network, batch = own(the_plan), batch_of(the_plan)
    logits, kept = run(network, batch.images, concats)
    each = torch.autograd.grad(F.cross_entropy(logits, batch.labels), list(kept.values()))
    routes = gradients.routes(own(the_plan), batch)
    for name, gradient in zip(concats, each, strict=True):
        # 8 channels of the stem stand before the layer's 4
        assert routes.norm[layer, name] == pytest.approx(gradient[:, 8:12].norm().item(), rel=1e-9)


def test_all_paths_together_are_the_whole_gradient():
    """The product of (1 + J) over the blocks is the sum over all subsets of blocks of their Js' products."""
    for fields in ({}, {"order": "pre"}, {"shortcut": "A"}):
        the_plan = small("resnet", blocks=(2, 1, 1), **fields)
        network, batch = own(the_plan), batch_of(the_plan)
        blocks = residual_blocks(the_plan)
        wanted = [name for block in blocks for name in (block.source, block.join, block.shortcut, *block.branch)]
        logits, kept = run(network, batch.images, list(dict.fromkeys(wanted)))
        loss = F.cross_entropy(logits, batch.labels)
        last, whole = torch.autograd.grad(loss, [kept[blocks[-1].join], kept[blocks[0].source]], retain_graph=True)
        subsets = itertools.chain.from_iterable(itertools.combinations(range(4), k) for k in range(5))
        together = sum(paths.along(blocks, kept, last, set(subset)) for subset in subsets)
        assert torch.allclose(together, whole, rtol=1e-9, atol=1e-15)


def test_a_kept_edge_changes_nothing():
    the_plan = small("cliquenet", widths=(4, 4, 4), layers=(3, 2, 2))
    network = build(the_plan)
    images, _ = gradients.noise(the_plan, 2, 0)
    edges = list(forks(the_plan))
    logits, kept = run(network, images, edges)
    plain, outputs = run(network, images, [source for source, _ in edges])
    assert torch.equal(logits, plain)
    assert all(torch.equal(kept[edge], outputs[edge[0]]) for edge in edges)
    with pytest.raises(KeyError, match="no edge"):
        run(network, images, [(the_plan.ops[-1].name, the_plan.ops[1].name)])


def test_reuse_is_the_mean_weight_of_a_sources_channels():
    the_plan = small("densenet", blocks=(3, 2, 2))
    network = build(the_plan)
    first = gradients.reuse(network)[0]
    assert (first.sources, first.consumers[-1]) == (("stem", "layer 1", "layer 2"), "out")
    third = network.get_parameter("features.denseblock1.denselayer3.conv1.weight")
    expected = [third[:, part].abs().mean().item() for part in (slice(0, 8), slice(8, 12), slice(12, 16))]
    assert first.values[first.consumers.index("layer 3")] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(first.values[0, 1])


def test_reuse_reads_the_shared_kernels_of_a_clique():
    the_plan = small("cliquenet", widths=(4, 4, 4), layers=(3, 2, 2))
    network = build(the_plan)
    first = gradients.reuse(network)[0]
    kernel = network.get_parameter("block1.layer1.conv1.weight")  # reads X0 (8 channels), X2 and X3
    row = dict(zip(first.sources, first.values[first.consumers.index("second 1")], strict=True))
    assert row["first 2"] == pytest.approx(kernel[:, 8:12].abs().mean().item(), rel=1e-6)
    assert row["first 3"] == pytest.approx(kernel[:, 12:16].abs().mean().item(), rel=1e-6)
    assert np.isnan(row["stem"])  # the second pass does not read X0


# --- the classical pictures, measured elsewhere at batch 8, 32x32, Kaiming; each within a factor of 3


@pytest.mark.parametrize(("name", "ratio"), [("plain56_cifar", 5e3), ("resnet56_cifar", 15)])
def test_plain_gradients_explode_toward_the_input(name, ratio):
    found = fixed(name)
    convs = [i for i, one in enumerate(found.weighted) if found.plan[one].kind == "conv"]
    measured = found.weight[:, convs[0]] / found.weight[:, convs[-1]]
    assert ratio / 3 < np.exp(np.log(measured).mean()) < ratio * 3


def test_dense_gradients_keep_their_size():
    found = fixed("densenet40_12_cifar")
    first, last = (found.operations.index(name) for name in ("features.conv0", "features.denseblock3.concat"))
    measured = found.activation[:, first] / found.activation[:, last]
    assert 1.4 / 3 < np.exp(np.log(measured).mean()) < 1.4 * 3


def test_without_norm_and_with_the_default_initialisation_plain_gradients_vanish():
    found = fixed("plain20_cifar", norm="none", init="default")
    measured = found.activation[:, 0] / found.activation[:, -1]
    assert 4e-9 / 3 < np.exp(np.log(measured).mean()) < 4e-9 * 3
    # 110 layers are beyond what float32 can hold
    deep = fixed("plain110_cifar", seeds=1, norm="none", init="default", input_size=8)
    assert (deep.activation[:, 0] == 0).all()
    assert (deep.weight[:, 0] == 0).all()
    assert (deep.zeros[:, 0] == 1).all()


def test_without_norm_a_residual_network_explodes_forward():
    found = fixed("resnet56_cifar", norm="none")
    assert (found.deviation[:, -2] > 100 * found.deviation[:, 0]).all()
    # what passes float32's range is told, not dropped
    images, labels = gradients.noise(found.plan, 2, 0)
    beyond = gradients.flow(gradients.fresh(found.plan, [0], "train"), [Batch(1e37 * images, labels)])
    assert not np.isfinite(beyond.deviation).all()
    assert not np.isfinite(beyond.activation).all()


# --- what is shared is never changed, and nonsense is refused


def test_a_shared_network_stays_as_it_is():
    the_plan = small("resnet", blocks=(2, 1, 1))
    shared = build(the_plan, seed=4)
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    batch = gradients.noise(the_plan, 4, 0)
    private = gradients.private(shared, "train")
    gradients.flow([private], [batch])
    gradients.routes(private, batch)
    paths.paths(private, batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in shared.state_dict().items())
    assert not shared.training
    assert all(parameter.grad is None for parameter in shared.parameters())
    moved = [name for name, tensor in private.state_dict().items() if not torch.equal(tensor, before[name])]
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_seeds_are_those_of_build():
    the_plan = small("resnet", blocks=(2, 1, 1))
    for seed, network in zip((3, 5), gradients.fresh(the_plan, (3, 5), "eval"), strict=True):
        expected = build(the_plan, seed).state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_one_value_a_channel_cannot_be_normalised():
    the_plan = small("resnet", blocks=(1, 1, 1))
    gradients.check(the_plan, 1, "train")
    # 8 pixels, four stages: the last has one
    deep = small("resnet", blocks=(1, 1, 1, 1))
    with pytest.raises(GradientError, match="at least 2 images"):
        gradients.flow(gradients.fresh(deep, [0], "train"), [gradients.noise(deep, 1, 0)])
    gradients.flow(gradients.fresh(deep, [0], "eval"), [gradients.noise(deep, 1, 0)])


def test_a_plain_network_has_one_path():
    the_plan = small("resnet", blocks=(2, 1, 1), shortcut="none")
    assert gradients.splits(gradients.routes(own(the_plan), batch_of(the_plan))) == ()
    with pytest.raises(GradientError, match="no residual blocks"):
        paths.paths(own(the_plan), batch_of(the_plan))


def test_the_memory_that_is_promised_is_enough(monkeypatch):
    """Everything that is alive at once, by torch's own account of what it allocates."""
    the_plan = plan(PRESETS["resnet20_cifar"])
    batch, network = gradients.noise(the_plan, 16, 0), next(gradients.fresh(the_plan, [0], "train"))
    gradients.flow([network], [batch])
    with torch.profiler.profile(profile_memory=True) as profile:
        gradients.flow([network], [batch])
    live = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    assert 0 < most < gradients.needed_bytes(the_plan, 16)
