"""What a flow's numbers say, against flows written by hand, whose ratios can be done in the head."""

import io
import math

import numpy as np
import pandas as pd
import pytest

from explorer.analyses import flow_reading, gradients
from explorer.analyses.gradients import Flow, Matrix, Split
from explorer.analyses.paths import Paths
from explorer.families import PRESETS, plan
from explorer.plan import Recorder

NAN, INF = math.nan, math.inf


def chain(blocks=2):
    """conv1 -> relu1 in each block, then the classifier of 10."""
    net = Recorder(1, 4, norm="none")
    x = net.input
    for i in range(blocks):
        with net.stage(f"stage {i // 2 + 1}"), net.block(f"block {i % 2}", f"{i}."):
            x = net.activation("relu", net.conv("conv", x, 1, kernel=1))
    net.linear("fc", net.global_pool("pool", x), 10)
    return net.finish()


def flow_of(activation, weight=None, **fields):
    """Norms of the gradient at the operations 0.conv, 0.relu, 1.conv, 1.relu, ..., pool, fc; a row a run."""
    activation = np.array(activation, float)
    runs, count = activation.shape
    here = chain((count - 2) // 2)
    operations = tuple(op.name for op in here.ops[1:])
    weighted = tuple(name for name in operations if name.endswith(("conv", "fc")))
    assert len(operations) == count
    like = np.zeros_like(activation)
    relus = [name.endswith("relu") for name in operations]
    standard = {
        "plan": here,
        "losses": np.full(runs, 2.0),
        "operations": operations,
        "activation": activation,
        "zeros": like,
        "mean": like,
        "deviation": like + 1,
        "dead": np.where(relus, 0.25, NAN) + like,
        "weighted": weighted,
        "weight": np.ones((runs, len(weighted))) if weight is None else np.array(weight, float),
        "relative": np.ones((runs, len(weighted))),
    }
    return Flow(**(standard | fields))


# --- how it arrives


def test_a_gradient_that_grows_toward_the_input():
    # 0.conv has 800 where 2.conv has 8: two layers, each ten times
    found = flow_reading.read(flow_of([[800, 5, 80, 5, 8, 5, 5, 5]]), "activation")
    assert (found.arrival, found.convolutions, found.reference, found.last) == ("reaches", 3, ("2.conv",), "2.conv")
    assert (found.ratio, found.a_layer) == pytest.approx((100, 10))


def test_runs_are_taken_together_by_their_geometric_mean():
    # 1/100 and 1/4 are 1/20 together, in one layer
    found = flow_reading.read(flow_of([[1, 1, 100, 1, 1, 1], [1, 1, 4, 1, 1, 1]]), "activation")
    assert (found.ratio, found.a_layer) == pytest.approx((0.05, 0.05))


def test_each_gradient_is_read_from_its_own_numbers():
    flow = flow_of([[1, 1, 1, 1, 1, 1]], weight=[[6, 2, 9]], relative=np.array([[1.0, 5.0, 9.0]]))
    ratios = [flow_reading.read(flow, gradient).ratio for gradient in ("activation", "weight", "relative")]
    assert ratios == pytest.approx([1, 3, 0.2])


def test_a_gradient_that_vanishes_on_the_way():
    found = flow_reading.read(flow_of([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 2, 0, 1, 1, 1, 1]]), "activation")
    # 1.conv has a gradient in one run
    assert (found.arrival, found.zero, found.convolutions) == ("vanishes", 1, 3)
    assert math.isnan(found.ratio)


def test_no_gradient_at_all():
    found = flow_reading.read(flow_of([[0, 0, 0, 0, 0, 0]]), "activation")
    assert (found.arrival, found.zero) == ("vanishes", 2)


@pytest.mark.parametrize("broken", [INF, NAN])
def test_a_gradient_that_overflows(broken):
    found = flow_reading.read(flow_of([[broken, 1, 1, 1, 1, 1], [1, 1, 1, broken, 1, 1]]), "activation")
    assert (found.arrival, found.broken, found.convolutions) == ("overflows", 1, 2)  # the ReLU's is not looked at


