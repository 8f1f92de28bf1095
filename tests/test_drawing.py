"""The drawing against networks written out by hand, the papers' tables of arcs, and what holds for any drawing."""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer import drawing as layout
from explorer.drawing import MOST_COLUMNS, MOST_UNFOLDED, differences, draw, opened_to
from explorer.families import FAMILIES, PRESETS, parse, plan
from explorer.plan.wiring import shortcut

LEVELS = ("stage", "block", "operation")
TINY = {"stem": "cifar", "stem_width": 8, "input_size": 16, "classes": 5}


def resnet(**fields):
    return parse({"family": "resnet", "block": "basic", "blocks": (1, 2, 1), "width": 8} | TINY | fields)


def densenet(**fields):
    return parse({"family": "densenet", "blocks": (2, 2, 2), "growth_rate": 4} | TINY | fields)


def cliquenet(*layers, **fields):
    return parse({"family": "cliquenet", "layers": layers, "widths": (4,) * len(layers)} | TINY | fields)


def drawn(config, opened):
    """`opened` is a level, or ids."""
    p = plan(config)
    return draw(p, opened_to(p, opened) if isinstance(opened, str) else opened)


def own(drawing, i):
    """The node that a port stands for; of any other, itself."""
    node = drawing.nodes[i]
    return drawing.nodes[drawing.places[node.id]] if node.level == "port" else node


def arcs(drawing):
    """(from, to, role), whatever rows the nodes stand in."""
    return {(own(drawing, e.source).id, drawing.nodes[e.target].id, e.role) for e in drawing.edges}


def written(*texts):
    """Lines such as "flow: a > b > c", as arcs."""
    found = set()
    for line in "\n".join(texts).strip().splitlines():
        role, _, chain = line.strip().partition(": ")
        names = chain.split(" > ")
        found |= {(one, other, role) for one, other in pairwise(names)}
    return found


def check_by_hand(config, opened, *texts):
    drawing, expected = drawn(config, opened), written(*texts)
    assert arcs(drawing) == expected
    nodes = Counter(node.id for node in drawing.nodes if node.level != "port")
    assert nodes == Counter({name for one, other, _ in expected for name in (one, other)})


# -- ResNets by hand ---------------------------------------------------------------------------------------------------

STEM = "flow: input > conv1 > bn1 > relu > layer1.0.conv1"
HEAD = "flow: layer3.0.relu2 > avgpool > fc"
BRANCHES = """
    flow: layer1.0.conv1 > layer1.0.bn1 > layer1.0.relu1 > layer1.0.conv2 > layer1.0.bn2 > layer1.0.add > layer1.0.relu2
    flow: layer1.0.relu2 > layer2.0.conv1
    flow: layer2.0.conv1 > layer2.0.bn1 > layer2.0.relu1 > layer2.0.conv2 > layer2.0.bn2 > layer2.0.add > layer2.0.relu2
    flow: layer2.0.relu2 > layer2.1.conv1
    flow: layer2.1.conv1 > layer2.1.bn1 > layer2.1.relu1 > layer2.1.conv2 > layer2.1.bn2 > layer2.1.add > layer2.1.relu2
    flow: layer2.1.relu2 > layer3.0.conv1
    flow: layer3.0.conv1 > layer3.0.bn1 > layer3.0.relu1 > layer3.0.conv2 > layer3.0.bn2 > layer3.0.add > layer3.0.relu2
"""
SHORTCUTS = {
    "B": """
        identity: relu > layer1.0.add
        projection: layer1.0.relu2 > layer2.0.downsample.0 > layer2.0.downsample.1 > layer2.0.add
        identity: layer2.0.relu2 > layer2.1.add
        projection: layer2.1.relu2 > layer3.0.downsample.0 > layer3.0.downsample.1 > layer3.0.add
    """,
    "A": """
        identity: relu > layer1.0.add
        padding: layer1.0.relu2 > layer2.0.pad > layer2.0.add
        identity: layer2.0.relu2 > layer2.1.add
        padding: layer2.1.relu2 > layer3.0.pad > layer3.0.add
    """,
    "C": """
        projection: relu > layer1.0.downsample.0 > layer1.0.downsample.1 > layer1.0.add
        projection: layer1.0.relu2 > layer2.0.downsample.0 > layer2.0.downsample.1 > layer2.0.add
        projection: layer2.0.relu2 > layer2.1.downsample.0 > layer2.1.downsample.1 > layer2.1.add
        projection: layer2.1.relu2 > layer3.0.downsample.0 > layer3.0.downsample.1 > layer3.0.add
    """,
}
BLOCKS = "flow: input > stem > stage 1/block 0 > stage 2/block 0 > stage 2/block 1 > stage 3/block 0 > head"
SHORTCUTS_OF_BLOCKS = {
    "B": """
        identity: stem > stage 1/block 0
        projection: stage 1/block 0 > stage 2/block 0
        identity: stage 2/block 0 > stage 2/block 1
        projection: stage 2/block 1 > stage 3/block 0
    """,
    "A": """
        identity: stem > stage 1/block 0
        padding: stage 1/block 0 > stage 2/block 0
        identity: stage 2/block 0 > stage 2/block 1
        padding: stage 2/block 1 > stage 3/block 0
    """,
    "C": "projection: stem > stage 1/block 0 > stage 2/block 0 > stage 2/block 1 > stage 3/block 0",
    "none": "",
}


