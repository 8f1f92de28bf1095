"""Tables that add up, receptive fields by arithmetic and by gradient, and memory as torch really takes it."""

import csv
import gc
import io
import weakref

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explorer.counting import costs
from explorer.counting.costs import activation_bytes, receptive_field, summary, table, total
from explorer.counting.memory import forward_bytes, training_bytes
from explorer.families import PRESETS, parse, plan
from explorer.plan import Recorder
from explorer.running.network import build, plan_of, run

LEVELS = ("stage", "block", "operation")

# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PRESETS)
def test_tables_add_up(name, level):
    p = plan(PRESETS[name])
    rows = table(p, level)
    assert sum(row.params for row in rows) == p.params
    assert sum(row.macs for row in rows) == p.macs
    # the image is no operation's output
    assert sum(row.activation_bytes for row in rows) == 4 * sum(op.size for op in p.ops[1:])
    assert sum(row.params_share for row in rows) == pytest.approx(1, abs=1e-9)
    assert sum(row.macs_share for row in rows) == pytest.approx(1, abs=1e-9)
    assert len({row.name for row in rows}) == len(rows)


def test_rows_of_resnet18():
    p = plan(PRESETS["resnet18"])
    stages = table(p, "stage")
    assert [row.stage for row in stages] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    one_block = 2 * 64 * 64 * 9 + 2 * 128
    assert stages[1].params == 2 * one_block
    assert stages[1].macs == 4 * 64 * 64 * 9 * 56 * 56
    assert stages[1].macs_share == pytest.approx(4 * 64 * 64 * 9 * 56 * 56 / 1.814e9, rel=1e-3)
    assert (stages[1].input, stages[1].output) == ("64×56×56", "64×56×56")
    assert stages[-1].params == 512 * 1000 + 1000
    blocks = table(p, "block")
    # the stem, eight blocks, the head
    assert len(blocks) == 10
    assert blocks[1].params == one_block
    operations = table(p)
    assert len(operations) == len(p.ops) - 1
    first = operations[0]
    assert (first.name, first.kind, first.input, first.output) == ("conv1", "conv", "3×224×224", "64×112×112")
    assert first.activation_bytes == 4 * 64 * 112 * 112
    assert first.receptive_field == 7
    assert table(p, "operation") == operations


def test_operations_taken_together():
    p = plan(PRESETS["resnet18"])
    row = total(p, [p["layer1.0.conv1"], p["layer1.0.conv2"]], "both")
    assert (row.name, row.params, row.macs) == ("both", 2 * 64 * 64 * 9, 2 * 64 * 64 * 9 * 56 * 56)
    assert row.activation_bytes == 2 * 4 * 64 * 56 * 56


def test_rows_that_contain_a_text():
    rows = table(plan(PRESETS["resnet20_cifar"]))
    assert [row.name for row in costs.containing(rows, "LAYER2.0.conv1")] == ["layer2.0.conv1"]
    assert {row.kind for row in costs.containing(rows, "linear")} == {"linear"}
    shapes = costs.containing(rows, "32×16×16")
    assert shapes
    assert all("32×16×16" in (row.input, row.output) for row in shapes)
    assert costs.containing(rows, "no such ((") == []
    assert costs.containing(rows, "") == rows


def test_the_table_as_a_file():
    read = list(csv.DictReader(io.StringIO(costs.as_csv(plan(PRESETS["resnet20_cifar"])))))
    assert list(read[0]) == list(costs.Row._fields)
    # the stem: 3 to 16 channels, 3x3, on 32x32 pixels
    assert (read[0]["name"], read[0]["params"], read[0]["macs"]) == ("conv1", str(3 * 16 * 9), str(3 * 16 * 9 * 32**2))
    assert sum(int(row["params"]) for row in read) == 269_722  # 1512.03385, table 6: 0.27 M


def test_what_has_changed_since_another_network():
    now, before = summary(plan(PRESETS["resnet50"])), summary(plan(PRESETS["resnet18"]))
    change = now.since(before)
    # torchvision's figures: 25,557,032 and 11,689,512 parameters
    assert change.params == 25_557_032 - 11_689_512
    assert now.since(now) == (0,) * len(now)
    assert before.since(now).params == -change.params


def test_summary():
    found = summary(plan(PRESETS["resnet50"]), batch=3)
    assert (found.params, round(found.macs / 1e9, 3)) == (25557032, 4.089)
    assert found.flops == 2 * found.macs
    assert found.operations == len(plan(PRESETS["resnet50"]).ops) - 1
    assert found.forward_bytes == forward_bytes(plan(PRESETS["resnet50"]), 3)
    assert found.training_bytes == training_bytes(plan(PRESETS["resnet50"]), 3)
    assert found.activation_bytes == activation_bytes(plan(PRESETS["resnet50"]).ops)


