"""How a kind of operation runs, as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import init

from explorer.plan import Inits, Op
from explorer.running.arithmetic import Arithmetic, Asked
from explorer.running.text import Read, Text

Rule = Callable[..., Tensor]  # as in Captum's table of nonlinear modules

M = TypeVar("M", bound=nn.Module)


class Affine(NamedTuple):
    """What is done to the numbers of each channel: scale * x + offset, (C,) each, float64 on the CPU."""

    scale: Tensor
    offset: Tensor


def own(module: M) -> M:
    """A module of the same kind with the same weights, in the same memory, and nothing else in common."""
    copied = type(module).__new__(type(module))
    # shallow but for the containers, which hold the hooks among others
    state = {key: value.copy() if isinstance(value, dict | set) else value for key, value in vars(module).items()}
    object.__setattr__(copied, "__dict__", state)  # past the module's own __setattr__, which takes half of all the time
    for name, weight in copied._parameters.items():
        copied._parameters[name] = None if weight is None else nn.Parameter(weight.detach(), requires_grad=False)
    for name, inner in copied._modules.items():
        copied._modules[name] = None if inner is None else own(inner)
    return copied


def precise(tensor: Tensor) -> Tensor:
    """In float64 on the CPU, since not every device has float64."""
    return tensor.detach().to("cpu", torch.float64)


def rescale(*_: object, **__: object) -> Tensor:
    """Stands for Captum's own rule."""
    raise TypeError("Captum's rule of rescaling takes the place of this one")


def called(op: Op, module: Callable[..., Any], *inputs: Any) -> Any:
    return module(*inputs)


def by_module(op: Op, module: str) -> Text:
    """The module, called with the operation's inputs."""
    (x,) = op.inputs
    return (f"{module}(", Read((x,)), ")")


def nothing_unsaid(op: Op) -> str:
    return ""


def never(op: Op) -> bool:
    return False


def as_it_is(module: nn.Module) -> nn.Module:
    return module


def does_not(*_: object) -> None:
    """What no kind does that does not say so."""
    return


@dataclass(frozen=True, kw_only=True)
class Running:
    """`module` makes the module of an operation on `x`; `call` applies it, to tensors or to what stands for them while
    a graph is written. `initialise` fills every parameter and buffer; kinds without any have none.

    In the exported source, `construction` is the text that makes the module of an operation on `x`, () for what a
    function does there, and `application` that of its call. Its network's `initialise` sets the biases of the classes
    in `kaiming` to zero, and their weights by the lines there; "": as PyTorch does.

    The fields at the end are for `explorer.running.fast_form`, in eval mode: each returns a module that computes the
    same in another way, or None. Of what a kind does not say the fast form leaves the module as it is.
    """

    kind: str
    module: Callable[[Op, Op], nn.Module]
    unsaid: Callable[[Op], str]  # what it does in eval mode that no tensor's name or shape says; "" for nothing
    arithmetic: Callable[[Asked], Arithmetic]  # of one output number, in eval mode
    call: Callable[..., Any] = called
    initialise: Callable[[nn.Module, Inits, torch.Generator], None] | None = None
    starts_at_zero: Callable[[Op], bool] = never  # its `weight`, after that
    construction: Callable[[Op, Op], Text]
    constructed: bool = True  # it has a module in the exported source; else a function does its work
    application: Callable[[Op, str], Text] = by_module
    kaiming: Mapping[str, str] = field(default_factory=dict)
    makes_vectors: bool = False  # (N, C) there, where the plan has (C, 1, 1)
    takes_vectors: bool = False  # and makes a vector of one
    sequential: bool = True  # it may stand in an nn.Sequential
    written_in: tuple[str, ...] | None = None  # kinds of readers in whose expression it may stand; None: in any
    own_input: bool = False  # Captum hooks the tensor that goes in, which must then have no other reader
    for_deep_lift: Callable[[nn.Module], nn.Module] = as_it_is  # the module that DeepLift takes in its place
    rules: Mapping[type[nn.Module], Rule] = field(default_factory=dict)  # of DeepLift, by module

    affine: Callable[[nn.Module], Affine | None] = does_not  # where that is all it does
    followed: Callable[[nn.Module, Affine], nn.Module | None] = does_not  # does the affine to its output, too
    preceded: Callable[[nn.Module, Affine], nn.Module | None] = does_not  # does it to its input, too
    exchanged: Callable[[nn.Module, Affine], tuple[nn.Module, Affine] | None] = does_not  # f(a x + b) = a' g(x) + b'
    over_input: Callable[[nn.Module], nn.Module | None] = does_not  # writes over its first input, for autograd too
    quicker: Callable[[nn.Module], nn.Module | None] = does_not  # where channels are last in memory
    fresh: bool = False  # what comes out is a tensor of its own, whose values autograd does not need again


def initialise_bias(weight: Tensor, bias: Tensor | None, inits: Inits, draw: torch.Generator) -> None:
    """Zero with Kaiming's; else uniform within 1 / sqrt(fan-in), as PyTorch has it."""
    if bias is not None:
        bound = 0.0 if inits == "kaiming" else weight[0].numel() ** -0.5
        init.uniform_(bias, -bound, bound, generator=draw)
