"""The loss's shape against hand arithmetic, axioms and the plain way to compute it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from possible import EXAMPLES, on_tiny_images
from torch import nn
from torch.nn import functional as F

from explorer.analyses import landscape, landscape_path
from explorer.analyses import landscape_reading as reading
from explorer.analyses.landscape import Grid, LandscapeError, Plane, random_plane, square, surface
from explorer.families import plan
from explorer.learning.training import evaluate
from explorer.plan import Recorder
from explorer.running.network import build, plan_of


def lively(the_plan, seed=0):
    """A network whose norms and biases are no ones and zeros, as a trained one's are not."""
    network = build(the_plan, seed)
    draw = torch.Generator().manual_seed(seed + 1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, least in ((module.weight, 0.5), (module.running_var, 0.5), (module.running_mean, -0.2)):
                values.data = least + torch.rand(values.shape, generator=draw)
    for weight in network.parameters():
        if weight.ndim == 1:
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
    return network


def pictures(the_plan, count=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(count, *the_plan.ops[0].shape, generator=draw)
    return images, torch.randint(the_plan.ops[-1].shape[0], (count,), generator=draw)


def affine(inputs=3, classes=2):
    """A network that is one linear layer on an image of one pixel."""
    net = Recorder(inputs, 1, norm="none")
    with net.stage("head"):
        net.linear("fc", net.input, classes)
    return net.finish()


def small():
    """A convolution with a norm, one that is read twice, and one read before its norm."""
    net = Recorder(2, 6)
    with net.stage("body"):
        x = net.activation("relu0", net.norm("norm0", net.conv("conv0", net.input, 4, kernel=3)))
        y = net.conv("conv1", x, 4, kernel=3)
        x = net.activation("relu2", net.add("add", net.norm("norm1", y), y))
        x = net.activation("relu3", net.norm("norm3", x))
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool", x), 3)
    return net.finish()


def plainly(network, images, labels, plane, grid):
    """As the definition says it: other weights in the same network, one point after another."""
    own = build(plan_of(network))
    state = network.state_dict()
    loss = np.empty((len(grid.ys), len(grid.xs)))
    for i, y in enumerate(grid.ys):
        for j, x in enumerate(grid.xs):
            moved = dict(state)
            for name in plane.first:
                moved[name] = state[name] + float(x) * plane.first[name] + float(y) * plane.second[name]
            own.load_state_dict(moved)
            with torch.inference_mode():
                loss[i, j] = float(F.cross_entropy(own(images).double(), labels))
    return loss


def test_a_linear_networks_surface_is_the_cross_entropy_by_hand():
    the_plan = affine()
    network, (images, labels) = lively(the_plan), pictures(the_plan)
    plane, grid = random_plane(network, 3), square(5, 2.0)
    found = surface(network, images, labels, plane, grid)
    w, b = (network.get_parameter(f"fc.{name}").detach().double().numpy() for name in ("weight", "bias"))
    d1, d2 = (direction["fc.weight"].double().numpy() for direction in plane)
    pixels, rows = images.flatten(1).double().numpy(), np.arange(len(labels))
    for i, y in enumerate(grid.ys):
        for j, x in enumerate(grid.xs):
            logits = pixels @ (w + x * d1 + y * d2).T + b
            wanted = np.log(np.exp(logits).sum(1)) - logits[rows, labels.numpy()]
            assert found.loss[i, j] == pytest.approx(wanted.mean(), rel=1e-5)
            assert found.accuracy[i, j] == pytest.approx((logits.argmax(1) == labels.numpy()).mean())
    assert found.complete


def test_each_filter_moves_by_its_own_norm():
    network = lively(small())
    plane = random_plane(network, 1)
    weights = landscape.moving(network)
    assert set(weights) == {"conv0.weight", "conv1.weight", "fc.weight"} == set(plane.first)
    for direction in plane:
        for name, weight in weights.items():
            norms = direction[name].flatten(1).norm(dim=1).numpy()
            assert norms == pytest.approx(weight.flatten(1).norm(dim=1).numpy(), rel=1e-5)
    again, other = random_plane(network, 1), random_plane(network, 2)
    assert torch.equal(again.first["conv0.weight"], plane.first["conv0.weight"])
    assert not torch.equal(other.first["conv0.weight"], plane.first["conv0.weight"])
    assert not torch.equal(plane.first["conv0.weight"], plane.second["conv0.weight"])


def test_a_filter_of_zeros_stays():
    network = lively(small())
    network.get_parameter("conv0.weight").data[1] = 0
    plane = random_plane(network)
    assert plane.first["conv0.weight"][1].abs().max() == 0
    assert plane.first["conv0.weight"].isfinite().all()


def test_the_scale_that_a_norm_takes_out_changes_nothing():
    """Ten times a filter before a batch norm, whose statistics grow with it, is the same network: so it must look."""
    network, (images, labels) = lively(small()), pictures(small())
    grid = square(5)
    before = surface(network, images, labels, random_plane(network), grid)
    norm = network.get_submodule("norm0")
    with torch.no_grad():
        network.get_parameter("conv0.weight")[:2] *= 10
        norm.running_mean[:2] *= 10
        norm.running_var[:2] *= 100
    scaled = surface(network, images, labels, random_plane(network), grid)
    assert scaled.loss == pytest.approx(before.loss, rel=1e-4)
    # directions that know nothing of the filters would show another surface
    assert surface(network, images, labels, unscaled(network), grid).loss != pytest.approx(before.loss, rel=1e-2)


def unscaled(network):
    draw = torch.Generator().manual_seed(0)
    weights = landscape.moving(network)
    return Plane(
        *({name: torch.randn(weight.shape, generator=draw) for name, weight in weights.items()} for _ in range(2))
    )


@pytest.mark.parametrize("config", EXAMPLES)
def test_the_fast_form_is_the_plain_one(config):
    the_plan = plan(on_tiny_images(config))
    network, (images, labels) = lively(the_plan), pictures(the_plan, 3)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    plane, grid = random_plane(network, 5), Grid(np.array([-0.5, 0.0, 0.5]), np.array([-0.3, 0.0, 0.3]))
    found = surface(network, images, labels, plane, grid)
    assert found.loss == pytest.approx(plainly(network, images, labels, plane, grid), rel=1e-4)
    assert found.loss[1, 1] == pytest.approx(found.base_loss)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not network.training


def test_norms_that_cannot_be_folded_are_left():
    network, (images, labels) = lively(small()), pictures(small())
    plane, grid = random_plane(network), square(5)
    assert surface(network, images, labels, plane, grid).loss == pytest.approx(
        plainly(network, images, labels, plane, grid), rel=1e-4
    )


def test_the_centre_is_the_networks_own_loss():
    network, (images, labels) = lively(small()), pictures(small(), 300)
    found = surface(network, images, labels, random_plane(network), square(5))

    class Split:
        def __init__(self):
            self.labels = labels

        def __len__(self):
            return len(labels)

        def batch(self, chosen):
            return images[chosen]

    wanted = evaluate(network, Split(), "cpu")
    assert found.base_loss == pytest.approx(wanted.loss, rel=1e-5)
    assert found.loss[2, 2] == pytest.approx(wanted.loss, rel=1e-5)
    assert found.accuracy[2, 2] == pytest.approx(wanted.accuracy)


def test_levels_hold_each_point_once_and_corners_and_middle_first():
    for side in (13, 25, 7):
        levels = square(side).levels
        points = [point for level in levels for point in level]
        assert sorted(points) == [(i, j) for i in range(side) for j in range(side)]
        assert {(0, 0), (side - 1, side - 1), (0, side - 1), (side // 2, side // 2)} <= set(levels[0])
    assert [len(level) for level in square(25).levels] == [49, 120, 456]  # 7², 13², 25²
    assert [len(level) for level in square(33).levels] == [25, 56, 208, 800]  # 5², 9², 17², 33²


def test_levels_join_to_the_whole():
    network, (images, labels) = lively(small()), pictures(small())
    plane, grid = random_plane(network), square(9)
    whole = surface(network, images, labels, plane, grid)
    parts = [surface(network, images, labels, plane, grid, [i]) for i in range(len(grid.levels))]
    assert [int((~np.isnan(part.loss)).sum()) for part in parts] == [len(level) for level in grid.levels]
    assert not parts[0].complete
    assert np.array_equal(landscape.joined(parts).loss, whole.loss)


def test_progress_counts_and_can_stop():
    network, (images, labels) = lively(affine()), pictures(affine())
    heard = []
    surface(
        network, images, labels, random_plane(network), square(5), progress=lambda done, of: heard.append((done, of))
    )
    assert heard == [(i, 25) for i in range(26)]

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surface(network, images, labels, random_plane(network), square(5), progress=stop)


def test_a_loss_beyond_numbers_is_infinite_and_is_cut():
    network, (images, labels) = lively(affine()), pictures(affine())
    plane = random_plane(network)
    huge = Plane({"fc.weight": plane.first["fc.weight"] * 1e38}, plane.second)
    found = surface(network, images, labels, huge, square(5, 10.0))
    assert np.isinf(found.loss[2, 0])
    assert np.isfinite(found.loss[2, 2])
    assert reading.logarithm(np.array([np.inf, 0.0, 100.0])).tolist() == [reading.MOST, reading.LEAST, 2.0]
    assert np.isnan(reading.logarithm(np.array([np.nan]))).all()


@pytest.mark.parametrize(("side", "reach"), [(4, 1), (24, 1), (103, 1), (25, 0), (25, 11), (25, math.nan)])
def test_what_cannot_be_is_refused(side, reach):
    with pytest.raises(LandscapeError, match="choose"):
        square(side, reach)


def test_another_networks_plane_and_no_images_are_refused():
    network, (images, labels) = lively(affine()), pictures(affine())
    with pytest.raises(LandscapeError, match="another network"):
        surface(network, images, labels, random_plane(lively(small())), square(5))
    with pytest.raises(LandscapeError, match="another network"):
        surface(network, images, labels, random_plane(lively(affine(4))), square(5))
    with pytest.raises(LandscapeError, match="Without images"):
        surface(network, images[:0], labels[:0], random_plane(network), square(5))


# -- roughness ---------------------------------------------------------------------------------------------------------

LINE = np.linspace(-1, 1, 9)
X, Y = np.meshgrid(LINE, LINE)


@pytest.mark.parametrize(
    ("loss", "eigenvalues", "share"),
    [
        (3 * X**2 + Y**2, (2, 6), 0.0),
        (X**2 - Y**2 / 4, (-0.5, 2), 0.25),
        (X * Y, (-1, 1), 1.0),
        (-(X**2) - 2 * Y**2, (-4, -2), 1.0),
        (5 + X - 2 * Y, (0, 0), 0.0),
    ],
)
def test_curvatures_of_quadratics(loss, eigenvalues, share):
    """Second differences of a quadratic are its second derivatives."""
    found = reading.curvatures(LINE, LINE, loss)
    assert found.shape == (7, 7, 2)
    assert found.reshape(-1, 2) == pytest.approx(np.tile(np.array(eigenvalues, float), (49, 1)), abs=1e-9)
    assert reading.downwards(np.array(eigenvalues, float)) == pytest.approx(share)


def test_roughness_of_a_bowl_and_of_a_saddle():
    bowl = reading.roughness(LINE, LINE, 10 * (X**2 + Y**2) + 0.001, 10)
    assert bowl.negative == 0
    assert bowl.nonconvexity == 0
    assert bowl.ring == pytest.approx(1, abs=0.08)  # 10 at distance 1; half a step is 1/8
    inside = (math.hypot(x, y) < 0.4797 for x in LINE for y in LINE)  # the root of ln(10) / 10
    assert bowl.below_chance == pytest.approx(np.mean(list(inside)))
    saddle = reading.roughness(LINE, LINE, 5 + X**2 - Y**2 / 4, 10)
    assert saddle.negative == 1
    assert saddle.nonconvexity == pytest.approx(0.25)


def test_points_that_are_missing_or_infinite_do_not_count():
    loss = X**2 + Y**2 + 1
    loss[4, 4] = np.inf
    found = reading.curvatures(LINE, LINE, loss)
    assert int(np.isnan(found[..., 0]).sum()) == 9  # its neighbours and itself
    assert np.isnan(reading.roughness(LINE, LINE, np.full((9, 9), np.nan), 10)).all()


# -- the optimizer's path ----------------------------------------------------------------------------------------------


def state_of(*values):
    return {"w": torch.tensor(values, dtype=torch.float64).reshape(2, 2), "bias": torch.randn(3)}


def test_coordinates_in_a_plane_whose_directions_are_askew():
    final = state_of(1, 2, 3, 4)
    plane = Plane({"w": state_of(1, 0, 0, 0)["w"]}, {"w": state_of(1, 1, 0, 0)["w"]})
    # final + 2 first - 3 second, and a point that is off the plane by 5
    found = landscape_path.project([state_of(0, -1, 3, 4), state_of(1, 2, 8, 4)], final, plane)
    assert found.coordinates == pytest.approx(np.array([[2.0, -3.0], [0.0, 0.0]]))
    assert found.explained == pytest.approx((1 + 9) / (1 + 9 + 25))


def test_principal_directions_explain_a_path_in_a_plane_wholly():
    draw = np.random.default_rng(0)
    final, one, other = (draw.normal(size=4) for _ in range(3))
    path = [state_of(*(final + a * one + b * other)) for a, b in ((3, 1), (2, 2), (1.5, 0.5), (0.5, 0.1))]
    found = landscape_path.principal_directions(path, state_of(*final), ["w"])
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares[0] >= found.shares[1]
    projected = landscape_path.project(path, state_of(*final), found.plane)
    assert projected.explained == pytest.approx(1)
    for direction in found.plane:
        assert float(direction["w"].norm()) == pytest.approx(1)
    assert float((found.plane.first["w"] * found.plane.second["w"]).sum()) == pytest.approx(0, abs=1e-9)


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    draw = np.random.default_rng(1)
    final, points = draw.normal(size=4), draw.normal(size=(6, 4))
    found = landscape_path.principal_directions([state_of(*p) for p in points], state_of(*final), ["w"])
    _, sizes, axes = np.linalg.svd(points - points.mean(0))
    assert found.shares == pytest.approx((sizes**2 / (sizes**2).sum())[:2])
    for direction, axis in zip(found.plane, axes, strict=False):
        assert abs(direction["w"].numpy().ravel() @ axis) == pytest.approx(1)


def test_paths_without_a_plane_are_refused():
    final = state_of(0, 0, 0, 0)
    with pytest.raises(LandscapeError, match="straight line"):
        landscape_path.principal_directions([state_of(i, 2 * i, 0, 0) for i in (3, 2, 1)], final, ["w"])
    with pytest.raises(LandscapeError, match="two points"):
        landscape_path.principal_directions([state_of(1, 0, 0, 0)], final, ["w"])
    same = SimpleNamespace(w=state_of(1, 0, 0, 0)["w"])
    with pytest.raises(LandscapeError, match="one and the same"):
        landscape_path.project([state_of(1, 0, 0, 0)], final, Plane({"w": same.w}, {"w": same.w}))


def test_a_grid_around_a_path_holds_it_and_the_trained_network():
    path = np.array([[4.0, -1.0], [2.0, 0.5]])
    grid = landscape_path.around(path, 13)
    assert grid.xs[6] == pytest.approx(0)
    assert grid.ys[6] == pytest.approx(0)
    assert grid.xs[-1] == pytest.approx(5)
    assert grid.ys[-1] >= 1.25