def test_a_last_convolution_without_gradient_is_not_divided_by():
    found = flow_reading.read(flow_of([[8, 1, 4, 1, 0, 1, 1, 1]]), "activation")
    assert (found.arrival, found.reference, found.last) == ("reaches", ("1.conv",), "2.conv")
    assert (found.ratio, found.a_layer) == pytest.approx((2, 2))


def test_a_run_without_any_gradient_leaves_the_others_to_be_read():
    found = flow_reading.read(flow_of([[0, 0, 0, 0, 0, 0], [16, 1, 2, 1, 1, 1]]), "activation")
    assert (found.arrival, found.ratio) == ("reaches", pytest.approx(8))


@pytest.mark.parametrize(
    ("shortcut", "reference"),
    [("A", ()), ("B", ("layer3.0.downsample.0",))],  # padding has no convolution, a projection is one
)
def test_last_norms_that_start_at_zero_leave_their_blocks_without_gradient(shortcut, reference):
    here = plan(PRESETS["resnet20_cifar"].adapt(zero_init=True, shortcut=shortcut))
    flow = gradients.flow(gradients.fresh(here, [0], "train"), [gradients.noise(here, 4, 0)])
    found = flow_reading.read(flow, "activation")
    assert flow.activation[0, flow.operations.index("layer3.2.conv2")] == 0
    assert (found.last, found.reference) == ("layer3.2.conv2", reference)
    assert (found.arrival == "alone") == (not reference)
    assert math.isfinite(found.ratio) == bool(reference)


def test_what_is_said_beside_the_trend():
    zeros = np.array([[0.5, 0, 0, 0, 0, 0], [0.9, 0, 0, 0, 0, 0]])
    deviation = np.array([[1, 0, 5, 0, 0, 0], [3, 0, 7, 0, 0, 0]], float)
    found = flow_reading.read(
        flow_of(np.ones((2, 6)), losses=np.array([2.0, 3.0]), zeros=zeros, deviation=deviation), "weight"
    )
    assert (found.loss, found.zeros, *found.deviation) == pytest.approx((2.5, 0.7, 2, 6))
    assert found.many_zeros
    assert found.chance == pytest.approx(math.log(10))
    assert not flow_reading.read(flow_of(np.ones((1, 6))), "weight").many_zeros


# --- lines


def test_points_of_a_line():
    flow = flow_of([[1, 2, 3, 4, 5, 6]])
    expected = {
        "weighted layers": (("0.conv", "1.conv", "fc"), [1, 3, 6]),
        "block ends": (("0.relu", "1.relu"), [2, 4]),
        "all": (("0.conv", "0.relu", "1.conv", "1.relu", "pool", "fc"), [1, 2, 3, 4, 5, 6]),
    }
    for points, (names, values) in expected.items():
        found = flow_reading.lines({"one": flow}, "activation", points)
        (line,) = found.lines
        assert (line.title, line.names, line.values.tolist()) == ("one", names, [values])
        assert line.x.tolist() == list(range(1, len(names) + 1))
        assert found.counted


def test_weights_have_lines_of_their_own_operations():
    (line,) = flow_reading.lines({"one": flow_of(np.ones((1, 6)), weight=[[7, 8, 9]])}, "weight", "all").lines
    assert (line.names, line.values.tolist()) == (("0.conv", "1.conv", "fc"), [[7, 8, 9]])


def test_dead_channels_are_those_of_relus():
    found = flow_reading.lines({"one": flow_of(np.ones((1, 6)))}, "dead", "weighted layers")
    assert found.lines[0].names == ("0.relu", "1.relu")
    assert found.points == "operations"


