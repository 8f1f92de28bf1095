"""The figure of a network, read back number by number: places, colours by hand, rings, labels, and its weight."""

import math
from itertools import pairwise

import numpy as np
import pytest

from explorer.drawing import draw, opened_to
from explorer.families import PRESETS, parse, plan
from explorer.plots.network import ROLES, figure

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
    ids = opened_to(p, opened) if isinstance(opened, str) else opened
    return p, draw(p, ids)


def pictured(config, opened, **options):
    p, drawing = drawn(config, opened)
    return drawing, figure(drawing, p, **options)


def nodes_of(picture):
    """The trace in which every node is a marker."""
    return next(trace for trace in picture.data if trace.hovertext is not None)


def paths(drawing, picture):
    """Each edge with the points of its line."""
    found = {}
    for role, (title, *_) in ROLES.items():
        edges = [edge for edge in drawing.edges if edge.role == role]
        trace = [t for t in picture.data if t.mode == "lines" and (t.name or "").startswith(title)]
        assert len(trace) == bool(edges)
        if edges:
            points = np.array([trace[0].x, trace[0].y], float)
            lines = np.split(points, np.flatnonzero(np.isnan(points[0])), axis=1)[:-1]
            found |= {edge: line[:, ~np.isnan(line[0])] for edge, line in zip(edges, lines, strict=True)}
    return found


def rings(picture, name):
    return [(x, y) for trace in picture.data if trace.name == name for x, y in zip(trace.x, trace.y, strict=True)]


def colours(config, opened, colouring):
    """id -> number, and the trace."""
    drawing, picture = pictured(config, opened, colouring=colouring)
    trace = nodes_of(picture)
    numbers = dict(zip(trace.customdata, trace.marker.color, strict=True))
    ports = {node.id for node in drawing.nodes if node.level == "port"}
    assert all(numbers[i] == 0 for i in ports - set(drawing.places))
    return numbers, trace


# -- weight, ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LARGE)
def test_the_figure_is_light(name, level):
    _, picture = pictured(PRESETS[name], level)
    assert len(picture.to_json()) < 2e6


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LARGE)
def test_what_is_clicked_says_what_it_is(name, level):
    p = plan(PRESETS[name])
    drawing, picture = pictured(PRESETS[name], level)
    closable = {frame.id for frame in drawing.frames}
    known = {op.name for op in p.ops} | {op.stage for op in p.ops} | {f"{op.stage}/{op.block}" for op in p.ops}
    clickable = [trace for trace in picture.data if trace.customdata is not None]
    assert [*nodes_of(picture).customdata] == [node.id for node in drawing.nodes]
    assert {i for trace in clickable for i in trace.customdata} <= known
    assert {i for trace in clickable if trace is not nodes_of(picture) for i in trace.customdata} == closable
    # edges and rings take no clicks
    for trace in picture.data:
        if trace not in clickable:
            assert trace.hoverinfo == "skip"
            assert trace.customdata is None


@pytest.mark.parametrize("name", PRESETS)
def test_no_operation_is_called_as_a_stage_or_block_is(name):
    p = plan(PRESETS[name])
    groups = {op.stage for op in p.ops} | {f"{op.stage}/{op.block}" for op in p.ops}
    # but for the image, which is both and opens nothing
    assert groups & {op.name for op in p.ops} == {"input"}


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
def test_nothing_is_outside_the_picture(config, level):
    drawing, picture = pictured(config, level, selected="input", changed={op.name for op in plan(config).ops})
    (left, right), (bottom, top) = picture.layout.xaxis.range, picture.layout.yaxis.range
    for trace in picture.data:
        for values, low, high in ((trace.x, left, right), (trace.y, bottom, top)):
            found = np.array([value for value in values if value is not None], float)
            found = found[~np.isnan(found)]
            assert (found >= low).all(), trace.name
            assert (found <= high).all(), trace.name
    x, y = nodes_of(picture).x, nodes_of(picture).y
    assert len({(float(a), float(b)) for a, b in zip(x, y, strict=True)}) == len(drawing.nodes)
    # rows are read from top to bottom, a row from left to right
    rows = [[i for i, node in enumerate(drawing.nodes) if node.row == row] for row in range(drawing.nodes[-1].row + 1)]
    for above, below in pairwise(rows):
        assert min(y[above]) > max(y[below])
    for row in rows:
        order = sorted(row, key=lambda i: drawing.nodes[i].x)
        for i, j in pairwise(order):
            assert (x[i] < x[j]) == (drawing.nodes[i].x < drawing.nodes[j].x)


