"""Norms: of the batch (Ioffe & Szegedy, 1502.03167) or of groups of channels (Wu & He, 1803.08494)."""

from typing import Literal, NamedTuple

from explorer.plan.kinds.kind import Counted, Kind, keeps_inputs, nothing, params, same_position
from explorer.plan.operations import Op, Plan
from explorer.plan.writer import Writer

Norms = Literal["batch", "group", "none"]

GROUPS = 32  # 1803.08494; fewer where 32 does not divide the channels


class Norm(NamedTuple):
    function: Norms
    groups: int
    zero: bool  # scale initialised to zero (Goyal et al., 1706.02677, section 5.1)


BATCH, BATCH_ZERO = Norm("batch", 0, False), Norm("batch", 0, True)


def norm(net: Writer, name: str, x: Op, zero: bool = False) -> Op:
    """Nothing, where the network has no norms."""
    if net.norms == "none":
        return x
    channels = x.shape[0]
    attributes = BATCH_ZERO if zero else BATCH
    if net.norms == "group":
        groups = GROUPS
        while channels % groups:
            groups -= 1
        attributes = Norm("group", groups, zero)
    return net.same(name, "norm", x, attributes, 2 * channels)


def of_single_values(plan: Plan) -> Op | None:
    """The first group norm with one value in each group, which is its own mean: what comes out is the offset, whatever
    went in (1803.08494, equation 1), and for a single image torch refuses to compute it.
    """
    norms = (op for op in plan.ops if op.kind == "norm" and not of_the_batch(op))
    return next((op for op in norms if op.size == op.attributes.groups), None)


def tensors(op: Op, x: Op) -> dict[str, tuple[int, ...]]:
    """Scale and offset; of a batch norm also its statistics, and of how many batches they are."""
    each = (op.shape[0],)
    statistics = {"running_mean": each, "running_var": each, "num_batches_tracked": ()} if of_the_batch(op) else {}
    return {"weight": each, "bias": each} | statistics


def of_the_batch(op: Op) -> bool:
    return bool(op.attributes.function == "batch")


def settings(op: Op) -> str:
    a: Norm = op.attributes
    over = "of the batch" if of_the_batch(op) else f"of {a.groups} groups"
    return f"{over}, its scale begins at 0" if a.zero else over


def by_fvcore(op: Op, x: Op) -> int:
    """2 for each number of a batch norm (in eval mode), 5 of a group norm."""
    return x.size * (2 if of_the_batch(op) else 5)


def by_thop(op: Op, x: Op) -> int:
    """4 for each number of a batch norm, where 2 are meant; none of a group norm."""
    return 4 * x.size if of_the_batch(op) else 0


def by_ptflops(op: Op, x: Op) -> int:
    return 2 * x.size


def example(net: Writer) -> Op:
    net.norms = "batch"
    x = norm(net, "batch", net.input)
    x = norm(net, "batch_zero", x, zero=True)
    net.norms = "group"
    return norm(net, "group", x)


KINDS = (
    Kind(
        name="norm",
        word="norm",
        colour="#b8b8b8",
        settings=settings,
        weighted=False,
        counted=Counted(nothing, params, by_fvcore, by_thop, by_ptflops),
        keeps=keeps_inputs,
        window=same_position,
        tensors=tensors,
        example=example,
        mentioned=3,
        rescales=True,
        batch_statistics=of_the_batch,
    ),
)
