"""Curves and maps against networks that are written one by one."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.counting import design_space
from explorer.counting.costs import summary
from explorer.counting.design_space import MEASURES, Grid, axes, curve, grid, marks, reach, samples, sketch
from explorer.families import PRESETS, TITLES, ConfigError, knobs, parse, plan, write_plan

RESNET, SMALL = PRESETS["resnet50"], PRESETS["resnet20_cifar"]
DENSENET, CLIQUE = PRESETS["densenet121"], PRESETS["cliquenet_k36_t12"]


def axis_of(config, title):
    return next(axis for axis in axes(config) if axis.title == title)


# -- axes --------------------------------------------------------------------------------------------------------------


def test_axes_are_the_numbers_that_cost_something():
    assert [axis.title for axis in axes(DENSENET)] == [
        "Growth rate k",
        *(f"Layers, stage {i}" for i in (1, 2, 3, 4)),
        "Bottleneck b",
        "Compression θ",
        "Classes",
        "Input size",
        "Stem width",
    ]
    # a basic block has no groups, and a chance to drop costs nothing
    basic = {axis.knob.name for axis in axes(SMALL)}
    assert not basic & {"cardinality", "group_width", "dropout", "drop_path", "order", "zero_init"}
    assert {axis.knob.name for axis in axes(RESNET)} >= {"cardinality", "group_width", "width"}


@pytest.mark.parametrize("name", PRESETS)
def test_axes_turn_what_they_say(name):
    config = PRESETS[name]
    found = axes(config)
    assert len({axis.title for axis in found}) == len(found)
    for axis in found:
        value = axis.value(config)
        there = getattr(config, axis.knob.name)
        assert value == (there if axis.entry < 0 else there[axis.entry])
        assert config.adapt(**axis.change(config, value)) == config
        changed = axis.change(config, value + 1)[axis.knob.name]
        expected = value + 1 if axis.entry < 0 else (*there[: axis.entry], value + 1, *there[axis.entry + 1 :])
        assert changed == expected


def test_reach():
    width = axis_of(RESNET, "Width").knob
    # as far as is usual, and further for a network that already is
    assert (width.least, width.usual, width.most) == (4, 256, 1024)
    assert reach(width, 64) == reach(width, 256) == (4, 256)
    assert reach(width, 260) == reach(width, 1024) == (4, 1024)


@pytest.mark.parametrize("count", [3, 4, 11, 24])
@pytest.mark.parametrize("name", ["resnet50", "resnet20_cifar", "densenet_bc100_12_cifar", "cliquenet_s3"])
def test_samples_are_what_a_slider_reaches(name, count):
    config = PRESETS[name]
    for axis in axes(config):
        found, knob, present = samples(axis, config, count), axis.knob, axis.value(config)
        low, high = reach(knob, present)
        assert len(found) <= count
        assert found == sorted(set(found))
        assert {low, high, present} <= {*found}
        assert (found[0], found[-1]) == (low, high)
        for value in {*found} - {present}:
            steps = (value - low) / knob.step
            assert steps == pytest.approx(round(steps), abs=1e-6), f"{axis.title}: {value}"


def test_samples_by_hand():
    # 1 to 64 in 9 steps of 7; and 32 is where the network is
    assert samples(axis_of(DENSENET, "Growth rate k"), DENSENET, 11) == [1, 8, 15, 22, 29, 32, 36, 43, 50, 57, 64]
    # 0.1 to 1 by 0.05; thirds of the way
    theta = axis_of(DENSENET, "Compression θ")
    assert samples(theta, DENSENET, 5) == [0.1, 0.4, 0.5, 0.7, 1]
    # off the slider's steps of 8 pixels, yet there
    odd = DENSENET.replace(input_size=225)
    assert 225 in samples(axis_of(odd, "Input size"), odd, 5)


# -- curves ------------------------------------------------------------------------------------------------------------


def measured(here, measure):
    """The cost of a plan, as the tables say it."""
    found = summary(here)
    return {
        "params": found.params,
        "MACs": found.macs,
        "memory": found.forward_bytes,
        "receptive field": found.receptive_field,
    }[measure]


def changed(config, *turns):
    """The configuration with numbers set by hand: (axis, value) each."""
    fields = config.model_dump()
    for axis, value in turns:
        name = axis.knob.name
        number = value if isinstance(axis.knob.default, float) else int(value)
        if axis.entry < 0:
            fields[name] = number
        else:
            fields[name] = (*fields[name][: axis.entry], number, *fields[name][axis.entry + 1 :])
    return parse(fields)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["resnet18", "resnet20_cifar", "densenet_bc100_12_cifar", "cliquenet_k36_t12"])
def test_curves_are_the_costs_of_the_networks(name, measure):
    config = PRESETS[name]
    for axis in axes(config):
        found = curve(config, axis, measure, count=4)
        assert found.axis == axis
        assert found.present == axis.value(config)
        assert found.cost == measured(plan(config), measure)
        assert dict(zip(found.values, found.costs, strict=True))[found.present] == found.cost
        for value, cost in zip(found.values, found.costs, strict=True):
            assert cost == measured(plan(changed(config, (axis, value))), measure), f"{axis.title}: {value}"


def test_curves_by_arithmetic():
    # ResNet-18's classifier has 512 weights and a bias for each class
    classes = curve(PRESETS["resnet18"], axis_of(PRESETS["resnet18"], "Classes"), "params")
    rest = 11689512 - 1000 * 513
    assert len(classes.values) > 5
    assert [*classes.costs] == [rest + 513 * n for n in classes.values]
    # a convolution costs as many MACs as there are pixels; the classifier, 64 to 10, does not
    size = curve(SMALL, axis_of(SMALL, "Input size"), "MACs", count=41)
    costs = dict(zip(size.values, size.costs, strict=True))
    assert costs[64] - 640 == 4 * (costs[32] - 640)
    assert costs[128] - 640 == 16 * (costs[32] - 640)
    # parameters know nothing of the image
    assert len(set(curve(SMALL, axis_of(SMALL, "Input size"), "params").costs)) == 1


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["densenet121", "densenet40_12_cifar", "resnet50", "resnext50_32x4d", "cliquenet_s0"])
def test_a_sketch_looks_as_the_curve(name, measure):
    """Within a pixel of the 23 that show four times the present cost, above which a curve leaves its picture."""
    config = PRESETS[name]
    for axis in axes(config):
        exact = curve(config, axis, measure, 7 if len(plan(config).ops) > design_space.DEEP else 11)
        found = sketch(config, axis, measure)
        assert found.values == exact.values
        assert (found.costs[0], found.costs[-1], found.cost) == (exact.costs[0], exact.costs[-1], exact.cost)
        top = 4 * max(1, exact.cost)
        for value, drawn, cost in zip(found.values, found.costs, exact.costs, strict=True):
            assert abs(min(drawn, top) - min(cost, top)) <= top / 23, f"{axis.title}: {value}"


def test_a_sketch_counts_a_handful_of_networks(monkeypatch):
    written = []
    monkeypatch.setattr(design_space, "write_plan", lambda config: written.append(config) or write_plan(config))
    config = PRESETS["densenet121"].replace(growth_rate=27, classes=123)  # which no other test has counted
    for axis in (one for one in axes(config) if one.knob.name in config.MAIN):
        written.clear()
        sketch(config, axis, "params")
        assert len(written) <= 4, axis.title


def test_what_cannot_be_is_left_out():
    # of 1, 8, 15, .. 64 groups, those that divide a width of 64
    groups = curve(RESNET, axis_of(RESNET, "Cardinality"), "params")
    assert groups.values == (1, 8, 64)
    # ResNet-50 halves the image five times, which takes 32 pixels; 8 is too few, and on the slider
    assert curve(RESNET, axis_of(RESNET, "Input size"), "MACs").values == (
        *(40, 80, 112, 144, 184, 216),
        *(224, 248, 288, 320),
    )


def test_the_present_value_need_not_be_a_round_one():
    """A third of 84 channels are 28, and not the 27 that 0.333333 of them would be."""
    config = parse({"family": "densenet", "blocks": (5, 5, 5), "growth_rate": 4, "compression": 1 / 3})
    for measure in ("params", "MACs"):
        found = curve(config, axis_of(config, "Compression θ"), measure)
        assert found.cost == measured(plan(config), measure)
        assert found.present == 1 / 3
        assert found.present in found.values


# other knobs would only take longer
MOST = {"blocks": 30, "classes": 50, "width": 64, "stem_width": 64, "growth_rate": 16, "input_size": 64}


def values_of(knob):
    numbers = st.integers(int(knob.least), int(min(knob.most, MOST.get(knob.name, knob.most))))
    match knob.kind:
        case "choice":
            return st.sampled_from(knob.choices)
        case "switch":
            return st.booleans()
        case "real":
            return st.floats(knob.least, knob.most)
        case "list":
            return st.lists(numbers, min_size=knob.length[0], max_size=knob.length[1]).map(tuple)
    return numbers


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet18", "densenet_bc100_12_cifar", "cliquenet_k36_t12"])
def test_no_configuration_is_without_its_curves(name):
    base = PRESETS[name]
    turned = st.sampled_from(knobs(type(base))).flatmap(
        lambda knob: st.tuples(st.just(knob.name), values_of(knob), st.sampled_from([*MEASURES]))
    )

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(turned, st.data())
    def check(turn, data):
        knob, value, measure = turn
        try:
            config = base.adapt(**{knob: value})
        except ConfigError:
            return
        present = measured(write_plan(config), measure)
        axis = data.draw(st.sampled_from(axes(config)))
        found = curve(config, axis, measure, count=4)
        assert found.cost == present
        assert len(found.values) == len(found.costs)
        assert [*found.values] == sorted({*found.values})
        assert found.present in found.values

    check()


# -- maps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "across", "upward"),
    [
        ("resnet18", "Width", "Input size"),
        ("resnet20_cifar", "Blocks, stage 1", "Blocks, stage 3"),  # two entries of one list
        ("densenet_bc100_12_cifar", "Growth rate k", "Compression θ"),
        ("cliquenet_k36_t12", "Layers, stage 2", "Channels k, stage 2"),
        ("cliquenet_k36_t12", "Layers, stage 3", "Layers, stage 1"),
    ],
)
@pytest.mark.parametrize("measure", ["params", "MACs"])
def test_maps_are_the_costs_of_the_networks(name, across, upward, measure):
    config = PRESETS[name]
    x, y = axis_of(config, across), axis_of(config, upward)
    found = grid(config, x, y, measure, count=4)
    assert (found.x, found.y) == (x, y)
    assert [*found.xs] == samples(x, config, 4)
    assert [*found.ys] == samples(y, config, 4)
    assert len(found.costs) == len(found.ys)
    for other, row in zip(found.ys, found.costs, strict=True):
        assert len(row) == len(found.xs)
        for one, cost in zip(found.xs, row, strict=True):
            try:
                expected = measured(plan(changed(config, (x, one), (y, other))), measure)
            except ConfigError:
                expected = None
            assert cost == expected, (one, other)
    at = found.costs[found.ys.index(y.value(config))][found.xs.index(x.value(config))]
    assert at == measured(plan(config), measure)


def test_a_map_shows_where_no_network_can_be():
    found = grid(RESNET, axis_of(RESNET, "Cardinality"), axis_of(RESNET, "Width"), "params")
    assert any(cost is None for row in found.costs for cost in row)
    for width, row in zip(found.ys, found.costs, strict=True):
        for groups, cost in zip(found.xs, row, strict=True):
            assert (cost is None) == bool(width % groups)


def test_one_knob_makes_no_map():
    x = axis_of(RESNET, "Width")
    with pytest.raises(ValueError, match="Width is on both axes"):
        grid(RESNET, x, x, "params")


def test_a_cell_of_the_map_is_reached_by_its_two_numbers():
    x, y = axis_of(SMALL, "Blocks, stage 1"), axis_of(SMALL, "Blocks, stage 3")
    assert design_space.at(SMALL, x, 7.0, y, 2.0) == {"blocks": (7, 3, 2)}
    assert design_space.at(SMALL, x, 7.0, axis_of(SMALL, "Width"), 32.0) == {"blocks": (7, 3, 3), "width": 32}


# -- published networks on a map ---------------------------------------------------------------------------------------


def empty_map(config, x, y):
    """A map's ends, uncounted."""
    return Grid(x, y, tuple(samples(x, config, 12)), tuple(samples(y, config, 12)), ())


