"""Does the learning signal reach the first layer? A verdict on one network's gradient flow, and why it is so.

The signal is the gradient of the loss at a layer's output; it is followed from the last convolution back to the first.
Where a figure is not a published one, its line says that it is a choice. What is claimed of the first steps was tried,
by SGD with momentum 0.9 on 8 images: the loss of six networks without norms whose step was 23 to 4·10^7 times a
layer's weights was no number after two steps, and one with 1.4 times recovered.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from explorer.analyses.flow_reading import Reading, read
from explorer.analyses.gradients import Flow, Mode
from explorer.plan import Plan
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.activation import functions_of
from explorer.plan.wiring import body, residual_blocks

Label = Literal["overflows", "vanishes", "shrinks", "healthy", "grows", "explodes"]
Cause = Literal[
    "trained", "sums", "sums without norms", "concatenations", "norms", "kaiming", "default", "one way"
]  # fmt: skip

# He et al. call the gradients of a plain network of 34 layers with batch norm healthy (1512.03385, section 4.1); by
# Yang et al.'s factor it enlarges them 1.21^33 = 540 times. This is the power of ten above it. That shrinking by as
# much is healthy is a choice.
HEALTHY = 1e3  # times
# The root of 1.21: halfway, in the exponent, between keeping its size and a plain network with batch norm. A choice, so
# that ResNet-152, which learns well (1512.03385, table 4), is not blamed for being deep.
HEALTHY_A_LAYER = 1.1  # times
# Between plain networks of 56 layers (1.21^55 = 4·10^4), which learn, but worse than one of 20, and of 110
# (1.21^109 = 10^9), whose error stays above 60 % (1512.03385, figure 6): about halfway in the exponent.
EXPLODES = 1e6  # times
# A network that did not learn, and why it may not have (He et al., 1502.01852, section 2.2: 1 / 1.7·10^4).
VANISHES = 1 / 1.7e4

# Yang et al., A mean field theory of batch normalization, 1902.08129: squared norms grow by pi/(pi - 1) a layer of ReLU
# and batch norm, for large batches.
BATCH_NORM = math.sqrt(math.pi / (math.pi - 1))  # 1.211 times a layer
# Weights of variance 1/(3 fan-in), where ReLUs, which let half through, need 2/fan-in (1502.01852, equation 14).
DEFAULT_INIT = math.sqrt(1 / 6)  # 0.408 times a layer
# A sum of two parts of like size has twice the variance of one (Zhang et al., Fixup, 1901.09321, section 2).
SUM = math.sqrt(2)  # 1.414 times a block

LEARNING_RATE = 0.1  # of 1512.03385 and 1608.06993
DIVERGES = 10.0  # a layer's step over its weights, without norms; a choice, see above
ROUNDING = 2.0**-24  # the least part of a number that float32 can add to it


class Verdict(NamedTuple):
    label: Label
    reading: Reading
    cause: Cause
    factor: float | None  # by which theory has the gradient change: a block for "sums without norms", else a layer
    # the first step of SGD at LEARNING_RATE over the weights that it changes, L2 norms: of the layer that changes most,
    # and of the first; geometric means of the runs
    step: float
    changed: str  # the layer that changes most
    first_step: float
    diverges: bool  # no norm brings the outputs back to size, and the step is far larger than what it changes


def judge(flow: Flow, mode: Mode, trained: bool) -> Verdict:
    """`trained`: the weights are not as they were drawn, so that theories of initialisation do not hold for them."""
    found = read(flow, "activation")
    normed = _normed(flow.plan, mode, trained)
    cause, factor = ("trained", None) if trained else _cause(flow.plan, normed)
    with np.errstate(all="ignore"):
        steps = LEARNING_RATE * np.exp(np.log(flow.relative).mean(0))
    most = int(np.argmax(np.nan_to_num(steps, nan=np.inf, posinf=np.inf)))
    step, first = float(steps[most]), float(steps[0])
    diverges = not normed and step > DIVERGES
    return Verdict(_label(found, diverges), found, cause, factor, step, flow.weighted[most], first, diverges)


def _label(found: Reading, diverges: bool) -> Label:
    if found.arrival == "overflows":
        return "overflows"
    if found.arrival == "vanishes":
        return "vanishes"
    if found.ratio > EXPLODES or diverges:
        return "explodes"
    if found.ratio < VANISHES:
        return "vanishes"
    if found.ratio > HEALTHY and found.a_layer > HEALTHY_A_LAYER:
        return "grows"
    if found.ratio < 1 / HEALTHY and found.a_layer < 1 / HEALTHY_A_LAYER:
        return "shrinks"
    return "healthy"  # also where it reaches no other layer


def _normed(plan: Plan, mode: Mode, trained: bool) -> bool:
    """Whether something brings outputs to size: statistics of the batch that nothing was counted for do not."""
    norms = [op for op in plan.ops if KINDS[op.kind].rescales]
    return any(mode == "train" or trained or not KINDS[op.kind].batch_statistics(op) for op in norms)


def _cause(plan: Plan, normed: bool) -> tuple[Cause, float | None]:
    relu = functions_of(plan) <= {"relu", "sigmoid"}  # the sigmoid is a gate's
    kaiming = plan.init == "kaiming"
    if residual_blocks(plan):
        return ("sums without norms", SUM) if relu and kaiming and not normed else ("sums", None)
    if any(KINDS[op.kind].join == "concat" for op in body(plan)):
        return "concatenations", None
    if normed:
        batch = any(KINDS[op.kind].batch_statistics(op) for op in plan.ops)
        return "norms", BATCH_NORM if relu and batch else None
    if relu and kaiming:
        return "kaiming", 1.0
    return ("default", DEFAULT_INIT) if relu else ("one way", None)
