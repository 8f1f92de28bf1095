"""Configurations: refusals with field, value and way out; round trips; depths as papers count; a family is one file."""

import json
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import TINY, made, register, write
from possible import EXAMPLES

from explorer.counting.costs import receptive_field
from explorer.families import (
    FAMILIES,
    PRESETS,
    Config,
    ConfigError,
    PlanError,
    Preset,
    _preset_ops,
    _refuse_twins,
    chosen_depth,
    depth_label,
    describe,
    family_of,
    knobs,
    known_as,
    parse,
    plan,
    write_plan,
)
from explorer.families.config import Stem

HUGE = 10**5000  # more digits than Python is willing to write
ALL_KNOBS = [
    pytest.param(family, knob, id=f"{family}-{knob.name}")
    for family in FAMILIES
    for knob in knobs(FAMILIES[family].config)
]

# -- refusals ----------------------------------------------------------------------------------------------------------

# what is asked for, and what the sentence must say: field and value; the way out
REFUSED = [
    ({"family": "resnot"}, "family='resnot'", ", ".join(FAMILIES)),
    ({}, "family=", ", ".join(FAMILIES)),
    ({"family": ["resnet"]}, "family=", ", ".join(FAMILIES)),
    ({"family": "<b>resnet</b>\n"}, "family='<b>resnet</b>\\n'", ", ".join(FAMILIES)),
    ({"family": HUGE}, "family=", ", ".join(FAMILIES)),
    ({"family": "resnet", "planes": 64}, "'planes'", "width"),
    ({"family": "resnet", "<script>\n" * 1000: 64}, "'<script>\\n<script>", "width"),
    ({"family": "resnet", "growth_rate": 12}, "'growth_rate'", "width"),
    ({"family": "resnet", "width": "wide"}, "width='wide'", "4 to 1024"),
    ({"family": "resnet", "width": None}, "width=None", "4 to 1024"),
    ({"family": "resnet", "width": 64.5}, "width=64.5", "4 to 1024"),
    ({"family": "resnet", "width": [64]}, "width=[64]", "4 to 1024"),
    ({"family": "resnet", "width": 10**30}, f"width={10**30}", "4 to 1024"),
    ({"family": "resnet", "width": HUGE}, "width=", "4 to 1024"),
    ({"family": "resnet", "width": -HUGE}, "width=", "4 to 1024"),
    ({"family": "resnet", "width": "9" * 10**6}, "width='999", "4 to 1024"),
    ({"family": "resnet", "width": math.nan}, "width=nan", "4 to 1024"),
    ({"family": "resnet", "width": -math.inf}, "width=-inf", "4 to 1024"),
    ({"family": "resnet", "width": "<img src=x>\n\r\x00\u2028"}, "width='<img src=x>\\n\\r\\x00\\u2028'", "4 to 1024"),
    ({"family": "resnet", "dropout": math.nan}, "dropout=nan", "0 to 0.9"),
    ({"family": "resnet", "dropout": math.inf}, "dropout=inf", "0 to 0.9"),
    ({"family": "resnet", "dropout": 0.95}, "dropout=0.95", "0 to 0.9"),
    ({"family": "resnet", "dropout": HUGE}, "dropout=", "0 to 0.9"),
    ({"family": "densenet", "compression": 0}, "compression=0", "0.1 to 1"),
    ({"family": "resnet", "stem": "imagnet"}, "stem='imagnet'", "'imagenet', 'cifar', 'deep' or 'tiered'"),
    ({"family": "resnet", "stem": ("cifar",)}, "stem=('cifar',)", "'imagenet', 'cifar', 'deep' or 'tiered'"),
    ({"family": "resnet", "channels": 2}, "channels=2", "3 or 1"),
    ({"family": "resnet", "zero_init": "maybe"}, "zero_init='maybe'", "true"),
    ({"family": "cliquenet", "attention": 2}, "attention=2", "true"),
    ({"family": "resnet", "blocks": 18}, "blocks=18", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": "3-4-6-3"}, "blocks='3-4-6-3'", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [3, 4]}, "blocks=[3, 4]", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [3, 4, 6, 0]}, "blocks=0", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [3, 4, "x"]}, "blocks='x'", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [[3], 4, 6]}, "blocks=[3]", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [3, 4, math.nan]}, "blocks=nan", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [3, 4, HUGE]}, "blocks=", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": [1] * 10**5}, "blocks=[1, 1, 1", "3 to 4 numbers, each 1 to 200"),
    ({"family": "resnet", "blocks": ["x"] * 10**5}, "blocks=", "3 to 4 numbers, each 1 to 200"),
    ({"family": "densenet", "blocks": [101, 1, 1]}, "blocks=101", "3 to 5 numbers, each 1 to 100"),
    # two knobs that do not go together
    ({"family": "resnet", "input_size": 16}, "input_size=16", "at least 32"),
    ({"family": "densenet", "blocks": [1] * 5, "input_size": 63}, "input_size=63", "at least 64"),
    ({"family": "cliquenet", "input_size": 15}, "input_size=15", "at least 16"),
    ({"family": "resnet", "width": 62, "cardinality": 4}, "cardinality=4", "cardinality=2"),
    ({"family": "resnet", "cardinality": 128, "group_width": 64}, "group_width=64", "at most 32"),
    ({"family": "resnet", "shortcut": "A", "stem_width": 300}, "stem_width=300", "stem_width=256"),
    ({"family": "resnet", "block": "basic", "cardinality": 32}, "cardinality=32", "leave it at 1"),
    ({"family": "resnet", "block": "basic", "group_width": 4}, "group_width=4", "leave it at 0"),
    ({"family": "resnet", "block": "basic", "stride_on": "1x1"}, "stride_on='1x1'", "leave it at '3x3'"),
    ({"family": "resnet", "norm": "none", "zero_init": True}, "zero_init=True", "leave it at False"),
    ({"family": "resnet", "order": "pre", "zero_init": True}, "zero_init=True", "leave it at False"),
    ({"family": "resnet", "shortcut": "none", "zero_init": True}, "zero_init=True", "leave it at False"),
    ({"family": "resnet", "shortcut": "none", "drop_path": 0.5}, "drop_path=0.5", "leave it at 0.0"),
    ({"family": "resnet", "first_split": "before"}, "first_split='before'", "leave it at 'after'"),
    ({"family": "resnet", "order": "pre", "first_split": "before"}, "changes the shape", "leave it at 'after'"),
    (
        {"family": "densenet", "norm": "group", "input_size": 32, "growth_rate": 8},
        "norm='group': each group of features.denseblock4.denselayer1.norm2 (32×1×1)",
        "use norm='batch', or input_size=64",
    ),
    (
        {"family": "resnet", "block": "basic", "blocks": [2] * 4, "width": 4, "norm": "group", "input_size": 32},
        "norm='group': each group of layer4.0.bn1 (32×1×1)",
        "use norm='batch', or input_size=64",
    ),
    (
        {"family": "cliquenet", "widths": [1] * 3, "bottleneck": True, "norm": "group", "stem": "imagenet"}
        | {"input_size": 16},
        "norm='group': ",
        "use norm='batch', or input_size=32",
    ),
    ({"family": "resnet", "squeeze_in_eights": True}, "squeeze_in_eights=True", "leave it at False"),
    ({"family": "cliquenet", "widths": [8, 8, 8, 8]}, "widths=8-8-8-8", "layers=5-5-5"),
    (
        {"family": "cliquenet", "block_feature": "first", "transit": "first", "second_pass_steps": 2},
        "second_pass_steps=2",
        "leave it at -1",
    ),
]


