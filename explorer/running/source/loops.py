"""Modules whose forward is a loop over their members: a numbered series, each member reading what came before it.

Three patterns; as examples, members that make p, q and r:

    chain      given x, they read x; p; q                     the blocks of a stage
    growing    given x, they read x; (x, p); (x, p, q)        a dense block
    replacing  given a, b, c, they read (b, c); (p, c);       the second pass of a clique block
               (p, q): each takes the place of the one
               that it does not read
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from explorer.plan import Op
from explorer.running.source.modules import Module, is_concat, shared_kernel
from explorer.running.source.series import numbered
from explorer.running.text import Read

Tensors = tuple[str | None, ...]  # by their names in the plan


class Course(NamedTuple):
    """What becomes of tensors in a loop."""

    given: Read
    reads: list[Tensors]  # by each member
    left: Tensors  # in the loop's variable, when the loop ends
    listed: Tensors  # those that are returned as a list, where nothing follows the loop; () where it returns a tensor


class Pattern(NamedTuple):
    variable: str  # that the loop writes to; a tensor, or a list of them
    parameters: str  # of the forward
    lines: tuple[str, ...]  # of the forward; in braces what differs where each member is handed a kernel
    course: Callable[[Tensors, Tensors], Course]  # from what the first member reads and what the members make


class Loop(NamedTuple):
    """A module's forward: a loop over its members, and further steps."""

    pattern: Pattern
    given: Read
    left: Tensors  # in the pattern's variable, when the loop ends
    after: list[Op]
    listed: Tensors  # returned as a list; () where tensors are returned
    kernels: str  # the paths of the kernels of which each member is handed one, for an f-string in a loop over i; or ""

    def lines(self) -> list[str]:
        names = {"layer": "layer", "numbered": "layer", "layers": "self.values()", "kernel": ""}
        if self.kernels:
            names = {"layer": "layer, kernel", "numbered": "(layer, kernel)", "layers": "zip(self.values(), kernels)"}
            names["kernel"] = ", kernel"
        return [line.format(**names) for line in self.pattern.lines]


def loop_of(module: Module) -> Loop | None:
    """The module's forward as a loop over its members, if it is one.

    It is for the caller to know that the members are of one class, which returns one tensor.
    """
    calls = [step for step in module.steps if isinstance(step, Module)]
    kernels = [path for call in calls for path in call.borrowed]
    if not calls or not _are_members(calls, module) or (kernels and not _kernels_match(kernels, calls, module)):
        return None
    end = module.steps.index(calls[-1]) + 1
    within = [step for step in module.steps[:end] if isinstance(step, Op)]
    after = [step for step in module.steps[end:] if isinstance(step, Op)]
    read = {call.inputs[0] for call in calls}
    if not all(is_concat(op) and op.name in read for op in within) or any(map(shared_kernel, after)):
        return None
    joined = {op.name: op.inputs for op in within}
    reads = [joined.get(call.inputs[0], tuple(call.inputs)) for call in calls]
    made = tuple(call.outputs[0] for call in calls)
    for pattern in PATTERNS:
        course = pattern.course(reads[0], made)
        if course.reads == reads and _is_complete(module, course, after):
            series = numbered(kernels)
            listed = () if after else course.listed
            return Loop(pattern, course.given, course.left, after, listed, series.pattern if series else "")
    return None


def _is_complete(module: Module, course: Course, after: Sequence[Op]) -> bool:
    """Whether the loop and the steps after it are given all that they read, and make all that is read of them."""
    if not {*module.inputs} <= {*course.given.values}:
        return False
    if not after:
        return {*module.outputs} <= {*(course.listed or course.left)}
    new = {op.name for op in after}
    read = {name for op in after for name in op.inputs}
    # what follows a chain would be one more of its links: such modules are written out
    return bool(course.listed) and read <= {*course.left} | new and {*module.outputs} <= new


def _are_members(calls: Sequence[Module], module: Module) -> bool:
    """Whether the calls are of the module's members, one after another, from a tensor to a tensor."""
    plain = all(len(call.inputs) == len(call.outputs) == 1 for call in calls)
    return plain and list(module.members.values()) == calls and numbered(list(module.members)) is not None


def _kernels_match(kernels: Sequence[str], calls: Sequence[Module], module: Module) -> bool:
    """Whether the kernels that the calls borrow are a numbered series too, one for each call, beside the module."""
    series = numbered(kernels)
    beside = series is not None and series.stem.rpartition(".")[0] == module.name.rpartition(".")[0]
    return beside and len(kernels) == len(calls)


def _chain(first: Tensors, made: Tensors) -> Course:
    x = first[0]
    return Course(Read((x,)), [(name,) for name in (x, *made[:-1])], made[-1:], ())


def _growing(first: Tensors, made: Tensors) -> Course:
    x = first[0]
    return Course(Read((x,)), [(x, *made[:i]) for i in range(len(made))], (x, *made), made)


def _replacing(first: Tensors, made: Tensors) -> Course:
    features: list[str | None] = [None, *first]  # None: what the first member replaces, which none reads
    reads: list[Tensors] = []
    for i, name in enumerate(made):
        reads.append((*features[:i], *features[i + 1 :]))
        features[i : i + 1] = [name]
    return Course(Read((None, *first), listed=True), reads, tuple(features), tuple(features))


CHAIN = Pattern(
    "x",
    "x: Tensor",
    (
        "for {layer} in {layers}:",
        "    x = layer(x{kernel})",
    ),
    _chain,
)
GROWING = Pattern(
    "features",
    "x: Tensor",
    (
        "features = [x]",
        "for {layer} in {layers}:",
        "    features.append(layer(torch.cat(features, 1){kernel}))",
    ),
    _growing,
)
REPLACING = Pattern(
    "features",
    "features: list[Tensor]",
    (
        "features = list(features)",
        "for i, {numbered} in enumerate({layers}):",
        "    others = features[:i] + features[i + 1 :]",
        "    features[i] = layer(torch.cat(others, 1){kernel})",
    ),
    _replacing,
)
PATTERNS = (CHAIN, GROWING, REPLACING)
