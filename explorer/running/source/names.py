"""Names for the classes: Block, DenseLayer, FirstBlock, LayerKernels."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from explorer.plan import Op, Plan
from explorer.running.source.arguments import numbers_of
from explorer.running.source.modules import Module, shared_kernel
from explorer.running.text import DIGITS, named_well


def class_names(
    classes: Sequence[Sequence[Module]], modules: Mapping[str, Module], plan: Plan, taken: Collection[str]
) -> list[str]:
    """The name of each class, given as its modules; the last is the network.

    The class with most modules has the plain name, Block; another is FirstBlock, LastBlock, Layer1FirstBlock or Block2.
    """
    names = {len(classes) - 1: "Network"}
    for i, members in sorted(enumerate(classes[:-1]), key=lambda pair: -len(pair[1])):
        base = _base(members[0], plan)
        places = {_place(module, modules) for module in members}
        special = [f"{place}{base}" for place in places if place and len(places) == 1]
        inside = {_outer(module) for module in members}
        special += [f"{outer}{name}" for outer in inside if outer and len(inside) == 1 for name in special]
        candidates = chain([base, *special], numbers_of(base))
        names[i] = next(name for name in candidates if name not in {*names.values(), *taken, "F", "Tensor"})
    return [names[i] for i in range(len(names))]


def _base(module: Module, plan: Plan) -> str:
    """DenseLayer for features.denseblock1.denselayer1, Block for layer1.0, LayerKernels for what holds kernels only."""
    op = next(op for op in plan.ops if module.holds(op.name) or module.holds(shared_kernel(op)))
    stem = module.name.rpartition(".")[2].rstrip(DIGITS + "_")
    labels = [label.partition(" ")[0] for label in (op.block, op.stage)]
    word = next((label for label in labels if label and stem.endswith(label)), "")
    parts = [*stem.removesuffix(word).split("_"), word] if stem else labels[:1]
    name = "".join(part.upper() if len(part) < 3 else part.capitalize() for part in parts)
    kernels = [isinstance(member, Op) and shared_kernel(member) for member in module.members.values()]
    return (name if named_well(name) else "Module") + ("Kernels" if kernels and all(kernels) else "")


def _outer(module: Module) -> str:
    """Layer1 for layer1.0, Denseblock1 for features.denseblock1.denselayer1; "" where it has no name of its own."""
    name = module.name.rpartition(".")[0].rpartition(".")[2].capitalize()
    return name if named_well(name) else ""


def _place(module: Module, modules: Mapping[str, Module]) -> str:
    """First or Last of a numbered series; "" for those between."""
    outer, _, name = module.name.rpartition(".")
    series = [other for other in modules[outer].members if other.rstrip(DIGITS) == name.rstrip(DIGITS)]
    return {series[-1]: "Last", series[0]: "First"}.get(name, "") if len(series) > 1 else ""