@pytest.mark.parametrize("kind", ["A", "B", "C", "none"])
def test_stages_of_a_resnet(kind):
    check_by_hand(resnet(shortcut=kind), "stage", "flow: input > stem > stage 1 > stage 2 > stage 3 > head")


@pytest.mark.parametrize("kind", ["A", "B", "C", "none"])
def test_blocks_of_a_resnet(kind):
    check_by_hand(resnet(shortcut=kind), "block", BLOCKS, SHORTCUTS_OF_BLOCKS[kind])


@pytest.mark.parametrize("kind", ["A", "B", "C"])
def test_operations_of_a_resnet(kind):
    check_by_hand(resnet(shortcut=kind), "operation", STEM, BRANCHES, SHORTCUTS[kind], HEAD)


def test_operations_of_a_plain_network():
    plain = BRANCHES
    for block in ("layer1.0", "layer2.0", "layer2.1", "layer3.0"):
        plain = plain.replace(f"{block}.add > ", "")
    check_by_hand(resnet(shortcut="none"), "operation", STEM, plain, HEAD)


def test_a_block_open_among_closed_ones():
    check_by_hand(
        resnet(),
        {"stage 2", "stage 2/block 0"},
        """
        flow: input > stem > stage 1 > layer2.0.conv1 > layer2.0.bn1 > layer2.0.relu1 > layer2.0.conv2 > layer2.0.bn2
        flow: layer2.0.bn2 > layer2.0.add > layer2.0.relu2 > stage 2/block 1 > stage 3 > head
        projection: stage 1 > layer2.0.downsample.0 > layer2.0.downsample.1 > layer2.0.add
        identity: layer2.0.relu2 > stage 2/block 1
        """,
    )


PRE = {"order": "pre", "block": "bottleneck"}
PRE_BRANCH = """
    flow: {x} > {b}.bn1 > {b}.relu1 > {b}.conv1 > {b}.bn2 > {b}.relu2 > {b}.conv2 > {b}.bn3 > {b}.relu3 > {b}.conv3
    flow: {b}.conv3 > {b}.add
"""
# a unit that projects splits after its norm and ReLU (1603.05027, appendix), and the projection has no norm
PRE_PROJECTION = "projection: {b}.relu1 > {b}.downsample.0 > {b}.add"


def test_pre_activation_bottlenecks():
    config = resnet(**PRE)
    check_by_hand(config, "stage", "flow: input > stem > stage 1 > stage 2 > stage 3 > head")
    check_by_hand(
        config,
        "block",
        BLOCKS,
        """
        projection: stem > stage 1/block 0
        projection: stage 1/block 0 > stage 2/block 0
        identity: stage 2/block 0 > stage 2/block 1
        projection: stage 2/block 1 > stage 3/block 0
        """,
    )
    check_by_hand(
        config,
        "operation",
        "flow: input > conv1",
        PRE_BRANCH.format(b="layer1.0", x="conv1"),
        PRE_PROJECTION.format(b="layer1.0"),
        PRE_BRANCH.format(b="layer2.0", x="layer1.0.add"),
        PRE_PROJECTION.format(b="layer2.0"),
        PRE_BRANCH.format(b="layer2.1", x="layer2.0.add"),
        "identity: layer2.0.add > layer2.1.add",
        PRE_BRANCH.format(b="layer3.0", x="layer2.1.add"),
        PRE_PROJECTION.format(b="layer3.0"),
        "flow: layer3.0.add > bn > relu > avgpool > fc",
    )


def test_squeeze_and_excitation_gates_the_branch():
    found = arcs(drawn(resnet(squeeze_excitation=2), "operation"))
    block = {arc for arc in found if any(name.startswith("layer2.1.") for name in arc[:2])}
    assert block == written(
        """
        flow: layer2.0.relu2 > layer2.1.conv1 > layer2.1.bn1 > layer2.1.relu1 > layer2.1.conv2 > layer2.1.bn2
        flow: layer2.1.bn2 > layer2.1.se.avgpool > layer2.1.se.fc1 > layer2.1.se.relu > layer2.1.se.fc2
        flow: layer2.1.se.fc2 > layer2.1.se.gate > layer2.1.se.scale > layer2.1.add > layer2.1.relu2
        flow: layer2.1.relu2 > layer3.0.conv1
        gate: layer2.1.bn2 > layer2.1.se.scale
        identity: layer2.0.relu2 > layer2.1.add
        projection: layer2.1.relu2 > layer3.0.downsample.0
        """
    )


# -- DenseNets by hand -------------------------------------------------------------------------------------------------

