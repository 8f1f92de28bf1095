"""What is the fastest form of a network that gives the same answers, where nobody looks inside?

In eval mode a batch norm multiplies each channel by a number and adds another. Behind a convolution that nothing else
reads, both go into the convolution. In front of a ReLU and a convolution without a border (norm, ReLU, 1x1), the ReLU
becomes a bound of its own for each channel, and scale and offset go on into that convolution. What is written once and
read once may be written over; channels are last in memory on a CPU. How, each kind of operation says itself; what a
kind does not say stays as it is.
"""

import threading
from collections import Counter
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.fx import GraphModule

from explorer.plan import Op, Plan
from explorer.plan.wiring import ancestors, owner
from explorer.running.kinds import RUNNING
from explorer.running.kinds.running import Running, own
from explorer.running.network import assembled, plan_of


class _Remembered(NamedTuple):
    """A network's form, up to which operation, and of which weights: where they are, and how often they changed."""

    last: str
    weights: tuple[tuple[int, int], ...]
    form: GraphModule


_remembered: WeakKeyDictionary[GraphModule, _Remembered] = WeakKeyDictionary()
_lock = threading.Lock()


def fast_form(network: GraphModule, last: str = "") -> GraphModule:
    """The form that gives the network's answers in eval mode, but for rounding: the logits (N, classes), or what the
    operation `last` gives, flattened (N, numbers). Only to be run: any number of threads may, with gradients for the
    images or without.

    The network is left as it is; the form has weights of its own, about as many bytes again (`fast_form_bytes`). One
    is remembered for each network, as long as that lives and its weights are the same; who changes weights by `.data`,
    of which torch keeps no count, has to ask for `derived`. Raises KeyError for an operation that is not there.
    """
    plan = plan_of(network)
    last = last or plan.ops[-1].name
    state = _state(network)
    with _lock:
        known = _remembered.get(network)
    if known is None or (known.last, known.weights) != (last, state):
        known = _Remembered(last, state, derived(network, last))
        with _lock:
            _remembered[network] = known
    return known.form


def derived(network: GraphModule, last: str = "", exchange: bool = True) -> GraphModule:
    """As `fast_form`, made anew: the caller's own. Each of its weights and bounds is an affine function of any one
    weight of the network's convolutions and linear layers.

    Without `exchange` norms stay in front of their activations, as they must for bfloat16: what comes out of an
    exchanged one is still as far from zero as its input, which the following bias takes away again, and with it most of
    the few digits. On the project's DenseNet a map of Integrated Gradients then had a cosine of 0.18 with float32's,
    and without the exchange of 0.999.
    """
    plan = plan_of(network)
    if last and last != plan.ops[-1].name:
        plan = Plan(ancestors(plan, plan[last].name), plan.init)
    some = next(network.parameters())
    with torch.inference_mode(False), torch.no_grad():
        form = _Form(plan, network)
        form.fold()
        if exchange:
            form.exchange()
        if some.device.type == "cpu":
            form.quicken()
        form.write_over()
        found = form.assemble().to(some.device, some.dtype)
        # on a GPU without reduced precision the channels are better first, says cuDNN's guide; not measured here
        return found.to(memory_format=torch.channels_last) if some.device.type == "cpu" else found


def _state(network: GraphModule) -> tuple[tuple[int, int], ...]:
    tensors = (*network.parameters(), *network.buffers())
    return tuple((one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors)


class _Form:
    """The modules of a network, private ones on the shared weights, one by one replaced."""

    def __init__(self, plan: Plan, network: GraphModule) -> None:
        self.plan = plan
        self.modules: dict[str, nn.Module] = {}
        for op in plan.ops[1:]:
            if owner(op) not in self.modules:
                self.modules[owner(op)] = own(network.get_submodule(owner(op))).eval()
        self.users = Counter(owner(op) for op in plan.ops[1:])
        self.gone: set[str] = set()  # operations that are done elsewhere

    def fold(self) -> None:
        """Norms into what they alone read."""
        for op in self.plan.ops[1:]:
            affine = self.kind(op).affine(self.module(op))
            source = self.plan[op.inputs[0]]
            if affine and self.replaceable(source) and self.reader(source) is op:
                self.replace(source, self.kind(source).followed(self.module(source), affine), op)

    def exchange(self) -> None:
        """Norms past the activation that alone reads them, into what alone reads that."""
        for op in self.plan.ops[1:]:
            function = self.reader(op)
            then = self.reader(function) if function else None
            if op.name in self.gone or not function or not then or not self.replaceable(then):
                continue
            affine = self.kind(op).affine(self.module(op))
            found = self.kind(function).exchanged(self.module(function), affine) if affine else None
            if found and self.replace(then, self.kind(then).preceded(self.module(then), found[1]), op):
                self.modules[function.name] = found[0]

    def quicken(self) -> None:
        for op in self.plan.ops[1:]:
            if self.replaceable(op):
                self.replace(op, self.kind(op).quicker(self.module(op)))

    def write_over(self) -> None:
        """Operations whose input nobody else reads give it up for their output."""
        for op in self.plan.ops[1:]:
            if self.replaceable(op) and self.is_free(self.plan[op.inputs[0]]):
                self.replace(op, self.kind(op).over_input(self.module(op)))

    def is_free(self, source: Op) -> bool:
        """Whether nothing needs a tensor any longer once its reader has run."""
        while source.name in self.gone and self.reader(source):
            source = self.plan[source.inputs[0]]
        return bool(source.inputs) and self.kind(source).fresh and self.reader(source) is not None

    def assemble(self) -> GraphModule:
        def module(op: Op, _: Op) -> nn.Module:
            return nn.Identity() if op.name in self.gone else self.module(op)

        return assembled(self.plan, module).requires_grad_(False).eval()

    def kind(self, op: Op) -> Running:
        return RUNNING[op.kind]

    def module(self, op: Op) -> nn.Module:
        return self.modules[owner(op)]

    def reader(self, op: Op) -> Op | None:
        """The only operation that reads it, and once."""
        readers = self.plan.readers[op.name]
        return self.plan[readers[0]] if len(readers) == 1 else None

    def replaceable(self, op: Op) -> bool:
        """Whether it has a module that no other operation calls."""
        return bool(op.inputs) and op.name not in self.gone and owner(op) == op.name and self.users[op.name] == 1

    def replace(self, op: Op, by: nn.Module | None, without: Op | None = None) -> bool:
        """An operation's module, where there is another, which may do the work of a second one too."""
        if by is None:
            return False
        self.modules[op.name] = by
        if without:
            self.gone.add(without.name)
        return True
