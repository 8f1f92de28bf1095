"""Lesions: by hand on small networks, counts by hand, and for every family that what is left runs and is exported."""

import io
import random
import re
import runpy
from contextlib import redirect_stdout

import pytest
import torch
from torch.nn import functional as F

from explorer.counting.conventions import conventions
from explorer.counting.costs import table
from explorer.counting.memory import training_bytes
from explorer.drawing import draw, opened_to
from explorer.errors import ExplorerError
from explorer.families import FAMILIES, PRESETS, plan
from explorer.plan import Plan, Recorder
from explorer.plan.lesions import LesionError, in_words, lesioned, parts
from explorer.plan.receptive_field import field_at
from explorer.plan.tensors import tensors
from explorer.plan.wiring import refined_layers
from explorer.plots.network import scene, widest
from explorer.running.network import build, plan_of, run, sharing
from explorer.running.source import plan_source

EXAMPLES = [
    pytest.param(plan(config), id=f"{name} {i}")
    for name, family in FAMILIES.items()
    for i, config in enumerate(family.examples)
]


def images_of(plan: Plan, count: int = 2) -> torch.Tensor:
    return torch.rand(count, *plan.ops[0].shape, generator=torch.Generator().manual_seed(1))


def without(whole: Plan, off=(), cut=(), network=None):
    """The network that is left."""
    return sharing(network or build(whole), lesioned(whole, off, cut))


# -- by hand ----------------------------------------------------------------------------------------------------------


def small(join: str) -> Plan:
    """A stem of 2 channels; a block of one 1x1 convolution, its join, and the classifier."""
    net = Recorder(1, 2, norm="none")
    with net.stage("stem"):
        x = net.conv("conv0", net.input, 2, kernel=1)
    with net.stage("stage 1", "layer1."), net.block("block 0", "0."):
        wide = join in ("projection", "wider")
        y = net.conv("conv1", x, 3 if wide else 2, kernel=1, stride=2 if wide else 1)
        if join == "add":
            y = net.add("add", y, x)
        elif join == "projection":
            y = net.activation("relu0", y)  # the longer of the two ways is the branch
            y = net.add("add", y, net.conv("downsample.0", x, 3, kernel=1, stride=2))
        y = net.activation("relu1", y)
    with net.stage("stage 2", "layer2."):
        if join == "concat":
            y = net.concat("concat", [x, y])
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool", y), 1)
    return net.finish()


IMAGE = torch.tensor([[[[1.0, 2], [3, 6]]]])


def weighted(join: str):
    """Its stem makes (x, -x) of x, its convolution (5, 7, ...) times the channels' sum plus (1, -2, ...)."""
    whole = small(join)
    network = build(whole)
    weights = {
        "conv0.weight": [1.0, -1.0],
        "conv0.bias": [0.0, 10.0],
        "layer1.0.conv1.weight": [[5.0] * 2, [7.0] * 2, [9.0] * 2],
        "layer1.0.conv1.bias": [1.0, -200.0, 3.0],
        "layer1.0.downsample.0.weight": [[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]],
        "layer1.0.downsample.0.bias": [0.0, 0.0, 4.0],
        "fc.weight": [[1.0, 10.0, 100.0, 1000.0]],
        "fc.bias": [0.5],
    }
    with torch.no_grad():
        for name, weight in network.named_parameters():
            given = torch.tensor(weights[name])
            given = given[:, : weight.shape[1]] if name == "fc.weight" else given[: weight.shape[0]]
            weight.copy_(given.reshape(weight.shape))
    return whole, network