DENSE_BLOCK = """
    flow: {x} > {b}1.norm1 > {b}1.relu1 > {b}1.conv1 > {b}1.norm2 > {b}1.relu2 > {b}1.conv2
    concat: {x} > {b}2.concat
    concat: {b}1.conv2 > {b}2.concat
    flow: {b}2.concat > {b}2.norm1 > {b}2.relu1 > {b}2.conv1 > {b}2.norm2 > {b}2.relu2 > {b}2.conv2
    concat: {x} > {end}
    concat: {b}1.conv2 > {end}
    concat: {b}2.conv2 > {end}
"""
TRANSITION = "flow: {end} > {t}.norm > {t}.relu > {t}.conv > {t}.pool"


def test_a_densenet():
    config = densenet()
    check_by_hand(
        config, "stage", "flow: input > stem > block 1 > transition 1 > block 2 > transition 2 > block 3 > head"
    )
    end = "features.denseblock{}.concat"
    check_by_hand(
        config,
        "block",
        "flow: input > stem > block 1/layer 1",
        f"flow: {end.format(1)} > transition 1 > block 2/layer 1",
        f"flow: {end.format(2)} > transition 2 > block 3/layer 1",
        f"flow: {end.format(3)} > head",
        *(
            f"""
            concat: {x} > block {b}/layer 2
            concat: block {b}/layer 1 > block {b}/layer 2
            concat: {x} > {end.format(b)}
            concat: block {b}/layer 1 > {end.format(b)}
            concat: block {b}/layer 2 > {end.format(b)}
            """
            for b, x in ((1, "stem"), (2, "transition 1"), (3, "transition 2"))
        ),
    )
    blocks = ((1, "features.conv0"), (2, "features.transition1.pool"), (3, "features.transition2.pool"))
    check_by_hand(
        config,
        "operation",
        "flow: input > features.conv0",
        *(
            DENSE_BLOCK.format(x=x, b=f"features.denseblock{b}.denselayer", end=end.format(b)).strip() + "\n"
            for b, x in blocks
        ),
        TRANSITION.format(end=end.format(1), t="features.transition1"),
        TRANSITION.format(end=end.format(2), t="features.transition2"),
        f"flow: {end.format(3)} > features.norm5 > features.relu5 > avgpool > classifier",
    )


@pytest.mark.parametrize("name", FAMILIES["densenet"].presets)
def test_a_dense_layer_reads_the_input_and_every_layer_before_it(name):
    """n(n + 1)/2 connections in a block of n layers (1608.06993, section 1)."""
    config = PRESETS[name]
    found = {(one, other) for one, other, _ in arcs(drawn(config, "block"))}
    for b, n in enumerate(config.blocks, start=1):
        layers = [f"block {b}/layer {i}" for i in range(1, n + 1)]
        before = [f"transition {b - 1}" if b > 1 else "stem", *layers]
        assert {(one, other) for one, other in found if other in layers} == {
            (one, layer) for j, layer in enumerate(layers, start=1) for one in before[:j]
        }
        assert len([other for _, other in found if other in layers]) == n * (n + 1) // 2
        # what goes on is everything
        assert {one for one, other in found if other == f"features.denseblock{b}.concat"} == set(before)


# -- CliqueNets by hand ------------------------------------------------------------------------------------------------

# Yang et al., 1802.10419, table 1: what is read to compute each layer of a block of four; 0 is the block's input
FIRST_PASS = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1, 2, 3)}
SECOND_PASS = {  # (pass, layer)
    1: (("first", 2), ("first", 3), ("first", 4)),
    2: (("second", 1), ("first", 3), ("first", 4)),
    3: (("second", 1), ("second", 2), ("first", 4)),
    4: (("second", 1), ("second", 2), ("second", 3)),
}


def table_1(stage, x0):
    """Its arcs as (from, to), with the ids of nodes."""
    found = {(f"{stage}/first {i}" if i else x0, f"{stage}/first {j}") for j, read in FIRST_PASS.items() for i in read}
    return found | {
        (f"{stage}/{word} {i}", f"{stage}/second {j}") for j, read in SECOND_PASS.items() for word, i in read
    }


@pytest.mark.parametrize("config", [cliquenet(4, 4, 4), PRESETS["cliquenet_k36_t12"]], ids=["tiny", "k36_t12"])
def test_a_clique_of_four_layers_has_the_arcs_of_the_papers_table(config):
    found = arcs(drawn(config, "block"))
    for b, x0 in ((1, "stem"), (2, "transition 1"), (3, "transition 2")):
        layers = {f"block {b}/{word} {j}" for word in ("first", "second") for j in range(1, 5)}
        assert {(one, other) for one, other, _ in found if other in layers} == table_1(f"block {b}", x0)
        for one, other, role in found:
            if other in layers:
                alone = other == f"block {b}/first 1"  # it reads one tensor, so there is nothing to concatenate
                assert role == ("second pass" if "second" in other else "flow" if alone else "concat"), (one, other)


def test_a_second_pass_of_two_steps():
    config = cliquenet(4, 4, 4, second_pass_steps=2)
    found = {(one, other) for one, other, _ in arcs(drawn(config, "block")) if one.startswith("block 1/")}
    expected = {arc for arc in table_1("block 1", "stem") if arc[0] != "stem"}
    expected = {arc for arc in expected if not {*arc} & {"block 1/second 3", "block 1/second 4"}}
    newest = {f"block 1/{layer}" for layer in ("second 1", "second 2", "first 3", "first 4")}
    expected |= {(layer, after) for layer in newest for after in ("block 1/feature", "block1.concat")}
    # the classifier reads the feature, beside those of the other blocks
    assert found == expected | {("block 1/feature", "head")}


