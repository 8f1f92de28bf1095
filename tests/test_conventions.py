"""Each convention says what the tool itself says, to the last digit; and what the papers printed.

The tools patch torch or leave hooks that the next one would count, so each counts in a process of its own, a fork of
one that has imported what all need: `python tests/test_conventions.py` prints, a line for each package, what its
counters say of every network here.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from examples import example

from explorer.counting.conventions import Convention, conventions
from explorer.families import PRESETS, Config, plan
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import owner

ROOT = Path(__file__).parent.parent

SMALL_CLIQUE = {"widths": (12, 8, 8), "layers": (3, 2, 2), "input_size": 16}
# name -> preset, and what makes it small or odd
NETWORKS = {
    "resnet18": ("resnet18", {"input_size": 64}),
    "resnet50": ("resnet50", {"input_size": 64}),
    "resnext50_32x4d": ("resnext50_32x4d", {"input_size": 64}),
    "densenet121": ("densenet121", {"input_size": 64}),
    "plain": ("plain20_cifar", {"input_size": 16}),
    "zero padding, deep stem": ("resnet20_cifar", {"stem": "deep", "blocks": (1, 1, 1), "drop_path": 0.5}),
    "pre-activation": ("preresnet164_cifar", {"blocks": (2, 2, 2), "input_size": 16, "dropout": 0.2}),
    "means of odd sides, tiered stem": ("resnet18d", {"stem": "tiered", "squeeze_excitation": 16, "input_size": 72}),
    "squeeze and excitation": ("resnet18", {"squeeze_excitation": 16, "input_size": 72}),
    "group norm, silu": ("resnet18", {"norm": "group", "activation": "silu", "input_size": 64}),
    "no norm, leaky relu": ("resnet18", {"norm": "none", "activation": "leaky_relu", "input_size": 64}),
    "elu": ("densenet_bc100_12_cifar", {"activation": "elu", "blocks": (2, 2, 2), "input_size": 20}),
    "gelu": ("densenet40_12_cifar", {"activation": "gelu", "blocks": (2, 2, 2), "norm": "none", "input_size": 16}),
    "tanh": ("wrn28_10_cifar", {"activation": "tanh", "blocks": (1, 1, 1), "width": 32, "input_size": 16}),
    "cliquenet": ("cliquenet_k12_t36", SMALL_CLIQUE),
    "cliquenet, two steps, no norm": ("cliquenet_k12_t36", SMALL_CLIQUE | {"norm": "none", "second_pass_steps": 2}),
    "cliquenet, attention, bottleneck": (
        "cliquenet_s3_attention",
        {"widths": (8, 12, 12, 16), "layers": (2, 3, 2, 2), "input_size": 64},
    ),
}
CLIQUES = [name for name in NETWORKS if name.startswith("cliquenet")]
TORCHVISION = [name for name, (preset, _) in NETWORKS.items() if name == preset]


EXAMPLES = [name for name in KINDS if name not in ("input", "conv")]  # a convolution's shares a kernel: see CLIQUES


def config_of(name: str) -> Config:
    preset, changes = NETWORKS[name]
    return PRESETS[preset].replace(**changes)


def plan_named(name: str) -> Plan:
    return example(name) if name in EXAMPLES else plan(config_of(name))


# -- the tools, each in its own process --------------------------------------------------------------------------------


def by_torchinfo(network, images):
    import torchinfo

    return torchinfo.summary(network, input_data=images, verbose=0).total_mult_adds


def by_fvcore(network, images):
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(network, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(found.total())


def by_thop(network, images):
    import thop

    count, _ = thop.profile(network, (images,), verbose=False)
    return count


def by_ptflops(network, images, **how):
    from ptflops import get_model_complexity_info

    count, _ = get_model_complexity_info(
        network, tuple(images.shape[1:]), as_strings=False, print_per_layer_stat=False, **how
    )
    return count


def by_ptflops_pytorch(network, images):
    return by_ptflops(network, images, backend="pytorch")


def by_ptflops_modules(network, images):
    """As its forks of before 2023, mmcv's among them, which did not patch functions yet."""
    return by_ptflops(network, images, backend="pytorch", backend_specific_config={"count_functional": False})


def by_ptflops_aten(network, images):
    return by_ptflops(network, images, backend="aten")


def by_torch(network, images):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return counter.get_total_flops()


TOOLS = {  # package -> its counters, named as their rows are
    "torchinfo": {"torchinfo": by_torchinfo},
    "fvcore": {"fvcore": by_fvcore},
    "thop": {"thop": by_thop},
    "ptflops": {
        "ptflops, pytorch": by_ptflops_pytorch,
        "MMPretrain's model zoo": by_ptflops_modules,
        "ptflops, aten": by_ptflops_aten,
    },
    "torch": {"torch FlopCounterMode": by_torch},
}
BLIND = ("thop", "ptflops, pytorch", "MMPretrain's model zoo")


def ask(package: str) -> dict[str, dict[str, int]]:
    """What each counter says of our networks, and of torchvision's with the same name ("torchvision resnet18")."""
    import torch
    from torchvision.models import get_model

    from explorer.running.network import blank

    found = {}
    for by, count in TOOLS[package].items():
        found[by] = {}
        for name in (*NETWORKS, *EXAMPLES):
            network = blank(plan_named(name)).to_empty(device="cpu")  # the numbers do not matter
            images = torch.zeros(1, *plan_named(name).ops[0].shape)
            found[by][name] = count(network, images)
            if name in TORCHVISION:
                with torch.device("meta"):
                    theirs = get_model(name).eval()
                found[by][f"torchvision {name}"] = count(theirs.to_empty(device="cpu"), images)
    return found