def test_networks_of_unequal_depth_share_an_axis_from_0_to_1():
    flows = {"short": flow_of(np.ones((1, 6))), "long": flow_of(np.ones((1, 10)))}
    found = flow_reading.lines(flows, "activation", "weighted layers")
    assert not found.counted
    assert [line.x.tolist() for line in found.lines] == [[0, 0.5, 1], [0, 0.25, 0.5, 0.75, 1]]
    assert flow_reading.lines({}, "activation", "all").lines == ()


# --- the table


def test_the_table_has_every_number():
    flow = flow_of([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, INF]], weight=[[1, 2, 3], [4, 5, 6]])
    table = flow_reading.table({"one": flow, "other": flow})
    assert len(table) == 2 * 2 * 6
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    row = again[(again.network == "other") & (again.run == 1) & (again.operation == "1.conv")].iloc[0]
    assert (row.kind, row.gradient_norm, row.weight_gradient_norm, row.loss) == ("conv", 9, 5, 2)
    assert np.isnan(row.dead_channels)
    relu = again[again.operation == "1.relu"]
    assert relu.weight_gradient_norm.isna().all()
    assert (relu.dead_channels == 0.25).all()


# --- shares


def split(shortcut, branch):
    return Split("add", "relu", "identity", shortcut + branch, shortcut, branch, abs(shortcut), abs(branch))


def test_the_shortcuts_share():
    # 3/4, 5/4 since the branch works against it, and 1/4
    assert flow_reading.shortcut_shares([split(3, 1), split(5, -1), split(1, 3)]) == pytest.approx((0.75, 0.75, 0.25))


def test_a_block_without_gradient_is_left_out_of_the_mean():
    found = flow_reading.shortcut_shares([split(0, 0), split(1, 1)])
    assert math.isnan(found.first)
    assert (found.mean, found.last) == (0.5, 0.5)
    assert math.isnan(flow_reading.shortcut_shares([split(0, 0)]).mean)


def test_without_blocks_there_is_nothing_to_share():
    with pytest.raises(ValueError, match="without residual blocks"):
        flow_reading.shortcut_shares([])


def test_columns_of_a_matrix_as_shares():
    values = np.array([[1.0, NAN, 0.0], [3.0, 2.0, NAN]])
    found = Matrix("stage", ("a", "b", "c"), ("d", "e"), values).shares
    np.testing.assert_array_equal(found.values, [[0.25, NAN, NAN], [0.75, 1.0, NAN]])


def test_the_mean_length_of_paths_is_weighted_by_what_they_carry():
    # of 2 blocks: one path of length 0, two of 1, one of 2; all gradients alike but for the longest, which has none
    found = Paths(2, (0, 1, 2), np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))
    assert found.carried == pytest.approx([1 / 3, 2 / 3, 0])
    assert found.mean_length == pytest.approx(2 / 3)


def test_lengths_between_those_sampled_are_on_a_straight_line_of_the_logarithm():
    # of 4 blocks, whose branches pass on a tenth each: 16 paths, 1, 4, 6, 4 and 1 of them of lengths 0 to 4, carry
    # (1 + 0.1)^4 together
    found = Paths(4, (0, 2, 4), np.array([[1.0], [0.01], [0.0001]]))
    assert found.frequency == pytest.approx(np.array([1, 4, 6, 4, 1]) / 16)
    assert found.carried == pytest.approx(np.array([1, 0.4, 0.06, 0.004, 0.0001]) / 1.1**4)
    silent = Paths(4, (0, 2, 4), np.array([[1.0], [0.0], [0.0]]))
    assert silent.carried == pytest.approx([1, 0, 0, 0, 0])
    assert Paths(4, (0, 2, 4), np.zeros((3, 1))).carried.tolist() == [0] * 5


def test_thousands_of_blocks_have_a_frequency():
    # 0.5^2000 is below the least number of float64
    assert Paths(2000, (0, 2000), np.ones((2, 1))).frequency.sum() == pytest.approx(1)