@pytest.mark.parametrize(("data", "what", "way_out"), REFUSED, ids=range(len(REFUSED)))
def test_nonsense_is_refused_with_field_value_and_way_out(data, what, way_out):
    with pytest.raises(ConfigError) as error:
        parse(data)
    sentence = str(error.value)
    assert what in sentence
    assert way_out in sentence
    # one short line
    assert sentence.isprintable()
    assert len(sentence) < 400


@pytest.mark.parametrize("data", [None, [], "resnet", 18, [["family", "resnet"]]], ids=repr)
def test_what_is_no_table_of_knobs_is_refused(data):
    with pytest.raises(ConfigError, match="family"):
        parse(data)


@pytest.mark.parametrize(("family", "knob"), ALL_KNOBS)
def test_bounds_hold_and_are_named(family, knob):
    if knob.kind in ("choice", "switch"):
        beyond = ["nonsense", 7]
        allowed = [str(choice) for choice in knob.choices] or ["true"]
    elif knob.kind == "list":
        shortest, longest = knob.length
        beyond = [[knob.least] * (shortest - 1), [knob.least] * (longest + 1)]
        beyond += [[value] * shortest for value in (knob.least - 1, knob.most + 1)]
        allowed = [f"{shortest} to {longest} numbers, each {knob.least} to {knob.most}"]
    else:
        beyond = [knob.least - 1, knob.most + 1]
        allowed = [f"{knob.least:g} to {knob.most:g}"]
    for value in beyond:
        with pytest.raises(ConfigError, match=f"^{knob.name}=") as error:
            parse({"family": family, knob.name: value})
        assert all(words in str(error.value) for words in allowed)