# of pixels 1, 2, 3, 6: the stem's channels are (1, 2, 3, 6), mean 3, and (9, 8, 7, 4), mean 7; their sum is 10
# everywhere, so that the convolution gives 5 * 10 + 1 = 51, 7 * 10 - 200 = -130, 9 * 10 + 3 = 93
BY_HAND = [
    # whole: 51 + x, mean 54, and -130 + ..., which ReLU sets to zero
    ("add", (), (), 54 + 0.5),
    # the stem's channels go on through the ReLU: 3 + 10 * 7
    ("add", ("layer1.0",), (), 3 + 70 + 0.5),
    # the branch alone: 51, and 0
    ("add", (), ("layer1.0",), 51 + 0.5),
    # every second pixel is the first alone: 51 + 2, 0 + 18 (the branch has a ReLU of its own), 93 + 10 + 4
    ("projection", (), (), 53 + 10 * 18 + 100 * 107 + 0.5),
    ("projection", ("layer1.0",), (), 2 + 10 * 18 + 100 * 14 + 0.5),
    ("projection", (), ("layer1.0",), 51 + 100 * 93 + 0.5),
    # a plain block of equal shape is skipped with its ReLU
    ("none", (), (), 51 + 0.5),
    ("none", ("layer1.0",), (), 3 + 70 + 0.5),
    # a plain block from 2 channels to 3 at half the size: the first pixel, 1 and 9, and a channel of zeros
    ("wider", (), (), 51 + 100 * 93 + 0.5),
    ("wider", ("layer1.0",), (), 1 + 90 + 0.5),
    # features read by a concat: x beside the layer's, which become zeros
    ("concat", (), (), 3 + 70 + 100 * 51 + 0.5),
    ("concat", ("layer1.0",), (), 3 + 70 + 0.5),
]


@pytest.mark.parametrize(("join", "off", "cut", "answer"), BY_HAND)
def test_answers_by_hand(join, off, cut, answer):
    whole, network = weighted(join)
    with torch.no_grad():
        assert without(whole, off, cut, network)(IMAGE).item() == pytest.approx(answer)


def test_counts_by_hand():
    """What drops out: the convolution of 2 * 2 weights and 2 biases at 4 positions; with stride 2 at one."""
    for join, off, cut, params, macs in (
        ("add", ("layer1.0",), (), 6, 16),
        ("add", (), ("layer1.0",), 0, 0),
        ("projection", ("layer1.0",), (), 9, 6),
        ("projection", (), ("layer1.0",), 9, 6),
        ("none", ("layer1.0",), (), 6, 16),
        ("wider", ("layer1.0",), (), 9, 6),
        ("concat", ("layer1.0",), (), 6, 16),
    ):
        whole = small(join)
        left = lesioned(whole, off, cut)
        assert (whole.params - left.params, whole.macs - left.macs) == (params, macs), (join, off, cut)


def test_the_counts_of_a_published_network_by_hand():
    """A basic block of ResNet-20's first stage: two 3x3 of 16 to 16 channels on 32x32, and their norms."""
    whole = plan(PRESETS["resnet20_cifar"])
    left = lesioned(whole, ["layer1.1"])
    assert whole.params - left.params == 2 * (16 * 16 * 9 + 2 * 16)
    assert whole.macs - left.macs == 2 * 16 * 16 * 9 * 32 * 32
    assert len(parts(whole)) == 9
    assert {part.lesions for part in parts(whole)} == {("branch", "shortcut")}


def test_a_skipped_branch_is_the_network_written_without_it():
    """ResNet-20 without layer1.1 has the logits of a stage of two blocks, with the weights of the others."""
    config = PRESETS["resnet20_cifar"]
    whole = build(plan(config), seed=3)
    shorter = build(plan(config.replace(blocks=(2, 3, 3))))
    names = {"layer1.1.": "layer1.2."}
    shorter.load_state_dict(
        {
            name: whole.state_dict()[next((new + name[len(old) :] for old, new in names.items() if old in name), name)]
            for name in shorter.state_dict()
        }
    )
    images = images_of(plan_of(whole))
    with torch.no_grad():
        # what enters the block went through a ReLU already, so that the one behind its join changes nothing
        assert torch.equal(without(plan_of(whole), ["layer1.1"], (), whole)(images), shorter(images))


