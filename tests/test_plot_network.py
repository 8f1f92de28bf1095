"""The scene of a network, number by number: sizes, places, arcs, colours by hand, counts, labels, and its weight."""

import json
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from explorer import drawing as layout
from explorer.drawing import draw, opened_to
from explorer.families import PRESETS, parse, plan
from explorer.plots import colours
from explorer.plots.network import scene, widest
from explorer.plots.network.sizes import LOWEST, ROOT, TALLEST, USUAL

LEVELS = ("stage", "block", "operation")
LARGE = ("resnet152", "densenet201", "cliquenet_s3")
TINY = {
    "family": "resnet",
    "block": "basic",
    "blocks": (1, 2, 1),
    "width": 8,
    "stem": "cifar",
    "stem_width": 8,
    "input_size": 16,
    "classes": 5,
}


def drawn(config, opened):
    """Its plan and drawing; `opened` is a level, or ids."""
    p = plan(config)
    return p, draw(p, opened_to(p, opened) if isinstance(opened, str) else opened)


def pictured(config, opened, reference=0, **options):
    p, drawing = drawn(config, opened)
    return drawing, scene(drawing, p, reference or widest(p), **options)


def by_id(picture):
    return {node["id"]: node for node in picture["nodes"] if node["level"] != "port"}


def tall(node):
    return max(node["height"], node["gathered"])


@pytest.fixture
def folded(monkeypatch):
    """Equal neighbours fold, however few there are."""
    monkeypatch.setattr(layout, "MOST_UNFOLDED", 0)


# -- weight, ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LARGE)
def test_the_scene_is_light_and_says_what_is_clicked(name, level):
    p = plan(PRESETS[name])
    drawing, picture = pictured(PRESETS[name], level)
    assert len(json.dumps(picture)) < 5e5
    assert [node["id"] for node in picture["nodes"]] == [node.id for node in drawing.nodes]
    assert [frame["id"] for frame in picture["frames"]] == [frame.id for frame in drawing.frames]
    known = {op.name for op in p.ops} | {op.stage for op in p.ops} | {f"{op.stage}/{op.block}" for op in p.ops}
    assert {part["id"] for part in (*picture["nodes"], *picture["frames"])} <= known
    # whatever is searched for by name is found: in its own node, or in the closed one around it
    found = {name for node in picture["nodes"] for name in (node["id"], *node["holds"])}
    assert {op.name for op in p.ops if op.name in {o.name for node in drawing.nodes for o in node.ops}} <= found


@pytest.mark.parametrize("name", PRESETS)
def test_no_operation_is_called_as_a_stage_or_block_is(name):
    p = plan(PRESETS[name])
    groups = {op.stage for op in p.ops} | {f"{op.stage}/{op.block}" for op in p.ops}
    # but for the image, which is both and opens nothing
    assert groups & {op.name for op in p.ops} == {"input"}


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_nodes_are_as_high_as_their_channels_and_as_wide_as_their_maps():
    _, picture = pictured(parse(TINY), "stage")
    # channels and side of what leaves each
    expected = {"input": (3, 16), "stem": (8, 16), "stage 1": (8, 16), "stage 2": (16, 8), "stage 3": (32, 4)}
    for name, (channels, side) in expected.items():
        node = by_id(picture)[name]
        assert node["height"] == pytest.approx(max(LOWEST, USUAL * channels / 32), abs=0.06)
        assert node["width"] == pytest.approx(max(4, ROOT * sqrt(side)), abs=0.06)
    # the ruler is a round number of channels on the same scale
    channels = int(picture["ruler"]["text"].split()[0])
    assert picture["ruler"]["height"] == pytest.approx(USUAL * channels / 32, abs=0.06)


def test_a_concat_grows_layer_by_layer_with_the_growth_rate():
    start = PRESETS["densenet40_12_cifar"]
    reference = widest(plan(start))
    for k in (12, 24):
        _, picture = pictured(start.replace(growth_rate=k), "block", reference)
        scale = USUAL / reference
        for i in range(2, 13):
            layer = by_id(picture)[f"block 1/layer {i}"]
            # what it reads: 16 channels of the stem and k of each layer before it
            assert layer["gathered"] == pytest.approx(scale * (16 + k * (i - 1)), abs=0.06)
            assert layer["height"] == pytest.approx(scale * k, abs=0.06)