def test_without_a_second_pass():
    config = cliquenet(4, 4, 4, block_feature="first", transit="first")
    found = {(one, other) for one, other, _ in arcs(drawn(config, "block")) if other.startswith("block 1/")}
    first = {f"block 1/first {i}" for i in range(1, 5)}
    expected = {arc for arc in table_1("block 1", "stem") if "second" not in arc[1]}
    assert found == expected | {(x, "block 1/feature") for x in {"stem", *first}}


CLIQUE = """
    flow: {x} > {b}.first.layer1.norm1 > {b}.first.layer1.relu1 > {b}.first.layer1.conv1
    concat: {x} > {b}.first.layer2.concat
    concat: {b}.first.layer1.conv1 > {b}.first.layer2.concat
    flow: {b}.first.layer2.concat > {b}.first.layer2.norm1 > {b}.first.layer2.relu1 > {b}.first.layer2.conv1
    second pass: {b}.first.layer2.conv1 > {b}.second.layer1.norm1
    flow: {b}.second.layer1.norm1 > {b}.second.layer1.relu1 > {b}.second.layer1.conv1
    second pass: {b}.second.layer1.conv1 > {b}.second.layer2.norm1
    flow: {b}.second.layer2.norm1 > {b}.second.layer2.relu1 > {b}.second.layer2.conv1
    concat: {x} > {b}.feature.concat
    concat: {b}.second.layer1.conv1 > {b}.feature.concat
    concat: {b}.second.layer2.conv1 > {b}.feature.concat
    flow: {b}.feature.concat > {b}.feature.norm > {b}.feature.relu > {b}.feature.pool
    concat: {b}.feature.pool > concat
"""
CLIQUE_TRANSITION = """
    concat: {b}.second.layer1.conv1 > {b}.concat
    concat: {b}.second.layer2.conv1 > {b}.concat
    flow: {b}.concat > {t}.norm > {t}.relu > {t}.conv > {t}.squeeze > {t}.fc1 > {t}.fc_relu > {t}.fc2 > {t}.gate
    flow: {t}.gate > {t}.scale > {t}.pool
    gate: {t}.conv > {t}.scale
"""


def test_a_cliquenet():
    config = cliquenet(2, 2, 2, attention=True)
    check_by_hand(
        config,
        "stage",
        """
        flow: input > stem > block 1 > transition 1 > block 2 > transition 2 > block 3 > head
        concat: block 1 > head
        concat: block 2 > head
        """,
    )
    blocks = ((1, "stem"), (2, "transition 1"), (3, "transition 2"))
    check_by_hand(
        config,
        "block",
        "flow: input > stem",
        *(
            f"""
            flow: {x} > block {b}/first 1
            concat: {x} > block {b}/first 2
            concat: block {b}/first 1 > block {b}/first 2
            second pass: block {b}/first 2 > block {b}/second 1 > block {b}/second 2
            concat: {x} > block {b}/feature
            concat: block {b}/second 1 > block {b}/feature
            concat: block {b}/second 2 > block {b}/feature
            """
            for b, x in blocks
        ),
        *(
            f"""
            concat: block {b}/second 1 > block{b}.concat
            concat: block {b}/second 2 > block{b}.concat
            flow: block{b}.concat > transition {b}
            concat: block {b}/feature > head
            """
            for b in (1, 2)
        ),
        "flow: block 3/feature > head",
    )
    check_by_hand(
        config,
        "operation",
        "flow: input > conv0",
        *(
            CLIQUE.format(x=x, b=f"block{b}")
            for b, x in ((1, "conv0"), (2, "transition1.pool"), (3, "transition2.pool"))
        ),
        *(CLIQUE_TRANSITION.format(b=f"block{b}", t=f"transition{b}") for b in (1, 2)),
        "flow: concat > classifier",
    )


@pytest.mark.parametrize("name", FAMILIES["cliquenet"].presets)
def test_the_second_pass_stands_below_the_first(name):
    nodes = {node.id: node for node in drawn(PRESETS[name], "block").nodes}
    for identity, node in nodes.items():
        if "/second " in identity:
            above = nodes[identity.replace("second", "first")]
            assert (node.lane, node.x, node.row) == (-1, above.x, above.row)
        elif node.level != "port":
            assert node.lane == 0


def test_what_leaves_for_another_row_says_where_to():
    drawing = drawn(cliquenet(4, 4, 4), "operation")
    leaving = {node.id: node.leaves_to for node in drawing.nodes if node.leaves_to}
    # a block's pooled feature goes to the head; the second pass, at the end of its row, to the transition beside it
    assert leaving == {"block1.feature.pool": "head", "block2.feature.pool": "head"}


# -- rows --------------------------------------------------------------------------------------------------------------