@pytest.mark.parametrize(("config", "level"), named(CASES))
def test_every_edge_goes_from_its_node_to_the_other(config, level):
    drawing, picture = pictured(config, level)
    at = np.array([nodes_of(picture).x, nodes_of(picture).y], float)
    lines = paths(drawing, picture)
    assert len(lines) == len(drawing.edges)
    for edge, line in lines.items():
        assert line[:, 0] == pytest.approx(at[:, edge.source], abs=0.1)
        assert line[1, -1] == pytest.approx(at[1, edge.target], abs=0.1)
        # round a closed block it goes on to where its add is
        joins = edge.role in ("identity", "projection", "padding") and drawing.nodes[edge.target].level == "block"
        assert joins or line[0, -1] == pytest.approx(at[0, edge.target], abs=0.1)
        # and never turns back; a second pass begins to the left of where the first has ended
        steps = np.diff(line[0]) * np.sign(line[0, -1] - line[0, 0])
        assert (steps >= -1e-3).all()


@pytest.mark.parametrize("config", [PRESETS["resnet50"], parse(TINY), DEEP, PRESETS["preresnet164_cifar"]])
def test_a_shortcut_round_a_closed_block_ends_between_it_and_what_follows(config):
    drawing, picture = pictured(config, "block")
    trace = nodes_of(picture)
    joins = [
        (float(x), float(y))
        for other in picture.data
        if other.marker.symbol == "circle-cross-open"
        for x, y in zip(other.x, other.y, strict=True)
    ]
    around = sorted(
        {e.target for e in drawing.edges if e.role in ("identity", "projection") and drawing.nodes[e.target].ops[1:]}
    )
    assert len(joins) == len(around)
    for i in around:
        behind = [x for x, y in joins if y == trace.y[i] and x > trace.x[i]]
        after = [
            trace.x[j] for j, n in enumerate(drawing.nodes) if n.row == drawing.nodes[i].row and trace.x[j] > trace.x[i]
        ]
        # nearer to the block whose add it is
        assert min(behind) - trace.x[i] <= (min(after, default=math.inf) - trace.x[i]) / 2 + 0.01


@pytest.mark.parametrize("name", ["densenet121", "densenet40_12_cifar"])
def test_a_longer_way_is_a_higher_arc(name):
    drawing, picture = pictured(PRESETS[name], "block")
    nodes, found = drawing.nodes, {}
    for edge, (_, y) in paths(drawing, picture).items():
        distance = nodes[edge.target].x - nodes[edge.source].x
        found.setdefault(nodes[edge.source].row, set()).add((distance, round(y.max() - y[0], 2)))
    for row in found.values():
        for (near, low), (far, high) in pairwise(sorted(row)):
            assert near < far
            assert low < high
        # between neighbours a line
        assert {height for distance, height in row if distance == 1} == {0}


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


def test_colours_of_stages_by_hand():
    config = parse(TINY)
    params, macs = sum(PARAMS.values()), sum(MACS.values())
    for colouring, expected in (
        ("params", {name: 100 * count / params for name, count in PARAMS.items()}),
        ("MACs", {name: 100 * count / macs for name, count in MACS.items()}),
        ("activations", {name: count / 1e6 for name, count in BYTES.items()}),
        ("receptive field", FIELDS),
    ):
        numbers, trace = colours(config, "stage", colouring)
        assert numbers == pytest.approx(expected)
        # from zero to the largest
        assert (trace.marker.cmin, trace.marker.cmax) == (0, pytest.approx(max(expected.values())))
        assert trace.marker.colorscale[0] == (0, "#f7f7f7")


def test_a_fold_has_the_costs_of_all_that_it_stands_for():
    config = parse(TINY | {"blocks": (1, 3, 1)})
    equal = {"params": 2 * (16 * 16 * 9 + 2 * 16), "MACs": 2 * 16 * 16 * 9 * 8**2, "activations": 7 * 4 * 16 * 8**2}
    params, macs = sum(PARAMS.values()) + equal["params"], sum(MACS.values()) + equal["MACs"]
    expected = {
        "params": 100 * 2 * equal["params"] / params,
        "MACs": 100 * 2 * equal["MACs"] / macs,
        "activations": 2 * equal["activations"] / 1e6,
    }
    for colouring, number in expected.items():
        assert colours(config, "block", colouring)[0]["stage 2/block 1"] == pytest.approx(number)