def test_a_picture_too_tall_has_a_smaller_scale():
    start = PRESETS["densenet40_12_cifar"]
    _, picture = pictured(start.replace(growth_rate=96), "block", widest(plan(start)))
    assert max(map(tall, picture["nodes"])) == pytest.approx(TALLEST, abs=0.1)


def test_a_deeper_network_is_longer():
    ends = [by_id(pictured(PRESETS[name], "block")[1])["head"]["x"] for name in ("resnet18", "resnet34")]
    assert ends[1] > 1.2 * ends[0]


# -- where everything is -----------------------------------------------------------------------------------------------

DEEP = PRESETS["resnet152"].replace(drop_path=0.2)  # every block is another, so that none fold
CASES = [
    *((PRESETS[name], level) for name in LARGE for level in LEVELS),
    *((PRESETS[name], "block") for name in ("resnet50", "densenet121", "densenet264", "cliquenet_s3_attention")),
    (DEEP, "block"),
    (DEEP.replace(blocks=(2, 2, 100, 2)), "block"),
    (PRESETS["cliquenet_k36_t12"], "operation"),
    (parse(TINY), "operation"),
]


def named(cases):
    return [pytest.param(*case, id=f"{i}-{case[0].family}-{case[1]}") for i, case in enumerate(cases)]


@pytest.mark.parametrize(("config", "level"), named(CASES))
def test_nothing_is_outside_the_picture_and_no_node_on_another(config, level):
    drawing, picture = pictured(config, level)
    width, height = picture["size"]
    nodes = picture["nodes"]
    for node in nodes:
        assert 0 <= node["x"] - node["width"] / 2 <= node["x"] + node["width"] / 2 <= width
        assert 0 <= node["y"] - tall(node) / 2 <= node["y"] + tall(node) / 2 <= height
    for _, _, _, apex, _ in picture["edges"]:
        assert apex is None or 0 <= apex <= height
    for frame in picture["frames"]:
        assert 0 <= frame["begin"] < frame["end"] <= width
        assert 0 <= frame["y"] <= height
    # rows are read from top to bottom, and a lane from left to right
    rows = [[i for i, node in enumerate(drawing.nodes) if node.row == row] for row in range(drawing.nodes[-1].row + 1)]
    for above, below in pairwise(rows):
        assert max(nodes[i]["y"] for i in above) < min(nodes[i]["y"] for i in below)
    for row in rows:
        for lane in {drawing.nodes[i].lane for i in row}:
            order = sorted((i for i in row if drawing.nodes[i].lane == lane), key=lambda i: drawing.nodes[i].x)
            for i, j in pairwise(order):
                assert nodes[i]["x"] + nodes[i]["width"] / 2 <= nodes[j]["x"] - nodes[j]["width"] / 2 + 0.2


@pytest.mark.parametrize(("config", "level"), named(CASES))
def test_an_arc_clears_what_it_goes_round(config, level):
    drawing, picture = pictured(config, level)
    nodes = picture["nodes"]
    assert [tuple(edge[:3]) for edge in picture["edges"]] == [tuple(edge) for edge in drawing.edges]
    for source, target, _, apex, _ in picture["edges"]:
        if apex is None:
            continue
        lane = min(0, drawing.nodes[target].lane)
        between = [
            node
            for node, place in zip(nodes, drawing.nodes, strict=True)
            if (place.row, place.lane) == (drawing.nodes[target].row, lane)
            and nodes[source]["x"] <= node["x"] <= nodes[target]["x"]
        ]
        if lane < 0:
            assert apex > max(node["y"] + tall(node) / 2 for node in between)
        else:
            assert apex < min(node["y"] - tall(node) / 2 for node in between)


def test_a_longer_way_is_a_higher_arc():
    _, picture = pictured(PRESETS["densenet40_12_cifar"], "block")
    ways = {}
    for source, target, role, apex, _ in picture["edges"]:
        if role == "concat" and apex is not None:
            ways.setdefault(source, []).append((target, apex))
    for found in ways.values():
        assert [apex for _, apex in sorted(found)] == sorted((apex for _, apex in found), reverse=True)


def test_a_shortcut_round_a_closed_block_ends_behind_it():
    drawing, picture = pictured(PRESETS["resnet18"], "block")
    behind = {target for _, target, role, _, behind in picture["edges"] if behind and role != "flow"}
    assert behind == {i for i, node in enumerate(drawing.nodes) if node.level == "block"}


# -- colours -----------------------------------------------------------------------------------------------------------