def test_rows():
    drawing = drawn(resnet(blocks=(1, 2, 2)), "operation")
    # 1 input, 3 of the stem, 7 of stage 1 are 11 columns; stage 2 has 2 x 7 and would not fit in 24; nor stage 3 beside
    # it and the port
    rows = [[node.id for node in drawing.nodes if node.row == row] for row in range(3)]
    assert sum(map(len, rows)) == len(drawing.nodes)
    assert (rows[0][0], rows[0][-1]) == ("input", "layer1.0.relu2")
    assert (rows[1][0], rows[1][1], rows[1][-1]) == ("layer1.0.relu2", "layer2.0.conv1", "layer2.1.relu2")
    assert (rows[2][0], rows[2][1], rows[2][-1]) == ("layer2.1.relu2", "layer3.0.conv1", "fc")
    ports = [node for node in drawing.nodes if node.level == "port"]
    assert [(node.id, node.label, node.row, node.x) for node in ports] == [
        ("layer1.0.relu2", "stage 1", 1, 0),
        ("layer2.1.relu2", "stage 2", 2, 0),
    ]
    assert [(frame.id, frame.level, frame.row, frame.first, frame.last) for frame in drawing.frames] == [
        ("stem", "stage", 0, 1, 3),
        ("stage 1/block 0", "block", 0, 4, 10),
        ("stage 1", "stage", 0, 4, 10),
        ("stage 2/block 0", "block", 1, 1, 7),
        ("stage 2/block 1", "block", 1, 8, 14),
        ("stage 2", "stage", 1, 1, 14),
        ("stage 3/block 0", "block", 2, 1, 7),
        ("stage 3/block 1", "block", 2, 8, 14),
        ("stage 3", "stage", 2, 1, 14),
        ("head", "stage", 2, 15, 16),
    ]


def test_a_projection_stands_above_its_branch():
    nodes = {node.id: node for node in drawn(resnet(), "operation").nodes}
    block = [nodes[f"layer2.0.{name}"] for name in ("conv1", "downsample.0", "downsample.1", "bn2")]
    assert [node.lane for node in block] == [0, 1, 1, 0]
    xs = [node.x for node in block]
    # at equal distances
    assert [b - a for a, b in pairwise(xs)] == pytest.approx([(xs[-1] - xs[0]) / 3] * 3)


# -- folding -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folded(monkeypatch):
    """Equal neighbours fold, however few there are."""
    monkeypatch.setattr(layout, "MOST_UNFOLDED", 0)


def folds(config):
    """Label and multiplicity of every closed block, in order."""
    return [(node.label, node.times) for node in drawn(config, "block").nodes if node.level == "block"]


def test_blocks_fold_only_where_they_do_not_fit():
    # an input, a stem, a head, and 1 + n + 1 blocks
    fits = resnet(blocks=(1, MOST_UNFOLDED - 6, 1))
    assert {times for _, times in folds(fits)} == {1}
    assert folds(resnet(blocks=(1, MOST_UNFOLDED - 1, 1)))[2] == (f"block 1–{MOST_UNFOLDED - 2}", MOST_UNFOLDED - 2)
    # a paper's deepest, of which each block is seen
    assert len(folds(PRESETS["resnet152"])) == 3 + 8 + 36 + 3


def test_resnet152_folds(folded):
    # stages of 3, 8, 36, 3; the first block of each projects, the others are equal
    assert folds(PRESETS["resnet152"]) == [
        *[("block 0", 1), ("block 1–2", 2)],
        *[("block 0", 1), ("block 1–7", 7)],
        *[("block 0", 1), ("block 1–35", 35)],
        *[("block 0", 1), ("block 1–2", 2)],
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 16 channels go into the first stage and out of it, so that its first block is like the others
        ("resnet20_cifar", [("block 0–2", 3), ("block 0", 1), ("block 1–2", 2), ("block 0", 1), ("block 1–2", 2)]),
        ("plain20_cifar", [("block 0–2", 3), ("block 0", 1), ("block 1–2", 2), ("block 0", 1), ("block 1–2", 2)]),
        # 16 go in and 64 out; and with pre-activation the first block of all splits after its ReLU
        ("preresnet164_cifar", [("block 0", 1), ("block 1–17", 17)] * 3),
    ],
)
def test_other_resnets_fold(name, expected, folded):
    assert folds(PRESETS[name]) == expected


def test_projections_everywhere_fold_too(folded):
    assert folds(resnet(blocks=(3, 1, 2), shortcut="C")) == [
        ("block 0–2", 3),
        ("block 0", 1),
        *[("block 0", 1), ("block 1", 1)],
    ]


def test_blocks_that_differ_only_in_their_chance_to_be_dropped_do_not_fold(folded):
    assert folds(resnet(blocks=(3, 3, 3), drop_path=0.5)) == [(f"block {i}", 1) for i in (0, 1, 2)] * 3


@pytest.mark.parametrize("name", [*FAMILIES["densenet"].presets, *FAMILIES["cliquenet"].presets])
def test_no_two_layers_of_a_densenet_or_a_clique_are_equal(name, folded):
    assert {times for _, times in folds(PRESETS[name])} == {1}


