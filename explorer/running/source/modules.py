"""The modules of a plan, by the dots in its operations' names: what each holds, does, takes and gives."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.wiring import owner
from explorer.running.kinds import RUNNING


@dataclass(eq=False)
class Module:
    """A module that holds others: a prefix of the plan's names, "" for the network."""

    name: str  # its path
    members: dict[str, "Step"] = field(default_factory=dict)  # the modules that it makes, by their names in it
    steps: list["Step"] = field(default_factory=list)  # what its forward does; none where it is never called
    inputs: list[str] = field(default_factory=list)  # tensors made outside that its steps read
    outputs: list[str] = field(default_factory=list)  # tensors that its steps make for outside
    borrowed: list[str] = field(default_factory=list)  # modules outside whose shared kernels its steps read

    def holds(self, path: str) -> bool:
        return not self.name or path.startswith(f"{self.name}.")

    def local(self, path: str) -> str:
        return path.removeprefix(f"{self.name}.") if self.name else path


Step = Op | Module


def made_by(step: Step) -> list[str]:
    """The tensors that it makes for other steps."""
    return step.outputs if isinstance(step, Module) else [step.name]


def modules_of(plan: Plan) -> dict[str, Module]:
    """All modules that hold others, by path."""
    names = [name for op in plan.ops for name in (op.name, shared_kernel(op))]
    modules = {path: Module(path) for name in names for path in prefixes(name)}
    around = _modules_around(plan, modules)
    _add_members(plan, modules)
    _add_steps(plan, around)
    _add_tensors(plan, around)
    _add_borrowed(plan, around)
    return modules


def prefixes(name: str) -> Iterator[str]:
    """The paths of the modules around a name, the innermost first: "a.b", "a", "" for a.b.c."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _modules_around(plan: Plan, modules: dict[str, Module]) -> dict[str, list[Module]]:
    """The modules in whose forward each operation runs, the innermost first.

    A module can be called if its operations follow each other without a gap; the operations of the others are steps
    of the next module around them that can.
    """
    places: dict[str, list[int]] = {}
    for index, op in enumerate(plan.ops):
        for path in prefixes(op.name):
            places.setdefault(path, []).append(index)
    around: dict[str, list[Module]] = {plan.ops[0].name: []}
    for index, op in enumerate(plan.ops[1:], start=1):
        paths = [path for path in prefixes(op.name) if places[path][-1] - places[path][0] + 1 == len(places[path])]
        inner = modules[paths[0]]
        begins = places[paths[0]][0] == index < places[paths[0]][-1]
        if is_concat(op) and begins and not any(map(inner.holds, op.inputs)):
            paths = paths[1:]  # a module that begins by joining what others made is given the joined tensor
        around[op.name] = [modules[path] for path in paths]
    return around


def _add_members(plan: Plan, modules: dict[str, Module]) -> None:
    def add(path: str, member: Step | None) -> None:
        """Each module on the way from the network to `path` holds the next one; the last holds `member`."""
        for outer in prefixes(path):
            if member:
                modules[outer].members.setdefault(modules[outer].local(path), member)
            path, member = outer, modules[outer]

    for op in plan.ops[1:]:
        add(op.name, op if has_module(op) else None)
        add(shared_kernel(op), op)


def _add_steps(plan: Plan, around: dict[str, list[Module]]) -> None:
    """The innermost module around an operation runs it, the next one calls that module, and so on."""
    for op in plan.ops[1:]:
        step: Step = op
        for module in around[op.name]:
            if not module.steps or module.steps[-1] is not step:
                module.steps.append(step)
            step = module


def _add_tensors(plan: Plan, around: dict[str, list[Module]]) -> None:
    """A tensor is an output of the modules around its maker, and an input of those around a reader, but not of modules
    around both.
    """
    readers: dict[str, list[list[Module]]] = {op.name: [] for op in plan.ops}
    readers[plan.ops[-1].name].append([])  # whoever called the network
    for op in plan.ops[1:]:
        for name in op.inputs:
            readers[name].append(around[op.name])
            for module in around[op.name]:
                if module not in around[name] and name not in module.inputs:
                    module.inputs.append(name)
    for name, reading in readers.items():
        for module in around[name]:
            if any(module not in outside for outside in reading):
                module.outputs.append(name)


def _add_borrowed(plan: Plan, around: dict[str, list[Module]]) -> None:
    """Modules that read a kernel but do not hold it are handed the module that does."""
    for op in plan.ops[1:]:
        kernel = shared_kernel(op)
        outside = [module for module in around[op.name] if not module.holds(kernel)]
        if not kernel or not outside:
            continue
        holder = next(module for module in around[op.name] if module.holds(kernel))
        local = holder.local(kernel)
        lent = kernel.removesuffix(local) + local.partition(".")[0]  # the holder's member that is, or has, the kernel
        for module in outside:
            if lent not in module.borrowed:
                module.borrowed.append(lent)


# what the kinds of operations say


def has_module(op: Op) -> bool:
    """Whether an operation has a module by its own name."""
    return RUNNING[op.kind].constructed and not shared_kernel(op)


def is_plain_call(op: Op) -> bool:
    """Whether its call is that of its module with its input, and no more: nn.Sequential can do it."""
    return RUNNING[op.kind].sequential and not shared_kernel(op)


def shared_kernel(op: Op) -> str:
    """The name of the kernel that an operation reads a slice of; "" for most."""
    return owner(op) if owner(op) != op.name else ""


def starts_at_zero(op: Op) -> bool:
    """Whether its weight is set to zero after its module is made."""
    return RUNNING[op.kind].starts_at_zero(op)


def is_concat(op: Op) -> bool:
    return KINDS[op.kind].join == "concat"


def read_as_vector(op: Op, plan: Plan) -> bool:
    """Whether all that comes of it, up to the next linear layer or the logits, takes vectors (N, C) as they are."""
    readers = [plan[name] for name in plan.readers[op.name]]
    return all(
        RUNNING[reader.kind].makes_vectors or (RUNNING[reader.kind].takes_vectors and read_as_vector(reader, plan))
        for reader in readers
    )
