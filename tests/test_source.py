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
from torch import nn

from explorer.families import FAMILIES, PRESETS, TITLES, ConfigError, family_of, knobs, parse, plan
from explorer.network import blank, build
from explorer.plan import Plan, Recorder
from explorer.source import WIDTH, plan_source, progression, python_source, runs

RUFF = Path(sys.executable).with_name("ruff")


def executed(source):
    """The module's names, here; for networks too small to be worth an interpreter of their own."""
    names = {"__name__": "made"}
    exec(compile(source, "made", "exec"), names)
    return names


# -- in an interpreter of its own ------------------------------------------------------------------------------------


def filled(state):
    """A state dict with matrices and kernels of the size that He et al. draw, the same wherever it is made."""
    for i, value in enumerate(state.values()):
        if value.ndim > 1:
            bound = (6 / value[0].numel()) ** 0.5
            value.uniform_(-bound, bound, generator=torch.Generator().manual_seed(i))
    return state


RUNNER = '''
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
'''


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


def small(config):
    """The same network on images of a few pixels."""
    return config.replace(input_size=8 if config.stem == "cifar" else 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_presets_alone(family, tmp_path):
    """The source is the published network's own; only the images are small."""
    names = FAMILIES[family].presets
    assert alone(tmp_path, {name: (python_source(PRESETS[name]), plan(small(PRESETS[name]))) for name in names}) == {}


MOST = {
    "classes": 12,
    "stem_width": 24,
    "cardinality": 6,
    "group_width": 6,
    "blocks": 4,
    "growth_rate": 10,
    "widths": 8,
    "layers": 4,
    "width": 24,
}


def drawn(rng, family):
    """Any configuration of a family, but small. Raises ConfigError."""
    config, values = FAMILIES[family].config, {}
    for knob in knobs(config):
        least, most = int(knob.least), int(min(knob.most, MOST.get(knob.name, knob.least + 12)))
        match knob.kind:
            case "choice":
                values[knob.name] = rng.choice(knob.choices)
            case "switch":
                values[knob.name] = rng.random() < 0.5
            case "real":
                values[knob.name] = rng.choice([knob.default, round(rng.uniform(knob.least, knob.most), 2)])
            case "whole":
                values[knob.name] = rng.choice([knob.default] * (knob.name not in MOST) + [rng.randint(least, most)])
            case "list":
                length = rng.randint(*knob.length)
                steps = [rng.randint(least, most) for _ in range(length)]
                values[knob.name] = rng.choice([tuple(steps), (steps[0],) * length])
    values |= {"input_size": rng.choice([33, 48, 64])}
    unused = config.model_construct(**values).unused()
    values = {name: value for name, value in values.items() if name not in unused}
    return config.parse(config.settle(values, {"widths"} & {*values}))


def draws(count):
    """`count` configurations, families in turn."""
    rng, found = random.Random(11), []
    while len(found) < count:
        try:
            found.append(drawn(rng, list(FAMILIES)[len(found) % len(FAMILIES)]))
        except ConfigError:
            continue
    return found


def test_any_configuration_alone(tmp_path):
    configs = dict(zip(map("config{}".format, range(90)), draws(90), strict=True))
    assert alone(tmp_path, {name: (python_source(config), plan(config)) for name, config in configs.items()}) == {}


def test_the_file_runs_by_itself(tmp_path):
    (tmp_path / "network.py").write_text(python_source(PRESETS["densenet40_12_cifar"]))
    done = subprocess.run([sys.executable, "-I", "network.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1,019,722 parameters", "torch.Size([1, 10])"], done.stderr
