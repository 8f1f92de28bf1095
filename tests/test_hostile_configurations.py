"""Two hundred configurations as an attacker sends them: each is a network or a sentence, and nothing stays behind."""

import gc
import math
import random
import sys

import torch
from torch.fx import GraphModule

from explorer.counting.budget import BudgetError
from explorer.families import FAMILIES, ConfigError, knobs, parse, write_plan
from explorer.running.network import build

COUNT = 200
BUILT = 200_000  # weights; larger networks are planned and not built, for the sake of time


def deep(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


HOSTILE = (
    *(0, -1, 1, 2, 3, 7, 10**6, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e308, math.inf, -math.inf),
    *(math.nan, True, False, None, "", "0", "1e9", "nan", "9" * 10_000, "\x00", "\u202e", "\ud800", "<script>", "a\nb"),
    *([], [1], [1, 1, 1], [2, 2, 2, 2], [10**9] * 3, [None] * 3, [1] * 100_000, [[1, 1, 1]], deep(500), {}, {"a": 1}),
    *((1, 1, 1), {1, 2}, b"bytes", object(), float, lambda: 1),
)


def hostile(chance):
    """A family's example of which some knobs are spoilt, and now and then one is added that there is not."""
    family = chance.choice(sorted(FAMILIES))
    data = chance.choice(FAMILIES[family].examples).model_dump() | {"input_size": chance.choice([16, 32, 33])}
    for knob in chance.sample(knobs(FAMILIES[family].config), chance.choice([1, 1, 2, 3])):
        likely = (*knob.choices, knob.least, knob.least + 1, knob.default)
        data[knob.name] = chance.choice(chance.choice([HOSTILE, likely]))
    if chance.random() < 0.1:
        data[chance.choice(["__class__", "model_config", "family ", "", "\x00", "fi" * 5000])] = chance.choice(HOSTILE)
    if chance.random() < 0.1:
        data["family"] = chance.choice(HOSTILE)
    return data


def outcome(data):
    try:
        config = parse(data)
    except ConfigError as refusal:
        sentence = str(refusal)
        assert sentence.isprintable()
        assert 0 < len(sentence) < 600
        return "refused"
    network = write_plan(config)
    assert parse(config.model_dump()) == config
    assert all(type(number) is int and number >= 0 for op in network.ops for number in (op.params, op.macs, *op.shape))
    if network.params > BUILT:
        return "planned"
    try:
        built = build(network)
    except BudgetError:
        return "planned"
    image = network.ops[0].shape
    assert built(torch.zeros(1, *image)).shape == (1, config.classes)
    return "built"


def alive():
    gc.collect()
    return sum(issubclass(type(found), torch.Tensor | GraphModule) for found in gc.get_objects())


def test_two_hundred_are_networks_or_sentences_and_nothing_stays_behind():
    chance = random.Random(7)
    attacks = [hostile(chance) for _ in range(COUNT)]
    outcome(attacks[0])
    before, depth = alive(), sys.getrecursionlimit()
    outcomes = [outcome(data) for data in attacks]
    assert outcomes.count("refused") > 50
    assert outcomes.count("built") > 10
    assert (alive(), sys.getrecursionlimit()) == (before, depth)
