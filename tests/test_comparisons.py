"""With which networks one is compared: its siblings, the counterparts of other families, the literature's classics."""

import pytest
from made import TINY, made, register
from possible import small

from explorer.counting.comparisons import CLASSICS, beside, counterparts, find, siblings
from explorer.families import FAMILIES, PRESETS, Preset, family_of, plan
from explorer.families.family import Comparison, Sibling


def test_siblings_differ_in_one_choice():
    config = PRESETS["resnet56_cifar"]
    found = siblings(config)
    assert plan(found["plain"].config).ops == plan(PRESETS["plain56_cifar"]).ops
    assert not any(op.kind == "norm" for op in plan(found["no-norm"].config).ops)
    assert {"default-init", "zero-init", "pre-activation"} <= found.keys()
    assert "residual" not in found
    assert "residual" in siblings(PRESETS["plain56_cifar"])
    assert "plain" not in siblings(PRESETS["densenet121"])


@pytest.mark.parametrize("name", PRESETS)
def test_every_sibling_is_another_network_or_starts_otherwise(name):
    config = PRESETS[name]
    found = siblings(config)
    assert found.keys() <= family_of(config).siblings.keys()
    for key, sibling in found.items():
        changes = family_of(config).siblings[key].changes
        assert sibling.config != config
        assert {field: getattr(sibling.config, field) for field in changes} == changes
        assert find(key, config) == sibling


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sibling_of_a_family_is_somewhere(family):
    configs = [*FAMILIES[family].examples, *(preset.config for preset in FAMILIES[family].presets.values())]
    configs += [config.adapt(**fields) for config in configs for fields in ({"init": "default"}, {"norm": "none"})]
    assert {key for config in configs for key in siblings(config)} == set(FAMILIES[family].siblings)


def test_a_family_brings_its_own_siblings_and_comparisons(monkeypatch):
    """The common ones where it names none; a sibling that is for some networks is for no others."""
    register(monkeypatch, made())
    assert set(siblings(TINY)) == {"no-norm", "default-init"}
    double = {"wider": Sibling("twice as wide", {"width": 8}, where={"width": 4})}
    register(monkeypatch, made(siblings=double))
    assert siblings(TINY)["wider"].config == TINY.replace(width=8)
    assert siblings(TINY)["wider"].title == "twice as wide"
    assert siblings(TINY.replace(width=6)) == {}


def test_counterparts_are_close_and_of_other_families():
    found = counterparts(PRESETS["resnet56_cifar"])
    assert "densenet40_12_cifar" in found  # 1.0 M params, 40 layers; ResNet-56 has 0.86 M
    of_this_form = {family.name for family in FAMILIES.values() for one in family.presets.values() if is_cifar(one)}
    assert {family_of(PRESETS[name]).name for name in found} == of_this_form - {"resnet"}
    assert all(is_cifar(family_of(PRESETS[name]).presets[name]) for name in found)


def is_cifar(preset: Preset) -> bool:
    return preset.config.form == "cifar"


@pytest.mark.parametrize("stem", ["imagenet", "deep"])
def test_the_counterparts_of_a_deep_stem_are_those_of_its_form(stem):
    config = PRESETS["resnet50"].replace(stem=stem)
    assert {PRESETS[name].stem for name in counterparts(config) if hasattr(PRESETS[name], "stem")} == {"imagenet"}


def test_a_family_without_a_stem_has_the_form_of_its_images(monkeypatch):
    register(monkeypatch, made())
    assert [(size, TINY.replace(input_size=size).form) for size in (32, 224)] == [(32, "cifar"), (224, "imagenet")]
    assert "made3" in counterparts(PRESETS["resnet56_cifar"])
    assert counterparts(TINY.replace(input_size=32))


def test_a_network_that_cannot_be_written_is_no_counterpart(monkeypatch):
    """A fault in one family's file is not in the way of the others."""

    def faulty(net, cfg):
        raise TypeError("no")

    before = counterparts(small("resnet"))
    register(monkeypatch, made(write=faulty))
    assert before
    assert counterparts(small("resnet")) == before


def test_every_classical_comparison_can_be_made():
    for origin, others in CLASSICS.values():
        for name in others:
            one = find(name, PRESETS[origin])
            assert one
            assert plan(one.config).ops[0].shape == plan(PRESETS[origin]).ops[0].shape
    assert find("no such network", PRESETS["resnet18"]) is None


def test_the_classics_are_those_that_the_families_bring():
    brought = [item for family in FAMILIES.values() for item in family.comparisons.items()]
    assert len(brought) == len(CLASSICS) == len(dict(brought))  # no two have one title
    assert all(isinstance(one, Comparison) and CLASSICS[title] == one for title, one in brought)
    # one that spans families stands with the youngest of them, which can know the others
    for family in FAMILIES.values():
        for origin, others in family.comparisons.values():
            assert max(family_of(PRESETS[name]).year for name in (origin, *others)) == family.year


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("resnet20_cifar", "plain"),
        ("resnet50", "plain"),
        ("plain56_cifar", "residual"),
        ("vgg16", "resnet18"),
        ("vgg11_bn_cifar", "resnet20_cifar"),
        ("densenet121", "plain34"),
        ("cliquenet_k36_t12", "plain20_cifar"),
    ],
)
def test_the_most_telling_contender_is_the_twin_without_shortcuts_or_with_them(name, key):
    assert beside(PRESETS[name]) == (key,)


def test_every_published_network_has_one_that_it_can_be_compared_with():
    for config in PRESETS.values():
        (key,) = beside(config)
        assert find(key, config)
