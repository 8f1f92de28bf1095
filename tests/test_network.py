"""Networks against torch and torchvision: counts, shapes, logits, any tensor by name, and nothing shared that changes."""

import copy
import gc
import io
import threading
import weakref
from collections import Counter, defaultdict

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from explorer import network as networks
from explorer.families import FAMILIES, PRESETS, ConfigError, knobs, parse, plan
from explorer.network import blank, build, plan_of, run

SMALL = {
    "resnet": {"block": "basic", "blocks": (1, 2, 1), "width": 8},
    "densenet": {"blocks": (2, 3, 2), "growth_rate": 4},
    "cliquenet": {"widths": (4, 4, 4), "layers": (2, 3, 2)},
}
TINY = {"stem": "cifar", "stem_width": 8, "input_size": 16, "classes": 5}
SMALL_PRESETS = ("resnet20_cifar", "densenet_bc100_12_cifar", "cliquenet_k36_t12")


def small(family, **fields):
    return parse({"family": family} | TINY | SMALL[family] | fields)


def images_of(config, count=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, config.channels, config.input_size, config.input_size, generator=draw)


def target_of(op):
    """The module that computes an operation: its own, or the one that holds a shared kernel."""
    return getattr(op.attributes, "shared", "") or op.name


# -- counts and shapes, on torch's meta device: nothing is allocated -------------------------------------------------


def check_counts_and_shapes(config):
    """The plan's params, MACs and shapes are those that torch finds: in all, and for each operation."""
    p = plan(config)
    network = blank(p)
    images = torch.empty(2, *p.ops[0].shape, device="meta")
    # the counter sets hooks on every module of the process: this is the only place that uses it
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        logits, kept = run(network, images, keep=[op.name for op in p.ops])
    assert logits.shape == (2, config.classes)
    for op in p.ops[:-1]:
        assert kept[op.name].shape == (2, *op.shape), op.name
    assert kept[p.ops[-1].name].shape == logits.shape
    assert p.params == sum(w.numel() for w in network.parameters())
    assert 2 * 2 * p.macs == counter.get_total_flops()
    params, macs = Counter(), Counter()
    for op in p.ops[1:]:
        params[target_of(op)] += op.params
        macs[target_of(op)] += op.macs
    for name, module in network.named_modules():
        assert sum(w.numel() for w in module.parameters(recurse=False)) == params[name], name
    counted = {name.partition(".")[2]: sum(flops.values()) for name, flops in counter.get_flop_counts().items()}
    assert {name: 4 * count for name, count in macs.items() if count} == {
        name: counted[name] for name in macs if counted.get(name)
    }


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_their_plan_says(name):
    check_counts_and_shapes(PRESETS[name])


# beyond these, a knob's draws would only take longer; knobs of other families are drawn up to a dozen above their least
MOST = {
    "classes": 12,
    "stem_width": 40,
    "width": 40,
    "cardinality": 6,
    "group_width": 6,
    "squeeze_excitation": 32,
    "blocks": 2,
    "growth_rate": 12,
    "widths": 8,
    "layers": 3,
}


def drawn_configs(family):
    """Any value of every knob, within `MOST`."""
    config = FAMILIES[family].config
    fields = {}
    for knob in knobs(config):
        most = int(min(knob.most, MOST.get(knob.name, knob.least + 12)))
        match knob.kind:
            case "choice":
                fields[knob.name] = st.sampled_from(knob.choices)
            case "switch":
                fields[knob.name] = st.booleans()
            case "real":
                fields[knob.name] = st.floats(knob.least, knob.most)
            case "whole":
                fields[knob.name] = st.integers(int(knob.least), most)
            case "list":
                entry = st.integers(int(knob.least), most)
                fields[knob.name] = st.integers(*knob.length).flatmap(
                    lambda n, entry=entry: st.tuples(*[entry] * n)
                )
    # large enough for a stem and five blocks; small sizes come from the classes below
    fields["input_size"] = st.integers(32, 96)
    return st.fixed_dictionaries(fields).map(lambda values: settled(config, values))


def settled(config, values):
    """Without the knobs that do nothing beside the others, and with lists of one length."""
    unused = config.model_construct(**values).unused()
    return config.settle({k: v for k, v in values.items() if k not in unused}, {"widths"} & values.keys())


DRAWS = 110  # for each family


@pytest.mark.parametrize("family", FAMILIES)
def test_any_configuration_is_what_its_plan_says(family):
    drawn, refused = [], []

    @settings(max_examples=DRAWS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(drawn_configs(family))
    def check(values):
        try:
            config = FAMILIES[family].config.parse(values)
        except ConfigError as error:
            refused.append(str(error))
            return
        drawn.append(config)
        check_counts_and_shapes(config)

    check()
    assert len(set(drawn)) >= 0.75 * DRAWS
    assert len(refused) <= 0.2 * DRAWS, refused
    for knob in knobs(FAMILIES[family].config):
        assert len({getattr(config, knob.name) for config in drawn}) > 1, knob.name
