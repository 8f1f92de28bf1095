"""CliqueNet against its paper's definition (Yang et al., CVPR 2018, 1802.10419), read once more by brute force.

The reference below knows nothing of plans: a kernel W[i, j] for every pair of layers, loops over sources, and
torch.nn.functional. Concats are never normed or convolved: each source takes its slice of the parameters.
"""

import pytest
import torch
from torch.nn import functional as F

from explorer.families import PRESETS, parse, plan
from explorer.running.network import build, run

EPS = 1e-5  # of every norm
SMALL = {
    "family": "cliquenet",
    "stem": "cifar",
    "stem_width": 8,
    "input_size": 16,
    "classes": 7,
    "widths": (3, 4, 5),
    "layers": (2, 4, 3),
}
IMAGENET = {
    "stem": "imagenet",
    "input_size": 64,
    "widths": (3, 5, 4, 6),
    "layers": (2, 4, 3, 5),
    "bottleneck": True,
    "compression": 0.5,
}
CASES = {
    "cifar": {},
    "cifar, equal blocks": {"widths": (4, 4, 4), "layers": (5, 5, 5)},
    "cifar, grey and odd size": {"channels": 1, "input_size": 19},
    "attention": {"attention": True},
    "bottleneck": {"bottleneck": True},
    "compression": {"compression": 0.5},
    "compression, not by half": {"compression": 0.3},
    "dropout, which eval mode ignores": {"dropout": 0.3, "bottleneck": True},
    "imagenet stem": {"stem": "imagenet", "input_size": 48},
    "imagenet": IMAGENET,
    "imagenet, attention": IMAGENET | {"attention": True},
    "four blocks, all options": {
        "widths": (6, 3, 5, 4),
        "layers": (3, 2, 5, 4),
        "attention": True,
        "bottleneck": True,
        "compression": 0.5,
    },
    **{
        f"feature {feature}, transit {transit}": {"block_feature": feature, "transit": transit}
        for feature in ("first", "second")
        for transit in ("first", "second")
    },
    **{f"second pass of {steps} steps": {"second_pass_steps": steps} for steps in (-1, 0, 1, 2, 3, 4)},
    **{
        f"imagenet, second pass of {steps} steps": IMAGENET | {"attention": True, "second_pass_steps": steps}
        for steps in (0, 2, 4)
    },
    "feature first, second pass of 1 step": {"block_feature": "first", "second_pass_steps": 1},
    "transit first, second pass of 1 step": {"transit": "first", "second_pass_steps": 1},
}


# -- the definition ---------------------------------------------------------------------------------------------


