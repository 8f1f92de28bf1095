"""The search under a budget against trying every network, and what it is built on: costs that grow with knobs."""

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.counting import search as searches
from explorer.counting.memory import forward_bytes
from explorer.counting.question import GOALS, Question, cost_of, usual_limits
from explorer.counting.search import SearchError, search, searching
from explorer.counting.space import extent, space
from explorer.families import FAMILIES, PRESETS, ConfigError, knobs, parse, plan, write_plan
from explorer.plan.wiring import width

SMALL, RESNET18 = PRESETS["resnet20_cifar"], PRESETS["resnet18"]
CLIQUE, VGG, DENSENET = (FAMILIES[name].examples for name in ("cliquenet", "vgg", "densenet"))
RESNET = FAMILIES["resnet"].examples


def measured(config):
    here, family = write_plan(config), FAMILIES[config.family]
    return {
        "params": here.params,
        "MACs": here.macs,
        "memory": forward_bytes(here),
        "depth": family.depth(config),
        "width": width(here),
    }


# -- what families say of their knobs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_falls_where_a_knob_grows(family):
    """Neither params, MACs nor memory, nor depth nor width, on random networks of the family."""
    growing = [knob for knob in knobs(FAMILIES[family].config) if knob.grows]
    seeds = st.sampled_from([*FAMILIES[family].examples, *(p.config for p in FAMILIES[family].presets.values())][:12])

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(seeds, st.sampled_from(growing or [None]), st.data())
    def check(config, knob, data):
        if knob is None:
            return
        other = data.draw(st.sampled_from(knobs(type(config))))
        choices = other.choices or {"switch": (False, True), "whole": (int(other.least), 3, 16)}.get(other.kind, ())
        try:
            config = config.adapt(**{other.name: data.draw(st.sampled_from(choices))}) if choices else config
            present = getattr(config, knob.name)
            if knob.name in config.unused() or present == knob.off:
                return
            step = knob.step if knob.kind == "real" else int(knob.step)
            if knob.kind == "list":
                at = data.draw(st.integers(0, len(present) - 1))
                more = (*present[:at], present[at] + step, *present[at + 1 :])
            else:
                more = present + step
            if more == knob.off:
                return
            before, after = measured(config), measured(config.adapt(**{knob.name: more}))
        except ConfigError:
            return
        for what in before:
            assert after[what] >= before[what], (config, knob.name, more, what)

    check()


@pytest.mark.parametrize("family", FAMILIES)
def test_width_is_what_the_plan_has(family):
    found = FAMILIES[family]
    for config in (
        *found.examples,
        *(preset.config for preset in found.presets.values() if sum_of(preset.config) < 99),
    ):
        assert not found.width or found.width(config) == width(plan(config))


def sum_of(config):
    return sum(sum(getattr(config, knob.name)) for knob in knobs(type(config)) if knob.name in ("blocks", "layers"))


def test_width_by_the_papers():
    # "width" of the first stage (1605.07146), growth rate (1608.06993), k of the cliques (1802.10419)
    for name, channels in (
        *(("resnet18", 64), ("wrn28_10_cifar", 160), ("wide_resnet50_2", 128), ("resnext50_32x4d", 128)),
        *(("densenet121", 32), ("densenet161", 48), ("cliquenet_s0", 36), ("cliquenet_k36_t12", 36), ("vgg16", 64)),
    ):
        assert width(plan(PRESETS[name])) == channels, name


# -- all combinations --------------------------------------------------------------------------------------------------


def everything(config, names):
    """Each combination as its fields, by hand from the knobs' bounds."""
    options = []
    for knob in (knob for name in names for knob in knobs(type(config)) if knob.name == name):
        if knob.kind in ("choice", "switch"):
            options.append(knob.choices or (False, True))
        elif knob.kind == "real":
            options.append(
                [round(knob.least + i * knob.step, 6) for i in range(100) if knob.least + i * knob.step <= 1]
            )
        else:
            numbers = range(int(knob.least), int(knob.usual) + 1, int(knob.step))
            count = len(getattr(config, knob.name)) if knob.kind == "list" else 0
            options.append([*itertools.product(numbers, repeat=count)] if count else numbers)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*options)]


SPACES = [
    (CLIQUE[2], ("bottleneck", "compression", "norm")),
    (DENSENET[0], ("bottleneck", "compression", "norm")),
    (VGG[1], ("layers",)),
    (RESNET[0], ("block", "order", "shortcut", "width")),
    (RESNET[2], ("block", "cardinality")),
]


def of_fields(boxes):
    found = []
    for box in boxes:
        for at in itertools.product(*(range(high + 1) for high in box.high)):
            found.append(box.branch.changes(at))
    return found