def test_a_fold_sees_what_the_last_of_its_blocks_sees():
    # 13 pixels after block 0, and 8 more after each; as when the stage is closed
    config = parse(TINY | {"blocks": (1, 3, 1)})
    assert colours(config, "stage", "receptive field")[0]["stage 2"] == 13 + 2 * 8
    assert colours(config, "block", "receptive field")[0]["stage 2/block 1"] == 13 + 2 * 8


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "name", ["resnet50", "resnet20_cifar", "preresnet164_cifar", "densenet_bc100_12_cifar", "cliquenet_k36_t12"]
)
def test_shares_add_up(name, level):
    for colouring in ("params", "MACs"):
        _, trace = colours(PRESETS[name], level, colouring)
        assert sum(trace.marker.color) == pytest.approx(100)
    _, trace = colours(PRESETS[name], level, "activations")
    assert sum(trace.marker.color) == pytest.approx(4 * sum(op.size for op in plan(PRESETS[name]).ops) / 1e6)


def test_a_port_costs_nothing():
    drawing, picture = pictured(PRESETS["densenet121"], "block", colouring="params")
    ports = [i for i, node in enumerate(drawing.nodes) if node.level == "port"]
    assert ports
    assert {float(nodes_of(picture).marker.color[i]) for i in ports} == {0}


def test_kinds_have_colours_and_a_legend():
    drawing, picture = pictured(parse(TINY), "operation")
    colour = dict(zip([node.ops[-1].kind for node in drawing.nodes], [*nodes_of(picture).marker.color], strict=True))
    legend = {trace.name: trace.marker.color for trace in picture.data if trace.x[0] is None}
    expected = {"conv", "norm", "activation", "add", "global pool", "linear"}
    assert set(legend) == expected
    assert all(legend[kind] == colour[kind.replace(" ", "_")] for kind in expected)
    assert len({legend[kind] for kind in expected}) == len(expected)
    # the roles of edges say how many they are: two blocks keep their shape; two project, in three steps each
    names = [trace.name for trace in picture.data if trace.mode == "lines" and trace.name]
    assert "identity shortcut (2)" in names
    assert "projection shortcut (6)" in names


# -- rings -------------------------------------------------------------------------------------------------------------


def place(drawing, picture, name):
    i = drawing.places[name]
    return nodes_of(picture).x[i], nodes_of(picture).y[i]


@pytest.mark.parametrize("level", LEVELS)
def test_the_selected_operation_is_ringed_where_it_is(level):
    config, name = PRESETS["resnet50"], "layer3.4.conv2"
    drawing, picture = pictured(config, level, selected=name)
    shown = drawing.nodes[drawing.places[name]]
    # block 4 of the third stage folds with blocks 1 to 5
    assert shown.id == {"stage": "stage 3", "block": "stage 3/block 1", "operation": "layer3.1.conv2"}[level]
    assert rings(picture, "selected") == [place(drawing, picture, name)]
    assert rings(picture, "differs") == []


def test_nothing_is_ringed_without_a_reason():
    _, picture = pictured(PRESETS["resnet18"], "block", selected="no.such.operation", changed={"nor.such"})
    assert rings(picture, "selected") == rings(picture, "differs") == []