def nonsense():
    numbers = st.integers() | st.floats() | st.booleans() | st.none()
    inner = numbers | st.text(max_size=8)
    return st.recursive(inner, lambda some: st.lists(some, max_size=5) | st.dictionaries(st.text(), some), max_leaves=6)


def likely(knob):
    """What a knob takes, or nearly."""
    numbers = st.integers(int(knob.least) - 1, int(knob.usual) + 1)
    if knob.kind in ("choice", "switch"):
        return st.sampled_from([*knob.choices, True, "off"])
    if knob.kind == "list":
        return st.lists(numbers, min_size=knob.length[0], max_size=knob.length[1])
    return st.floats(knob.least, knob.most) if knob.kind == "real" else numbers


@pytest.mark.parametrize("family", FAMILIES)
def test_anything_is_read_or_refused_in_a_sentence(family):
    some = {knob.name: likely(knob) | nonsense() for knob in knobs(FAMILIES[family].config)}
    others = st.dictionaries(st.text(max_size=5), nonsense(), max_size=1)
    read, refused = [], []

    @settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(
        st.lists(st.sampled_from(sorted(some)), max_size=3, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({name: some[name] for name in names})
        ),
        others | st.just({}),
    )
    def check(data, more):
        try:
            read.append(parse({"family": family} | data | more))
        except ConfigError as error:
            refused.append(str(error))

    check()
    assert all(plan(config).params > 0 for config in set(read))
    assert all(sentence.isprintable() and len(sentence) < 500 for sentence in refused)
    assert len(set(read)) >= 10
    assert len(set(refused)) >= 50


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [*(pytest.param(config, id=name) for name, config in PRESETS.items()), *EXAMPLES])
def test_round_trips(config):
    assert parse(config.model_dump()) == config
    assert parse(json.loads(json.dumps(config.model_dump()))) == config
    assert parse(json.loads(config.model_dump_json())) == config
    assert config.replace() == config
    assert config.adapt() == config
    assert config.changes(config) == {}


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "cliquenet_s0"])
def test_configurations_are_values(name):
    config = PRESETS[name]
    twin, other = parse(config.model_dump()), config.replace(classes=7)
    assert twin is not config
    assert hash(twin) == hash(config)
    assert {config: 1}[twin] == 1
    assert other != config
    assert config.classes == 1000
    assert other.changes(config) == {"classes": (1000, 7)}
    with pytest.raises(ValueError, match="frozen"):
        config.classes = 7
    assert not any(isinstance(value, (list, dict, set)) for value in config.model_dump().values())


def test_replace_validates():
    config = PRESETS["resnet50"]
    for change, words in (
        ({"width": 0}, "width=0"),
        ({"block": "basic", "cardinality": 2}, "cardinality=2"),
        ({"family": "densenet"}, "family='densenet'"),
        ({"depth": 50}, "'depth'"),
    ):
        with pytest.raises(ConfigError, match=words):
            config.replace(**change)
    assert type(config.replace(blocks=[1, 1, 1]).blocks) is tuple


