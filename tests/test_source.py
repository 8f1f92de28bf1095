"""The generated source against the network that runs: names, logits, training; and whether a person can read it.

The sources run in an interpreter of their own, where nothing but torch can be imported.
"""

import inspect
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from possible import EXAMPLES, most, on_tiny_images, possible, with_chance
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explorer.families import FAMILIES, PRESETS, TITLES, ConfigError, family_of, knobs, plan
from explorer.plan import Plan, Recorder
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.upsample import transposed_conv, upsample
from explorer.running.network import blank, build
from explorer.running.source import WIDTH, plan_source, python_source
from explorer.running.source.arguments import Arguments
from explorer.running.source.series import progression
from explorer.running.text import Number

RUFF = Path(sys.executable).with_name("ruff")


def executed(source):
    """The module's names, by the tests' own interpreter; for networks too small to be worth another."""
    names = {"__name__": "made"}
    exec(compile(source, "made", "exec"), names)
    return names


# -- in an interpreter of its own ------------------------------------------------------------------------------------


def filled(state):
    """A state dict with matrices and kernels of the size that He et al. draw, the same wherever it is made.

    The largest repeat themselves after a prime number of numbers, so that no two rows are alike.
    """
    for i, value in enumerate(state.values()):
        if value.ndim > 1:
            bound = (6 / value[0].numel()) ** 0.5
            some = torch.empty(min(value.numel(), 1_000_003))
            some.uniform_(-bound, bound, generator=torch.Generator().manual_seed(i))
            value.copy_(some.repeat(-(-value.numel() // len(some)))[: value.numel()].view(value.shape))
    return state


RUNNER = """
import json, runpy, sys
for name in ("explorer", "torchvision", "safetensors", "timm", "captum"):
    sys.modules[name] = None
import torch
torch.set_num_threads(1)
found = {}
for name, case in json.load(open("cases.json")).items():
    try:
        made = runpy.run_path(f"{name}.py", run_name="made")
        with torch.device("cpu" if case["drawn"] else "meta"):
            network = made["Network"]().to_empty(device="cpu")
        small, images, logits = torch.load(f"{name}.pt", weights_only=True)
        state = filled({key: torch.empty(shape) for key, shape in case["shapes"].items()})
        network.eval().load_state_dict({key: small.get(key, value) for key, value in state.items()}, strict=True)
        with torch.no_grad():
            same = torch.equal(network(images), logits)
        found[name] = "" if same and logits.isfinite().all() and logits.std() > 0 else f"other logits: {logits}"
    except Exception as error:
        found[name] = repr(error)
json.dump(found, open("found.json", "w"))
"""


def alone(folder, cases):
    """What went wrong with the sources of `cases` where only torch can be imported, by name: (source, plan) each."""
    listed = {}
    for name, (source, p) in cases.items():
        (folder / f"{name}.py").write_text(source)
        network = blank(p).to_empty(device="cpu")
        state = filled(network.state_dict())
        for key, value in state.items():
            if value.ndim < 2:
                value.fill_(key.endswith(("weight", "running_var")))
        images = torch.randn(3, *p.ops[0].shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            # one batch decides what the norms expect, so that depth neither blows up nor dies out
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1.0
                    module.train()
            network(images)
            logits = network.eval()(images)
        small = {key: value for key, value in network.state_dict().items() if value.ndim < 2}
        torch.save((small, images, logits), folder / f"{name}.pt")
        shapes = {key: list(value.shape) for key, value in state.items()}
        listed[name] = {"shapes": shapes, "drawn": p.params < 1e6}
    (folder / "cases.json").write_text(json.dumps(listed))
    (folder / "runner.py").write_text("import torch\n" + inspect.getsource(filled) + RUNNER)
    done = subprocess.run([sys.executable, "-I", "runner.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "found.json").read_text())
    assert found.keys() == cases.keys()
    return {name: wrong for name, wrong in found.items() if wrong}


WIDE = {name for name, config in PRESETS.items() if plan(config).params > 2.1e7}


@pytest.mark.parametrize("family", FAMILIES)
def test_presets_alone(family, tmp_path):
    """The source is the published network's own; only the images are small."""
    names = [name for name in FAMILIES[family].presets if name not in WIDE]
    cases = {name: (python_source(PRESETS[name]), plan(on_tiny_images(PRESETS[name]))) for name in names}
    assert alone(tmp_path, cases) == {}


@pytest.mark.parametrize("name", sorted(WIDE))
def test_wide_presets_without_their_numbers(name):
    """Their tensors, and what their images go through; its numbers would take seconds to write down."""
    ours, small = blank(plan(PRESETS[name])), plan(on_tiny_images(PRESETS[name]))
    with torch.device("meta"):
        network = executed(python_source(PRESETS[name]))["Network"]().eval()
        with FlopCounterMode(display=False) as counter:
            logits = network(torch.empty(1, *small.ops[0].shape))
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in ours.state_dict().items()
    }
    assert (logits.shape, counter.get_total_flops()) == ((1, PRESETS[name].classes), 2 * small.macs)


LONGEST = 4  # entries of lists: series of blocks become loops


def drawn(rng, family):
    """Any configuration of a family, but small. Raises ConfigError."""
    config, example, values = FAMILIES[family].config, FAMILIES[family].examples[0], {}
    for knob in knobs(config):
        match knob.kind:
            case "choice":
                values[knob.name] = rng.choice(knob.choices)
            case "switch":
                values[knob.name] = rng.random() < 0.5
            case "real":
                values[knob.name] = rng.choice([knob.default, round(rng.uniform(knob.least, knob.most), 2)])
            case "whole":
                usual = getattr(example, knob.name)
                # not much fewer channels than in the example: where few ReLUs are left, all may be dead
                numbers = range(max(int(knob.least), usual // 2), int(most(knob, example)) + 1)
                values[knob.name] = rng.choice([usual, rng.choice(numbers)])
            case "list":
                length = rng.randint(*knob.length)
                least, last = int(knob.least), max(LONGEST, int(most(knob, example)))
                steps = [rng.randint(least, last) for _ in range(length)]
                values[knob.name] = rng.choice([tuple(steps), (steps[0],) * length])
    return possible(config, values | {"input_size": rng.choice([33, 48, 64])})


def draws(count):
    """`count` configurations, families in turn, from a seed of which none is dead: a stem of two ReLUs may be."""
    rng, found = random.Random(12), []
    while len(found) < count:
        try:
            found.append(drawn(rng, list(FAMILIES)[len(found) % len(FAMILIES)]))
        except ConfigError:
            continue
    return found


def test_any_configuration_alone(tmp_path):
    configs = dict(zip(map("config{}".format, range(60)), draws(60), strict=True))
    assert alone(tmp_path, {name: (python_source(config), plan(config)) for name, config in configs.items()}) == {}


def test_the_file_runs_by_itself(tmp_path):
    (tmp_path / "network.py").write_text(python_source(PRESETS["densenet40_12_cifar"]))
    done = subprocess.run([sys.executable, "-I", "network.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1,019,722 parameters", "torch.Size([1, 10])"], done.stderr


# -- in the tests' own interpreter -----------------------------------------------------------------------------------


def made(config):
    """The network of the source, with the weights of ours, and ours."""
    network, ours = executed(python_source(config))["Network"]().eval(), build(plan(config), seed=4)
    network.load_state_dict(ours.state_dict(), strict=True)
    return network, ours


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_torchvision_is_the_same_network(name):
    theirs = torchvision.models.get_model(name).eval()
    network = executed(python_source(PRESETS[name]))["Network"]().eval()
    network.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(images), theirs(images))


@pytest.mark.parametrize("config", EXAMPLES)
def test_training_is_the_same(config):
    """The same chance decides what is dropped; norms keep the same statistics; gradients are the same."""
    config = with_chance(config, 0.5)
    images = torch.randn(6, 3, *[config.input_size] * 2, generator=torch.Generator().manual_seed(0))
    (theirs, buffers, gradients), (logits, *ours) = (trained(network, images) for network in made(config))
    torch.testing.assert_close(theirs, logits)
    torch.testing.assert_close([buffers, gradients], ours)


def trained(network, images):
    torch.manual_seed(5)
    logits = network.train()(images)
    logits.square().sum().backward()
    return logits, dict(network.named_buffers()), {name: weight.grad for name, weight in network.named_parameters()}


@pytest.mark.parametrize("init", ["kaiming", "default"])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("config", EXAMPLES)
def test_initialisation_is_the_same(config, init, norm):
    """Each tensor has the same spread and the same mean, over 25 draws."""
    agree_on_initialisation(plan(config.adapt(init=init, norm=norm)))


def agree_on_initialisation(p):
    network = executed(plan_source(p, "A network."))["Network"]
    torch.manual_seed(0)
    ours = [build(p, seed=seed).state_dict() for seed in range(25)]
    theirs = [network().state_dict() for _ in ours]
    for key, value in ours[0].items():
        if value.ndim:
            a, b = (torch.stack([state[key] for state in states]) for states in (ours, theirs))
            slack = 6 * a.std() / a.numel() ** 0.5
            assert abs(a.std() - b.std()) <= slack, key
            assert abs(a.mean() - b.mean()) <= slack, key


# -- any kind of operation -------------------------------------------------------------------------------------------


def forms(kind, init="kaiming"):
    """A plan with an operation of this kind in all its forms."""
    net = Recorder(3, 8, "batch")
    KINDS[kind].example(net)
    return net.finish(init)


@pytest.mark.parametrize("init", ["kaiming", "default"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].weighted])
def test_the_initialisation_of_a_kind_is_the_same(kind, init):
    agree_on_initialisation(forms(kind, init))


# -- any plan --------------------------------------------------------------------------------------------------------


# of operations in a plan that no family would write
CHOICES = ["conv", "dilated", "shared", "norm", "function", "add", "concat", "drop", "pool", "pad"]
CHOICES += ["gate", "gate of vectors", "smaller and larger", "learned"]


def wild(seed):
    """A plan that no family would write: modules within modules, entered twice, read from anywhere, and series."""
    rng = random.Random(seed)
    net = Recorder(3, 8, rng.choice(["batch", "group", "none"]), rng.choice(["relu", "tanh", "gelu"]))
    kernels, names = [], (f"op{i}" for i in range(10**6))

    def operations(pool, count):
        for _ in range(count):
            x = rng.choice([x for x in pool if x.shape[1] == 8])
            alike = [other for other in pool if other.shape == x.shape]
            large = [other for other in pool if other.shape[1] == 8]
            name = next(names)
            match rng.choice(CHOICES):
                case "conv":
                    x = net.conv(name, x, rng.choice([4, 8, 8, 12]), rng.choice([1, 3]))
                case "norm":
                    x = net.norm(name, x, zero=rng.random() < 0.3)
                case "function":
                    x = net.activation(name, x)
                case "add":
                    x = net.add(name, x, rng.choice(alike))
                case "concat":
                    x = net.concat(name, rng.choices(large, k=rng.randint(2, 4)))
                case "drop":
                    x = net.drop_path(name, net.dropout(next(names), x, 0.3), 0.2)
                case "pool":
                    x = net.max_pool(name, x, 3, 1, 1)
                case "pad":
                    x = net.pad(name, x, x.shape[0] + 2, 1)
                case "gate":
                    gate = net.activation(next(names), net.global_pool(next(names), x), "sigmoid")
                    x = net.multiply(name, x, gate)
                case "gate of vectors":
                    gate = net.linear(next(names), net.global_pool(next(names), x), rng.choice([3, x.shape[0]]))
                    gate = net.linear(next(names), net.activation(next(names), gate), x.shape[0])
                    x = net.multiply(name, x, net.activation(next(names), gate, "sigmoid"))
                case "dilated":
                    x = net.conv(name, x, 8, 3, dilation=2)
                case "smaller and larger":
                    x = upsample(net, name, net.avg_pool(next(names), x, 2, 2), 2)
                case "learned":
                    x = transposed_conv(net, name, net.max_pool(next(names), x, 2, 2), rng.choice([8, 12]), 2)
                case "shared" if x.shape[0] < 36:
                    if not kernels or rng.random() < 0.4:
                        kernels.append(net.kernel(next(names), 40, 8, rng.choice([1, 3])))
                    x = net.shared_conv(name, x, rng.choice(kernels), rng.choice([0, 0, 3]))
            pool.append(net.conv(next(names), x, 8, 1) if x.shape[0] > 30 else x)

    def modules(pool, depth, prefixes):
        for prefix in prefixes:
            with net.block("part", prefix):
                inner = rng.choices([x for x in pool if x.shape[1] == 8], k=rng.randint(1, 3))
                operations(inner, rng.randint(1, 4))
                if depth:
                    nested = ["0.", "1.", "2.", "a.", "b1.", "b2.", "b3.", "deep.er."]
                    modules(inner, depth - 1, rng.sample(nested, rng.randint(0, 3)))
                operations(inner, rng.randint(0, 2))
                pool += inner[-rng.randint(1, 2) :]

    def series(pool):
        how, stem, first = rng.choice(["chain", "growing", "any"]), rng.choice(["", "layer"]), rng.randint(0, 1)
        xs = [net.conv(next(names), rng.choice([x for x in pool if x.shape[1] == 8]), 8, 1)]
        with net.block("series", f"{next(names)}."):
            for i in range(rng.randint(1, 5)):
                with net.block(f"layer {i}", f"{stem}{i + first}."):
                    x = net.concat("concat", {"chain": xs[-1:], "growing": xs, "any": [rng.choice(xs)]}[how])
                    x = net.activation("relu", net.norm("norm", net.conv("conv", x, 8, 3)))
                    xs.append(net.dropout("dropout", x, 0.1))
            pool += rng.choice([xs[-1:], xs[1:], [net.concat("joined", xs[-3:])]])

    pool = [net.conv("stem", net.input, 8, 3)]
    for _ in range(rng.randint(1, 4)):
        with net.stage("stage", rng.choice(["s1.", "s2.", "x.1.", "x.2.", "", "t."])):
            if rng.random() < 0.5:
                series(pool)
            else:
                modules(pool, 1, rng.sample(["0.", "1.", "a.", "b1.", "b2."], rng.randint(1, 3)))
            operations(pool, rng.randint(0, 3))
    with net.stage("head"):
        pooled = [net.global_pool(next(names), x) for x in pool[-6:]]
        net.linear("fc", net.concat("joined", pooled), 5)
    return net.finish(rng.choice(["kaiming", "default"]))


def read_only(p):
    """The plan without what nothing reads."""
    wanted = {p.ops[-1].name}
    for op in reversed(p.ops):
        wanted |= {*op.inputs} if op.name in wanted else set()
    return Plan(tuple(op for op in p.ops if op.name in wanted or op.kind == "input"), p.init)


def test_any_plan():
    """What nobody thought of is at least right."""
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for seed in range(80):
        for p in (wild(seed), read_only(wild(seed))):
            network, ours = executed(plan_source(p, "Wild."))["Network"]().eval(), build(p, seed)
            network.load_state_dict(ours.state_dict(), strict=True)
            with torch.no_grad():
                assert torch.equal(network(images), ours(images)), seed


def test_a_chain_with_other_names_is_a_loop():
    net = Recorder(8, 8)
    x = net.input
    with net.stage("stage", "stage."):
        for i in (1, 2, 3):
            with net.block("layer", f"layer{i}."):
                x = net.activation("relu", net.conv("conv", x, 8 + 4 * i, kernel=3))
    source = plan_source(net.finish(), "A chain.")
    assert 'self[f"layer{i + 1}"] = Layer(8 + 4 * i)' in source
    assert "        for layer in self.values():\n            x = layer(x)\n        return x\n" in source


def test_a_loop_within_a_loop_names_no_variable_that_it_does_not_read():
    net = Recorder(8, 8)
    x = net.input
    with net.stage("stage", "stage."):
        for i in range(3):
            for j in range(2):
                with net.block("unit", f"{i}.{j}."):
                    x = net.add("add", x, net.norm("norm", net.conv("conv", x, 8, kernel=3)))
    source = plan_source(net.finish(), "Units.")
    assert "nn.Sequential(*[nn.Sequential(*[Unit() for _ in range(2)]) for _ in range(3)])" in source


# -- for people ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources():
    return {name: python_source(config) for name, config in PRESETS.items()}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("resnet18", 95),
        ("resnet152", 100),
        ("preresnet1001_cifar", 95),
        ("densenet121", 115),
        ("densenet201", 115),
        ("cliquenet_s3", 170),
        ("cliquenet_s3_attention", 175),
        ("cliquenet_k12_t36", 155),
    ],
)
def test_can_be_read_in_one_sitting(sources, name, lines):
    assert sources[name].count("\n") <= lines


def test_reads_as_a_person_would_write(sources):
    for name, source in sources.items():
        assert max(map(len, source.split("\n"))) <= WIDTH, name
        assert "explorer" not in source, name
        assert "torchvision" not in re.sub(r"torchvision\.models\.\w+ is the same network", "", source), name
        # no names made by counting, which is what is left where no meaning was found
        assert not re.search(r"class \w*\d\(|(channels|width|out|stride|start|growth)\d", source), name
    assert "for _ in range(35)]" in sources["resnet152"]
    assert "            features.append(layer(torch.cat(features, 1)))\n" in sources["densenet201"]
    assert "DenseLayer(channels + 32 * i)" in sources["densenet121"]
    assert "self.denseblock3 = DenseBlock(256, layers=48)" in sources["densenet201"]
    assert "            features[i] = layer(torch.cat(others, 1), kernel)\n" in sources["cliquenet_s3"]


def test_ruff_finds_nothing(sources, tmp_path):
    others = {f"config{i}": python_source(config) for i, config in enumerate(draws(40))}
    for name, source in (sources | others).items():
        (tmp_path / f"{name}.py").write_text(source)
    for command in (["check"], ["format", "--check", f"--line-length={WIDTH}"]):
        done = subprocess.run([RUFF, *command, "--isolated", "."], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def docstring(source):
    return executed(source)["__doc__"]


def test_header_of_a_published_network(sources):
    text = docstring(sources["resnet50"])
    assert text.startswith(
        "ResNet-50.\n\n25,557,032 parameters; 4,089,184,256 multiply-accumulates for an image of 3 x 224"
    )
    assert "torchvision.models.resnet50 is the same network" in text
    assert all(address in text for address in family_of(PRESETS["resnet50"]).papers.values())
    for name, source in sources.items():
        assert docstring(source).startswith(f"{TITLES[name]}.\n"), name


def test_header_of_another_network():
    text = docstring(python_source(PRESETS["densenet121"].replace(growth_rate=24, blocks=(6, 12, 24, 15))))
    assert text.startswith("DenseNet-121, but growth_rate 24, blocks 6-12-24-15.\n")
    assert "torchvision" not in text
    # only the images are of another size
    text = docstring(python_source(PRESETS["resnet18"].replace(input_size=64)))
    assert text.startswith("ResNet-18, but input_size 64.\n")
    assert "torchvision.models.resnet18 is the same network" in text


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((64,), (64, None)),
        ((64, 64, 64), (64, 0)),
        ((64, 96, 128), (64, 32)),
        ((0.1, 0.2, 0.3), (0.1, 0.1)),
        ((64, 96, 129), None),
        ((True, False), None),
        ((3, 0.5), (3, -2.5)),
    ],
)
def test_progressions(values, found):
    assert progression(values) == found


def at_one_place(role, *values, **options):
    """The numbers at one place of each of some modules."""
    return [Number(role, value, **options) for value in values]


def test_numbers_become_arguments_or_follow_from_them():
    arguments = Arguments()
    columns = [
        at_one_place("channels", 64, 128, 256),
        at_one_place("width", 128, 256, 512),
        at_one_place("kernel", 3, 3, 3),
        at_one_place("out", 65, 129, 257),
        at_one_place("stride", 1, 2, 2, keyword=True, default=1),
    ]
    found = [one.text for one in arguments.fill(columns)]
    assert found == ["channels", "2 * channels", "3", "channels + 1", "stride"]
    assert arguments.signature() == ", channels: int, stride: int = 1"
    assert arguments.given(1) == (Number("channels", 128), Number("stride", 2, keyword=True, default=1))


def test_numbers_in_a_loop_read_its_variable_where_they_differ():
    arguments = Arguments()
    columns = [
        at_one_place("channels", (64, 96, 128), (256, 288, 320), looped=True),
        at_one_place("kernel", (3, 3, 3), (3, 3, 3), looped=True),
        at_one_place("out", (4, 9, 5), (4, 9, 5), looped=True),
    ]
    found = [(one.text, one.indexed) for one in arguments.fill(columns)]
    assert found == [("channels + 32 * i", True), ("3", False), ("(4, 9, 5)[i]", True)]
    assert arguments.signature() == ", channels: int"