def test_a_dense_layer_off_gives_the_later_ones_zeros():
    """The same as whole, with the layer's last kernel set to zero; it has no bias."""
    config = FAMILIES["densenet"].examples[0]
    whole = build(plan(config), seed=3)
    name = "features.denseblock2.denselayer2"
    images = images_of(plan_of(whole))
    with torch.no_grad():
        left = without(plan_of(whole), [name], (), whole)(images)
        whole.get_parameter(f"{name}.conv2.weight").zero_()
        torch.testing.assert_close(left, whole(images))


def test_a_cliques_second_pass_off_keeps_the_kernel_that_the_first_pass_reads():
    whole = plan(FAMILIES["cliquenet"].examples[0])
    name = "block2.second.layer1"
    left = lesioned(whole, [name])
    norm = whole[f"{name}.norm1"].params
    assert whole.params - left.params == norm
    assert whole.macs - left.macs == sum(op.macs for op in whole.ops if op.name.startswith(f"{name}."))
    assert len(left.refinements) == len(whole.refinements) - 1


def test_a_plain_block_that_changes_the_shape_is_skipped_by_option_a():
    """Veit et al.'s removal in a plain network: what enters goes on, subsampled and padded where the shape changes."""
    config = PRESETS["plain20_cifar"]
    whole = build(plan(config), seed=3)
    images = images_of(plan_of(whole))
    _, kept = run(whole, images, ["layer1.2.relu2"])
    _, left = run(without(plan_of(whole), ["layer2.0"], (), whole), images, ["layer2.0.relu2"])
    entering = kept["layer1.2.relu2"]
    assert torch.equal(left["layer2.0.relu2"], F.pad(entering[:, :, ::2, ::2], (0, 0, 0, 0, 0, 16)))


# -- every family -----------------------------------------------------------------------------------------------------


def check(whole: Plan, network, off, cut, tmp_path) -> None:
    left = lesioned(whole, off, cut)
    alive = sharing(network, left)
    assert plan_of(alive) is left
    images = images_of(whole)
    with torch.no_grad():
        logits, kept = run(alive, images, [op.name for op in left.ops])
    assert logits.shape == (2, whole.ops[-1].shape[0])
    assert {name: tuple(tensor.shape[1:]) for name, tensor in kept.items()} == {op.name: op.shape for op in left.ops}
    assert all(op.shape == whole[op.name].shape and op.stride == whole[op.name].stride for op in left.ops)
    weights = dict(network.named_parameters())
    assert all(weight is weights[name] for name, weight in alive.named_parameters())
    assert left.params == sum(weight.numel() for weight in alive.parameters())
    file = tmp_path / "source.py"
    file.write_text(plan_source(left, in_words(whole, off, cut)))
    with redirect_stdout(io.StringIO()) as said:
        made = runpy.run_path(str(file), run_name="__main__")["Network"]().eval()
    assert f"{left.params:,} parameters" in said.getvalue()
    made.load_state_dict(alive.state_dict())
    with torch.no_grad():
        assert torch.equal(made(images), logits)