@pytest.mark.parametrize(("config", "names"), SPACES)
def test_every_value_of_a_knob_is_in_the_space_once(config, names):
    expected = [tuple(fields[name] for name in names) for fields in everything(config, names)]
    found = [tuple(fields[name] for name in names) for fields in of_fields(space(config, names).boxes())]
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_all_shapes():
    # 40 values in each of four stages; with the width's 64
    assert space(RESNET18, ["blocks"]).combinations == 40**4
    assert space(RESNET18, ["blocks", "width"]).combinations == 40**4 * 64
    # a network beyond the usual, and one off the slider's steps, are among them
    wide = RESNET18.replace(blocks=(2, 2, 45, 2), width=66)
    (box,) = space(wide, ["blocks", "width"]).boxes()
    assert [len(values) for _, values in box.branch.dimensions] == [40, 40, 200, 40, 65]
    assert extent(RESNET18, "width") == "4 to 256 by 4"


@pytest.mark.parametrize("objective", GOALS)
@pytest.mark.parametrize(("config", "names"), SPACES)
def test_a_search_finds_what_trying_all_finds(config, names, objective):
    """And each combination is found, or left out for one reason that holds for it."""
    networks, refused = counted(config, names)
    middle = sorted(networks, key=lambda costs: costs.macs)[len(networks) // 2]
    for limits in ({"params": middle.params}, {"MACs": middle.macs, "memory": middle.memory}):
        question = Question(objective, tuple(limits.items()), middle.depth if objective == "cheapest" else 1)
        found = search(config, names, question, seconds=60, gap=0)
        rank = GOALS[objective].rank
        within = [costs for costs in networks if not question.passed(costs) and costs.depth >= question.depth]
        expected = sorted((rank(question, costs, costs) for costs in within), reverse=True)[:10]
        assert [rank(question, one.costs, one.costs) for one in found.found] == expected
        left = found.left
        assert found.complete
        assert found.combinations == len(networks) + refused
        out = [count for _, count in (*left.over, *left.refused)]
        assert len(found.found) + sum(out) + left.shallow + left.behind == found.combinations
        over = {limit: sum(costs.of(limit) > most for costs in networks) for limit, most in limits.items()}
        assert all(count <= over[limit] for limit, count in left.over)
        assert sum(count for _, count in left.refused) <= refused
        assert left.shallow <= sum(costs.depth < question.depth for costs in networks) + refused


_counted = {}


def counted(config, names):
    """All networks of a space, and how many of its combinations are none."""
    if (config, names) not in _counted:
        found, refused = [], 0
        for fields in everything(config, names):
            try:
                one = config.adapt(**fields)
            except ConfigError:
                refused += 1
                continue
            found.append(Question("closest", (("memory", 1),)).costs(one, write_plan(one), FAMILIES[one.family]))
        _counted[config, names] = found, refused
    return _counted[config, names]


def test_the_deepest_is_found_by_arithmetic():
    """A basic block of 16 channels has 2 x 9 x 16^2 weights and 4 x 16 numbers of norms; the first stage's are the
    cheapest, so that the deepest network has all that fits there.
    """
    here = plan(SMALL.replace(blocks=(1, 1, 1))).params
    found = search(SMALL, ["blocks"], Question("deepest", (("params", here + 5 * (2 * 9 * 256 + 64)),)), gap=0)
    assert (found.found[0].config.blocks, found.found[0].costs.depth) == ((6, 1, 1), 6 * (6 + 1 + 1) // 3 + 2)
    assert found.complete


def test_the_cheapest_of_a_depth_has_its_blocks_where_they_cost_least():
    # all blocks of these ResNets cost the same MACs, but for the first of a stage, which shrinks the image
    found = search(SMALL, ["blocks"], Question("cheapest", depth=20), gap=0).found
    least = plan(found[0].config).macs
    assert all(one.costs.depth >= 20 for one in found)
    assert least == min(
        plan(SMALL.replace(blocks=b)).macs for b in itertools.product(range(1, 8), repeat=3) if sum(b) == 9
    )


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        *(("resnet18", "deepest"), ("densenet121", "closest"), ("cliquenet_s0", "widest")),
        *(("vgg16", "largest"), ("resnet18", "cheapest"), ("cliquenet_s0", "deepest")),
    ],
)
def test_what_is_found_in_a_space_beyond_trying(name, objective):
    config = PRESETS[name]
    names = config.MAIN[:2] if name != "resnet18" else ("blocks", "width")
    limits = usual_limits(plan(config))
    question = Question(
        objective, (("params", limits["params"]), ("MACs", limits["MACs"])), 12 if objective == "cheapest" else 1
    )
    found = search(config, names, question, seconds=0.4)
    assert 0 < len(found.found) <= 10
    ranks = [GOALS[objective].rank(question, one.costs, one.costs) for one in found.found]
    assert ranks == sorted(ranks, reverse=True)
    assert len({one.config for one in found.found}) == len(found.found)
    for one in found.found:
        here = write_plan(one.config)
        assert (one.costs.params, one.costs.macs) == (here.params, here.macs)
        assert here.params <= limits["params"]
        assert here.macs <= limits["MACs"]
        assert one.costs.depth == FAMILIES[config.family].depth(one.config) >= question.depth
        assert one.config.changes(config).keys() <= {*names}
    left = found.left
    out = [count for _, count in (*left.over, *left.refused)]
    assert len(found.found) + sum(out) + left.shallow + left.behind + left.undecided == found.combinations
    assert left.behind >= 0


