"""What is explained: one number for each image, computed by a network of the method's own.

Captum sets hooks on the modules that it is given. They are set on a `Score`, made for one call: its modules are
its own, their weights are the shared network's, in the same memory, and cannot collect gradients.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR, nonlinear
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F

from explorer.errors import ExplorerError
from explorer.plan import Conv, Op, Plan
from explorer.running.network import Multiply, plan_of

Progress = Callable[[int, int], None]  # images done, and of how many; may raise to stop

M = TypeVar("M", bound=nn.Module)


class AttributionError(ExplorerError):
    """Why a method cannot say anything about this network: one sentence for the user."""


class Class(NamedTuple):
    """The logit of a class; with `minus`, by how much it is larger than that of another class."""

    number: int
    minus: int | None = None


class Channel(NamedTuple):
    """A channel of an operation's output, averaged over its positions (Olah et al., Distill 2017)."""

    operation: str
    number: int


Target = Class | Channel


def ancestors(plan: Plan, name: str) -> tuple[Op, ...]:
    """The operations that `name` is computed from, and itself, in the order in which they run."""
    needed = {name}
    for op in reversed(plan.ops):
        if op.name in needed:
            needed.update(op.inputs)
    return tuple(op for op in plan.ops if op.name in needed)


def module_of(op: Op) -> str:
    """The name of the submodule that computes an operation."""
    return op.attributes.shared or op.name if isinstance(op.attributes, Conv) else op.name


class Score(nn.Module):
    """(N, C, H, W) -> (N,): the target's value for each image, in eval mode. With `probability`: the softmax of
    the target's class.

    Every operation has a module of its own, `score.layer(name)`, also where operations share a kernel. `replace`
    may put another module in an operation's place. `progress` hears of every forward pass; `expected` is how many
    images there will be.
    """

    def __init__(
        self,
        network: GraphModule,
        target: Target,
        progress: Progress | None = None,
        replace: Callable[[nn.Module], nn.Module] | None = None,
        probability: bool = False,
    ) -> None:
        super().__init__()
        plan = plan_of(network)
        _check(plan, target)
        self.target, self.probability = target, probability
        self.progress, self.done, self.expected = progress, 0, 0
        self.plan = Plan(ancestors(plan, target.operation if isinstance(target, Channel) else plan.ops[-1].name))
        steps = self.plan.ops[1:]
        modules = [_own(network.get_submodule(module_of(op))) for op in steps]
        self.modules_of_steps = nn.ModuleList([replace(module) for module in modules] if replace else modules)
        kernels = [op.attributes if isinstance(op.attributes, Conv) else None for op in steps]
        self.arguments = [(kernel.start,) if kernel and kernel.shared else () for kernel in kernels]
        # Captum hooks the input tensors of these: on a tensor of several users it would change the gradient of all,
        # and on another hooked operation's output it would come too late; so each gets a view of its own
        self.viewed = [op.kind in ("activation", "max_pool") for op in steps]
        last_use = {name: i for i, op in enumerate(steps) for name in op.inputs}
        self.spent: list[list[str]] = [[] for _ in steps]
        for name, i in last_use.items():
            self.spent[i].append(name)
        if network.training:
            self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if self.progress:
            self.progress(min(self.done, self.expected), self.expected)
        ops = self.plan.ops
        values = {ops[0].name: images}
        for op, module, arguments, viewed, spent in zip(
            ops[1:], self.modules_of_steps, self.arguments, self.viewed, self.spent, strict=True
        ):
            inputs = [values[name] for name in op.inputs]
            if viewed:
                inputs = [x.view_as(x) for x in inputs]
            values[op.name] = module(*inputs, *arguments)
            for name in spent:
                del values[name]
        self.done += len(images)
        return self._value(values[ops[-1].name])

    def layer(self, name: str) -> nn.Module:
        """The module of an operation. Raises AttributionError for one that the target is not computed from."""
        for op, module in zip(self.plan.ops[1:], self.modules_of_steps, strict=True):
            if op.name == name:
                return module
        raise AttributionError(f"{name} cannot be asked: the target is not computed from it.")

    def _value(self, output: Tensor) -> Tensor:
        if isinstance(self.target, Channel):
            return (
                output.flatten(2).mean(2)[:, self.target.number] if output.dim() > 2 else output[:, self.target.number]
            )
        if self.probability:
            return output.softmax(1)[:, self.target.number]
        value = output[:, self.target.number]
        return value if self.target.minus is None else value - output[:, self.target.minus]