def paper(config, state, images, training=False):
    """Logits, and after[b, "first" or "second"] = {0: X0, 1: X1, .. L: XL} of each block, from weights by name.

    In training, norms use the batch's statistics and move the running ones in `state`.
    """

    def relu_norm(name, sources):
        """relu(norm(concat of the sources)), a source at a time: {i: (N, C_i, H, W)} -> the same."""
        parts, start = {}, 0
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        for i, x in sources.items():
            own = slice(start, start + x.shape[1])
            normed = F.batch_norm(x, mean[own], variance[own], weight[own], bias[own], training, momentum=0.1, eps=EPS)
            parts[i] = F.relu(normed)
            start += x.shape[1]
        assert start == len(weight), f"{name} is for {len(weight)} channels, its sources have {start}"
        return parts

    def kernels(b, c0, k, layers, steps):
        """W[i, j] from the kernels of layers j over [X0, X1 .. XL without Xj], as far as either pass reads them."""
        W = {}
        for j in range(1, layers + 1):
            sources = [0, *(i for i in range(1, layers + 1) if i < j or (i > j and j <= steps))]
            widths = [c0 if i == 0 else k for i in sources]
            parts = state[f"block{b}.layer{j}.conv1.weight"].split(widths, dim=1)
            for i, part in zip(sources, parts, strict=True):
                size = 1 if config.bottleneck else 3
                assert part.shape == (k, c0 if i == 0 else k, size, size)
                W[i, j] = part.clone()
        return W

    def clique(b, x0, k, layers):
        steps = layers if config.second_pass_steps == -1 else min(config.second_pass_steps, layers)
        if not second_pass_exists(config, state, b):
            steps = 0
        W = kernels(b, x0.shape[1], k, layers, steps)
        V = {j: state[f"block{b}.layer{j}.conv2.weight"] for j in range(1, layers + 1)} if config.bottleneck else {}
        X = {0: x0}

        def update(j, passed, sources):
            name = f"block{b}.{passed}.layer{j}"
            g = relu_norm(f"{name}.norm1", {i: X[i] for i in sources})
            total = 0
            for i in sources:
                total = total + F.conv2d(g[i], W[i, j], padding=0 if config.bottleneck else 1)
            if config.bottleneck:
                total = F.conv2d(relu_norm(f"{name}.norm2", {j: total})[j], V[j], padding=1)
            X[j] = total

        for j in range(1, layers + 1):
            update(j, "first", range(j))
        after[b, "first"] = dict(X)
        for j in range(1, steps + 1):
            update(j, "second", [i for i in range(1, layers + 1) if i != j])
        after[b, "second"] = dict(X)

    def feature(b, X):
        """The block's feature, X0 and a pass, as the classifier sees it: (N, C)."""
        if config.compression < 1:
            g = relu_norm(f"block{b}.feature.compress_norm", X)
            X = {"compressed": F.conv2d(torch.cat([*g.values()], 1), state[f"block{b}.feature.compress.weight"])}
        return torch.cat([g.mean((2, 3)) for g in relu_norm(f"block{b}.feature.norm", X).values()], 1)

    def transition(b, X):
        """A pass without X0, on its way to the next block: (N, C, H, W) -> (N, C, H/2, W/2)."""
        g = relu_norm(f"transition{b}.norm", {j: x for j, x in X.items() if j != 0})
        x = F.conv2d(torch.cat([*g.values()], 1), state[f"transition{b}.conv.weight"])
        if config.attention:
            hidden, gate = state[f"transition{b}.fc1.weight"], state[f"transition{b}.fc2.weight"]
            assert len(hidden) == x.shape[1] // 2
            s = F.relu(F.linear(x.mean((2, 3)), hidden.flatten(1), state[f"transition{b}.fc1.bias"]))
            s = torch.sigmoid(F.linear(s, gate.flatten(1), state[f"transition{b}.fc2.bias"]))
            x = x * s[:, :, None, None]
        return F.avg_pool2d(x, 2)

    after, features = {}, []
    if config.stem == "imagenet":
        x = F.conv2d(images, state["conv0.weight"], stride=2, padding=3)
        x = F.max_pool2d(relu_norm("norm0", {0: x})[0], 3, stride=2, padding=1)
    else:
        x = F.conv2d(images, state["conv0.weight"], padding=1)
    for b, (k, layers) in enumerate(zip(config.widths, config.layers, strict=True), start=1):
        clique(b, x, k, layers)
        features.append(feature(b, after[b, config.block_feature]))
        if b < len(config.layers):
            x = transition(b, after[b, config.transit])
    return F.linear(torch.cat(features, 1), state["classifier.weight"], state["classifier.bias"]), after


def second_pass_exists(config, state, b):
    """Whether a block has a second pass: where a choice reads it. In the last block there is no transition to read
    it, and a network may have it or leave it out there.
    """
    if config.block_feature == "second":
        return True
    last = b == len(config.layers)
    return config.transit == "second" and (not last or f"block{b}.second.layer1.norm1.weight" in state)


class Read(dict):
    """A state dict that knows which of its entries were read."""

    def __init__(self, entries):
        super().__init__(entries)
        self.names = set()

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)


# -- a network with weights in which no two slices look alike -----------------------------------------------------