def row(plan: Plan, by: str) -> Convention:
    return next(c for c in conventions(plan) if c.by == by)


@pytest.fixture(scope="module")
def asked() -> dict[str, dict[str, dict[str, int]]]:
    """What `ask` found, of each package."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))


@pytest.mark.parametrize("package", TOOLS)
def test_the_number_is_the_tools_own(package, asked):
    for by, found in asked[package].items():
        seen = [name for name in (*NETWORKS, *EXAMPLES) if not (by in BLIND and name in CLIQUES)]
        assert {name: row(plan_named(name), by).number for name in seen} == {name: found[name] for name in seen}
        torchvisions_count_as_ours(by, found)
        if by in BLIND:
            shared_kernels_are_passed_over(by, found)


# its last ReLU and its pool are functions on 1024 channels of 2x2: missed by who looks at modules, counted once
# and not twice by who looks at both; thop has no ReLUs, and one more a channel for the pool's division
FUNCTIONS_MISSED = {"ptflops, pytorch": 2 * 4096, "MMPretrain's model zoo": 2 * 4096, "thop": 4096 + 1024}


def torchvisions_count_as_ours(by: str, found: dict[str, int]) -> None:
    assert len(TORCHVISION) == 4
    for name in TORCHVISION:
        missed = FUNCTIONS_MISSED.get(by, 0) if name == "densenet121" else 0
        assert found[f"torchvision {name}"] == row(plan(config_of(name)), by).number - missed, name


def shared_kernels_are_passed_over(by: str, found: dict[str, int]) -> None:
    """The tool counts all but those convolutions: a number of no use, so that the row has none and says why."""
    for name in CLIQUES:
        whole = plan(config_of(name))
        assert row(whole, by).number is None
        assert "shared kernels" in row(whole, by).leaves_out
        seen = [
            op._replace(kind="concat", attributes=None, params=0, macs=0) if owner(op) != op.name else op
            for op in whole.ops
        ]
        assert row(Plan(tuple(seen)), by).number == found[name], name


def test_torchinfo_counts_a_shared_kernel_whole_each_time():
    whole = plan(config_of("cliquenet"))
    assert row(whole, "torchinfo").number > whole.macs + whole.params
    assert "shared kernel whole" in row(whole, "torchinfo").counts


# -- published numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet152", "resnext101_64x4d", "wide_resnet50_2", "densenet161"])
def test_torchvision_calls_macs_gflops(name):
    from torchvision.models import get_model_weights

    said = get_model_weights(name).DEFAULT.meta["_ops"]
    found = row(plan(PRESETS[name]), "torchvision's weights")
    assert round(found.number / 1e9, 3) == pytest.approx(said, rel=1e-12)
    assert found.word == "GFLOPS"


@pytest.mark.parametrize(
    ("name", "printed"),
    [("resnet18", 1.8), ("resnet34", 3.6), ("resnet50", 3.8), ("resnet101", 7.6), ("resnet152", 11.3)],
)
def test_flops_of_the_resnet_paper(name, printed):
    """1512.03385, table 1; its bottlenecks have the stride on the first 1x1."""
    config = PRESETS[name]
    config = config.replace(stride_on="1x1") if config.block == "bottleneck" else config
    assert row(plan(config), "ResNet paper").number / 1e9 == pytest.approx(printed, rel=0.02)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("resnet18", 1.82),
        ("resnet34", 3.68),
        ("resnet50", 4.12),
        ("resnet101", 7.85),
        ("resnet152", 11.58),
        ("resnet101d", 8.09),
        ("resnet152d", 11.82),
        ("densenet121", 2.88),
        ("densenet161", 7.82),
        ("densenet169", 3.42),
        ("densenet201", 4.37),
    ],
)
def test_flops_of_mmpretrains_tables(name, printed):
    """configs/resnet/README.md and configs/densenet/README.md of open-mmlab/mmpretrain.

    For ResNetV1D-50 it prints 4.36, as for V1C-50, where the average pools of its shortcuts make 4.365 of 4.364.
    """
    assert round(row(plan(PRESETS[name]), "MMPretrain's model zoo").number / 1e9, 2) == printed


def test_flops_of_mmpretrains_deep_stem():
    """ResNetV1C-50 in the same table: 4.36 G."""
    deep = plan(PRESETS["resnet50"].replace(stem="deep"))
    assert round(row(deep, "MMPretrain's model zoo").number / 1e9, 2) == 4.36


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("cliquenet_k36_t12", 0.91),
        ("cliquenet_k64_t15", 4.21),
        ("cliquenet_k80_t15", 6.45),
        ("cliquenet_k80_t18", 9.45),
    ],
)
def test_flops_of_the_cliquenet_paper(name, printed):
    """1802.10419, table 2, in GFLOPs."""
    assert round(row(plan(PRESETS[name]), "CliqueNet paper, CIFAR").number / 1e9, 2) == printed


# -- the rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet50", "cliquenet"])
def test_rows_fit_a_table(name):
    rows = conventions(plan(config_of(name)))
    assert len({r.by for r in rows}) == len(rows) == 11
    assert rows[0].number == plan(config_of(name)).macs
    for r in rows:
        assert all((r.by, r.word, r.counts, r.leaves_out, r.source))
        assert max(len(r.counts), len(r.leaves_out)) <= 120, r.by
        assert r.per_mac(plan(config_of(name))) == (None if r.number is None else r.number / rows[0].number)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    import torch
    import torchvision  # noqa: F401

    import explorer.running.network  # noqa: F401

    torch.set_num_threads(1)  # a fork has but one
    for package in TOOLS:
        if not (process := os.fork()):
            print(json.dumps([package, ask(package)]), flush=True)
            os._exit(0)
        if os.waitpid(process, 0)[1]:
            sys.exit(1)