def test_changed_operations_are_ringed():
    drawing, picture = pictured(PRESETS["resnet18"], "stage", changed={"layer2.0.conv1", "layer2.0.conv2", "fc"})
    assert rings(picture, "differs") == [place(drawing, picture, name) for name in ("layer2.0.conv1", "fc")]
    drawing, picture = pictured(PRESETS["resnet18"], "operation", changed={"layer2.0.conv1", "layer2.0.conv2", "fc"})
    assert rings(picture, "differs") == [
        place(drawing, picture, name) for name in ("layer2.0.conv1", "layer2.0.conv2", "fc")
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_a_fold_is_ringed_for_any_block_that_it_stands_for(level):
    # ResNet-101 has 17 blocks in its third stage that ResNet-50 has not: 6 to 22
    more = {op.name for op in plan(PRESETS["resnet101"]).ops if op.name not in plan(PRESETS["resnet50"])}
    assert {name.split(".")[1] for name in more} == {str(b) for b in range(6, 23)}
    drawing, picture = pictured(PRESETS["resnet101"], level, changed=more)
    expected = {place(drawing, picture, name) for name in more}
    assert set(rings(picture, "differs")) == expected
    assert len(expected) == (10 if level == "operation" else 1)


def test_ports_are_not_ringed():
    name = "layer1.0.relu2"
    drawing, picture = pictured(parse(TINY), "operation", changed={name}, selected=name)
    assert [node.level for node in drawing.nodes if node.id == name] == ["operation", "port"]
    assert rings(picture, "differs") == rings(picture, "selected") == [place(drawing, picture, name)]


# -- labels ------------------------------------------------------------------------------------------------------------

CHARACTER, LINE = 6.4, 14.0  # of text of 11 pixels, about


def labels(picture):
    """(text, left, right, bottom, top) of all that is written."""
    found = []
    for trace in picture.data:
        if "text" not in (trace.mode or ""):
            continue
        position = trace.textposition or "middle center"
        positions = [position] * len(trace.x) if isinstance(position, str) else position
        size = trace.marker.size
        sizes = [size or 0] * len(trace.x) if size is None or np.isscalar(size) else size
        for x, y, text, where, wide in zip(trace.x, trace.y, trace.text, positions, sizes, strict=True):
            lines, (up, side) = text.split("<br>"), where.split()
            width, height, half = CHARACTER * max(map(len, lines)), LINE * len(lines), wide / 2
            left = {"left": x - half - width, "center": x - width / 2, "right": x + half}[side]
            bottom = {"top": y + half, "middle": y - height / 2, "bottom": y - half - height}[up]
            if text:
                found.append((text, left, left + width, bottom, bottom + height))
    return found


LABELLED = [
    *((PRESETS[name], "block") for name in ("resnet50", "densenet121", "densenet201", "cliquenet_s3")),
    *((PRESETS[name], "stage") for name in ("resnet50", "densenet121", "cliquenet_s3")),
    *((PRESETS[name], "operation") for name in ("resnet50", "cliquenet_k36_t12")),
]


@pytest.mark.parametrize(("config", "level"), named(LABELLED))
def test_labels_do_not_overlap(config, level):
    _, picture = pictured(config, level)
    written = labels(picture)
    assert written
    over = [
        (one[0], other[0])
        for i, one in enumerate(written)
        for other in written[:i]
        if min(one[2], other[2]) - max(one[1], other[1]) > CHARACTER / 2
        and min(one[4], other[4]) - max(one[3], other[3]) > LINE / 4
    ]
    assert over == []


@pytest.mark.parametrize(("config", "level"), named(LABELLED))
def test_labels_are_not_cut_off(config, level):
    _, picture = pictured(config, level)
    (left, right), (bottom, top) = picture.layout.xaxis.range, picture.layout.yaxis.range
    for text, begin, end, low, high in labels(picture):
        # the width is an estimate: within a character
        assert begin >= left - CHARACTER, text
        assert end <= right + CHARACTER, text
        assert low >= bottom, text
        assert high <= top, text


def test_labels_of_folds_say_how_many():
    _, picture = pictured(PRESETS["resnet50"], "block")
    assert [text for text in nodes_of(picture).text if "×" in text] == [
        "block 1–2 ×2",
        "block 1–3 ×3",
        "block 1–5 ×5",
        "block 1–2 ×2",
    ]


def test_what_leaves_for_another_row_is_written_on_it():
    drawing, picture = pictured(PRESETS["cliquenet_s3"], "block")
    texts = dict(zip(nodes_of(picture).customdata, nodes_of(picture).text, strict=True))
    leaving = [node.id for node in drawing.nodes if node.leaves_to == "head"]
    assert leaving == ["block 1/feature", "block 2/feature", "block 3/feature"]
    for identity in leaving:
        assert "→ head" in texts[identity]


def test_hover_texts_say_the_costs():
    _, picture = pictured(parse(TINY), "stage")
    texts = dict(zip(nodes_of(picture).customdata, nodes_of(picture).hovertext, strict=True))
    share = PARAMS["stage 2"] / sum(PARAMS.values())
    assert f"{PARAMS['stage 2']:,} params ({share:.1%})" in texts["stage 2"]
    assert f"{MACS['stage 2']:,} MACs" in texts["stage 2"]
    assert "8×16×16 → 16×8×8" in texts["stage 2"]
    assert "sees 21 px" in texts["stage 2"]