def network_of(config, seed=1):
    """A network whose every weight, bias and running statistic is random, so that no mix-up of slices can hide."""
    network = build(plan(config), seed=0)
    draw = torch.Generator().manual_seed(seed)
    state = network.state_dict()
    for name, old in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_mean", "bias")):
            new = torch.randn(old.shape, generator=draw) * 0.4
        elif old.ndim == 1:  # the norms' scales and running variances
            new = torch.rand(old.shape, generator=draw) + 0.5
        else:
            new = torch.randn(old.shape, generator=draw) / old[0].numel() ** 0.5
        state[name] = new
    network.load_state_dict(state)
    return network


def images_of(config, count=2):
    shape = (count, config.channels, config.input_size, config.input_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def weights_of(network):
    """A copy of the state dict in float64, without the counters of batches."""
    state = network.state_dict()
    return {name: x.detach().double().clone() for name, x in state.items() if not name.endswith("tracked")}


def output(config, b, passed, j):
    """The operation that gives X_j of a block after a pass. Layers that the second pass leaves out keep the first's."""
    name = f"block{b}.{passed}.layer{j}.conv{2 if config.bottleneck else 1}"
    return name.replace("conv", "dropout") if config.dropout else name


def outputs(config, p):
    """(block, pass, layer) -> the operation whose output X_j is, for the layers of each pass that the plan runs."""
    names = {
        (b, passed, j): output(config, b, passed, j)
        for b, layers in enumerate(config.layers, start=1)
        for passed in ("first", "second")
        for j in range(1, layers + 1)
    }
    return {key: name for key, name in names.items() if name in p}


# -- the network is the definition --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_network_is_the_papers_definition(case):
    config = parse(SMALL | CASES[case])
    network, images = network_of(config), images_of(config)
    state = Read(weights_of(network))
    logits, after = paper(config, state, images.double())
    assert state.names == set(state), "weights that the definition does not have"

    names = outputs(config, network.meta["plan"])
    for b, layers in enumerate(config.layers, start=1):
        last = layers if config.second_pass_steps == -1 else min(config.second_pass_steps, layers)
        steps = last if second_pass_exists(config, state, b) else 0
        ran = [(passed, j) for c, passed, j in names if c == b]
        assert ran == [("first", j + 1) for j in range(layers)] + [("second", j + 1) for j in range(steps)]

    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        ours, kept = run(network.to(dtype), images.to(dtype), keep=list(names.values()))
        torch.testing.assert_close(ours.double(), logits, atol=tolerance, rtol=0)
        for (b, passed, j), name in names.items():
            torch.testing.assert_close(kept[name].double(), after[b, passed][j], atol=tolerance, rtol=0)


@pytest.mark.parametrize("case", ["cifar", "imagenet, attention", "second pass of 2 steps"])
def test_training_is_the_papers_definition(case):
    """Batch statistics, running statistics after one batch, and gradients: a W_ij gets those of both passes."""
    config = parse(SMALL | CASES[case])
    network, images = network_of(config).double().train(), images_of(config, count=4).double()
    names, state = outputs(config, network.meta["plan"]), weights_of(network)
    for name, _ in network.named_parameters():
        state[name].requires_grad_()
    before = weights_of(network)

    logits, after = paper(config, state, images, training=True)
    ours, kept = run(network, images, keep=list(names.values()))
    torch.testing.assert_close(ours, logits, atol=1e-11, rtol=0)
    for (b, passed, j), name in names.items():
        torch.testing.assert_close(kept[name], after[b, passed][j], atol=1e-11, rtol=0)

    for name, buffer in network.named_buffers():
        if name in state:
            torch.testing.assert_close(buffer, state[name], atol=1e-12, rtol=0)
            assert not torch.equal(buffer, before[name]), f"{name} has not moved"

    towards = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    parameters = dict(network.named_parameters())
    mine = torch.autograd.grad(ours, list(parameters.values()), towards)
    theirs = torch.autograd.grad(logits, [state[name] for name in parameters], towards)
    for name, gradient, expected in zip(parameters, mine, theirs, strict=True):
        assert expected.abs().max() > 0, f"nothing depends on {name}"
        torch.testing.assert_close(gradient, expected, atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_a_network_without_steps_is_one_without_second_pass():
    never = parse(SMALL | {"block_feature": "first", "transit": "first"})
    no_steps = parse(SMALL | {"second_pass_steps": 0})
    network, other = network_of(never), build(plan(no_steps))
    other.load_state_dict(network.state_dict())
    images = images_of(never)
    assert torch.equal(run(network, images)[0], run(other, images)[0])


@pytest.mark.parametrize(
    ("feature", "transit"),
    [
        ("first", "first"),
        ("second", "first"),
        ("second", "second"),
        ("first", "second"),
    ],
)
def test_every_operation_leads_to_the_logits(feature, transit):
    p = plan(parse(SMALL | {"block_feature": feature, "transit": transit}))
    needed = {p.ops[-1].name}
    for op in reversed(p.ops):
        if op.name in needed:
            needed.update(op.inputs)
    assert [op.name for op in p.ops if op.name not in needed] == []


# -- the pairs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", ["cifar", "imagenet, attention", "dropout, which eval mode ignores", "second pass of 3 steps"]
)
@torch.no_grad()
def test_pairs_are_each_layer_after_both_passes(case):
    config = parse(SMALL | CASES[case])
    network, images = network_of(config).double(), images_of(config).double()
    _, after = paper(config, weights_of(network), images)
    steps = config.second_pass_steps
    layers = [
        (b, j)
        for b, count in enumerate(config.layers, start=1)
        for j in range(1, (count if steps == -1 else min(count, steps)) + 1)
    ]
    pairs = network.meta["plan"].refinements
    assert len(pairs) == len(layers)
    _, kept = run(network, images, keep=[name for pair in pairs for name in pair])
    for (first, second), (b, j) in zip(pairs, layers, strict=True):
        torch.testing.assert_close(kept[first], after[b, "first"][j], atol=1e-12, rtol=0)
        torch.testing.assert_close(kept[second], after[b, "second"][j], atol=1e-12, rtol=0)
        assert not torch.allclose(kept[first], kept[second])


@pytest.mark.parametrize("changes", [{"second_pass_steps": 0}, {"block_feature": "first", "transit": "first"}])
def test_no_pairs_without_second_pass(changes):
    assert plan(parse(SMALL | changes)).refinements == ()


# -- counts by hand -----------------------------------------------------------------------------------------------


def counted(p, prefix, kind):
    """(params, MACs) of the operations of a kind whose names begin so."""
    ops = [op for op in p.ops if op.name.startswith(prefix) and op.kind == kind]
    return sum(op.params for op in ops), sum(op.macs for op in ops)


# A tiny clique: X0 of 8 channels, L = 3 layers of k = 3, 8 x 8 pixels.
#   W_0j: 3 of 8 x 3 channels; W_ij: 3 x 2 of 3 x 3 channels; each counted once, at 9 weights a pair (1 with bottleneck)
#   first pass reads the three W_0j and W_12, W_13, W_23; second pass reads all six W_ij and no W_0j
TINY = SMALL | {"input_size": 8, "widths": (3, 3, 3), "layers": (3, 3, 3)}


def test_shared_kernels_count_once_and_run_twice():
    p = plan(parse(TINY))
    assert 9 * (3 * 8 * 3 + 6 * 3 * 3) == 1134
    params_first, macs_first = counted(p, "block1.first.", "conv")
    params_second, macs_second = counted(p, "block1.second.", "conv")
    assert params_first + params_second == 1134
    assert macs_first == 9 * (3 * 8 * 3 + 3 * 3 * 3) * 64 == 57024
    assert macs_second == 9 * (6 * 3 * 3) * 64 == 31104
    # norms are each pass's own: over 8, 8 + 3, 8 + 6 channels, then over 6 three times; the feature's over 8 + 9
    assert counted(p, "block1.first.", "norm") == (2 * (8 + 11 + 14), 0)
    assert counted(p, "block1.second.", "norm") == (2 * (6 + 6 + 6), 0)
    assert counted(p, "block1.feature.", "norm") == (2 * 17, 0)
    network = build(p)
    held = {name: w.numel() for name, w in network.named_parameters() if name.startswith("block1.")}
    assert sum(held.values()) == 1134 + 66 + 36 + 34
    assert sum(count for name, count in held.items() if "conv" in name) == 1134


def test_bottleneck_counts_once_and_runs_twice():
    p = plan(parse(TINY | {"bottleneck": True}))
    params_first, macs_first = counted(p, "block1.first.", "conv")
    params_second, macs_second = counted(p, "block1.second.", "conv")
    # the W above as 1x1, and a 3x3 of 3 to 3 channels for each layer
    assert params_first + params_second == (3 * 8 * 3 + 6 * 3 * 3) + 3 * 9 * 3 * 3 == 369
    assert macs_first == ((3 * 8 * 3 + 3 * 3 * 3) + 3 * 9 * 3 * 3) * 64 == 21888
    assert macs_second == (6 * 3 * 3 + 3 * 9 * 3 * 3) * 64 == 19008
    assert counted(p, "block1.first.", "norm") == (2 * (8 + 11 + 14) + 2 * 3 * 3, 0)
    assert counted(p, "block1.second.", "norm") == (2 * 3 * 6 + 2 * 3 * 3, 0)


@pytest.mark.parametrize(
    ("steps", "pairs_in_all", "pairs_of_second"),
    # pairs (i, j), i >= 1: the first pass reads those with i < j; step j of the second all i != j
    [(0, 3, 0), (1, 3 + 2, 2), (2, 3 + 2 + 1, 4), (3, 6, 6), (-1, 6, 6)],
)
def test_steps_of_the_second_pass_are_paid_for_as_they_are_run(steps, pairs_in_all, pairs_of_second):
    p = plan(parse(TINY | {"second_pass_steps": steps}))
    params_first, _ = counted(p, "block1.first.", "conv")
    params_second, macs_second = counted(p, "block1.second.", "conv")
    assert params_first + params_second == 9 * (3 * 8 * 3 + pairs_in_all * 3 * 3)
    assert macs_second == 9 * pairs_of_second * 3 * 3 * 64


def closed_form(k, layers, stem=64, classes=10, size=32):
    """(params, MACs) of the CIFAR form: three blocks of L layers of k channels, no options."""
    params, macs = 9 * 3 * stem, 9 * 3 * stem * size**2
    among = layers * (layers - 1)  # pairs (i, j), i != j; half of them have i < j
    width = layers * k  # of what a block passes on
    x0, seen = stem, 0
    for block in range(3):
        pixels = (size // 2**block) ** 2
        params += 9 * k * (layers * x0 + among * k)  # W_0j and W_ij
        macs += 9 * k * (layers * x0 + among * k // 2) * pixels  # first pass
        macs += 9 * k * (among * k) * pixels  # second pass
        params += 2 * (layers * x0 + among * k // 2) + 2 * (among * k)  # norms of the passes
        params += 2 * (x0 + width)  # norm of the block's feature
        seen += x0 + width
        if block < 2:
            params += 2 * width + width**2
            macs += width**2 * pixels
        x0 = width
    return params + classes * seen + classes, macs + classes * seen


def test_counts_of_k36_t12_by_hand():
    p = plan(PRESETS["cliquenet_k36_t12"])
    assert closed_form(k=36, layers=4) == (935994, 455149216)
    assert (p.params, p.macs) == (935994, 455149216)
    assert sum(w.numel() for w in build(p).parameters()) == 935994


@pytest.mark.parametrize(("k", "t"), [(64, 15), (80, 15), (80, 18), (12, 36), (24, 18)])
def test_counts_of_the_cifar_form_are_the_closed_formula(k, t):
    p = plan(PRESETS[f"cliquenet_k{k}_t{t}"])
    assert (p.params, p.macs) == closed_form(k, t // 3)


@pytest.mark.parametrize("case", CASES)
def test_parameters_are_those_of_the_network(case):
    p = plan(parse(SMALL | CASES[case]))
    assert p.params == sum(w.numel() for w in build(p).parameters())
