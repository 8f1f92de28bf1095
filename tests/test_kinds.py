"""Every kind of operation, by itself: a new kind's two files are tested here without a word about it.

What a kind says of itself is held against torch: what autograd saves, what the modules hold, what gradients reach.
"""

import importlib
import io
import itertools
import runpy
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial

import pytest
import torch
from examples import example
from torch.utils.flop_counter import FlopCounterMode

from explorer import running
from explorer.analyses import gradients
from explorer.analyses.attribution.score import Class, Score
from explorer.counting.conventions import conventions
from explorer.counting.costs import table
from explorer.counting.memory import forward_bytes, training_bytes
from explorer.drawing import draw, opened_to
from explorer.plan import Plan, Recorder
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.norm import of_single_values
from explorer.plan.kinds.upsample import transposed_conv, upsample
from explorer.plan.receptive_field import field_at
from explorer.plan.tensors import tensors
from explorer.plan.wiring import owner
from explorer.plots.network import scene, widest
from explorer.running.kinds import RUNNING
from explorer.running.network import blank, build, initialise, plan_of, run
from explorer.running.source import plan_source


def images_of(plan: Plan, count: int = 2) -> torch.Tensor:
    return torch.randn(count, *plan.ops[0].shape, generator=torch.Generator().manual_seed(1))


def own(plan: Plan, kind: str):
    """The operations of a kind."""
    return [op for op in plan.ops if op.kind == kind]


ALL = pytest.mark.parametrize("kind", KINDS)
RUN = pytest.mark.parametrize("kind", RUNNING)


@ALL
def test_the_example_has_it(kind):
    assert own(example(kind), kind)


def test_kinds_can_be_told_apart():
    words = [kind.word for kind in KINDS.values()]
    assert len({*words}) == len(words)
    mentioned = sorted(kind.mentioned for kind in KINDS.values() if kind.mentioned)
    assert mentioned == list(range(1, len(mentioned) + 1))


SAID = {
    "conv": {
        "plain": "3×3, bias",
        "grouped": "3×3, stride 2, 3 groups",
        "dilated": "3×3, dilation 2",
        "slice": "3×3, a slice of the kernel kernel",
    },
    "norm": {"batch": "of the batch", "batch_zero": "of the batch, its scale begins at 0", "group": "of 3 groups"},
    "activation": {"silu_silu": "SiLU"},
    "max_pool": {"overlapping": "3×3, stride 2"},
    "dropout": {"dropout": "30% in training"},
    "pad": {"halved": "stride 2, then channels of zeros", "narrow": "channels of zeros"},
    "transposed_conv": {"even": "4×4, stride 2, bias"},
}


@ALL
def test_what_is_set_in_it_is_said_in_words(kind):
    said = {op.name: KINDS[kind].settings(op) for op in own(example(kind), kind)}
    assert said | SAID.get(kind, {}) == said
    assert all(said.values()) or not any(said.values())
    assert any(said.values()) == any(op.attributes is not None for op in own(example(kind), kind))


# -- it runs, and is what its plan says -------------------------------------------------------------------------------


@RUN
def test_shapes_parameters_and_macs_are_torchs(kind):
    plan = example(kind)
    network, images = build(plan), images_of(plan)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    logits, kept = run(network, images, [op.name for op in plan.ops])
    assert logits.shape == (2, 5)
    assert {name: tuple(tensor.shape[1:]) for name, tensor in kept.items()} == {op.name: op.shape for op in plan.ops}
    assert plan.params == sum(weight.numel() for weight in network.parameters())
    assert tensors(plan) == {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert 2 * plan.macs * len(images) == counter.get_total_flops()
    # a kernel or a matrix makes a layer
    for op in own(plan, kind):
        weights = [weight for weight in network.get_submodule(owner(op)).parameters() if weight.dim() > 1]
        assert bool(weights) == KINDS[kind].weighted, op.name


@RUN
@pytest.mark.parametrize("inits", ["kaiming", "default"])
def test_every_number_is_initialised_from_the_seed(kind, inits):
    plan = Plan(example(kind).ops, inits)
    first = build(plan, seed=4).state_dict()
    network = blank(plan).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in itertools.chain(network.parameters(), network.buffers()):
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)
    initialise(network, seed=4)
    assert all(torch.equal(tensor, first[name]) for name, tensor in network.state_dict().items())
    assert all(tensor.isfinite().all() and (tensor != -1).any() for tensor in first.values())
    other = build(plan, seed=5).state_dict()
    drawn = [f"{owner(op)}.weight" for op in plan.ops if KINDS[op.kind].weighted]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@RUN