def test_a_fold_opens_to_one_of_its_blocks_and_the_rest(folded):
    p = plan(PRESETS["resnet152"])
    drawing = draw(p, {"stage 3", "stage 3/block 1"})
    nodes = {node.id: node for node in drawing.nodes}
    inside = {f"layer3.1.{name}" for name in ("conv1", "bn1", "relu1", "conv2", "bn3", "add", "relu3")}
    assert inside <= nodes.keys()
    assert {name for name in nodes if name.startswith("layer3.")} == {op.name for op in p.ops if "layer3.1." in op.name}
    assert [(frame.id, frame.label) for frame in drawing.frames if frame.level == "block"] == [
        ("stage 3/block 1", "block 1")
    ]
    rest = nodes["stage 3/block 2"]
    assert (rest.label, rest.times) == ("block 2–35", 34)
    for b in (2, 17, 35):
        assert drawing.nodes[drawing.places[f"layer3.{b}.conv2"]] == rest


def test_equal_blocks_that_are_all_open_fold_too(folded):
    drawing = drawn(PRESETS["resnet152"], "operation")
    frames = [frame for frame in drawing.frames if frame.id == "stage 3/block 1"]
    assert [frame.label for frame in frames] == ["block 1–35 ×35"]
    for b in (2, 17, 35):
        assert drawing.places[f"layer3.{b}.conv2"] == drawing.places["layer3.1.conv2"]
    assert drawing.places["layer3.0.conv2"] != drawing.places["layer3.1.conv2"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_operation_is_counted(name, level):
    """With the times that a node stands for, in closed folds and in opened ones."""
    drawing = drawn(PRESETS[name], level)
    counted = sum(len(node.ops) * node.times for node in drawing.nodes if node.level != "port")
    assert counted == len(plan(PRESETS[name]).ops)


# -- what holds for any drawing ----------------------------------------------------------------------------------------


def check_axioms(p, drawing):
    nodes, places = drawing.nodes, drawing.places
    shown = [i for i, node in enumerate(nodes) if node.level != "port"]

    # every operation has exactly one place: where it is, or an equal one in an equal block
    assert set(places) == {op.name for op in p.ops}
    assert set(places.values()) == set(shown)
    at = {op.name: i for i in shown for op in nodes[i].ops}
    assert len(at) == sum(len(nodes[i].ops) for i in shown)
    for op in p.ops:
        if op.name in at:
            assert places[op.name] == at[op.name]
        else:
            alike = nodes[places[op.name]].ops
            assert (op.kind, op.shape, op.params, op.macs) in [(o.kind, o.shape, o.params, o.macs) for o in alike]

    # an id says what a click on it means
    assert len({nodes[i].id for i in shown}) == len(shown)
    for i in shown:
        op, level = nodes[i].ops[0], nodes[i].level
        assert nodes[i].id == {"operation": op.name, "block": f"{op.stage}/{op.block}", "stage": op.stage}[level]
        assert nodes[i].times == 1 or level != "stage"
    frames = [frame.id for frame in drawing.frames]
    assert len(set(frames)) == len(frames)
    assert not {*frames} & {nodes[i].id for i in shown if nodes[i].level != "operation"}

    # places
    assert len({(node.row, node.x, node.lane) for node in nodes}) == len(nodes)
    assert [node.row for node in nodes] == sorted(node.row for node in nodes)
    assert {node.row for node in nodes} == set(range(nodes[-1].row + 1))
    for frame in drawing.frames:
        in_row = [node for node in nodes if node.row == frame.row]
        within = {node.id for node in in_row if frame.first <= node.x <= frame.last}
        parts = [n for n in in_row if n.level != "port" and frame.id in (n.ops[0].stage, _block(n.ops[0]))]
        assert parts
        assert within >= {node.id for node in parts}
        if frame.level == "stage":
            assert within == {node.id for node in parts}
            assert min(n.x for n in parts) == frame.first
            assert max(n.x for n in parts) == frame.last

    # ports carry what comes from other rows
    for node in nodes:
        if node.level == "port":
            op = p[node.id]
            assert (node.ops, node.label, node.x, node.times) == ((op,), op.stage, 0, 1)
            assert nodes[places[op.name]].row < node.row

    # edges are the plan's, but for those inside a node and those back to a block that is shown for its equals
    def seen(name, row):
        port = [i for i, n in enumerate(nodes) if n.level == "port" and n.row == row and n.id == name]
        return port[0] if port else places[name]

    expected = set()
    for op in p.ops:
        target = places[op.name]
        for name in op.inputs:
            source = seen(name, nodes[target].row)
            if source > target:
                # the way back
                assert op.name not in at
                assert nodes[source].ops[0].block == nodes[target].ops[0].block != op.block
            elif source != target:
                expected.add((source, target))
    assert {(edge.source, edge.target) for edge in drawing.edges} == expected
    assert len(set(drawing.edges)) == len(drawing.edges)
    for edge in drawing.edges:
        assert edge.source < edge.target
        assert nodes[edge.source].row == nodes[edge.target].row
        assert nodes[edge.target].level != "port"

    # one network: everything comes from the input and goes to the logits
    ways = expected | {(places[node.id], i) for i, node in enumerate(nodes) if node.level == "port"}
    assert nodes[0].ops[0].name == "input"
    assert {target for _, target in ways} == set(range(1, len(nodes)))
    assert {source for source, _ in ways} == set(range(len(nodes))) - {places[p.ops[-1].name]}


def _block(op):
    return f"{op.stage}/{op.block}"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PRESETS)