# -- receptive fields --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stride_on", "field"),
    [
        # Araujo et al., Distill 2019, table 1: ResNets whose stride comes before, or in the block before, the 3x3
        ("resnet50", "1x1", 483),
        ("resnet101", "1x1", 1027),
        ("resnet152", "1x1", 1507),
        # stem 7 + 2 * 2 = 11; at the first stage each 3x3 adds 2 * 4, at the next 2 * 8, then 2 * 16, 2 * 32; the
        # first 3x3 of a stage still steps as the stage before it
        ("resnet18", "3x3", 11 + 4 * 8 + (8 + 3 * 16) + (16 + 3 * 32) + (32 + 3 * 64)),
        ("resnet34", "3x3", 11 + 6 * 8 + (8 + 7 * 16) + (16 + 11 * 32) + (32 + 5 * 64)),
        ("resnet50", "3x3", 11 + 3 * 8 + (8 + 3 * 16) + (16 + 5 * 32) + (32 + 2 * 64)),
        # each of the layers has one 3x3, each transition a 2x2 pool
        ("densenet121", None, 11 + 6 * 8 + 4 + 12 * 16 + 8 + 24 * 32 + 16 + 16 * 64),
        # without a bottleneck: a 3x3 in the stem, 12 in each block
        ("densenet40_12_cifar", None, 3 + 12 * 2 + 1 + 12 * 4 + 2 + 12 * 8),
        # both passes: 4 layers each
        ("cliquenet_k36_t12", None, 3 + 8 * 2 + 1 + 8 * 4 + 2 + 8 * 8),
    ],
)
def test_receptive_fields(name, stride_on, field):
    config = PRESETS[name] if stride_on in (None, "3x3") else PRESETS[name].replace(stride_on=stride_on)
    assert receptive_field(plan(config)) == field
    assert summary(plan(config)).receptive_field == field


def test_receptive_field_of_resnet18_is_435():
    assert receptive_field(plan(PRESETS["resnet18"])) == 435
    # and so says the table; what comes behind depends on the whole picture
    assert [row.receptive_field for row in table(plan(PRESETS["resnet18"]), "stage")][-2:] == [435, None]
    assert [row.receptive_field for row in table(plan(PRESETS["resnet18"]))][-3:] == [435, None, None]


def reach(network, images):
    """How far, in rows, the gradient of the middle position of an operation's output spreads over the image: of each
    operation by its name.
    """
    names = [op.name for op in plan_of(network).ops]
    _, kept = run(network, images, names)
    found = {}
    for name in names:
        middle = kept[name].shape[-1] // 2
        (gradient,) = torch.autograd.grad(kept[name][0, :, middle, middle].sum(), images, retain_graph=True)
        rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
        found[name] = rows.min().item(), rows.max().item()
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"family": "resnet", "block": "basic", "blocks": (2, 1, 1)},
        {"family": "resnet", "block": "basic", "blocks": (1, 2, 1), "order": "pre", "shortcut": "A"},
        {"family": "resnet", "blocks": (1, 2, 1), "stride_on": "3x3", "cardinality": 2},
        {"family": "resnet", "blocks": (1, 2, 1), "stride_on": "1x1", "shortcut": "none"},
        {"family": "resnet", "block": "basic", "blocks": (1, 1, 1), "squeeze_excitation": 2, "shortcut": "C"},
        {"family": "resnet", "block": "basic", "blocks": (1, 1, 1), "stem": "imagenet"},
        {"family": "densenet", "blocks": (2, 2, 1), "growth_rate": 2},
        {"family": "densenet", "blocks": (2, 1, 2), "growth_rate": 2, "bottleneck": 0, "stem": "deep"},
        {"family": "cliquenet", "widths": (2, 2, 2), "layers": (2, 2, 2)},
        {"family": "cliquenet", "widths": (2, 2, 2), "layers": (3, 2, 2), "bottleneck": True, "attention": True},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_receptive_fields_are_where_gradients_reach(fields):
    size = 160 if fields.get("stem") in ("imagenet", "deep") else 96
    config = parse({"stem": "cifar", "stem_width": 4, "classes": 3, "input_size": size, "channels": 1} | fields)
    config = config.replace(width=4) if config.family == "resnet" else config
    network = build(plan(config)).double()
    with torch.no_grad():
        for weight in network.parameters():
            # so that nothing cancels, every ReLU lets through, and no gate saturates
            weight.abs_().div_(weight[0].numel())
    # a max pool passes the largest on, which is the last of its window on a slope, and the first on the other
    slope = torch.linspace(1, 2, size, dtype=torch.float64)
    slope = (slope[:, None] + slope).view(1, 1, size, size)
    forth, back = (reach(network, image.requires_grad_()) for image in (slope, slope.flip(2, 3)))
    measured = 0
    for op in plan(config).ops:
        if op.shape[1] == 1:
            continue
        first, last = back[op.name][0], forth[op.name][1]
        if first > 0 and last < size - 1:
            assert op.receptive_field == last - first + 1, op.name
            measured += 1
        else:
            # it is cut by the border
            assert op.receptive_field >= last - first + 1, op.name
            assert op.receptive_field > size / 2, op.name
    assert measured >= 10


# -- memory ------------------------------------------------------------------------------------------------------------