# by hand: 16x16 images, 8 channels; stages of 8, 16, 32 channels at sides 16, 8, 4; a norm has two numbers a channel
PARAMS = {
    "input": 0,
    "stem": 3 * 8 * 9 + 2 * 8,
    "stage 1": 2 * (8 * 8 * 9 + 2 * 8),
    "stage 2": 8 * 16 * 9 + 3 * 16 * 16 * 9 + 8 * 16 + 5 * 2 * 16,
    "stage 3": 16 * 32 * 9 + 32 * 32 * 9 + 16 * 32 + 3 * 2 * 32,
    "head": 32 * 5 + 5,
}
MACS = {
    "input": 0,
    "stem": 3 * 8 * 9 * 16**2,
    "stage 1": 2 * 8 * 8 * 9 * 16**2,
    "stage 2": (8 * 16 * 9 + 3 * 16 * 16 * 9 + 8 * 16) * 8**2,
    "stage 3": (16 * 32 * 9 + 32 * 32 * 9 + 16 * 32) * 4**2,
    "head": 32 * 5,
}
# operations of each: stem 3; a block 7, one that projects 9; four bytes a number
BYTES = {
    "input": 4 * 3 * 16**2,
    "stem": 4 * 3 * 8 * 16**2,
    "stage 1": 4 * 7 * 8 * 16**2,
    "stage 2": 4 * (9 + 7) * 16 * 8**2,
    "stage 3": 4 * 9 * 32 * 4**2,
    "head": 4 * (32 + 5),
}
# each 3x3 sees two steps more; a step is 1, 2, 4 pixels in the stages; the mean over 4x4 sees three steps more
FIELDS = {
    "input": 1,
    "stem": 3,
    "stage 1": 3 + 2 * 2,
    "stage 2": 7 + 2 + 3 * 2 * 2,
    "stage 3": 21 + 2 * 2 + 2 * 4,
    "head": 33 + 3 * 4,
}


def shaded(values):
    """The colours of numbers on one scale from zero to the largest."""
    painted = colours.paint(np.array(list(values), float), max(values), signed=False)
    return ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in painted.tolist()]


def check_colours(picture, expected):
    """id -> number."""
    found = by_id(picture)
    assert {name: found[name]["fill"] for name in expected} == dict(
        zip(expected, shaded(expected.values()), strict=True)
    )


def test_colours_of_stages_by_hand():
    config = parse(TINY)
    for colouring, expected in (
        ("params", PARAMS),
        ("MACs", MACS),
        ("activations", BYTES),
        ("receptive field", FIELDS),
    ):
        _, picture = pictured(config, "stage", colouring=colouring)
        check_colours(picture, expected)
        assert [tick["at"] for tick in picture["bar"]["ticks"]] == [0, 0.5, 1]
        assert picture["bar"]["colours"][0] == "#f7f7f7"
    assert picture["bar"]["ticks"][-1]["text"] == str(FIELDS["head"])


def test_a_fold_has_the_costs_of_all_that_it_stands_for(folded):
    config = parse(TINY | {"blocks": (1, 3, 1)})
    equal = {"params": 2 * (16 * 16 * 9 + 2 * 16), "MACs": 2 * 16 * 16 * 9 * 8**2, "activations": 7 * 4 * 16 * 8**2}
    before = {"params": PARAMS, "MACs": MACS, "activations": BYTES}
    for colouring, number in equal.items():
        _, picture = pictured(config, {"stage 2"}, colouring=colouring)
        others = {name: count for name, count in before[colouring].items() if name != "stage 2"}
        first = before[colouring]["stage 2"] - number
        check_colours(picture, others | {"stage 2/block 0": first, "stage 2/block 1": 2 * number})


def test_a_fold_sees_what_the_last_of_its_blocks_sees(folded):
    # 13 pixels after block 0, and 8 more after each; as when the stage is closed; 8 more in all later ones
    config = parse(TINY | {"blocks": (1, 3, 1)})
    after = {"stage 3": FIELDS["stage 3"] + 8, "head": FIELDS["head"] + 8}
    for opened, name in ((set(), "stage 2"), ({"stage 2"}, "stage 2/block 1")):
        _, picture = pictured(config, opened, colouring="receptive field")
        check_colours(picture, {"input": 1, "stem": 3, "stage 1": 7, name: 13 + 2 * 8} | after)