@pytest.mark.parametrize("whole", EXAMPLES)
def test_each_part_off_runs_and_is_exported(whole, tmp_path):
    network = build(whole)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = parts(whole)
    assert found
    assert len({part.name for part in found}) == len(found)
    # the last part of each stage, with each of its lesions
    ends = {(part.stage, part.role, lesion): part for part in found for lesion in part.lesions}
    for (_, _, lesion), part in ends.items():
        off, cut = ([part.name], []) if lesion == "branch" else ([], [part.name])
        check(whole, network, off, cut, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("whole", EXAMPLES)
def test_many_at_once_run_and_are_exported(whole, tmp_path):
    network, found = build(whole), parts(whole)
    draw = random.Random(1)
    for _ in range(3):
        fate = {part: draw.choice(["", *part.lesions]) for part in found}
        off = [part.name for part in found if fate[part] == "branch"]
        cut = [part.name for part in found if fate[part] == "shortcut"]
        check(whole, network, off, cut, tmp_path)


@pytest.mark.parametrize("whole", EXAMPLES)
def test_all_at_once_leave_stem_and_head(whole, tmp_path):
    check(whole, build(whole), [part.name for part in parts(whole)], [], tmp_path)


@pytest.mark.parametrize("whole", EXAMPLES)
def test_what_reads_plans_reads_what_is_left(whole):
    """It is drawn, counted and trained as any other; what is saved, and seen, is no more than of the whole."""
    for part in parts(whole)[::3]:
        left = lesioned(whole, [part.name])
        drawn = scene(draw(left, opened_to(left, "operation")), left, widest(left))
        assert {"identity", "pad", "zeros"} & {key["title"] for key in drawn["keys"]}
        assert [row.name for row in table(left)] == [op.name for op in left.ops[1:]]
        assert 0 < training_bytes(left) <= training_bytes(whole)
        assert all(row.number is None or row.number >= 0 for row in conventions(left))
        assert all(0 < op.receptive_field <= whole[op.name].receptive_field for op in left.ops)
        assert tensors(left).keys() <= tensors(whole).keys()
        assert refined_layers(left).keys() <= refined_layers(whole).keys()


@pytest.mark.parametrize("whole", EXAMPLES)
def test_no_position_sees_more_than_its_receptive_field_says(whole):
    """Of the field in the middle of the last map but one: by the windows of all operations, one after the other."""
    for part in parts(whole)[::3]:
        left = lesioned(whole, [part.name])
        op = next(op for op in reversed(left.ops) if min(op.shape[1:]) > 1)
        rows, columns = field_at(left, op.name, 1, 1).size
        assert max(rows, columns) <= op.receptive_field, part.name


@pytest.mark.parametrize("whole", EXAMPLES)
def test_neither_stem_nor_head_can_be_taken_away(whole):
    head = whole.ops[-1].stage
    assert not {part.stage for part in parts(whole)} & {"stem", head}
    assert not any(whole.ops[0].name in whole[part.op].inputs for part in parts(whole))


# -- sharing ----------------------------------------------------------------------------------------------------------


def test_the_mode_of_both_is_their_own_and_nothing_is_switched():
    whole = plan(PRESETS["resnet20_cifar"])
    network = build(whole)
    assert not any(module.training for module in without(whole, ["layer1.0"], (), network).modules())
    network.train()
    assert all(module.training for module in without(whole, ["layer1.0"], (), network).modules())
    assert all(module.training for module in network.modules())


def test_nothing_taken_away_is_the_plan_itself():
    whole = plan(PRESETS["resnet20_cifar"])
    assert lesioned(whole) is whole


def test_a_network_without_the_weights_cannot_share_them():
    narrow, wide = (plan(PRESETS["resnet20_cifar"].replace(width=width, stem_width=width)) for width in (8, 16))
    with pytest.raises(ValueError, match="conv1 has weights"):
        sharing(build(narrow), wide)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "off", "cut", "says"),
    [
        ("resnet20_cifar", ["layer1.0"], ["layer1.0"], "neither branch nor shortcut"),
        ("resnet20_cifar", ["layer9.0"], [], "no 'layer9.0'"),
        ("resnet20_cifar", ["conv1"], [], "no 'conv1'"),
        ("resnet20_cifar", [], ["fc"], "no 'fc'"),
        ("plain20_cifar", [], ["layer1.0"], "layer1.0 has no shortcut"),
    ],
)
def test_refusals(preset, off, cut, says):
    with pytest.raises(LesionError, match=says) as refused:
        lesioned(plan(PRESETS[preset]), off, cut)
    assert isinstance(refused.value, ExplorerError)
    assert str(refused.value).endswith(".")


def test_what_is_off_is_said():
    whole = plan(PRESETS["resnet20_cifar"])
    assert in_words(whole, [], []) == ""
    said = in_words(whole, ["layer2.1"], ["layer1.0", "layer3.0"])
    assert re.search(r"off\b.*: layer2\.1\.", said)
    assert re.search(r"cut\b.*: layer1\.0, layer3\.0\.", said)