def test_adapt_puts_back_what_no_longer_applies():
    resnext = PRESETS["resnext50_32x4d"].replace(stride_on="1x1", zero_init=True)
    basic = resnext.adapt(block="basic")
    assert basic == PRESETS["resnet50"].replace(block="basic", zero_init=True)
    assert resnext.adapt(norm="none") == resnext.replace(norm="none", zero_init=False)
    # what is asked for is not put back, but refused
    with pytest.raises(ConfigError, match="cardinality=2"):
        resnext.adapt(block="basic", cardinality=2)
    with pytest.raises(ConfigError, match="block='bottle'"):
        resnext.adapt(block="bottle")


def test_adapt_keeps_a_cliques_lists_of_one_length():
    config = PRESETS["cliquenet_s2"]
    assert config.adapt(layers=(3, 4, 5)).widths == (36, 80, 150)
    assert config.adapt(widths=(8,) * 5).layers == (5, 5, 6, 6, 6)
    with pytest.raises(ConfigError, match="widths=8-8-8"):
        config.adapt(widths=(8, 8, 8), layers=(2, 2, 2, 2))


# -- depths ------------------------------------------------------------------------------------------------------------

# where the paper's name is not what its own count gives: 2 (6 + 12 + 64 + 48) in the layers, 3 transitions, stem and
# classifier are 265 (1608.06993, table 1)
MISNAMED = {"densenet264": 2 * (6 + 12 + 64 + 48) + 3 + 2}
T_OF_IMAGENET_CLIQUES = {"cliquenet_s0": 46, "cliquenet_s1": 46, "cliquenet_s2": 44, "cliquenet_s3": 48}


@pytest.mark.parametrize("name", PRESETS)
def test_depths_of_presets_are_those_in_their_names(name):
    config = PRESETS[name]
    if config.family == "cliquenet" and config.stem == "imagenet":
        number = T_OF_IMAGENET_CLIQUES[name.removesuffix("_attention")]
    else:
        pattern = r"cliquenet_k\d+_t(\d+)" if config.family == "cliquenet" else r"[a-z_]+?(\d+)"
        number = int(re.match(pattern, name)[1])
    assert family_of(config).depth(config) == MISNAMED.get(name, number)
    assert re.match(r"\d+", depth_label(config))[0] == str(number)


CHANGED = {
    **PRESETS,
    "three stages": PRESETS["resnet50"].replace(blocks=(2, 2, 2)),
    "stride on the 1x1": PRESETS["resnet50"].replace(stride_on="1x1"),
    "pre-activation": PRESETS["resnet50"].replace(order="pre"),
    "wider pre-activation": PRESETS["preresnet164_cifar"].replace(width=32),
    "cifar bottleneck in groups": PRESETS["resnet20_cifar"].replace(block="bottleneck", cardinality=2, group_width=8),
    "deep stem": PRESETS["densenet121"].replace(stem="deep"),
    "five blocks": PRESETS["densenet121"].replace(blocks=(2, 2, 2, 2, 2)),
    "no bottleneck": PRESETS["densenet121"].replace(bottleneck=0),
    "six steps": PRESETS["cliquenet_k24_t18"].replace(second_pass_steps=6),
    "no bottleneck on ImageNet": PRESETS["cliquenet_s0"].replace(bottleneck=False),
    "bottleneck on CIFAR": PRESETS["cliquenet_k24_t18"].replace(bottleneck=True),
}


@pytest.mark.parametrize("name", CHANGED)
def test_choosing_a_depth_gives_that_depth(name):
    config = CHANGED[name]
    family = family_of(config)
    for label, fields in family.depths(config).items():
        chosen = config.adapt(**fields)
        number = int(re.match(r"\d+", label)[0])
        assert family.depth(chosen) == (265 if config.family == "densenet" and number == 264 else number)
        assert chosen_depth(chosen) == label
        assert depth_label(chosen) == label
        assert label in family.depths(chosen)


def test_some_depth_can_be_chosen_of_every_preset():
    assert all(family_of(config).depths(config) for config in PRESETS.values())


