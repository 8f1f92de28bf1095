"""What a position sees: by hand, and the pixels that its gradient reaches in a network in which nothing cancels."""

import pytest
import torch
from examples import example

from explorer.errors import ExplorerError
from explorer.families import FAMILIES, PRESETS, plan
from explorer.plan import Plan, Recorder
from explorer.plan.kinds import KINDS
from explorer.plan.receptive_field import Field, field_at
from explorer.running.network import build, run


def test_by_hand():
    net = Recorder(3, 32)
    x = net.conv("first", net.input, 4, kernel=7, stride=2)
    x = net.max_pool("pool", x, 3, 2, 1)
    x = net.conv("second", x, 4, kernel=3, stride=2)
    net.linear("fc", net.global_pool("mean", x), 5)
    here = net.finish()
    # 7 pixels from 2·5 - 3; columns begin 3 to the left of the image
    assert field_at(here, "first", 5, 0) == (7, -3, 14, 4)
    # rows 3..5 of `first`: from 2·3 - 3 to 2·5 + 3
    assert field_at(here, "pool", 2, 1) == (3, -1, 14, 10)
    # rows 1..3 of the pool, those are 1..7 of `first`, from 2·1 - 3 to 2·7 + 3
    assert field_at(here, "second", 1, 1) == (-1, -1, 18, 18)
    # rows 0..3 of `second` are -1..7 of the pool, -3..15 of `first`
    assert field_at(here, "fc", 0, 0) == field_at(here, "mean", 0, 0) == (-9, -9, 34, 34)
    assert field_at(here, "input", 3, 4) == (3, 4, 4, 5)
    assert field_at(here, "pool", 2, 1).within(9) == (3, 0, 9, 9)


def test_a_branch_that_sees_less_is_within_the_other():
    net = Recorder(3, 32)
    a = net.conv("a", net.input, 3, kernel=5)
    net.concat("both", [net.add("sum", a, net.input), net.input])
    assert field_at(net.finish(), "both", 10, 20) == (8, 18, 13, 23)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "cliquenet_s0"])
def test_in_the_middle_it_has_the_size_that_the_plan_says(name):
    here = plan(PRESETS[name])
    for op in here.ops[1:]:
        _, h, w = op.shape
        top, left, bottom, right = field_at(here, op.name, h // 2, w // 2)
        assert bottom - top == right - left == op.receptive_field, op.name


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (16, 0), (0, 16)])
def test_a_position_outside_the_map_is_refused(row, column):
    net = Recorder(3, 32)
    net.conv("half", net.input, 4, kernel=3, stride=2)
    with pytest.raises(ExplorerError, match=r"16×16, counted from 0 to 15"):
        field_at(net.finish(), "half", row, column)


# -- against gradients ------------------------------------------------------------------------------------------------


def positive(plan: Plan) -> torch.fx.GraphModule:
    """All weights positive, so that nothing cancels; means for maxima, of which each number has a share."""
    network = build(plan)
    for name, module in list(network.named_modules()):
        if isinstance(module, torch.nn.MaxPool2d):
            mean = torch.nn.AvgPool2d(module.kernel_size, module.stride, module.padding)
            network.get_submodule(name.rpartition(".")[0]).add_module(name.rpartition(".")[2], mean)
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_().add_(0.01)
    return network.double()


def reached(plan: Plan, network: torch.fx.GraphModule, name: str, row: int, column: int) -> Field:
    """The rectangle round the pixels that a number depends on; empty, at the very place, for a constant."""
    images = torch.rand(1, *plan.ops[0].shape, dtype=torch.float64, requires_grad=True)
    _, kept = run(network, images, [name])
    if not kept[name].requires_grad:
        return Field(row, column, row, column)
    (gradient,) = torch.autograd.grad(kept[name][0, :, row, column].sum(), images)
    rows, columns = gradient[0].abs().sum(0).nonzero().T
    return Field(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)


def places(side: int) -> list[int]:
    return sorted({0, side // 3, side - 1})


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_no_pixel_outside_is_reached(kind):
    here = example(kind, size=24)
    network = positive(here)
    for op in here.ops[1:]:
        if getattr(op.attributes, "function", "") == "group":
            continue  # statistics of the whole map are left out
        for row, column in zip(places(op.shape[1]), reversed(places(op.shape[2])), strict=True):
            seen, field = reached(here, network, op.name, row, column), field_at(here, op.name, row, column).within(24)
            assert min(seen.top - field.top, seen.left - field.left) >= 0, (op.name, row, column, seen, field)
            assert max(seen.bottom - field.bottom, seen.right - field.right) <= 0, (op.name, row, column, seen, field)


@pytest.mark.parametrize("family", FAMILIES)
def test_of_every_family_its_border_is_reached(family):
    config = FAMILIES[family].examples[0]
    here = plan(config)
    network = positive(here)
    for op in here.ops[1::3]:
        for row, column in zip(places(op.shape[1]), reversed(places(op.shape[2])), strict=True):
            field = field_at(here, op.name, row, column).within(config.input_size)
            assert reached(here, network, op.name, row, column) == field, (op.name, row, column)