def _check(plan: Plan, target: Target) -> None:
    if isinstance(target, Channel):
        if target.operation not in plan or plan[target.operation].kind == "input":
            raise AttributionError(f"The network computes no operation {target.operation!r}.")
        numbers, count, what = [target.number], plan[target.operation].shape[0], f"channels of {target.operation}"
    else:
        numbers = [target.number, *([] if target.minus is None else [target.minus])]
        count, what = plan.ops[-1].shape[0], "classes"
    for number in numbers:
        if not 0 <= number < count:
            raise AttributionError(f"There is no number {number} among the {what}: 0 to {count - 1}.")


def _own(module: M) -> M:
    """A module of the same kind with the same weights, in the same memory, and nothing else in common."""
    own = type(module).__new__(type(module))
    # shallow but for the containers, which hold the hooks among others
    state = {key: value.copy() if isinstance(value, dict | set) else value for key, value in vars(module).items()}
    object.__setattr__(own, "__dict__", state)  # past the module's own __setattr__, which takes half of all the time
    for name, weight in own._parameters.items():
        own._parameters[name] = None if weight is None else nn.Parameter(weight.detach(), requires_grad=False)
    return own


# ---- what Captum's DeepLift has no rule for ----


class _Product(nn.Module):
    """A product whose gradients are the means of both factors over image and baseline: exactly then do the two
    contributions, dx * mean(gate) and dgate * mean(x), sum to the product's change, as a rescale rule's must.

    The batch is images, then as many baselines, as DeepLift's is.
    """

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        linear = x * self._mean(gate) + gate * self._mean(x)
        return linear + (x * gate - linear).detach()

    def _mean(self, x: Tensor) -> Tensor:
        return (x + x.roll(len(x) // 2, 0)).detach() / 2


class _ReciprocalRoot(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.rsqrt()


class _GroupNorm(nn.Module):
    """A group norm in parts that each have a rule: it divides by a deviation that depends on the image."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.square, self.scale, self.root = _Product(), _Product(), _ReciprocalRoot()

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(len(x), self.norm.num_groups, -1)
        centred = groups - groups.mean(2, keepdim=True)
        variance = self.square(centred, centred).mean(2, keepdim=True)
        normal = self.scale(centred, self.root(variance + self.norm.eps)).view_as(x)
        scaled: Tensor = normal * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        return scaled


class _MaxPool(nn.MaxPool2d):
    """A max pool whose windows may overlap."""


def _max_pool(
    module: _MaxPool, inputs: Tensor, outputs: Tensor, grad_input: Tensor, grad_output: Tensor, eps: float = 1e-10
) -> Tensor:
    """Captum's rule, except that a pixel that is the maximum of several windows gets the contributions of all.

    Captum spreads them by max_unpool2d, which keeps one of several; in the 3x3 pools of stride 2 of ImageNet stems
    the contributions then do not sum to the change of the output.
    """
    (x, reference), (y, y_reference) = inputs.chunk(2), outputs.chunk(2)
    larger = torch.maximum(y, y_reference)
    change = grad_output * torch.cat([larger - y_reference, y - larger])
    _, where = F.max_pool2d(inputs, module.kernel_size, module.stride, module.padding, return_indices=True)
    given = torch.zeros_like(inputs).flatten(2).scatter_add_(2, where.flatten(2), change.flatten(2)).view_as(inputs)
    first, second = given.chunk(2)
    difference = torch.cat([x - reference] * 2)
    return torch.where(difference.abs() < eps, grad_input, torch.cat([first + second] * 2) / difference)


# Captum's own table, by exact type; its rules for the types that it knows stay as they are
SUPPORTED_NON_LINEAR.update({nn.SiLU: nonlinear, nn.GELU: nonlinear, _ReciprocalRoot: nonlinear, _MaxPool: _max_pool})


def for_deep_lift(module: nn.Module) -> nn.Module:
    """The module, or one in its place for which DeepLift is complete: the contributions sum to the score's change."""
    match module:
        case Multiply():
            return _Product()
        case nn.GroupNorm():
            return _GroupNorm(module)
        case nn.MaxPool2d():
            return _MaxPool(module.kernel_size, module.stride, module.padding)
    return module
