"""A network as text: what is written is read back, and a hostile link costs a sentence, never the page."""

import math
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from possible import applied

from explorer import links
from explorer.families import FAMILIES, PRESETS, Config, ConfigError, Knob, knobs
from explorer.links import Choice


def reopened(choice: Choice) -> tuple[Choice, list[str]]:
    """What somebody sees who was sent the address."""
    return links.read(dict(parse_qsl(urlencode(links.write(choice)), keep_blank_values=True)))


def values(knob: Knob) -> st.SearchStrategy[Any]:
    """All that the knob's own bounds allow; whether the network is possible shows when it is made."""
    least, most = knob.least, knob.most
    match knob.kind:
        case "choice":
            return st.sampled_from(knob.choices)
        case "switch":
            return st.booleans()
        case "real":
            return st.floats(least, most)
        case "whole":
            return st.integers(int(least), int(most))
    assert knob.length
    entry = st.integers(int(least), int(most))
    return st.lists(entry, min_size=knob.length[0], max_size=knob.length[1]).map(tuple)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    """A preset with a few knobs turned, as a form turns them."""
    origin = draw(st.sampled_from(sorted(PRESETS)))
    config = PRESETS[origin]
    for knob in draw(st.lists(st.sampled_from(knobs(type(config))), max_size=5, unique=True)):
        try:
            config = config.adapt(**{knob.name: draw(values(knob))})
        except ConfigError:
            continue
    return Choice(origin, config)


# --- what is written is read back


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_name(name):
    assert links.write(links.start(name)) == {"network": name}
    assert links.read({"network": name}) == (Choice(name, PRESETS[name]), [])


def test_no_link_is_the_default_network():
    assert links.read({}) == (links.start(), [])


def test_only_what_differs_is_written():
    choice = Choice("densenet121", PRESETS["densenet121"].replace(growth_rate=24, blocks=(6, 12, 24), norm="group"))
    assert links.write(choice) == {
        "network": "densenet121",
        "growth_rate": "24",
        "blocks": "6-12-24",
        "norm": "group",
    }
    assert links.read(links.write(choice)) == (choice, [])


def others(knob: Knob, value: Any) -> tuple[Any, ...]:
    """Values unlike this one, to the ends of what the knob allows."""
    match knob.kind:
        case "choice":
            candidates = knob.choices
        case "switch":
            candidates = (True, False)
        case "list":
            candidates = ((*value[:-1], value[-1] + 1), value[:-1])
        case _:
            candidates = (knob.most, knob.least, value + knob.step)
    return tuple(candidate for candidate in candidates if candidate != value)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_knob_alone_is_read_back(family):
    presets = {name: preset.config for name, preset in FAMILIES[family].presets.items()}
    for knob in knobs(FAMILIES[family].config):
        read_back = set()
        if all(knob.name in preset.unused() for preset in presets.values()):  # it does something beside another change
            origins = {name: applied(preset, knob) for name, preset in list(presets.items())[:1]}
        else:
            origins = presets
        for origin, base in origins.items():
            for value in others(knob, getattr(base, knob.name)):
                try:
                    config = base.adapt(**{knob.name: value})
                except ConfigError:  # more than this network can be, or without meaning in it
                    continue
                assert reopened(Choice(origin, config)) == (Choice(origin, config), []), (origin, knob.name)
                read_back.add(value)
        assert read_back, knob.name


@settings(max_examples=300, deadline=None)
@given(choices())
def test_whatever_the_form_can_make_is_read_back(choice):
    assert reopened(choice) == (choice, [])


@settings(max_examples=100, deadline=None)
@given(choices())
def test_a_link_is_short_printable_text(choice):
    address = urlencode(links.write(choice))
    assert address.isascii()
    assert address.isprintable()
    assert len(address) < 500


# --- hostile links


def refused(**link: str) -> tuple[Config, str]:
    """The network of a link of which one thing cannot be used, and the one sentence about it."""
    (_, config), problems = links.read(link)
    assert len(problems) == 1, problems
    (sentence,) = problems
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 300
    return config, sentence