def test_forward_bytes_by_hand():
    """8x8 pixels; in units of 64 numbers: image 2, widened to 8, narrowed to 2, added to the image, classified."""
    net = Recorder(2, 8)
    wide = net.conv("wide", net.input, 8, kernel=1)
    narrow = net.conv("narrow", wide, 2, kernel=1)
    net.linear("fc", net.global_pool("pool", net.add("add", narrow, net.input)), 5)
    tiny = net.finish()
    params = 8 * 2 + 2 * 8 + (2 * 5 + 5)
    # at `narrow`: the image, which the join still needs, its input of 8 and its own 2
    assert forward_bytes(tiny) == 4 * ((2 + 8 + 2) * 64 + params)
    assert forward_bytes(tiny, batch=7) == 4 * (7 * (2 + 8 + 2) * 64 + params)


def test_a_concat_needs_its_inputs_and_its_output():
    """4x4 pixels; in units of 16 numbers: image 1, a 2, b 3, both joined to 5."""
    net = Recorder(1, 4)
    a = net.conv("a", net.input, 2, kernel=1)
    b = net.conv("b", a, 3, kernel=1)
    net.linear("fc", net.global_pool("pool", net.concat("both", [a, b])), 2)
    params = 2 + 3 * 2 + (5 * 2 + 2)
    # the image belongs to the caller, who keeps it
    assert forward_bytes(net.finish()) == 4 * ((1 + 2 + 3 + 5) * 16 + params)


def test_training_bytes_by_hand():
    """4x4 pixels: image 16 numbers, convolution 32, ReLU 32, their mean 2, classified to 3."""
    net = Recorder(1, 4)
    x = net.activation("relu", net.conv("conv", net.input, 2, kernel=1))
    net.linear("fc", net.global_pool("pool", x), 3)
    weights, classifier = 2 + (2 * 3 + 3), 2 * 3 + 3
    # for the backward pass stay: the image for the convolution, the ReLU's output, and the logits; most is alive
    # where the ReLU's gradient (32) becomes the convolution's (32), and the classifier's weights have theirs
    alive = 16 + 32 + 3 + 32 + 32
    for batch in (1, 3):
        # weights and momentum
        assert training_bytes(net.finish(), batch) == 4 * (batch * alive + classifier + 2 * weights)


class Alive(TorchDispatchMode):
    """Bytes of all tensors' storages, as torch makes and frees them; `peak` is the most at once."""

    def __init__(self, tensors):
        super().__init__()
        self.now = self.peak = 0
        self.storages = {}
        self.see(tensors)

    def see(self, tensors):
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.storages:
                    self.now += storage.nbytes()
                    self.storages[storage._cdata] = weakref.ref(storage, self.freed(storage._cdata, storage.nbytes()))
        self.peak = max(self.peak, self.now)

    def freed(self, key, size):
        def callback(_):
            del self.storages[key]
            self.now -= size

        return callback

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        self.see(outputs)
        return outputs


def test_alive_counts_what_is_there():
    start = torch.zeros(100)
    with Alive([start]) as alive:
        a = torch.zeros(1000)
        b = a + 1
        b[:500].mul_(2)  # a view has no storage of its own
        del a, b
        c = start * 2
    assert alive.peak == 4 * (100 + 1000 + 1000)
    assert alive.now == 4 * (100 + 100)
    del c
    assert alive.now == 4 * 100


REAL = {
    "resnet18": ({"input_size": 64}, 8),
    "resnet50": ({"input_size": 64, "squeeze_excitation": 16, "activation": "silu"}, 4),
    "resnet56_cifar": ({"order": "pre", "dropout": 0.1, "drop_path": 0.1}, 4),
    "plain20_cifar": ({"norm": "none", "activation": "tanh"}, 8),
    "densenet40_12_cifar": ({"dropout": 0.2}, 4),
    "densenet_bc100_12_cifar": ({}, 4),
    "densenet121": ({"input_size": 64}, 8),
    "cliquenet_k24_t18": ({}, 4),
    "cliquenet_s0": ({"input_size": 64, "attention": True}, 4),
}


@pytest.mark.parametrize("name", REAL)
def test_forward_bytes_are_those_that_torch_takes(name):
    changes, batch = REAL[name]
    p = plan(PRESETS[name].replace(**changes))
    network, images = build(p), torch.randn(batch, *p.ops[0].shape)
    gc.collect()
    with torch.no_grad(), Alive([images, *network.parameters()]) as alive:
        network(images)
    # without the weights, about which there is no doubt
    weights = 4 * p.params
    assert forward_bytes(p, batch) - weights == pytest.approx(alive.peak - weights, rel=0.01)


@pytest.mark.parametrize("name", REAL)
def test_training_bytes_are_those_that_torch_takes(name):
    changes, batch = REAL[name]
    p = plan(PRESETS[name].replace(**changes))
    network, images = build(p).train(), torch.randn(batch, *p.ops[0].shape)
    labels = torch.zeros(batch, dtype=torch.long)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    step()
    optimizer.zero_grad()
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    gc.collect()
    with Alive([images, *network.parameters(), *momenta]) as alive:
        step()
    # slices of a shared kernel have gradients of their own for a while: 2 % of the clique with bottlenecks
    assert training_bytes(p, batch) == pytest.approx(alive.peak, rel=0.03)