def test_axioms(name, level):
    config = PRESETS[name]
    p, drawing = plan(config), drawn(config, level)
    check_axioms(p, drawing)
    levels = {node.level for node in drawing.nodes if node.id != "input"} - {"port"}
    assert levels <= {"stage": {"stage"}, "block": {"stage", "block", "operation"}, "operation": {"operation"}}[level]
    for frame in drawing.frames:
        # a row with opened blocks and several opened stages is never overfull
        row = [f for f in drawing.frames if f.row == frame.row]
        stages = [f for f in row if f.level == "stage"]
        assert frame.last < MOST_COLUMNS or len(stages) == 1 or len(stages) == len(row)


VARIED = {
    **{f"resnet, {kind}": resnet(shortcut=kind, blocks=(3, 2, 1)) for kind in ("A", "B", "C", "none")},
    "pre-activation": resnet(**PRE, squeeze_excitation=4, blocks=(3, 3, 2)),
    "pre-activation, first unit an identity": resnet(order="pre", blocks=(3, 1, 1)),
    "stochastic depth": resnet(drop_path=0.3, dropout=0.2, blocks=(2, 2, 2)),
    "no norm": resnet(norm="none", shortcut="C"),
    "resnet34": PRESETS["resnet34"],
    "densenet": densenet(),
    "densenet without bottleneck": densenet(bottleneck=0, blocks=(3, 1, 4), dropout=0.1),
    "clique": cliquenet(2, 4, 3, attention=True, bottleneck=True, compression=0.5),
    "clique, steps": cliquenet(4, 4, 4, second_pass_steps=2, transit="first"),
    "cliquenet_s0": PRESETS["cliquenet_s0"],
}


@cache
def everything(name):
    """What could be open in one of the varied networks."""
    ops = plan(VARIED[name]).ops
    return sorted({op.stage for op in ops} | {_block(op) for op in ops if op.block})


@st.composite
def opened_networks(draws):
    name = draws(st.sampled_from(sorted(VARIED)))
    unknown = st.sampled_from(["stage 9", "block 1/layer 99", "stage 1/", "/block 0", "", "relu", "conv1"]) | st.text()
    opened = draws(st.sets(st.sampled_from(everything(name)))) | draws(st.sets(unknown, max_size=3))
    return VARIED[name], frozenset(opened)


@settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(opened_networks())
def test_axioms_whatever_is_open(case):
    config, opened = case
    p, drawing = plan(config), drawn(config, opened)
    check_axioms(p, drawing)
    # a frame is what has been opened, and what stands closed has not been
    assert {frame.id for frame in drawing.frames} <= opened
    assert not {node.id for node in drawing.nodes if node.level in ("stage", "block")} & opened


@pytest.mark.parametrize("name", VARIED)
def test_a_click_opens_what_is_closed(name):
    config = VARIED[name]
    for level in ("stage", "block"):
        ids = opened_to(plan(config), level)
        for node in drawn(config, ids).nodes:
            if node.level in ("stage", "block"):
                after = drawn(config, ids | {node.id})
                assert node.id in {frame.id for frame in after.frames}
                assert node.id not in {n.id for n in after.nodes if n.level in ("stage", "block")}


def test_what_the_network_does_not_have_is_passed_over():
    assert drawn(resnet(), {"stage 7", "block 1", "stage 2/block 9", "nonsense"}) == drawn(resnet(), "stage")
    # a block is not seen where its stage is closed
    assert drawn(resnet(), {"stage 2/block 0"}) == drawn(resnet(), "stage")


def test_opened_to():
    assert opened_to(plan(resnet()), "stage") == frozenset()
    assert opened_to(plan(resnet()), "block") == {"stage 1", "stage 2", "stage 3"}
    blocks = {"stage 1/block 0", "stage 2/block 0", "stage 2/block 1", "stage 3/block 0"}
    assert opened_to(plan(resnet()), "operation") == {"stem", "stage 1", "stage 2", "stage 3", "head"} | blocks
    # a transition has no blocks
    assert opened_to(plan(densenet()), "block") == {"block 1", "block 2", "block 3"}


# -- what goes round a branch ------------------------------------------------------------------------------------------

