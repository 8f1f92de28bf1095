"""Why do others say a different number? One network's count under each convention that its readers will meet.

Computed from the plan alone, by the formulas of each tool as its source has them (the tests hold them against the
tools themselves, in the versions that requirements-test.txt names). One image, eval mode, as the tools count unless
told otherwise; one module for each operation, as in this project and in torchvision's ResNets. Where a network
calls functions instead, as torchvision's DenseNets do for their last ReLU and pool, the tools that look at modules
count those once or not at all.
"""

from collections.abc import Callable
from typing import NamedTuple

from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS
from explorer.plan.kinds.kind import macs
from explorer.plan.wiring import owner


class Convention(NamedTuple):
    """What a tool or a paper would say of one network."""

    by: str  # the tool or paper
    word: str  # its own word for the number
    number: int | None  # None: it cannot count this network, and `leaves_out` says why
    counts: str
    leaves_out: str
    source: str  # address, or the file here

    def per_mac(self, plan: Plan) -> float | None:
        """How many times the network's multiply-accumulates the number is."""
        return None if self.number is None else self.number / plan.macs


def conventions(plan: Plan) -> tuple[Convention, ...]:
    """One row for each convention: first those that count MACs, then those that add to them, then two for each."""
    shared = any(owner(op) != op.name for op in plan.ops)
    return tuple(
        Convention(
            rule.by,
            rule.word,
            None if shared and rule.blind else sum(rule.each(op, plan[op.inputs[0]]) for op in plan.ops[1:]),
            rule.counts,
            BLIND if shared and rule.blind else rule.leaves_out,
            rule.source,
        )
        for rule in RULES
    )


# -- what each counts for one operation on `x`; the kinds say what the tools' sources do with them --------------------


def two_a_mac(op: Op, x: Op) -> int:
    return 2 * op.macs


def with_biases(op: Op, x: Op) -> int:
    """One more for each number to which a bias is added."""
    return op.macs + KINDS[op.kind].counted.biases(op, x)


def by_torchinfo(op: Op, x: Op) -> int:
    return KINDS[op.kind].counted.torchinfo(op, x)


def by_fvcore(op: Op, x: Op) -> int:
    return KINDS[op.kind].counted.fvcore(op, x)


def by_thop(op: Op, x: Op) -> int:
    return KINDS[op.kind].counted.thop(op, x)


def with_elementwise(op: Op, x: Op) -> int:
    """ptflops, as it looks at modules: what it has a hook for."""
    counted = KINDS[op.kind].counted
    return counted.ptflops(op, x) + counted.biases(op, x)


def with_functions(op: Op, x: Op) -> int:
    """As `with_elementwise`, and again what the module calls in torch.nn.functional: ptflops watches both."""
    return with_elementwise(op, x) + KINDS[op.kind].counted.ptflops_function(op, x)


class Rule(NamedTuple):
    by: str
    word: str
    each: Callable[[Op, Op], int]
    counts: str
    leaves_out: str
    source: str
    blind: bool = False  # it knows modules by their type, and kernels that two passes share are in none that it knows


BLIND = "convolutions with shared kernels: it knows no such module and would pass over them"
JOINS = "biases, norms, activations, pools, joins"

RULES = (
    Rule(
        "This explorer",
        "MACs",
        macs,
        "one for each multiply and add of a convolution or linear layer",
        JOINS,
        "explorer/plan/recorder.py",
    ),
    Rule(
        "torchvision's weights",
        "GFLOPS",
        macs,
        "MACs of convolutions and linear layers",
        JOINS,
        "https://github.com/pytorch/vision/pull/6936",
    ),
    Rule(
        "ResNet paper",
        "FLOPs",
        macs,
        "MACs: “FLOPs (multiply-adds)”; its bottlenecks have the stride on the first 1x1, which costs less",
        JOINS,
        "https://arxiv.org/abs/1512.03385",
    ),
    Rule(
        "ptflops, aten",
        "MACs",
        with_biases,
        "MACs, and one for each bias added",
        "norms, activations, pools, joins",
        "https://github.com/sovrasov/flops-counter.pytorch/blob/master/ptflops/aten_ops.py",
    ),
    Rule(
        "torchinfo",
        "mult-adds",
        by_torchinfo,
        "MACs, biases, and each parameter of a norm once; a shared kernel whole, each time that a part of it is read",
        "activations, pools, joins",
        "https://github.com/TylerYep/torchinfo/blob/main/torchinfo/layer_info.py",
    ),
    Rule(
        "fvcore",
        "flops",
        by_fvcore,
        "MACs; 2 for each number of a batch norm, 5 of a group norm; 1 for each that a global pool averages",
        "biases, activations, other pools, joins",
        "https://github.com/facebookresearch/fvcore/blob/main/fvcore/nn/jit_handles.py",
    ),
    Rule(
        "MMPretrain's model zoo",
        "Flops",
        with_elementwise,
        "MACs and biases; 2 for each number of a norm; 1 for each that an activation or a pool reads",
        "joins; sigmoid, SiLU, tanh",
        "https://github.com/open-mmlab/mmpretrain/blob/main/configs/resnet/README.md",
        blind=True,
    ),
    Rule(
        "thop",
        "MACs",
        by_thop,
        "MACs; 4 for each number of a batch norm; average pools",
        "biases, group norms, activations, max pools, joins",
        "https://github.com/Lyken17/pytorch-OpCounter/blob/master/thop/vision/basic_hooks.py",
        blind=True,
    ),
    Rule(
        "ptflops, pytorch",
        "MACs",
        with_functions,
        "MACs and biases; 2 for each number that a norm, a ReLU or a pool reads: the module and the function it calls",
        "joins; sigmoid, tanh",
        "https://github.com/sovrasov/flops-counter.pytorch/blob/master/ptflops/pytorch_engine.py",
        blind=True,
    ),
    Rule(
        "torch FlopCounterMode",
        "FLOPs",
        two_a_mac,
        "2 for each MAC",
        JOINS,
        "https://github.com/pytorch/pytorch/blob/main/torch/utils/flop_counter.py",
    ),
    Rule(
        "CliqueNet paper, CIFAR",
        "FLOPs",
        two_a_mac,
        "2 for each MAC",
        JOINS,
        "https://arxiv.org/abs/1802.10419",
    ),
)
