"""A knob's values as somebody types them, and what is said of those that make no sense."""

import pytest

from explorer.families import FAMILIES, PRESETS
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import values
from explorer.learning.sweeps.sweep import Range, SweepError

CONFIG = PRESETS["resnet20_cifar"]
KNOBS = values.turnable(CONFIG)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("width", "4, 8, 12", ("4", "8", "12")),
        ("width", " 8,4 ,  8,", ("8", "4")),  # in the order in which they come, each once
        ("width", "4 to 32 by 4", ("4", "8", "12", "16", "20", "24", "28", "32")),
        ("width", "5 to 9", ("5", "6", "7", "8", "9")),
        ("width", "4 to 11 by 3, 64", ("4", "7", "10", "64")),
        ("learning_rate", "0.1 to 0.5 by 0.1", ("0.1", "0.2", "0.3", "0.4", "0.5")),
        ("learning_rate", ".1, 1, 1e-3", ("0.1", "1", "0.001")),
        ("blocks", "2-2-2, 03-3-3", ("2-2-2", "3-3-3")),
        ("zero_init", "on", ("on",)),
        ("augmentation", "none, flip and crop", ("none", "flip and crop")),
    ],
)
def test_values_are_read(name, text, expected):
    assert values.read(KNOBS[name], text) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("width", "4 to 64 log", Range(4, 64, True)),
        ("width", "4 to 64", Range(4, 64)),
        ("learning_rate", "0.001 to 1 log", Range(0.001, 1, True)),
        ("width", "4 to 8 by 2", ("4", "6", "8")),  # of which one is drawn
    ],
)
def test_what_is_drawn_may_be_a_range(name, text, expected):
    assert values.read(KNOBS[name], text, drawn=True) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("width", "", "Give its values, as in"),
        ("width", "4, x", "'x' is no whole number"),
        ("width", "4.5", "'4.5' is no whole number"),
        ("width", "4, 99999", "99999 is not within 4 to 1024"),
        ("width", "8 to 4", "give the lower end first"),
        ("width", "4 to 8 by 0", "a step above 0"),
        ("width", "4 to 64 log", "say in which steps, as in 4 to 64 by"),
        ("learning_rate", "0.1 to 1", "say in which steps"),
        ("learning_rate", "nan", "'nan' is no number"),
        ("learning_rate", "inf", "'inf' is no number"),
        ("learning_rate", ".", "'.' is no number"),
        ("learning_rate", "0.001 to 1 by 0.0001", "more than 1,000 values"),
        ("blocks", "2-2-2, 2-2", "'2-2' has 2 numbers"),
        ("blocks", "2-2-x", "whole numbers of 1 to 200"),
        ("blocks", "2--2-2", "whole numbers"),
        ("zero_init", "maybe", "'maybe' is none of off, on"),
        ("augmentation", "rotate", "none of none, flip, crop, flip and crop"),
    ],
)
def test_nonsense_is_one_sentence(name, text, said):
    with pytest.raises(SweepError, match=said) as refused:
        values.read(KNOBS[name], text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("learning_rate", "1 to 0.1", "lower end first"),
        ("dropout", "0 to 0.9 log", "above 0"),
        ("learning_rate", "0.5, 0.001 to 1 log", "stands alone"),
    ],
)
def test_a_range_to_draw_from_must_be_one(name, text, said):
    with pytest.raises(SweepError, match=said):
        values.read(KNOBS[name], text, drawn=True)


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_offered_can_be_read_and_holds_the_present_value(family, drawn):
    config = PRESETS[next(iter(FAMILIES[family].presets))]
    for name, knob in values.turnable(config).items():
        present = getattr(Recipe() if name in Recipe.model_fields else config, name)
        found = values.read(knob, values.usual(knob, present, drawn), drawn)
        if isinstance(found, Range):
            assert found.low <= present <= found.high
        else:
            assert values.read(knob, values.describe(present))[0] in found


def test_what_the_data_or_the_sweep_decides_is_not_turned():
    assert not {"classes", "channels", "seed", "family"} & set(KNOBS)
    assert not set(CONFIG.unused()) & set(KNOBS)


def test_only_what_can_be_is_offered():
    knob = KNOBS["learning_rate"]
    assert values.usual(knob, 0.1) == "0.05, 0.1, 0.2"
    assert values.usual(knob, 0.1, can_be=lambda text: float(text) >= 0.1) == "0.1, 0.2, 0.4"
    assert values.usual(knob, 0.1, can_be=lambda text: float(text) <= 0.1) == "0.025, 0.05, 0.1"
    assert values.usual(knob, 0.1, can_be=lambda text: text == "0.4") == "0.1, 0.4"
    assert values.usual(knob, 0.1, can_be=lambda text: False) == "0.1"
