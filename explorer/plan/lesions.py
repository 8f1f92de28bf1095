"""What is left of a network when parts of it are taken away? A plan with operations replaced.

Veit et al. (1605.06431, section 4.1) remove one block of a trained network: a residual network hardly notices, a plain
one is destroyed. What can be taken away is found from the wiring alone, so that every family has it:

- a residual block's branch: the join becomes the shortcut's value;
- a residual block's shortcut: the join becomes the branch's value;
- a block of a plain network: what enters it goes on (see `_bridge`);
- a layer whose features a concat reads: they become zeros, so that those who read them keep their kernels.

Whatever nothing reads any longer drops out of the plan with its parameters and MACs. The operation that is replaced
keeps its name and its shape. Stem and head stay as they are.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from explorer.errors import ExplorerError
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.pad import Pad
from explorer.plan.operations import Op, Plan
from explorer.plan.wiring import block_of, body, owner, residual_blocks, shortcut
from explorer.wording import clean

MOST_LISTED = 12  # names in a sentence

Lesion = Literal["branch", "shortcut"]
Role = Literal["residual", "plain", "layer"]


class LesionError(ExplorerError):
    """What cannot be taken away: one sentence with the way out."""


class Lesions(NamedTuple):
    """What is taken away, as a value: names of parts whose branches, and of parts whose shortcuts. False for nothing.

    `lesioned(plan, *lesions)` is what is left.
    """

    branches: tuple[str, ...] = ()
    shortcuts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.branches or self.shortcuts)


NONE = Lesions()


class Part(NamedTuple):
    """What can be taken away. `op` is the operation that is replaced; `around` is what it becomes without the branch,
    "" for zeros, and `through` what it becomes without the shortcut, "" where there is none.
    """

    name: str  # as links have it: layer1.0
    stage: str
    block: str
    role: Role
    op: str
    around: str
    through: str
    entry: str  # the first operation outside of the block that it reads

    @property
    def lesions(self) -> tuple[Lesion, ...]:
        return ("branch", "shortcut") if self.through else ("branch",)


def parts(plan: Plan) -> tuple[Part, ...]:
    """In the order in which they run; () for a network that has none."""
    found = {part.op: part for part in (*_residual(plan), *_other_blocks(plan))}
    prefixes = {op: op.rpartition(".")[0] for op in found}
    own = Counter(prefixes.values())
    named = {op: prefix if prefix and own[prefix] == 1 else op for op, prefix in prefixes.items()}
    return tuple(found[op.name]._replace(name=named[op.name]) for op in plan.ops if op.name in found)


def _inner(plan: Plan) -> list[Op]:
    """Neither stem nor head."""
    return [op for op in body(plan) if op.stage != "stem"]


def _residual(plan: Plan) -> Iterable[Part]:
    inner = {op.name for op in _inner(plan)}
    for block in residual_blocks(plan):
        join = plan[block.join]
        if join.name in inner:
            way = shortcut(plan, join)
            around = way.path[-1] if way.path else way.source
            through = join.inputs[1 - join.inputs.index(around)]
            yield Part("", join.stage, join.block, "residual", join.name, around, through, way.source)


def _other_blocks(plan: Plan) -> Iterable[Part]:
    """Blocks in which nothing is added up."""
    blocks: dict[tuple[str, str], list[Op]] = {}
    for op in _inner(plan):
        if op.block:
            blocks.setdefault(block_of(op), []).append(op)
    refined = {name for pair in plan.refinements for name in pair}
    for label, ops in blocks.items():
        own = {op.name for op in ops}
        ends = [op for op in ops if not own.issuperset(plan.readers[op.name])]
        entries = list(dict.fromkeys(name for op in ops for name in op.inputs if name not in own))
        # what reads the image is the stem, whatever its stage is called
        if any(KINDS[op.kind].join == "sum" for op in ops) or len(ends) != 1 or plan.ops[0].name in entries:
            continue
        (end,), first = ends, plan[entries[0]]
        side_by_side = any(KINDS[plan[name].kind].join == "concat" for name in plan.readers[end.name])
        if side_by_side or end.name in refined:
            if first.shape[1:] == end.shape[1:]:
                yield Part("", *label, "layer", end.name, "", "", first.name)
        elif len(entries) == 1 and _bridge(first, end):
            yield Part("", *label, "plain", end.name, first.name, "", first.name)


def _bridge(x: Op, end: Op) -> Op | None:
    """What takes a plain block away: `end` as an operation on what enters the block; None where there is none.

    Its contribution cannot be zero, as a branch's can: nothing else carries the signal, every later layer would get
    zeros, and the answer would no longer depend on the image. Veit et al. remove a layer of VGG by having its input go
    on. Where the shape changes, option A's shortcut, which has no parameters, makes it fit: every stride-th pixel, and
    channels of zeros (He et al., 1512.03385, section 3.3).
    """
    if x.shape == end.shape:
        return _replaced(end, "identity", x.name)
    stride = end.stride // x.stride
    shape = end.shape[0], *((side - 1) // max(1, stride) + 1 for side in x.shape[1:])
    fits = shape == end.shape and x.shape[0] <= end.shape[0] and end.stride == stride * x.stride
    return _replaced(end, "pad", x.name, Pad(stride)) if fits else None


def _replaced(op: Op, kind: str, source: str, attributes: Pad | None = None) -> Op:
    inputs = (source,) if source else ()
    return op._replace(kind=kind, inputs=inputs, params=0, macs=0, attributes=attributes)


def lesioned(plan: Plan, branches: Collection[str] = (), shortcuts: Collection[str] = ()) -> Plan:
    """The network without these parts' branches and without these parts' shortcuts, each by its name.

    Raises LesionError for what cannot be taken away, and where nothing of a block, or of the image, would be left.
    """
    if not branches and not shortcuts:
        return plan
    known = {part.name: part for part in parts(plan)}
    check(known.values(), branches, shortcuts)
    replaced: dict[str, Op] = {}
    for name in branches:
        part = known[name]
        op, kind = plan[part.op], {"residual": "identity", "layer": "zeros"}.get(part.role)
        bridge = _replaced(op, kind, part.around) if kind else _bridge(plan[part.around], op)
        assert bridge is not None  # a part that has none is not offered
        replaced[part.op] = bridge
    for name in shortcuts:
        part = known[name]
        replaced[part.op] = _replaced(plan[part.op], "identity", part.through)
    ops = [replaced.get(op.name, op) for op in plan.ops]
    needed = _needed(ops)
    if plan.ops[0].name not in needed:
        raise LesionError("Nothing of the image would reach the classifier; leave more of the network on.")
    left = [op for op in ops if op.name in needed]
    entries = {part.op: part.entry for part in known.values()}
    left = _seeing(plan, _holding(plan, _fed(left, entries)))
    names = needed - replaced.keys()
    return Plan(tuple(left), plan.init, tuple(pair for pair in plan.refinements if names.issuperset(pair)))


def check(known: Iterable[Part], branches: Collection[str], shortcuts: Collection[str]) -> None:
    """Raises LesionError for names that no part has, a shortcut where there is none, and a block of which nothing
    would be left.
    """
    lesions = {part.name: part.lesions for part in known}
    for name in (*branches, *shortcuts):
        if name not in lesions:
            raise LesionError(f"There is no {clean(name)!r} to switch off; {_there_are(list(lesions))}.")
    for name in shortcuts:
        if "shortcut" not in lesions[name]:
            raise LesionError(f"{name} has no shortcut to cut; it can be switched off as a whole.")
    for name in branches:
        if name in shortcuts:
            raise LesionError(f"{name} would have neither branch nor shortcut, which leaves nothing; keep one of them.")


def _there_are(names: list[str]) -> str:
    if not names:
        return "this network has nothing of the kind"
    return f"there are {', '.join(names) if len(names) <= MOST_LISTED else f'{names[0]} to {names[-1]}'}"


def in_words(plan: Plan, branches: Collection[str], shortcuts: Collection[str]) -> str:
    """What is taken away, in a sentence or several; "" for nothing."""
    found = parts(plan)
    check(found, branches, shortcuts)
    words = {
        "residual": "Branches off, so that the shortcut alone goes on",
        "plain": "Blocks skipped, so that what enters goes on",
        "layer": "Layers off, whose features are zeros",
    }
    said = [
        f"{text}: {', '.join(names)}."
        for role, text in words.items()
        if (names := [part.name for part in found if part.role == role and part.name in branches])
    ]
    if names := [part.name for part in found if part.name in shortcuts]:
        said.append(f"Shortcuts cut, so that the branch alone goes on: {', '.join(names)}.")
    return " ".join(said)


def _needed(ops: list[Op]) -> set[str]:
    """What the last operation is computed from."""
    needed = {ops[-1].name}
    for op in reversed(ops):
        if op.name in needed:
            needed.update(op.inputs)
    return needed


def _fed(ops: list[Op], entries: dict[str, str]) -> list[Op]:
    """Zeros, which nothing has to be computed for, with something to tell the number of images from: the block's entry,
    or where that is gone the nearest operation with maps of that size.
    """
    found: list[Op] = []
    known: set[str] = set()
    nearest: dict[tuple[int, ...], str] = {}
    for op in ops:
        if op.kind == "zeros" and not op.inputs:
            entry, size = entries[op.name], op.shape[1:]
            if entry not in known and size not in nearest:
                raise LesionError(f"Nothing that reaches {op.name} would be left; leave more of the network on.")
            op = op._replace(inputs=(entry if entry in known else nearest[size],))
        else:
            nearest[op.shape[1:]] = op.name
        known.add(op.name)
        found.append(op)
    return found


def _holding(plan: Plan, ops: list[Op]) -> list[Op]:
    """A kernel that several operations share is there whole as long as one of them is: the first of those that are left
    counts what was counted for the others.
    """
    missing: dict[str, int] = {}
    for op in plan.ops:
        if owner(op) != op.name:
            missing[owner(op)] = missing.get(owner(op), 0) + op.params
    for op in ops:
        if owner(op) != op.name:
            missing[owner(op)] -= op.params
    return [op._replace(params=op.params + missing.pop(owner(op), 0)) if owner(op) != op.name else op for op in ops]


def _seeing(plan: Plan, ops: list[Op]) -> list[Op]:
    """With what they see now: each adds as much to its widest input as before."""
    now: dict[str, int] = {}
    found = []
    for op in ops:
        field = op.receptive_field
        if op.inputs:
            before = plan[op.name]
            same = op.kind == before.kind
            adds = field - max(plan[name].receptive_field for name in before.inputs) if same else 0
            field = max(now[name] for name in op.inputs) + adds
        now[op.name] = field
        found.append(op if field == op.receptive_field else op._replace(receptive_field=field))
    return found
