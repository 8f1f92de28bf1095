"""The recorder against hand arithmetic: shapes, parameters, multiply-accumulates, strides, receptive fields."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from explorer.families import PRESETS, plan, write_plan
from explorer.plan import Op, Recorder
from explorer.plan.kinds.activation import Activation
from explorer.plan.kinds.convolution import Conv
from explorer.plan.kinds.dropout import Drop
from explorer.plan.kinds.norm import Norm
from explorer.plan.kinds.pad import Pad
from explorer.plan.kinds.pools import Pool

ROOT = Path(__file__).parents[1]


def test_input():
    net = Recorder(3, 224)
    op = net.input
    assert (op.name, op.kind, op.inputs, op.shape) == ("input", "input", (), (3, 224, 224))
    assert (op.params, op.macs, op.stride, op.receptive_field) == (0, 0, 1, 1)
    assert op.size == 3 * 224 * 224
    assert net.finish().ops == (op,)


def test_convolution():
    net = Recorder(3, 224)
    op = net.conv("conv1", net.input, 64, kernel=7, stride=2)
    assert op.shape == (64, 112, 112)
    assert op.params == 64 * 3 * 7 * 7 == 9408
    assert op.macs == 9408 * 112 * 112
    assert (op.stride, op.receptive_field) == (2, 7)
    assert op.attributes == Conv(kernel=7, stride=2, padding=3, groups=1, bias=False)
    after = net.conv("conv2", op, 32, kernel=3, stride=2)
    # each step of the 3x3 is 2 pixels of the input
    assert (after.stride, after.receptive_field) == (4, 7 + 2 * 2)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "out"),
    [(9, 3, 1, 9), (9, 3, 2, 5), (8, 3, 2, 4), (8, 1, 2, 4), (9, 1, 2, 5), (9, 7, 2, 5), (1, 3, 2, 1), (2, 7, 2, 1)],
)
def test_sizes_of_convolutions(size, kernel, stride, out):
    net = Recorder(1, size)
    assert net.conv("conv", net.input, 5, kernel, stride).shape == (5, out, out)


def test_grouped_convolution():
    net = Recorder(8, 10)
    op = net.conv("conv", net.input, 12, kernel=3, groups=4)
    # each of the 12 filters reads 8 / 4 channels
    assert (op.params, op.macs) == (12 * 2 * 9, 12 * 2 * 9 * 100)


def test_bias_of_convolutions():
    plain = Recorder(3, 4, norm="none")
    assert plain.conv("conv", plain.input, 5, kernel=1).params == 5 * 3 + 5
    assert plain.conv("bare", plain.input, 5, kernel=1, bias=False).params == 5 * 3
    normed = Recorder(3, 4)
    op = normed.conv("conv", normed.input, 5, kernel=1, bias=True)
    assert (op.params, op.macs) == (5 * 3 + 5, 5 * 3 * 16)


def test_shared_kernels_count_once():
    net = Recorder(4, 6)
    wide = net.conv("wide", net.input, 10, kernel=1)
    kernel = net.kernel("shared", channels=14, out=5, size=3)
    first = net.shared_conv("first", net.input, kernel)
    second = net.shared_conv("second", wide, kernel, start=4)
    again = net.shared_conv("again", wide, kernel, start=4)
    assert [op.params for op in (first, second, again)] == [5 * 4 * 9, 5 * 10 * 9, 0]
    assert [op.macs for op in (first, second, again)] == [5 * c * 9 * 36 for c in (4, 10, 10)]
    assert {op.shape for op in (first, second, again)} == {(5, 6, 6)}
    assert (first.receptive_field, second.receptive_field) == (3, 3)
    assert second.attributes == Conv(3, 1, 1, 1, False, shared="shared", shared_channels=14, start=4)
    with pytest.raises(ValueError, match=r"late reads channels 5\.\.15 of shared, which has 14"):
        net.shared_conv("late", wide, kernel, start=5)


def test_shared_kernels_have_one_bias():
    net = Recorder(4, 6, norm="none")
    kernel = net.kernel("shared", channels=4, out=5, size=1)
    assert [net.shared_conv(name, net.input, kernel).params for name in ("a", "b")] == [5 * 4 + 5, 0]


def test_max_pool():
    net = Recorder(3, 224)
    x = net.conv("conv1", net.input, 64, kernel=7, stride=2)
    op = net.max_pool("pool", x, kernel=3, stride=2, padding=1)
    assert (op.shape, op.params, op.macs) == ((64, 56, 56), 0, 0)
    assert (op.stride, op.receptive_field) == (4, 7 + 2 * 2)
    assert op.attributes == Pool(3, 2, 1)


def test_average_pool_leaves_out_the_odd_pixel():
    net = Recorder(6, 7)
    op = net.avg_pool("pool", net.input, kernel=2, stride=2)
    assert (op.shape, op.stride, op.receptive_field) == ((6, 3, 3), 2, 2)


def test_average_pool_with_a_window_for_the_odd_pixel():
    net = Recorder(6, 7)
    op = net.avg_pool("pool", net.input, kernel=2, stride=2, ceil=True)
    assert (op.shape, op.stride, op.receptive_field) == ((6, 4, 4), 2, 2)
    even = Recorder(6, 8)
    assert even.avg_pool("pool", even.input, kernel=2, stride=2, ceil=True).shape == (6, 4, 4)


@pytest.mark.parametrize("ceil", [False, True])
def test_pools_have_torchs_windows(ceil):
    for side, kernel, stride in itertools.product(range(4, 13), (2, 3, 4), (1, 2, 3, 4, 5)):
        net = Recorder(1, side)
        op = net.avg_pool("pool", net.input, kernel, stride, ceil)
        assert op.shape == F.avg_pool2d(torch.zeros(1, side, side), kernel, stride, ceil_mode=ceil).shape


def test_global_pool_and_classifier():
    net = Recorder(3, 32)
    x = net.conv("conv", net.input, 8, kernel=3, stride=2)
    pooled = net.global_pool("pool", x)
    # from the first to the last of 16 positions, 2 pixels apart, and 3 pixels each
    assert (pooled.shape, pooled.receptive_field) == ((8, 1, 1), 15 * 2 + 3)
    logits = net.linear("fc", pooled, 10)
    assert (logits.shape, logits.params, logits.macs) == ((10, 1, 1), 8 * 10 + 10, 8 * 10)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (32, 32), (24, 24), (36, 18), (40, 20), (37, 1), (34, 17)])
def test_group_norm_has_32_groups_or_fewer(channels, groups):
    net = Recorder(channels, 4, norm="group")
    op = net.norm("norm", net.input, zero=True)
    assert op.attributes == Norm("group", groups, True)
    assert (op.shape, op.params, op.macs) == ((channels, 4, 4), 2 * channels, 0)


def test_batch_norm():
    net = Recorder(5, 4)
    op = net.norm("norm", net.input)
    assert (op.attributes, op.params) == (Norm("batch", 0, False), 10)
    assert net.norm("last", net.input, zero=True).attributes == Norm("batch", 0, True)


def test_what_does_nothing_is_not_written():
    net = Recorder(5, 4, norm="none")
    assert net.norm("norm", net.input) is net.input
    assert net.dropout("dropout", net.input, 0.0) is net.input
    assert net.drop_path("path", net.input, 0.0) is net.input
    assert net.concat("concat", [net.input]) is net.input
    assert len(net.finish().ops) == 1


def test_drops_change_no_shape():
    net = Recorder(5, 4)
    for op, kind in ((net.dropout("a", net.input, 0.3), "dropout"), (net.drop_path("b", net.input, 0.3), "drop_path")):
        assert (op.kind, op.shape, op.params, op.attributes) == (kind, (5, 4, 4), 0, Drop(0.3))


def test_activations_are_named_after_their_function():
    net = Recorder(5, 4, function="silu")
    op = net.activation("relu1", net.input)
    assert (op.name, op.attributes, op.params) == ("silu1", Activation("silu"), 0)
    gate = net.activation("gate", net.input, "sigmoid")
    assert (gate.name, gate.attributes) == ("gate", Activation("sigmoid"))


def test_joins():
    net = Recorder(4, 6)
    wide = net.conv("wide", net.input, 10, kernel=5)
    narrow = net.conv("narrow", net.input, 4, kernel=3)
    joined = net.concat("concat", [net.input, wide, narrow])
    assert (joined.shape, joined.inputs) == ((18, 6, 6), ("input", "wide", "narrow"))
    assert (joined.params, joined.macs, joined.receptive_field) == (0, 0, 5)
    added = net.add("add", net.input, narrow)
    assert (added.shape, added.inputs, added.params, added.macs) == ((4, 6, 6), ("input", "narrow"), 0, 0)
    assert added.receptive_field == 3
    gate = net.global_pool("pool", wide)
    scaled = net.multiply("scale", wide, gate)
    # through the gate each position sees all that the pool saw
    assert (scaled.shape, scaled.receptive_field) == ((10, 6, 6), 5 + 5)


def test_padding():
    net = Recorder(4, 7)
    op = net.pad("pad", net.input, 10, stride=2)
    # pixels 0, 2, 4, 6
    assert (op.shape, op.params, op.macs) == ((10, 4, 4), 0, 0)
    assert (op.stride, op.receptive_field, op.attributes) == (2, 1, Pad(2))


def _add(net: Recorder) -> None:
    net.add("sum", net.input, net.conv("half", net.input, 4, kernel=1, stride=2))


def _pad(net: Recorder) -> None:
    net.pad("short", net.input, 3, stride=1)


def _concat(net: Recorder) -> None:
    net.concat("both", [net.input, net.conv("half", net.input, 4, kernel=1, stride=2)])


def _gate(net: Recorder) -> None:
    net.multiply("scale", net.input, net.conv("gate", net.input, 3, kernel=1))


def _groups(net: Recorder) -> None:
    net.conv("thirds", net.input, 6, kernel=1, groups=3)


def _twice(net: Recorder) -> None:
    net.conv("conv1", net.conv("conv1", net.input, 4, kernel=1), 4, kernel=1)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_add, ("sum", "input", "half", "(4, 8, 8)", "(4, 4, 4)")),
        (_pad, ("short", "4", "3")),
        (_concat, ("both", "input", "half", "(4, 8, 8)", "(4, 4, 4)")),
        (_gate, ("scale", "gate", "(3, 8, 8)")),
        (_groups, ("thirds", "3", "4")),
        (_twice, ("conv1",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_operations_that_cannot_be_are_refused_by_name(write, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        write(Recorder(4, 8))
    for word in words:
        assert word in str(error.value)


def test_stages_and_blocks():
    net = Recorder(3, 8)
    with net.stage("stage 1", "layer1."):
        before = net.conv("conv", net.input, 4, kernel=1)
        with net.block("block 0", "0."):
            inside = net.conv("conv", before, 4, kernel=1)
            kernel = net.kernel("shared", 4, 4, 1)
        after = net.conv("after", inside, 4, kernel=1)
    outside = net.conv("last", after, 4, kernel=1)
    assert kernel.name == "layer1.0.shared"
    where = [(op.name, op.stage, op.block) for op in (net.input, before, inside, after, outside)]
    assert where == [
        ("input", "input", ""),
        ("layer1.conv", "stage 1", ""),
        ("layer1.0.conv", "stage 1", "block 0"),
        ("layer1.after", "stage 1", ""),
        ("last", "", ""),
    ]


def test_plan_sums_and_finds():
    net = Recorder(3, 4)
    x = net.norm("norm", net.conv("conv", net.input, 5, kernel=3))
    net.linear("fc", net.global_pool("pool", x), 2)
    tiny = net.finish("default")
    assert tiny.init == "default"
    assert tiny.params == 5 * 3 * 9 + 2 * 5 + (5 * 2 + 2)
    assert tiny.macs == 5 * 3 * 9 * 16 + 5 * 2
    assert [op.name for op in tiny.ops] == ["input", "conv", "norm", "pool", "fc"]
    assert tiny["norm"].params == 10
    assert "pool" in tiny
    assert "other" not in tiny
    with pytest.raises(KeyError):
        tiny["other"]
    with pytest.raises(AttributeError):
        tiny.init = "kaiming"


def test_operations_of_densenet201():
    layers = 6 + 12 + 48 + 32
    # concat, norm, ReLU, 1x1, norm, ReLU, 3x3; the first layer of a block has nothing to concatenate
    in_layers = 7 * layers - 4
    stem, concats, transitions, head = 4, 4, 3 * 4, 4
    assert len(plan(PRESETS["densenet201"]).ops) == 1 + stem + in_layers + concats + transitions + head == 707


def test_operations_of_resnet18():
    # two convolutions, two norms, two ReLUs, an add; three projections with their norms
    stem, blocks, projections, head = 4, 8 * 7, 3 * 2, 2
    assert len(plan(PRESETS["resnet18"]).ops) == 1 + stem + blocks + projections + head


@pytest.mark.parametrize("name", PRESETS)
def test_plans_are_in_order(name):
    """Names are unique, inputs come before what reads them, and the last operation is the classifier."""
    ops = plan(PRESETS[name]).ops
    seen: set[str] = set()
    for op in ops:
        assert op.name not in seen
        assert seen.issuperset(op.inputs)
        assert bool(op.inputs) == (op.kind != "input")
        seen.add(op.name)
    assert isinstance(ops[-1], Op)
    assert (ops[-1].kind, ops[-1].shape) == ("linear", (PRESETS[name].classes, 1, 1))


def test_the_same_configuration_gives_the_same_plan():
    config = PRESETS["cliquenet_s0"]
    assert plan(config) is plan(config.replace())
    assert write_plan(config) == plan(config)
    assert write_plan(config) is not plan(config)


def test_plans_need_no_tensors():
    """Whoever only counts waits for no torch."""
    code = """
import sys
import explorer.families, explorer.counting.costs, explorer.counting.budget
from explorer.families import PRESETS, known_as, plan
explorer.counting.costs.summary(plan(PRESETS["densenet121"]))
known_as(PRESETS["resnet50"])
print(sorted({"torch", "torchvision", "numpy", "pandas", "streamlit", "plotly"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