def marked(config, across, upward):
    x, y = axis_of(config, across), axis_of(config, upward)
    return {(mark.title, mark.x, mark.y, mark.exact) for mark in marks(config, empty_map(config, x, y))}


def test_published_densenets():
    # layers of the third and the fourth block (1608.06993, table 1); 161 has another growth rate
    assert marked(DENSENET, "Layers, stage 3", "Layers, stage 4") == {
        ("DenseNet-121", 24, 16, True),
        ("DenseNet-169", 32, 32, True),
        ("DenseNet-201", 48, 32, True),
        ("DenseNet-264", 64, 48, True),
        ("DenseNet-161", 36, 24, False),
    }


def test_published_resnets():
    found = marked(RESNET, "Blocks, stage 2", "Blocks, stage 3")
    assert {mark for mark in found if mark[3]} == {
        ("ResNet-50", 4, 6, True),
        ("ResNet-101", 4, 23, True),
        ("ResNet-152", 8, 36, True),
    }
    assert {("ResNet-18", 2, 2, False), ("Wide ResNet-50-2", 4, 6, False), ("ResNet-20 (CIFAR)", 3, 3, False)} <= found
    # 200 blocks a stage are beyond the map
    assert not [mark for mark in found if "1202" in mark[0]]
    # ResNet-50 is on every map of its own
    titles = [axis.title for axis in axes(RESNET)]
    for across, upward in itertools.combinations(titles, 2):
        assert "ResNet-50" in {title for title, *_, exact in marked(RESNET, across, upward) if exact}


@pytest.mark.parametrize(
    "name",
    ["resnet20_cifar", "preresnet164_cifar", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "cliquenet_s3"],
)
def test_any_two_knobs_can_be_a_map(name):
    """Also where another network's numbers would make none of this one."""
    config = PRESETS[name]
    titled = {TITLES[other]: PRESETS[other] for other in PRESETS}
    for x, y in itertools.combinations(axes(config), 2):
        for mark in marks(config, empty_map(config, x, y)):
            other = titled[mark.title]
            assert (mark.x, mark.y) == (x.value(other), y.value(other))
            try:
                exact = changed(config, (x, mark.x), (y, mark.y)) == other
            except ConfigError:
                exact = False
            assert mark.exact == exact