def test_a_search_stops_in_time_and_tells_how_far_it_got(monkeypatch):
    clock = itertools.count(step=0.25)  # a quarter of a second each time that it is read
    monkeypatch.setattr(searches, "time", SimpleNamespace(perf_counter=clock.__next__))
    question = Question("closest", (("params", 25_000_000), ("MACs", 4_000_000_000)))
    told = [*searching(RESNET18, ["blocks", "width"], question, seconds=3)]
    assert [one.seconds for one in told] == sorted(one.seconds for one in told)
    assert len(told) > 2
    assert not told[-1].complete
    assert told[-1].best_undecided <= 1
    assert all(one.combinations == 40**4 * 64 for one in told)


def test_nothing_is_under_impossible_limits():
    for limits in ((("params", 1),), (("MACs", 0),), (("params", 0), ("MACs", 10**12))):
        found = search(SMALL, ["blocks", "width"], Question("deepest", limits))
        assert found.found == ()
        refused = 64 - 61  # widths below the stem's 16, which zero padding cannot narrow it to
        assert found.left.over == ((limits[0][0], 40**3 * (64 - refused)),)
        assert found.left.refused[0][1] == 40**3 * refused
        assert "zero padding cannot narrow stem_width=16" in found.left.refused[0][0]
        assert found.plans < 100  # of 4 million combinations


def test_a_limit_may_be_reached_and_not_passed():
    here = plan(SMALL)
    limits = (("params", here.params), ("MACs", here.macs))
    best = search(SMALL, ["blocks"], Question("closest", limits), gap=0).found[0]
    assert (best.config, Question("closest", limits).used(best.costs)) == (SMALL, 1)


@pytest.mark.parametrize(
    ("names", "question", "words"),
    [
        ([], Question("closest", (("params", 10**6),)), "needs a knob to turn"),
        (["blocks"], Question("deepest"), "needs a limit"),
    ],
)
def test_a_search_needs_a_knob_and_a_limit(names, question, words):
    with pytest.raises(SearchError, match=words):
        search(SMALL, names, question)


def test_what_was_found_is_about_a_network_until_another_knob_or_the_family_changes():
    tiny = parse({"family": "densenet", "blocks": (2, 2, 2), "growth_rate": 4, "stem_width": 8, "input_size": 32})
    found = search(tiny, ["norm", "bottleneck"], Question("closest", (("params", 10**6),)))
    assert all(found.is_about(one.config) for one in (found, *found.found))
    assert found.is_about(tiny.replace(norm="group"))
    assert not found.is_about(tiny.replace(growth_rate=5))
    assert not found.is_about(SMALL)
    shapes = search(tiny, ["blocks"], Question("deepest", (("params", 10**5),)), seconds=0.2)
    assert shapes.is_about(tiny.replace(blocks=(9, 9, 9)))
    assert not shapes.is_about(tiny.replace(blocks=(2, 2, 2, 2)))  # another space


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("resnet20_cifar", (1_000_000, 300_000_000)),  # 0.27 M parameters, 41 M MACs
        ("resnet50", (25_000_000, 4_000_000_000)),  # 26 M, 4.1 G
        ("densenet40_12_cifar", (1_000_000, 300_000_000)),  # 1.1 M, 0.3 G
    ],
)
def test_limits_to_search_under(name, limits):
    found = usual_limits(plan(PRESETS[name]))
    assert (found["params"], found["MACs"]) == limits


def test_published_networks_as_limits():
    # torchvision's metadata: num_params and _ops
    assert cost_of("resnet18", "params") == 11_689_512
    assert cost_of("resnet18", "MACs") == pytest.approx(1.814e9, rel=1e-3)
    assert cost_of("resnet18", "memory") == forward_bytes(plan(RESNET18))