def test_kaiming_keeps_the_size_of_gradients(kind):
    """Normal with variance 2 / fan-out (1502.01852), fan-out being the numbers that an input number goes out to."""
    if not KINDS[kind].weighted or kind == "linear":  # which PyTorch's default has
        return
    plan = example(kind)
    network = build(plan)
    for name in {owner(op) for op in own(plan, kind)}:
        weight = network.get_parameter(f"{name}.weight")
        module = network.get_submodule(name)
        out = weight.shape[1] if isinstance(module, torch.nn.ConvTranspose2d) else weight.shape[0]
        fan_out = out * weight.shape[2] * weight.shape[3]
        variances = [
            build(plan, seed).get_parameter(f"{name}.weight").square().mean().item() * fan_out for seed in range(30)
        ]
        assert sum(variances) / 30 == pytest.approx(2, rel=0.1), name


def with_saved(work):
    """What `work` returns, and the tensors that autograd saves meanwhile."""
    saved = []

    def save(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        return work(), saved


@RUN
def test_what_autograd_keeps_is_what_it_saves(kind):
    plan = example(kind)
    network = build(plan).train()
    for op in own(plan, kind):
        inputs = [
            torch.randn(2, *plan[name].shape, requires_grad=True).mul(1)  # no leaf, as in a network
            for name in op.inputs
        ]
        inputs = [inputs[op.inputs.index(name)] for name in op.inputs]  # one tensor read twice is one
        output, saved = with_saved(partial(RUNNING[kind].call, op, network.get_submodule(owner(op)), *inputs))
        names = {tensor.data_ptr(): name for name, tensor in zip(op.inputs, inputs, strict=True)}
        names[output.data_ptr()] = op.name
        known = {names[tensor.data_ptr()] for tensor in saved if tensor.data_ptr() in names}
        assert known == {*KINDS[kind].keeps(op)}, op.name
        weights = {weight.data_ptr() for weight in network.parameters()}
        beside = sum(
            tensor.nbytes
            for tensor in {tensor.data_ptr(): tensor for tensor in saved}.values()
            if tensor.data_ptr() not in names and tensor.data_ptr() not in weights
        )
        # in numbers of 4 bytes, for 2 images; statistics and the like, a few a channel, are no matter
        few = 8 * 4 * max(op.shape[0], 32)
        assert beside / 2 / 4 == pytest.approx(KINDS[kind].keeps_beside(op), abs=few), op.name


@RUN
def test_no_position_sees_further_than_its_receptive_field(kind):
    """By gradients, for every position along a row: how far apart are the pixels that it depends on?"""
    plan = example(kind, size=24)
    network = build(plan)
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_().add_(0.01)  # so that nothing cancels
    for op in own(plan, kind):
        if RUNNING[kind].module and isinstance(network.get_submodule(owner(op)), torch.nn.GroupNorm):
            continue  # statistics of the whole map are left out, as everywhere in the literature
        images = torch.rand(1, 3, 24, 24, requires_grad=True)
        _, kept = run(network, images, [op.name])
        output = kept[op.name]
        if not output.requires_grad:
            continue  # it depends on no pixel at all
        for position in range(output.shape[3]):
            (gradient,) = torch.autograd.grad(output[0, :, 0, position].sum(), images, retain_graph=True)
            columns = gradient[0].abs().sum((0, 1)).nonzero().flatten()
            if len(columns):
                assert columns.max() - columns.min() + 1 <= op.receptive_field, (op.name, position)


# -- everything that reads plans knows it -----------------------------------------------------------------------------


@RUN
def test_it_is_drawn_counted_and_remembered(kind):
    plan = example(kind)
    picture = scene(draw(plan, opened_to(plan, "operation")), plan, widest(plan))
    legend = {key["title"]: key["colour"] for key in picture["keys"]}
    assert legend[KINDS[kind].word] == KINDS[kind].colour
    assert [row.name for row in table(plan)] == [op.name for op in plan.ops[1:]]
    assert 0 < forward_bytes(plan) <= training_bytes(plan)
    assert all(row.number is None or row.number >= 0 for row in conventions(plan))


@RUN
def test_its_gradients_are_measured(kind):
    plan = example(kind)
    network = build(plan).train()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.01)  # behind a scale of zero there is no gradient
    # as many images as stochastic depth will not drop all of
    found = gradients.flow([network], [gradients.noise(plan, 16, 0)])
    layers = [op for op in plan.ops if KINDS[op.kind].weighted]
    assert {owner(plan[name]) for name in found.weighted} == {owner(op) for op in layers}
    reached = found.operations.index(layers[0].name)
    assert (found.activation[:, reached:] > 0).all()
    assert (found.weight > 0).all()