def test_kinds_have_colours_and_a_legend():
    drawing, picture = pictured(parse(TINY), "operation")
    of_kind = {place.ops[-1].kind: node["fill"] for place, node in zip(drawing.nodes, picture["nodes"], strict=True)}
    legend = {key["title"]: key["colour"] for key in picture["keys"]}
    assert {"conv", "norm", "activation", "add", "global pool", "linear"} <= set(legend)
    assert all(legend[kind] == of_kind[kind.replace(" ", "_")] for kind in legend)
    assert len({*legend.values()}) == len(legend)


def counted(config, level):
    return {role["role"]: role["count"] for role in pictured(config, level)[1]["roles"] if role["count"]}


@pytest.mark.parametrize("level", ["block", "operation"])
def test_the_legend_says_how_many_shortcuts_the_network_has(level, folded):
    # as many as blocks; one projects in each stage that changes the shape; whatever folds
    assert counted(PRESETS["resnet34"], level) == {"identity": 3 + 4 + 6 + 3 - 3, "projection": 3}
    assert counted(PRESETS["resnet50"], level) == {"identity": 3 + 4 + 6 + 3 - 4, "projection": 4}
    assert counted(PRESETS["plain20_cifar"], level) == {}
    # a layer reads the block's input and all layers before it, and so does what follows the last: 1 + 2 + ... ; a
    # first layer reads one tensor, for which there is no concat
    layers = (6, 12, 24, 16)
    assert counted(PRESETS["densenet121"], level) == {"concat": sum(sum(range(2, n + 2)) for n in layers)}


def test_the_legend_counts_the_second_pass_of_a_clique():
    # in each of 3 blocks each of 4 layers is computed anew from the 3 others
    assert counted(PRESETS["cliquenet_k12_t12"], "block")["second pass"] == 3 * 4 * 3


# -- marks and texts ---------------------------------------------------------------------------------------------------


def test_changed_operations_are_marked_in_whatever_shows_them():
    changed = {"layer2.0.conv1", "layer2.0.conv2", "fc", "no.such.operation"}
    for level, expected in (("stage", ["stage 2", "head"]), ("operation", ["layer2.0.conv1", "layer2.0.conv2", "fc"])):
        _, picture = pictured(PRESETS["resnet18"], level, changed=changed)
        assert [node["id"] for node in picture["nodes"] if node["changed"]] == expected
    assert not any(node["changed"] for node in pictured(PRESETS["resnet18"], "block")[1]["nodes"])


def test_ports_are_not_marked():
    name = "layer2.1.relu2"
    drawing, picture = pictured(PRESETS["resnet18"], "operation", changed={name})
    assert "port" in {node.level for node in drawing.nodes if node.id == name}
    assert [node["level"] for node in picture["nodes"] if node["changed"]] == ["operation"]


def test_folds_say_how_many_they_stand_for(folded):
    _, picture = pictured(PRESETS["resnet50"], "block")
    assert [(node["labels"][0], node["times"]) for node in picture["nodes"] if node["times"] > 1] == [
        ("block 1–2", 2),
        ("block 1–3", 3),
        ("block 1–5", 5),
        ("block 1–2", 2),
    ]


def test_what_leaves_for_another_row_says_where_to():
    drawing, picture = pictured(PRESETS["cliquenet_k36_t12"], "operation")
    leaving = [i for i, node in enumerate(drawing.nodes) if node.leaves_to]
    assert leaving
    for i in leaving:
        assert picture["nodes"][i]["labels"][0].endswith(f"→ {drawing.nodes[i].leaves_to}")


def test_shapes_are_written_once_for_neighbours_that_share_one():
    _, picture = pictured(PRESETS["resnet18"], "block")
    written = [node["shape"] for node in picture["nodes"] if node["shape"]]
    assert written == ["3×224×224", "64×56×56", "128×28×28", "256×14×14", "512×7×7", "1000×1×1"]


def test_pointing_at_a_node_says_its_costs():
    _, picture = pictured(parse(TINY), "stage")
    says = by_id(picture)["stage 2"]["says"]
    share = PARAMS["stage 2"] / sum(PARAMS.values())
    assert says[0] == "stage 2"
    assert f"{PARAMS['stage 2']:,} params ({share:.1%})" in says
    assert f"{MACS['stage 2']:,} MACs ({MACS['stage 2'] / sum(MACS.values()):.1%})" in says
    assert "8×16×16 → 16×8×8" in says
    assert "sees 21 px" in says
