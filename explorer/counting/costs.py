"""What does a network cost? Its numbers in sum, and tables of its operations, blocks and stages.

Read from the plan alone; nothing is built.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from explorer.counting.memory import BYTES, forward_bytes, training_bytes
from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import body
from explorer.wording import shape

Level = Literal["stage", "block", "operation"]


class Summary(NamedTuple):
    """The network in numbers. Bytes; the receptive field in pixels of the input."""

    params: int
    macs: int
    flops: int
    activation_bytes: int
    forward_bytes: int
    training_bytes: int
    receptive_field: int
    operations: int

    def since(self, before: "Summary") -> "Summary":
        """How much more each number is than before."""
        return Summary(*(now - then for now, then in zip(self, before, strict=True)))


def summary(plan: Plan, batch: int = 1) -> Summary:
    """Activations are one image's; the two peaks are for a batch, weights included."""
    return Summary(
        params=plan.params,
        macs=plan.macs,
        flops=2 * plan.macs,
        activation_bytes=activation_bytes(plan.ops),
        forward_bytes=forward_bytes(plan, batch),
        training_bytes=training_bytes(plan, batch),
        receptive_field=receptive_field(plan),
        operations=len(plan.ops) - 1,  # the input does nothing
    )


class Row(NamedTuple):
    """An operation, or the operations of a block or stage together. Shares are of the whole network, 0 to 1; the
    receptive field is None of what depends on all positions, and so on the whole picture.
    """

    name: str
    kind: str
    input: str
    output: str
    params: int
    params_share: float
    macs: int
    macs_share: float
    activation_bytes: int
    receptive_field: int | None
    stage: str
    block: str

    @property
    def params_percent(self) -> float:
        return 100 * self.params_share

    @property
    def macs_percent(self) -> float:
        return 100 * self.macs_share

    @property
    def texts(self) -> tuple[str, ...]:
        """What can be read of it, beside numbers."""
        return self.name, self.kind, self.input, self.output


def table(plan: Plan, level: Level = "operation") -> list[Row]:
    """The network from input to logits, one row for each operation, block or stage."""
    return [total(plan, ops, _name(ops[-1], level)) for ops in _groups(plan, level)]


def as_csv(plan: Plan) -> str:
    """The operations, one a row, under the names of `Row`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(table(plan))
    return text.getvalue()


def containing(rows: Iterable[Row], text: str) -> list[Row]:
    """The rows whose name, kind or shapes contain a text, in capitals or not."""
    return [row for row in rows if any(text.casefold() in part.casefold() for part in row.texts)]


def total(plan: Plan, ops: Sequence[Op], name: str) -> Row:
    """Operations of `plan` taken together, or a single one."""
    last = ops[-1]
    params, macs = sum([op.params for op in ops]), sum([op.macs for op in ops])
    return Row(
        name=name,
        kind=last.kind if len(ops) == 1 else _kinds(ops),
        input=_inputs(plan, ops[0]),
        output=shape(last.shape),
        params=params,
        params_share=params / plan.params,
        macs=macs,
        macs_share=macs / plan.macs,
        activation_bytes=activation_bytes(ops),
        receptive_field=_receptive_field(ops),
        stage=last.stage,
        block=last.block,
    )


def _groups(plan: Plan, level: Level) -> Iterable[list[Op]]:
    """Neighbouring operations of one stage or block; the input belongs to none."""
    groups: dict[tuple[str, ...], list[Op]] = {}
    for op in plan.ops[1:]:
        key = {"stage": (op.stage,), "block": (op.stage, op.block), "operation": (op.name,)}[level]
        groups.setdefault(key, []).append(op)
    return groups.values()


def _name(op: Op, level: Level) -> str:
    if level == "operation":
        return op.name
    return op.stage if level == "stage" or not op.block else f"{op.stage} / {op.block}"


def _kinds(ops: Sequence[Op]) -> str:
    """ "16 conv, 16 norm, 8 add": what is inside, the weighty first."""
    counts = Counter(op.kind for op in ops if KINDS[op.kind].mentioned)
    order = sorted(counts, key=lambda kind: KINDS[kind].mentioned)
    return ", ".join(f"{counts[kind]} {KINDS[kind].word}" for kind in order)


def _inputs(plan: Plan, op: Op) -> str:
    """The first two, since a concat may have fifty."""
    shown = " + ".join(shape(plan[name].shape) for name in op.inputs[:2])
    return shown if len(op.inputs) < 3 else f"{shown} + {len(op.inputs) - 2} more"


def activation_bytes(ops: Iterable[Op]) -> int:
    """Of every output for one image, as if none were freed."""
    return BYTES * sum(op.size for op in ops)


def receptive_field(plan: Plan) -> int:
    """How many pixels, along one side, a position of the last feature map before the classifier depends on."""
    return _receptive_field(body(plan)) or 0


def _receptive_field(ops: Iterable[Op]) -> int | None:
    """The largest; what pools the whole map, or weighs all of it, has none."""
    return max([op.receptive_field for op in ops if not KINDS[op.kind].whole], default=None)