@pytest.mark.parametrize(
    ("config", "label"),
    [
        (PRESETS["resnet50"].replace(blocks=(3, 4, 7, 3)), "custom (53)"),
        (PRESETS["resnet20_cifar"].replace(blocks=(3, 3, 4)), "custom (22)"),
        (PRESETS["densenet121"].replace(blocks=(6, 12, 24, 17)), "custom (123)"),
        # each layer has one convolution
        (PRESETS["densenet121"].replace(bottleneck=0), "custom (63)"),
        (PRESETS["cliquenet_k24_t18"].replace(layers=(6, 6, 7)), "custom (19)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_depths_are_counted(config, label):
    assert depth_label(config) == label
    assert chosen_depth(config) is None


# -- published networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_recognised_and_their_neighbours_are_not(name):
    config = PRESETS[name]
    assert known_as(config) == name
    for change in ({"classes": 7}, {"stem_width": 12}, {"input_size": 40}, {"norm": "group"}, {"activation": "elu"}):
        if change.keys() <= type(config).model_fields.keys():
            assert known_as(config.adapt(**change)) is None


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (PRESETS["resnet50"].replace(blocks=(3, 4, 23, 3)), "resnet101"),
        (PRESETS["resnet50"].replace(cardinality=32, group_width=4), "resnext50_32x4d"),
        (PRESETS["resnet18"].replace(shortcut="none"), "plain18"),
        (PRESETS["densenet121"].replace(blocks=(6, 12, 48, 32)), "densenet201"),
        (PRESETS["cliquenet_s3"].replace(attention=True), "cliquenet_s3_attention"),
        # all six layers of each block, as -1 says too
        (PRESETS["cliquenet_s3"].replace(second_pass_steps=6), "cliquenet_s3"),
        (PRESETS["cliquenet_s3"].replace(second_pass_steps=5), None),
        (PRESETS["resnet50"].replace(stride_on="1x1"), None),
        (PRESETS["resnet50"].replace(zero_init=True), None),
        (PRESETS["resnet50"].replace(channels=1), None),
        # where training starts is not what the network is
        (PRESETS["resnet50"].replace(init="default"), "resnet50"),
    ],
    ids=lambda value: value if isinstance(value, str | None) else "",
)
def test_networks_are_known_by_their_operations(config, name):
    assert known_as(config) == name


# -- what a form needs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "knob"), ALL_KNOBS)
def test_knobs_say_what_they_are(family, knob):
    assert knob.title
    assert len(knob.help) > 5
    config = FAMILIES[family].config
    assert knob.default == config.model_fields[knob.name].default
    if knob.kind == "choice":
        assert knob.default in knob.choices
        assert len(set(knob.choices)) == len(knob.choices) > 1
    elif knob.kind == "switch":
        assert knob.default is False
    else:
        entries = knob.default if knob.kind == "list" else (knob.default,)
        assert all(knob.least <= entry <= knob.usual <= knob.most for entry in entries)
        assert 0 < knob.step < knob.most - knob.least
    if knob.length:
        assert knob.length[0] <= len(knob.default) <= knob.length[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_familys_own_knobs_come_first(family):
    config = FAMILIES[family].config
    names = [knob.name for knob in knobs(config)]
    assert names[: len(config.MAIN)] == list(config.MAIN)
    assert sorted([*names, "family"]) == sorted(config.model_fields)
    assert parse({"family": family}) == config()


# of the first version of each paper on arXiv
YEARS = {"vgg": 2014, "resnet": 2015, "densenet": 2016, "cliquenet": 2018}


def test_families_stand_in_the_order_of_their_papers():
    assert [name for name in FAMILIES if name in YEARS] == list(YEARS)
    assert all(FAMILIES[name].year == year for name, year in YEARS.items())
    years = [family.year for family in FAMILIES.values()]
    assert years == sorted(years)
    assert len({family.colour for family in FAMILIES.values()}) == len(FAMILIES)
    for name, family in FAMILIES.items():
        assert (family.name, family_of(family.config())) == (name, family)
        assert issubclass(family.config, Config)
        assert all(preset.config.family == name for preset in family.presets.values())


@pytest.mark.parametrize(
    ("value", "text"), [((6, 12, 24), "6-12-24"), (True, "on"), (False, "off"), (0.5, "0.5"), (32, "32"), ("A", "A")]
)
def test_values_as_people_write_them(value, text):
    assert describe(value) == text


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("growth_rate", "growth rate k"),
        ("compression", "compression θ"),
    ],
)
def test_titles_within_a_sentence(title, text):
    found = {knob.name: knob for knob in knobs(FAMILIES["densenet"].config)}
    assert found[title].in_sentence == text


