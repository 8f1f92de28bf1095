"""What is known of a kind of operation without running it, as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from explorer.plan.operations import Op
from explorer.plan.writer import Writer

Count = Callable[[Op, Op], int]  # of an operation on its first input
Window = Callable[[Op, Op, int], tuple[int, int]]  # of an operation on one of its inputs, at a position along a side


def nothing(op: Op, x: Op) -> int:
    return 0


def macs(op: Op, x: Op) -> int:
    return op.macs


def params(op: Op, x: Op) -> int:
    return op.params


class Counted(NamedTuple):
    """What tools say of one operation, as their sources have it (counting/conventions.py names the versions)."""

    biases: Count  # numbers to which a bias is added
    torchinfo: Count  # parameters, a convolution's once for each position
    fvcore: Count
    thop: Count
    ptflops: Count  # by its hook on the module, biases apart
    ptflops_function: Count = nothing  # once more, where the module calls a function that ptflops also watches


UNCOUNTED = Counted(nothing, nothing, nothing, nothing, nothing)


def keeps_nothing(op: Op) -> tuple[str, ...]:
    return ()


def keeps_inputs(op: Op) -> tuple[str, ...]:
    return op.inputs


def keeps_output(op: Op) -> tuple[str, ...]:
    return (op.name,)


def same_position(op: Op, x: Op, i: int) -> tuple[int, int]:
    return i, i


def all_positions(op: Op, x: Op, i: int) -> tuple[int, int]:
    return 0, x.shape[1] - 1


def none_beside(op: Op) -> int:
    return 0


def nothing_set(op: Op) -> str:
    return ""


def no_tensors(op: Op, x: Op) -> Mapping[str, tuple[int, ...]]:
    return {}


def never(op: Op) -> bool:
    return False


def reads_no_kernel(op: Op, channels: slice) -> slice | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of operation. The function beside it writes it into a plan (shape, parameters, MACs, receptive field); its
    namesake in `explorer.running.kinds` says how it runs.

    `join` is what it makes of several tensors; `detour` is what a shortcut is called if such an operation is on it.
    """

    name: str
    word: str  # in legends and tables
    colour: str
    settings: Callable[[Op], str] = nothing_set  # its attributes, in words: "3×3, stride 2"
    weighted: bool  # it has a kernel or a matrix: a layer, as the papers count them
    counted: Counted
    keeps: Callable[[Op], tuple[str, ...]]  # tensors that autograd keeps for its backward pass (derivatives.yaml)
    keeps_beside: Callable[[Op], int] = none_beside  # numbers that it keeps and no other operation sees
    # the first and the last position of an input, along a side, that a position of its output reads; where there are
    # zeros beyond the border, and where it is asked of a position beyond, as if the maps went on
    window: Window
    # parameters and buffers of an operation on its first input: what follows its name in a state dict -> shape
    tensors: Callable[[Op, Op], Mapping[str, tuple[int, ...]]] = no_tensors
    # for tests: writes it in all its forms on a small image, the last reading the others
    example: Callable[[Writer], Op]
    mentioned: int = 0  # its place in the one line that says what a block holds; 0: left out
    join: Literal["", "sum", "gate", "concat"] = ""
    detour: Literal["identity", "padding", "projection"] = "identity"
    whole: bool = False  # each number of its output depends on all positions
    rescales: bool = False  # its output is its input but for a factor and an offset a channel
    batch_statistics: Callable[[Op], bool] = never  # in training it needs two values a channel
    # the part of its kernel (out, channels, ...) that reads these channels of its input; None: there is no such part
    reads: Callable[[Op, slice], slice | None] = reads_no_kernel
    sparse: Callable[[Op], bool] = never  # it sets numbers to zero, and a channel of zeros learns nothing