SOURCES = [
    # join, where the ways part, the operations on the shorter way, its role
    pytest.param({}, "layer1.0.add", "relu", (), "identity", id="first"),
    pytest.param({}, "layer2.1.add", "layer2.0.relu2", (), "identity", id="identity"),
    pytest.param(
        {}, "layer2.0.add", "layer1.0.relu2", ("layer2.0.downsample.0", "layer2.0.downsample.1"), "projection", id="B"
    ),
    pytest.param({"shortcut": "A"}, "layer2.0.add", "layer1.0.relu2", ("layer2.0.pad",), "padding", id="A"),
    pytest.param(
        {"shortcut": "C"},
        "layer2.1.add",
        "layer2.0.relu2",
        ("layer2.1.downsample.0", "layer2.1.downsample.1"),
        "projection",
        id="C",
    ),
    pytest.param(
        {"shortcut": "D"},
        "layer2.0.add",
        "layer1.0.relu2",
        tuple(f"layer2.0.downsample.{i}" for i in range(3)),
        "projection",
        id="D",
    ),
    pytest.param(
        {"norm": "none"}, "layer2.0.add", "layer1.0.relu2", ("layer2.0.downsample.0",), "projection", id="no norm"
    ),
    # 1603.05027: the first unit of all, and those that project, part after their activation
    pytest.param({"order": "pre"}, "layer1.0.add", "layer1.0.relu1", (), "identity", id="pre, first"),
    pytest.param(
        {"order": "pre", "first_split": "before"}, "layer1.0.add", "conv1", (), "identity", id="pre, first, before"
    ),
    pytest.param(
        {"order": "pre"}, "layer2.0.add", "layer2.0.relu1", ("layer2.0.downsample.0",), "projection", id="pre, changes"
    ),
    pytest.param({"order": "pre"}, "layer2.1.add", "layer2.0.add", (), "identity", id="pre, identity"),
    pytest.param(
        {"order": "pre", "shortcut": "A"}, "layer3.0.add", "layer3.0.relu1", ("layer3.0.pad",), "padding", id="pre, A"
    ),
    pytest.param(
        {"order": "pre", "shortcut": "C"},
        "layer2.1.add",
        "layer2.0.add",
        ("layer2.1.downsample.0",),
        "projection",
        id="pre, C",
    ),
    pytest.param(PRE, "layer2.1.add", "layer2.0.add", (), "identity", id="pre, bottleneck"),
    pytest.param({"drop_path": 0.5}, "layer2.1.add", "layer2.0.relu2", (), "identity", id="stochastic depth"),
    pytest.param({"squeeze_excitation": 2}, "layer2.1.add", "layer2.0.relu2", (), "identity", id="SE, add"),
    pytest.param({"squeeze_excitation": 2}, "layer2.1.se.scale", "layer2.1.bn2", (), "gate", id="SE, scale"),
    pytest.param(
        {"squeeze_excitation": 2, "drop_path": 0.5},
        "layer3.0.add",
        "layer2.1.relu2",
        ("layer3.0.downsample.0", "layer3.0.downsample.1"),
        "projection",
        id="SE, stochastic depth, projection",
    ),
    pytest.param(
        {"squeeze_excitation": 2, "order": "pre"}, "layer2.1.se.scale", "layer2.1.conv2", (), "gate", id="SE, pre"
    ),
]


@pytest.mark.parametrize(("fields", "join", "source", "path", "role"), SOURCES)
def test_shortcuts(fields, join, source, path, role):
    p = plan(resnet(**fields))
    assert shortcut(p, p[join]) == (source, path, role)


def test_attention_in_a_transition_is_a_gate():
    p = plan(cliquenet(2, 2, 2, attention=True))
    assert shortcut(p, p["transition1.scale"]) == ("transition1.conv", (), "gate")


# -- two networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_does_not_differ_from_itself(name):
    assert differences(plan(PRESETS[name]), plan(PRESETS[name])) == frozenset()


def test_another_growth_rate():
    wide = PRESETS["densenet121"]
    p, other = plan(wide), plan(wide.replace(growth_rate=24))
    # the first layer reads the stem's 64 channels; its 1x1 makes 4 x 32 of them, or 4 x 24, and all else follows
    first = "features.denseblock1.denselayer1."
    same = {"input", *(f"features.{name}" for name in ("conv0", "norm0", "relu0", "pool0"))}
    same |= {f"{first}norm1", f"{first}relu1"}
    assert differences(p, other) == {op.name for op in p.ops} - same
    assert differences(other, p) == {op.name for op in other.ops} - same


def test_other_classes():
    config = PRESETS["resnet18"]
    assert differences(plan(config), plan(config.replace(classes=10))) == {"fc"}


def test_other_wiring():
    # the same branches: a plain network lacks the adds and the projections
    residual, plain = plan(PRESETS["resnet18"]), plan(PRESETS["plain18"])
    adds = {f"layer{s}.{b}.add" for s in (1, 2, 3, 4) for b in (0, 1)}
    projections = {f"layer{s}.0.downsample.{i}" for s in (2, 3, 4) for i in (0, 1)}
    assert differences(residual, plain) >= adds | projections
    assert not any(name.rpartition(".")[2].startswith(("conv", "bn")) for name in differences(plain, residual))


def test_another_activation_is_the_only_difference():
    p, other = plan(resnet()), plan(resnet(activation="silu"))
    assert differences(p, other) == {op.name for op in p.ops if op.kind == "activation"}


def test_one_more_block_is_the_only_difference():
    """What follows it has the same kinds, shapes and costs, though it sees more pixels."""
    config = PRESETS["resnet18"]
    longer = plan(config.replace(blocks=(3, 2, 2, 2)))
    names = ("conv1", "bn1", "relu1", "conv2", "bn2", "add", "relu2")
    assert differences(longer, plan(config)) == {f"layer1.2.{name}" for name in names}
    assert differences(plan(config), longer) == frozenset()