@pytest.mark.parametrize(
    "name", ["nope", "", "ResNet18", "../../etc/passwd", "<script>alert(1)</script>", "9" * 10_000, "a\nb\x00\u202e"]
)
def test_an_unknown_network_is_the_default_instead(name):
    config, sentence = refused(network=name)
    assert config == PRESETS[links.DEFAULT]
    assert repr(name[:40]) in sentence
    assert links.DEFAULT in sentence


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ("growth_rate", "many"),
        ("growth_rate", ""),
        ("growth_rate", "24.5"),
        ("growth_rate", "0"),
        ("growth_rate", "129"),
        ("growth_rate", "-24"),
        ("growth_rate", "9" * 10_000),
        ("growth_rate", "<img src=x onerror=alert(1)>" * 500),
        ("growth_rate", "24\x00"),
        ("blocks", "6-12-24-16-"),
        ("blocks", "6-12"),
        ("blocks", "6,12,24,16"),
        ("blocks", "-".join(["1"] * 10_000)),
        ("blocks", "6-12-24-" + "9" * 10_000),
        ("blocks", "6-12-24-101"),
        ("compression", "nan"),
        ("compression", "inf"),
        ("compression", "1e999"),
        ("compression", "0"),
        ("stem", "Imagenet"),
        ("stem", "__class__"),
        ("channels", "2"),
        ("classes", "1000000000000"),
        ("input_size", "2"),
    ],
)
def test_a_bad_value_is_left_out_and_the_rest_is_kept(knob, text):
    rest = {"dropout": "0.2", "norm": "group"}
    config, sentence = refused(network="densenet121", **{knob: text}, **rest)
    assert config == PRESETS["densenet121"].replace(dropout=0.2, norm="group")
    assert knob in sentence


def test_each_bad_value_has_its_sentence():
    choice, problems = links.read(
        {"network": "resnet50", "width": "wide", "dropout": "2", "zero_init": "perhaps", "norm": "group"}
    )
    assert choice == Choice("resnet50", PRESETS["resnet50"].replace(norm="group"))
    assert [word for word in ("width", "dropout", "zero_init") if any(word in p for p in problems)] == [
        "width",
        "dropout",
        "zero_init",
    ]
    assert len(problems) == 3


def test_a_value_that_does_nothing_here_is_told_about():
    config, sentence = refused(network="resnet18", cardinality="32")
    assert config == PRESETS["resnet18"]
    assert "only a bottleneck" in sentence


def test_values_that_need_each_other_are_kept_beside_one_that_is_bad():
    # 8 pixels are enough for a small stem only, and a cardinality needs a bottleneck, whatever comes first
    config, sentence = refused(
        network="resnet18", input_size="8", cardinality="2", stem="cifar", block="bottleneck", dropout="lots"
    )
    assert "dropout" in sentence
    assert config == PRESETS["resnet18"].replace(input_size=8, stem="cifar", block="bottleneck", cardinality=2)


def test_values_that_contradict_each_other_are_told_about():
    config, sentence = refused(network="cliquenet_s0", widths="8-8-8-8", layers="5-5-5")
    assert config == PRESETS["cliquenet_s0"].replace(widths=(8, 8, 8, 8))
    assert "widths=8-8-8-8 is for 4 blocks and layers=5-5-5 for 3" in sentence


def test_names_that_are_no_knobs_are_passed_over():
    others = {
        "family": "densenet",
        "cardinality": "32",
        "op": "conv1",
        "seed": "x",
        "__proto__": "y",
        "growth rate": "z",
    }
    assert links.read({"network": "densenet121", "growth_rate": "24"} | others) == (
        Choice("densenet121", PRESETS["densenet121"].replace(growth_rate=24)),
        [],
    )


NAMES = sorted({knob.name for preset in PRESETS.values() for knob in knobs(type(preset))})
TEXTS = st.one_of(
    st.text(max_size=60),
    st.integers().map(str),
    st.floats().map(str),
    st.lists(st.integers(-1, 300).map(str), max_size=8).map("-".join),
    st.sampled_from(["on", "off", "true", "None", "basic", "cifar", "pre", "second", "none", "C"]),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PRESETS)), st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=6))
def test_any_link_opens_a_network_with_at_most_a_sentence_for_each_part(origin, parts):
    choice, problems = links.read({"network": origin} | parts)
    assert choice.origin == origin
    assert type(choice.config) is type(PRESETS[origin])
    assert len(problems) <= len(parts)
    assert all(p.isprintable() and p.endswith(".") for p in problems)
    # what was understood is a network that a link can carry on
    assert reopened(choice) == (choice, [])


@settings(max_examples=100, deadline=None)
@given(choices(), st.data())
def test_a_spoilt_value_costs_no_other(choice, data):
    sound = links.write(choice)
    spoilt = data.draw(st.sampled_from([knob.name for knob in knobs(type(choice.config)) if knob.kind != "list"]))
    assume(spoilt not in sound)
    read, problems = links.read(sound | {spoilt: "spoilt"})
    assert len(problems) == 1
    assert read == choice


def test_numbers_are_read_to_the_last_digit():
    for value in (0.1 + 0.2, math.nextafter(0.9, 0), 1e-300):
        choice = Choice("resnet18", PRESETS["resnet18"].replace(dropout=value))
        assert reopened(choice) == (choice, [])