@RUN
def test_its_source_computes_the_same(kind, tmp_path):
    plan = example(kind)
    network, images = build(plan), images_of(plan)
    (tmp_path / "source.py").write_text(plan_source(plan, "A network."))
    with redirect_stdout(io.StringIO()) as said:
        made = runpy.run_path(str(tmp_path / "source.py"), run_name="__main__")["Network"]().eval()
    assert f"{plan.params:,} parameters" in said.getvalue()
    made.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(made(images), network(images))


@RUN
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_deep_lift_is_complete(kind):
    """The contributions sum to the score's change from baseline to image, in float64 to the last digits."""
    from captum.attr import DeepLift

    plan = example(kind)
    network = build(plan).double()
    image = images_of(plan, 1).double().requires_grad_()
    baseline = torch.zeros_like(image)
    score = Score(network, Class(2), for_deep_lift=True)
    contributions, delta = DeepLift(score).attribute(image, baseline, return_convergence_delta=True)
    change = network(image)[0, 2] - network(baseline)[0, 2]
    assert delta.abs().item() < 1e-9 * max(1, abs(change.item()))
    assert contributions.sum().item() == pytest.approx(change.item(), abs=1e-9)


# -- nothing falls through in silence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        training_bytes,
        conventions,
        lambda plan: scene(draw(plan, opened_to(plan, "operation")), plan, widest(plan)),
        lambda plan: table(plan, "stage"),
        blank,
        lambda plan: plan_source(plan, ""),
        lambda plan: field_at(plan, "narrow", 0, 0),
    ],
    ids=["memory", "conventions", "drawing", "table", "network", "source", "receptive field"],
)
def test_a_kind_that_nobody_knows_is_an_error_with_its_name(ask):
    known = example("conv")
    ops = [op._replace(kind="mystery") if op.name == "dilated" else op for op in known.ops]
    with pytest.raises(KeyError, match="mystery"):
        list(ask(Plan(tuple(ops))))


def test_a_kind_that_does_not_say_how_it_runs_is_an_error_at_import(monkeypatch):
    monkeypatch.setitem(KINDS, "mystery", replace(KINDS["conv"], name="mystery"))
    monkeypatch.setattr(running, "kinds", sys.modules["explorer.running.kinds"])
    monkeypatch.setitem(sys.modules, "explorer.running.kinds", sys.modules["explorer.running.kinds"])
    with pytest.raises(TypeError, match="mystery"):
        importlib.reload(sys.modules["explorer.running.kinds"])