def test_letters_of_a_title_stay_in_a_sentence():
    found = {knob.name: knob for knob in knobs(FAMILIES["cliquenet"].config)}
    assert found["attention"].in_sentence == "attentional transition (A)"


COMMON = ["family", "classes", "channels", "input_size", "activation", "norm", "dropout", "init"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stem_is_where_it_was_and_nowhere_else(family):
    """JSON, links and the form have had this order; a family without a stem has no knob that does nothing."""
    config = FAMILIES[family].config
    at = COMMON.index("activation")
    common = [*COMMON[:at], "stem", "stem_width", *COMMON[at:]] if issubclass(config, Stem) else COMMON
    assert [name for name in config.model_fields if name in {*COMMON, "stem", "stem_width"}] == common
    assert list(config().model_dump()) == list(config.model_fields)


@pytest.mark.parametrize("name", PRESETS)
def test_knobs_that_change_no_costs(name):
    """Parameters, MACs and receptive field, with the smallest and the largest that a knob can be."""
    config = PRESETS[name]
    written = plan(config)
    found = [knob for knob in knobs(type(config)) if not knob.changes_costs]
    assert {"dropout", "init"} <= {knob.name for knob in found}
    for knob in found:
        for value in knob.choices or ((False, True) if knob.kind == "switch" else (knob.least, knob.most)):
            if knob.name not in config.unused():
                other = plan(config.replace(**{knob.name: value}))
                assert (other.params, other.macs) == (written.params, written.macs), knob.name
                assert receptive_field(other) == receptive_field(written), knob.name


# -- what a family says of itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_examples_are_tiny_and_stand_for_the_family(family):
    plans = [plan(example) for example in family.examples]
    assert all(example.input_size <= 64 for example in family.examples)
    assert all(written.params < 100_000 for written in plans)
    assert len(set(family.examples)) == len(family.examples)
    kinds = {op.kind for written in plans for op in written.ops}
    published = [plan(preset.config) for preset in family.presets.values()]
    assert {op.kind for written in published for op in written.ops} <= kinds
    # every stage: as many as the shortest of the published networks has
    assert len({op.stage for op in plans[0].ops}) >= min(len({op.stage for op in one.ops}) for one in published)


@pytest.mark.parametrize("name", PRESETS)
def test_every_published_network_can_be_written(name):
    assert write_plan(PRESETS[name]) == plan(PRESETS[name])


# -- a family with a fault ---------------------------------------------------------------------------------------------


def faulty(net, cfg):
    if cfg.width > 4:
        raise ZeroDivisionError("integer division or modulo by zero")
    write(net, cfg)


WIDE = TINY.replace(width=8)


@pytest.fixture
def fault(monkeypatch):
    """A family of which one published network cannot be written."""
    presets = {"made3": Preset("Made-3", TINY), "made3_wide": Preset("Made-3, wide", WIDE)}
    return register(monkeypatch, made(write=faulty, presets=presets))


def test_a_network_that_cannot_be_written_is_one_sentence(fault):
    with pytest.raises(PlanError) as error:
        plan(WIDE)
    sentence = str(error.value)
    assert "The family Made cannot write this network (ZeroDivisionError: integer division" in sentence
    assert sentence.isprintable()
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_a_fault_is_not_in_the_way_of_other_networks(fault):
    assert known_as(WIDE) is None
    assert known_as(TINY) == "made3"
    assert known_as(PRESETS["resnet50"]) == "resnet50"


def test_only_networks_of_one_family_are_compared(monkeypatch):
    """The same operations under another family's name are another network."""
    register(monkeypatch, made())
    assert known_as(TINY) == "made3"
    twin = made(presets={"twin3": Preset("Twin-3", TINY)})
    assert _preset_ops(twin) != _preset_ops(FAMILIES["made"])
    assert set(_preset_ops(twin).values()) == {"twin3"}


def test_two_of_one_name_are_refused():
    with pytest.raises(ImportError, match=r"two published networks are named resnet18"):
        _refuse_twins(["resnet18", "resnet34", "resnet18"], "published networks")
