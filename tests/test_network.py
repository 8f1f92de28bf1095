"""Networks against torch and torchvision: counts, shapes, logits, any tensor by name, and nothing shared that changes."""

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

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


# -- counts and shapes ----------------------------------------------------------------------------------------------


def check_counts_and_shapes(network, config):
    """The plan's params, MACs and shapes are those that torch finds: in all, and for each operation."""
    p = plan_of(network)
    images = torch.zeros(2, *p.ops[0].shape, device=next(network.parameters()).device)
    # the counter sets hooks on every module of the process: this is the only place that uses it
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        logits, kept = run(network, images, keep=[op.name for op in p.ops])
    assert logits.shape == kept[p.ops[-1].name].shape == (2, config.classes)
    for op in p.ops[:-1]:
        assert kept[op.name].shape == (2, *op.shape), op.name
    assert p.params == sum(w.numel() for w in network.parameters())
    assert 2 * p.macs * len(images) == counter.get_total_flops()
    params, macs = Counter(), Counter()
    for op in p.ops[1:]:
        params[target_of(op)] += op.params
        macs[target_of(op)] += op.macs
    for name, module in network.named_modules():
        assert sum(w.numel() for w in module.parameters(recurse=False)) == params[name], name
    counted = {name.partition(".")[2]: sum(flops.values()) for name, flops in counter.get_flop_counts().items()}
    assert all(counted[name] == 2 * count * len(images) for name, count in macs.items() if count)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_their_plan_says(name):
    """Large networks on torch's meta device, where nothing is allocated; deep ones faster on the CPU, at 8x8."""
    config = PRESETS[name]
    if plan(config).params < 2e7 and config.stem == "cifar":
        config = config.replace(input_size=8)
        check_counts_and_shapes(build(plan(config)), config)
    else:
        check_counts_and_shapes(blank(plan(config)), config)


# beyond these, a knob's draws would only take longer; other knobs are drawn up to a dozen above their least
MOST = {
    "classes": 12,
    "input_size": 70,
    "stem_width": 24,
    "cardinality": 6,
    "group_width": 6,
    "squeeze_excitation": 32,
    "blocks": 2,
    "growth_rate": 10,
    "widths": 8,
    "layers": 3,
}
DRAWS = 120  # for each family


def values_of(knob):
    """Any value of a knob, within `MOST`."""
    # small images leave no pixels for the stem and five blocks
    least = 32 if knob.name == "input_size" else knob.least
    numbers = st.integers(int(least), int(min(knob.most, MOST.get(knob.name, knob.least + 12))))
    match knob.kind:
        case "choice":
            return st.sampled_from(knob.choices)
        case "switch":
            return st.booleans()
        case "real":
            return st.floats(knob.least, knob.most)
        case "whole":
            return numbers
        case "list":
            return st.integers(*knob.length).flatmap(lambda n: st.tuples(*[numbers] * n))


def fitting(config, values):
    """`values` without the knobs that do nothing beside the others, and with lists of one length."""
    unused = config.model_construct(**values).unused()
    return config.settle({name: value for name, value in values.items() if name not in unused}, {"widths"} & {*values})


@pytest.mark.parametrize("family", FAMILIES)
def test_any_configuration_is_what_its_plan_says(family):
    config_type = FAMILIES[family].config
    drawn, refused = set(), []

    @settings(max_examples=DRAWS, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(st.fixed_dictionaries({knob.name: values_of(knob) for knob in knobs(config_type)}))
    def check(values):
        try:
            config = config_type.parse(fitting(config_type, values))
        except ConfigError as error:
            refused.append(str(error))
            return
        if config not in drawn:
            drawn.add(config)
            check_counts_and_shapes(build(plan(config)), config)

    check()
    assert len(drawn) >= 100, refused
    assert len(refused) <= 0.15 * DRAWS, refused


def neighbours(family):
    """A small network with each choice of each knob, and with the ends of what is drawn."""
    bottleneck = {"block": "bottleneck", "width": 12} if family == "resnet" else {}
    base = small(family, **bottleneck)
    for knob in knobs(type(base)):
        ends = (knob.least, min(knob.most, MOST.get(knob.name, knob.least + 12)))
        values = {
            "choice": knob.choices,
            "switch": (False, True),
            "real": ends,
            "whole": tuple(map(int, ends)),
            "list": tuple((int(end),) * n for end in ends for n in knob.length or ()),
        }[knob.kind]
        for value in values:
            yield pytest.param(base, {knob.name: value}, id=f"{family}-{knob.name}-{value}")


@pytest.mark.parametrize(("base", "change"), [case for family in FAMILIES for case in neighbours(family)])
def test_every_knob_alone(base, change):
    config = base.adapt(**change)
    assert getattr(config, *change) == next(iter(change.values()))
    check_counts_and_shapes(build(plan(config)), config)