def test_parameters_that_nobody_initialises_are_an_error(monkeypatch):
    monkeypatch.setitem(RUNNING, "transposed_conv", replace(RUNNING["transposed_conv"], initialise=None))
    with pytest.raises(TypeError, match=r"'transposed_conv' does not say how the parameters of even"):
        build(example("transposed_conv"))


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_a_dilated_kernel_reaches_further_and_costs_the_same():
    """A 3x3 kernel with dilation 2 spans 5 pixels; two of them one after the other 9 (Yu & Koltun, 1511.07122)."""
    net = Recorder(3, 16)
    x = net.conv("a", net.input, 4, kernel=3, dilation=2)
    y = net.conv("b", x, 4, kernel=3, dilation=2)
    assert (x.shape, x.receptive_field, y.receptive_field) == ((4, 16, 16), 5, 9)
    assert (x.params, x.macs) == (3 * 4 * 9, 3 * 4 * 9 * 16 * 16)
    # with stride 2, positions -2, 0, 2 about every second pixel: 8 of them
    assert net.conv("c", y, 4, kernel=3, stride=2, dilation=2).shape == (4, 8, 8)
    with pytest.raises(ValueError, match="only odd ones"):
        net.conv("d", y, 4, kernel=2, dilation=2)


def test_transposed_convolutions_by_hand():
    """Factor 2: a 4x4 kernel at each of 8x8 positions, and two of them overlap along a side (1411.4038)."""
    net = Recorder(3, 16)
    small = net.avg_pool("small", net.input, 2, 2)
    large = transposed_conv(net, "large", small, 6, 2)
    assert large.shape == (6, 16, 16)
    assert (large.params, large.macs) == (3 * 6 * 16, 3 * 6 * 16 * 8 * 8)
    assert (large.stride, large.receptive_field) == (1, 2 + 2 + 1)
    with pytest.raises(ValueError, match="whole pixels"):
        transposed_conv(net, "larger", large, 6, 2)


def test_a_window_that_reaches_past_the_edge_has_the_mean_of_what_is_there():
    """Of 1, 3, 5: (1 + 3) / 2, and 5 alone; by half a window of zeros it would be 2.5."""
    net = Recorder(1, 3)
    net.avg_pool("pool", net.input, 2, 2, ceil=True)
    row = torch.tensor([1.0, 3, 5]).expand(1, 1, 3, 3)
    _, kept = run(build(net.finish()), row, ["pool"])
    assert kept["pool"][0, 0].tolist() == [[2, 5], [2, 5]]


def test_a_group_of_one_value_forgets_it():
    """What 1803.08494, equation 1 leaves of a number less its own mean, divided by a deviation: the offset. So says
    torch of two images; of one it says nothing.
    """
    draw = torch.Generator().manual_seed(0)
    norm = torch.nn.GroupNorm(4, 4).double()
    torch.nn.init.normal_(norm.bias, generator=draw)
    images = torch.randn(2, 4, 1, 1, generator=draw).double()
    torch.testing.assert_close(norm(images)[:, :, 0, 0], norm.bias.expand(2, 4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(images[:1])
    for side, found in ((1, "alone"), (2, None)):
        net = Recorder(4, side, norm="group")
        net.norm("alone", net.conv("halved", net.input, 4, kernel=1))
        op = of_single_values(net.finish())
        assert (op and op.name) == found


def test_bilinear_means_of_two_neighbours():
    """1, 3 enlarged twice, pixels aligned by their corners: 1, 1.5, 2.5, 3."""
    net = Recorder(1, 4)
    small = net.avg_pool("small", net.input, 2, 2)
    large = upsample(net, "large", small, 2)
    assert (large.stride, large.receptive_field) == (1, 5)
    network = build(net.finish())
    row = torch.tensor([1.0, 1, 3, 3]).expand(1, 1, 4, 4)
    assert run(network, row, ["large"])[1]["large"][0, 0, 0].tolist() == [1, 1.5, 2.5, 3]
    assert plan_of(network).params == 0
