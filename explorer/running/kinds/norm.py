"""How norms run."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from explorer.plan import Inits, Op
from explorer.plan.kinds.norm import GROUPS, Norm
from explorer.running.arithmetic import Arithmetic, Asked, Formula, same_number
from explorer.running.kinds.joins import Product
from explorer.running.kinds.running import Affine, Running, precise, rescale
from explorer.running.text import Helper, Number, Text


def module(op: Op, x: Op) -> nn.Module:
    a: Norm = op.attributes
    return nn.GroupNorm(a.groups, x.shape[0]) if a.function == "group" else nn.BatchNorm2d(x.shape[0])


def initialise(module: nn.Module, inits: Inits, draw: torch.Generator) -> None:
    """Scale one, offset zero; of a batch norm, statistics of numbers that are normal."""
    assert isinstance(module, nn.BatchNorm2d | nn.GroupNorm)
    module.reset_parameters()


def starts_at_zero(op: Op) -> bool:
    return bool(op.attributes.zero)


def construction(op: Op, x: Op) -> Text:
    a: Norm = op.attributes
    channels = Number("channels", x.shape[0])
    if a.function == "batch":
        return ("nn.BatchNorm2d(", channels, ")")
    if a.groups == max(g for g in range(1, GROUPS + 1) if x.shape[0] % g == 0):
        return (GROUP_NORM, "(", channels, ")")
    return ("nn.GroupNorm(", Number("groups", a.groups), ", ", channels, ")")


GROUP_NORM = Helper(
    "GroupNorm",
    f'''class GroupNorm(nn.GroupNorm):
    """In {GROUPS} groups, or the most below that divide the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(max(g for g in range(1, {GROUPS + 1}) if channels % g == 0), channels)''',
)


class ReciprocalRoot(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.rsqrt()


class GroupNormInParts(nn.Module):
    """A group norm in parts that each have a rule: it divides by a deviation that depends on the image."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.square, self.scale, self.root = Product(), Product(), ReciprocalRoot()

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(len(x), self.norm.num_groups, -1)
        centred = groups - groups.mean(2, keepdim=True)
        variance = self.square(centred, centred).mean(2, keepdim=True)
        normal = self.scale(centred, self.root(variance + self.norm.eps)).view_as(x)
        scaled: Tensor = normal * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        return scaled


def for_deep_lift(module: nn.Module) -> nn.Module:
    return GroupNormInParts(module) if isinstance(module, nn.GroupNorm) else module


def affine(module: nn.Module) -> Affine | None:
    """Of a batch norm, by the statistics that it keeps; a group norm's depend on the image."""
    if not isinstance(module, nn.BatchNorm2d):
        return None
    assert module.running_mean is not None
    assert module.running_var is not None
    scale = precise(module.weight) * (precise(module.running_var) + module.eps).rsqrt()
    return Affine(scale, precise(module.bias) - precise(module.running_mean) * scale)


EPSILON = nn.BatchNorm2d(1, device="meta").eps  # as torch's group norm has


def unsaid(op: Op) -> str:
    a: Norm = op.attributes
    groups = f" and has {a.groups} groups" if a.function == "group" else ""
    return f"the {a.function} norm adds {EPSILON:g} to the variance{groups}"


def arithmetic(asked: Asked) -> Arithmetic:
    """Mean and variance are those that a batch norm keeps from training, or those of the group in this very image."""
    norm, channel = asked.module, asked.channel
    assert isinstance(norm, nn.BatchNorm2d | nn.GroupNorm)
    if isinstance(norm, nn.GroupNorm):
        (maps,) = asked.maps
        values = maps.reshape(norm.num_groups, -1)[channel * norm.num_groups // len(maps)].astype(np.float64)
        mean, variance, of = float(values.mean()), float(values.var()), "of its group of channels in this image"
    else:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = norm.running_mean[channel].item(), norm.running_var[channel].item()
        of = "that the norm remembers of its channel"
    patch = same_number(asked)
    numbers = {
        "x": patch.total,
        "mean": mean,
        "variance": variance,
        "eps": norm.eps,
        "scale": norm.weight[channel].item(),
        "offset": norm.bias[channel].item(),
    }
    result = (patch.total - mean) / math.sqrt(variance + norm.eps) * numbers["scale"] + numbers["offset"]
    words = "({x} - {mean}) / √({variance} + {eps}) · {scale} + {offset}"
    does = f"Less the mean, divided by the deviation {of}; then the channel's own scale and offset."
    return Arithmetic(does, (patch,), Formula(words, numbers), result)


RUNNING = (
    Running(
        kind="norm",
        module=module,
        unsaid=unsaid,
        arithmetic=arithmetic,
        initialise=initialise,
        starts_at_zero=starts_at_zero,
        construction=construction,
        for_deep_lift=for_deep_lift,
        rules={ReciprocalRoot: rescale},
        affine=affine,
        fresh=True,
    ),
)
