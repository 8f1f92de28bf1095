"""What is explained: one number for each image, computed by a network of the method's own.

Captum sets hooks on the modules that it is given. They are set on a `Score`, made for one call: its modules are
its own, their weights are the shared network's, in the same memory, and cannot collect gradients.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR, nonlinear
from torch import Tensor, nn
from torch.fx import GraphModule

from explorer.errors import ExplorerError
from explorer.plan import Plan
from explorer.plan.wiring import ancestors, owner
from explorer.running.fast_form import derived, fast_form
from explorer.running.kinds import RUNNING
from explorer.running.kinds.running import own, rescale
from explorer.running.network import plan_of

Progress = Callable[[int, int], None]  # images done, and of how many; may raise to stop


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


class Score(nn.Module):
    """(N, C, H, W) -> (N,): the target's value for each image, in eval mode. With `probability`: the softmax of
    the target's class.

    Every operation has a module of its own, `score.layer(name)`, also where operations share a kernel. With
    `for_deep_lift`, each is one for which DeepLift is complete: the contributions sum to the score's change. A `fast`
    one is for methods that look at nothing inside: there is nothing to be seen in it, and it is computed by the
    network's fast form. With `half` convolutions and linear layers are computed in bfloat16, forwards and backwards,
    and the target's value is taken in the images' type; networks in float64 stay as they are.
    `progress` hears of every forward pass; `expected` is how many images there will be.
    """

    def __init__(
        self,
        network: GraphModule,
        target: Target,
        progress: Progress | None = None,
        for_deep_lift: bool = False,
        probability: bool = False,
        fast: bool = False,
        half: bool = False,
    ) -> None:
        super().__init__()
        plan = plan_of(network)
        _check(plan, target)
        self.target, self.probability, self.reduced = target, probability, half
        self.progress, self.done, self.expected = progress, 0, 0
        last = target.operation if isinstance(target, Channel) else plan.ops[-1].name
        self.plan = Plan(ancestors(plan, last))
        self.modules_of_steps = nn.ModuleList()
        # its method and not the module, which is shared and shall not look like a part of this one
        if fast:
            # the one for bfloat16 is not remembered: to make it took 0.1 s on ResNet-50, as long as one image in it
            form = derived(network, last, exchange=False) if half else fast_form(network, last)
            self.compute = form.forward
        else:
            self.compute = self._step_by_step
            self._take(network, for_deep_lift)

    def _take(self, network: GraphModule, for_deep_lift: bool) -> None:
        """Modules of its own on the network's weights."""
        steps = self.plan.ops[1:]
        kinds = [RUNNING[op.kind] for op in steps]
        modules = [own(network.get_submodule(owner(op))) for op in steps]
        if for_deep_lift:
            modules = [kind.for_deep_lift(module) for kind, module in zip(kinds, modules, strict=True)]
        self.modules_of_steps.extend(modules)
        # Captum hooks the input tensors of these: on a tensor of several users it would change the gradient of all,
        # and on another hooked operation's output it would come too late; so each gets a view of its own
        self.viewed = [kind.own_input for kind in kinds]
        self.calls = [kind.call for kind in kinds]
        last_use = {name: i for i, op in enumerate(steps) for name in op.inputs}
        self.spent: list[list[str]] = [[] for _ in steps]
        for name, i in last_use.items():
            self.spent[i].append(name)
        if network.training:
            self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if self.progress:
            self.progress(min(self.done, self.expected), self.expected)
        # the way back is in the types of the way there, and needs no autocast
        with torch.autocast(images.device.type, torch.bfloat16) if self.reduced else nullcontext():
            output = self.compute(images)
        self.done += len(images)
        return self._value(output.to(images.dtype))

    def _step_by_step(self, images: Tensor) -> Tensor:
        ops = self.plan.ops
        values = {ops[0].name: images}
        steps = zip(ops[1:], self.modules_of_steps, self.calls, self.viewed, self.spent, strict=True)
        for op, module, call, viewed, spent in steps:
            inputs = [values[name] for name in op.inputs]
            if viewed:
                inputs = [x.view_as(x) for x in inputs]
            values[op.name] = call(op, module, *inputs)
            for name in spent:
                del values[name]
        return values[ops[-1].name]

    def layer(self, name: str) -> nn.Module:
        """The module of an operation. Raises AttributionError for one that the target is not computed from."""
        for op, module in zip(self.plan.ops[1:], self.modules_of_steps, strict=True):
            if op.name == name:
                return module
        raise AttributionError(f"{name} cannot be asked: the target is not computed from it.")

    def _value(self, output: Tensor) -> Tensor:
        if isinstance(self.target, Channel):
            return output.view(len(output), self.plan.ops[-1].shape[0], -1).mean(2)[:, self.target.number]
        logits = output.flatten(1)
        if self.probability:
            return logits.softmax(1)[:, self.target.number]
        value = logits[:, self.target.number]
        return value if self.target.minus is None else value - logits[:, self.target.minus]


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


# Captum's own table, by exact type; its rules for the types that it knows stay as they are
SUPPORTED_NON_LINEAR.update(
    {module: nonlinear if rule is rescale else rule for kind in RUNNING.values() for module, rule in kind.rules.items()}
)
