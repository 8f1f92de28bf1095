"""How pools run."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.plan import Op
from explorer.plan.kinds.pools import Pool
from explorer.running.arithmetic import Arithmetic, Asked, Formula, Patch, mean, read
from explorer.running.kinds.running import Running
from explorer.running.text import Read, Text


def max_module(op: Op, x: Op) -> nn.Module:
    a: Pool = op.attributes
    return nn.MaxPool2d(a.kernel, a.stride, a.padding)


def avg_module(op: Op, x: Op) -> nn.Module:
    a: Pool = op.attributes
    return nn.AvgPool2d(a.kernel, a.stride, a.padding, a.ceil)


def adaptive_module(op: Op, x: Op) -> nn.Module:
    return nn.AdaptiveAvgPool2d(op.shape[1])


def _sizes(a: Pool) -> str:
    padding = f", padding={a.padding}" if a.padding else ""
    return f"{a.kernel}, stride={a.stride}{padding}" + (", ceil_mode=True" if a.ceil else "")


def max_construction(op: Op, x: Op) -> Text:
    return (f"nn.MaxPool2d({_sizes(op.attributes)})",)


def avg_construction(op: Op, x: Op) -> Text:
    return (f"nn.AvgPool2d({_sizes(op.attributes)})",)


def adaptive_construction(op: Op, x: Op) -> Text:
    return (f"nn.AdaptiveAvgPool2d({op.shape[1]})",)


def application(op: Op, module: str) -> Text:
    return (f"F.{op.kind}2d(", Read(op.inputs), f", {_sizes(op.attributes)})")


def adaptive_application(op: Op, module: str) -> Text:
    return ("F.adaptive_avg_pool2d(", Read(op.inputs), f", {op.shape[1]})")


class MaxPoolOfOverlaps(nn.MaxPool2d):
    """A max pool whose windows may overlap."""


def rule_of_overlaps(
    module: nn.MaxPool2d, inputs: Tensor, outputs: Tensor, grad_input: Tensor, grad_output: Tensor, eps: float = 1e-10
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


def for_deep_lift(module: nn.Module) -> nn.Module:
    assert isinstance(module, nn.MaxPool2d)
    return MaxPoolOfOverlaps(module.kernel_size, module.stride, module.padding)


class MeanOfMap(nn.Module):
    """What a global average pool does; torch's own adds numbers up one by one where the channels are last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


def quicker(module: nn.Module) -> nn.Module | None:
    return MeanOfMap() if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size == 1 else None


def _window(a: Pool) -> str:
    return f"{a.kernel}x{a.kernel} pixels at a stride of {a.stride}"


def max_unsaid(op: Op) -> str:
    return f"the pool takes the largest of {_window(op.attributes)}"


def avg_unsaid(op: Op) -> str:
    edge = ", of fewer at the edge" if op.attributes.ceil else ""
    return f"the pool takes the mean of {_window(op.attributes)}{edge}"


def adaptive_unsaid(op: Op) -> str:
    _, h, w = op.shape
    return "the pool takes the mean of the whole map" if h == w == 1 else f"the pool takes {h}x{w} means"


def of_window(asked: Asked) -> Patch:
    return read(asked.sources[0], asked.maps[0], [asked.channel], *asked.window_on_map())


def max_arithmetic(asked: Asked) -> Arithmetic:
    patch = of_window(asked)
    largest = float(patch.values.max())
    does = "The largest number of the window is passed on."
    return Arithmetic(does, (patch,), Formula("the largest of {count}", {"count": patch.values.size}), largest)


def mean_arithmetic(asked: Asked) -> Arithmetic:
    return mean("The mean of the window.", of_window(asked))


RUNNING = (
    Running(
        kind="max_pool",
        module=max_module,
        unsaid=max_unsaid,
        arithmetic=max_arithmetic,
        construction=max_construction,
        constructed=False,
        application=application,
        written_in=(),
        own_input=True,
        for_deep_lift=for_deep_lift,
        rules={MaxPoolOfOverlaps: rule_of_overlaps},
    ),
    Running(
        kind="avg_pool",
        module=avg_module,
        unsaid=avg_unsaid,
        arithmetic=mean_arithmetic,
        construction=avg_construction,
        constructed=False,
        application=application,
        written_in=(),
    ),
    Running(
        kind="global_pool",
        module=adaptive_module,
        unsaid=adaptive_unsaid,
        arithmetic=mean_arithmetic,
        construction=adaptive_construction,
        constructed=False,
        application=adaptive_application,
        written_in=(),
        quicker=quicker,
    ),
    Running(
        kind="adaptive_pool",
        module=adaptive_module,
        unsaid=adaptive_unsaid,
        arithmetic=mean_arithmetic,
        construction=adaptive_construction,
        constructed=False,
        application=adaptive_application,
        written_in=(),
        quicker=quicker,
    ),
)
