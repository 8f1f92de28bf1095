"""The modules of a plan, by the dots in its operations' names, and how they call each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from explorer.plan import Conv, Drop, Linear, Norm, Op, Pad, Plan
from explorer.running.source.text import DIGITS, Read


class Unit:
    """A module that holds others: a prefix of the plan's names, "" for the network."""

    kind = "call"

    def __init__(self, path: str) -> None:
        self.name = path
        self.members: dict[str, Op | Unit] = {}  # its modules by their names in it
        self.steps: list[Op | Unit] = []  # what its forward does
        self.inputs: list[str] = []  # tensors
        self.outputs: list[str] = []
        self.foreign: list[str] = []  # modules outside that it reads: shared kernels
        self.loop: Loop | None = None
        self.returned = 1  # tensors that its class returns, perhaps more than are read of this instance

    def holds(self, path: str) -> bool:
        return not self.name or path.startswith(f"{self.name}.")

    def local(self, path: str) -> str:
        return path.removeprefix(f"{self.name}.") if self.name else path


class Loop(NamedTuple):
    """How the members of a module, if they are one numbered series, read each other."""

    kind: str
    inputs: Read
    state: tuple[str | None, ...]  # the tensors that the loop leaves
    after: list[Op | Unit]  # further steps; without any, the module returns a list
    result: tuple[str | None, ...] = ()  # this one


def prefixes(path: str) -> Iterator[str]:
    """The modules around a name, the innermost first."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def outputs(step: Op | Unit) -> list[str]:
    return step.outputs if isinstance(step, Unit) else [step.name]


def list_of(step: Op | Unit) -> tuple[str | None, ...]:
    """The tensors in the list that a module returns, if it returns a list."""
    return step.loop.result if isinstance(step, Unit) and step.loop else ()


def units_of(plan: Plan) -> dict[str, Unit]:
    """All modules that hold others. Those whose operations follow each other without a gap can be called; the
    operations of the rest are steps of the next such module around them."""
    spans: dict[str, list[int]] = defaultdict(list)
    for index, op in enumerate(plan.ops):
        for path in prefixes(op.name):
            spans[path].append(index)
    called = {path for path, span in spans.items() if span[-1] - span[0] + 1 == len(span)}
    units = {path: Unit(path) for op in plan.ops for name in (op.name, shared_kernel(op)) for path in prefixes(name)}
    makers: dict[str, list[Unit]] = {plan.ops[0].name: []}  # of each tensor: the modules around its operation

    def enter(path: str, member: Op | Unit | None) -> None:
        for outer in prefixes(path):
            if member:
                units[outer].members.setdefault(units[outer].local(path), member)
            path, member = outer, units[outer]

    def note(name: str, lists: Iterable[list[str]]) -> None:
        for names in lists:
            if name not in names:
                names.append(name)

    for index, op in enumerate(plan.ops[1:], start=1):
        around = [units[path] for path in prefixes(op.name) if path in called]
        begins = spans[around[0].name][0] == index < spans[around[0].name][-1]
        if op.kind == "concat" and begins and not any(map(around[0].holds, op.inputs)):
            around = around[1:]  # a module that begins by joining what others made is given the joined tensor
        makers[op.name] = around
        step: Op | Unit = op
        for unit in around:
            if not unit.steps or unit.steps[-1] is not step:
                unit.steps.append(step)
            step = unit
        for name in op.inputs:
            note(name, (unit.inputs for unit in around if unit not in makers[name]))
            note(name, (unit.outputs for unit in makers[name] if unit not in around))
        kernel = shared_kernel(op)
        own = isinstance(op.attributes, Conv | Norm | Linear | Pad | Drop) and not kernel
        enter(op.name, op if own else None)
        if kernel:
            enter(kernel, op)
            local = next(unit for unit in around if unit.holds(kernel)).local(kernel)
            node = kernel.removesuffix(local) + local.partition(".")[0]
            note(node, (unit.foreign for unit in around if not unit.holds(kernel)))
    note(plan.ops[-1].name, (unit.outputs for unit in makers[plan.ops[-1].name]))
    order = {op.name: index for index, op in enumerate(plan.ops)}
    for unit in units.values():
        unit.outputs.sort(key=order.__getitem__)
    return units


def numbered(names: Sequence[str]) -> tuple[str, str]:
    """("layer", "layer{i + 1}") for layer1, layer2, ...; ("", "") for names that are no such series."""
    stem = names[0].rstrip(DIGITS) if names else ""
    start = names[0][len(stem) :] if names else ""
    if not start or any(name != f"{stem}{int(start) + i}" for i, name in enumerate(names)):
        return "", ""
    return stem, f"{stem}{{i + {start}}}" if int(start) else f"{stem}{{i}}"


def loop_of(unit: Unit) -> Loop | None:
    """The unit's forward as a loop over its members, if it is one."""
    elements = [step for step in unit.steps if isinstance(step, Unit)]
    simple = all(len(step.inputs) == len(step.outputs) == step.returned == 1 and not list_of(step) for step in elements)
    if not simple or len(unit.members) != len(elements) or not numbered(list(unit.members))[1]:
        return None
    joins = {step.name: tuple(step.inputs) for step in unit.steps if step.kind == "concat"}
    seen = [joins.get(step.inputs[0], tuple(step.inputs)) for step in elements]
    joined = {step.inputs[0] for step in elements}
    after = [step for step in unit.steps if step not in elements and step.name not in joined]
    kernels = [path for step in elements for path in step.foreign]
    beside = numbered(kernels)[0].rpartition(".")[0] == unit.name.rpartition(".")[0]
    handed = not kernels or (beside and numbered(kernels)[1] and len(kernels) == len(elements))
    if (
        not handed
        or any(map(shared_kernel, after))
        or (after and unit.steps.index(after[0]) < unit.steps.index(elements[-1]))
    ):
        return None
    outs: list[str | None] = [step.outputs[0] for step in elements]
    x, newest, others = seen[0][0], [None, *seen[0]], []
    for i, out in enumerate(outs):
        others.append((*newest[:i], *newest[i + 1 :]))
        newest[i : i + 1] = [out]
    chained, grown = [(name,) for name in (x, *outs[:-1])], [(x, *outs[:i]) for i in range(len(outs))]
    for loop, reads in (
        (Loop("chain", Read((x,)), tuple(outs[-1:]), after), chained),
        (Loop("growing", Read((x,)), (x, *outs), after, () if after else tuple(outs)), grown),
        (Loop("replacing", Read((None, *seen[0]), True), tuple(newest), after, () if after else tuple(newest)), others),
    ):
        gone = {*loop.inputs.values} - {*loop.state}  # what was replaced
        closed = {*unit.inputs} <= {*loop.inputs.values} and not gone & {name for step in after for name in step.inputs}
        returns = not {*unit.outputs} & {*loop.state} if after else {*unit.outputs} <= {*(loop.result or loop.state)}
        if seen == reads and closed and returns and not (after and loop.kind == "chain"):
            return loop
    return None


def shared_kernel(op: Op | Unit) -> str:
    """The name of the kernel that an operation reads a slice of; "" for most."""
    return op.attributes.shared if isinstance(op, Op) and isinstance(op.attributes, Conv) else ""
