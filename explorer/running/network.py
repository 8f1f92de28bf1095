"""From a plan to a network that runs, and any of its tensors by name.

The network is a `torch.fx.GraphModule` with one submodule an operation: torch.compile, torch.export and Captum
work on it, its state dict has the plan's names, and its forward is as fast as one written by hand.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.nn import functional as F
from torch.nn import init
from torchvision.ops import StochasticDepth

from explorer.counting.budget import check
from explorer.plan import Activation, Conv, Drop, Linear, Norm, Op, Pad, Plan, Pool

FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Multiply(nn.Module):
    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate


class Concat(nn.Module):
    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)


class ZeroPad(nn.Module):
    """(N, C, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)): every stride-th pixel, then channels of zeros."""

    def __init__(self, stride: int, missing: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, missing

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class Classifier(nn.Linear):
    """A linear layer on (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.flatten(x, 1))


class SharedConv2d(nn.Module):
    """A kernel over all channels, of which each call reads the slice that begins at `start`."""

    def __init__(self, channels: int, out: int, kernel: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None

    def forward(self, x: Tensor, start: int) -> Tensor:
        kernel = self.weight.narrow(1, start, x.shape[1])
        return F.conv2d(x, kernel, self.bias, padding=kernel.shape[-1] // 2)


# operations that have no attributes
PLAIN: dict[str, Callable[[], nn.Module]] = {
    "add": Add,
    "multiply": Multiply,
    "concat": Concat,
    "global_pool": partial(nn.AdaptiveAvgPool2d, 1),
}


def build(plan: Plan, seed: int = 0, device: torch.device | str = "cpu") -> GraphModule:
    """The network of a plan, in eval mode, with fresh weights.

    The weights depend on plan and seed alone: they are drawn on the CPU from a generator of their own. Raises
    BudgetError before anything is allocated where the network is larger than this machine should hold.
    """
    check(plan)
    network = blank(plan).to_empty(device="cpu")
    initialise(network, seed)
    return network.to(device)


def blank(plan: Plan) -> GraphModule:
    """The network without its numbers, on torch's meta device: names and shapes, and nothing allocated.

    The plan stays with the network as `network.meta["plan"]`.
    """
    modules: dict[str, nn.Module] = {}
    graph = Graph()
    nodes: dict[str, Node] = {}
    for op in plan.ops:
        if op.kind == "input":
            node = graph.placeholder(op.name)
        else:
            target, arguments = _target(op)
            if target not in modules:
                # on the meta device the constructors draw nothing from the process-wide generator
                with torch.device("meta"):
                    modules[target] = _module(op, plan[op.inputs[0]])
            node = graph.call_module(target, (*(nodes[name] for name in op.inputs), *arguments))
        node.meta["op"] = op.name
        nodes[op.name] = node
    graph.output(nodes[plan.ops[-1].name])
    network = _graph_module(modules, graph, "Network")
    network.meta["plan"] = plan
    return network.eval()


def _graph_module(root: nn.Module | dict[str, nn.Module], graph: Graph, name: str) -> GraphModule:
    """A module that leaves nothing behind: built for visitors all day, torch.fx's own would pile up."""
    # under a name of its own for each, the source that fx generates would stay in linecache for good
    graph._co_fields = {"co_filename": f"<{name}>"}
    module = GraphModule(root, graph, name)
    # the way back from graph to module is for edits; without it the weights go with their last user, at once
    module.graph.owning_module = None
    return module


def plan_of(network: GraphModule) -> Plan:
    plan: Plan = network.meta["plan"]
    return plan


Edge = tuple[str, str]  # an operation, and another that reads it
Kept = TypeVar("Kept", bound=str | Edge)


def run(network: GraphModule, images: Tensor, keep: Sequence[Kept] = ()) -> tuple[Tensor, dict[Kept, Tensor]]:
    """The logits (N, classes) of images (N, C, H, W), and what is named in `keep`: the outputs of operations, or of
    edges.

    An edge's tensor has the source's values and is read by that one consumer alone: its gradient is what reaches the
    source through that consumer, and the gradients of all of a source's edges add up to the source's.

    Nothing of the network is changed and no hook is set, so any number of threads may run one network. Gradients
    are recorded as the caller's grad mode says. Raises KeyError for what the network does not have.
    """
    logits, *kept = _keeping(network, tuple(keep))(images)
    return logits, dict(zip(keep, kept, strict=True))


MOST_DERIVED = 32  # sets of names remembered for each network

_derived: WeakKeyDictionary[GraphModule, dict[tuple[str | Edge, ...], GraphModule]] = WeakKeyDictionary()
_derived_lock = threading.Lock()


def _keeping(network: GraphModule, names: tuple[str | Edge, ...]) -> GraphModule:
    """The same modules under a graph with more outputs; an interpreter would cost 13-19 % of every forward."""
    with _derived_lock:
        known = _derived.setdefault(network, {})
        derived = known.pop(names, None) or _derive(network, names)
        known[names] = derived
        while len(known) > MOST_DERIVED:
            del known[next(iter(known))]
    return derived


def _derive(network: GraphModule, wanted: Collection[str | Edge]) -> GraphModule:
    plan = plan_of(network)
    for name in wanted:
        if name not in plan if isinstance(name, str) else name[1] not in plan or name[0] not in plan[name[1]].inputs:
            raise KeyError(f"the network has no {'operation' if isinstance(name, str) else 'edge'} {name!r}")
    edges = {name for name in wanted if not isinstance(name, str)}
    graph = Graph()
    # copied by hand, since Graph.graph_copy would leave the wanted nodes to be found again
    copies: dict[Node, Node] = {}
    found: dict[str | Edge, Node] = {}

    def read(source: Node, consumer: Node) -> Node:
        if edges and (edge := (source.meta["op"], consumer.meta["op"])) in edges:
            found[edge] = graph.call_method("view_as", (copies[source], copies[source]))
            return found[edge]
        return copies[source]

    for node in network.graph.nodes:
        if node.op == "output":
            graph.output((copies[node.args[0]], *(found[name] for name in wanted)))
        else:
            copies[node] = graph.node_copy(node, partial(read, consumer=node))
            found[node.meta["op"]] = copies[node]
    return _graph_module(network, graph, "Keeping")


def _target(op: Op) -> tuple[str, tuple[int, ...]]:
    """The submodule that computes an operation, and what it takes beside tensors."""
    if isinstance(op.attributes, Conv) and op.attributes.shared:
        return op.attributes.shared, (op.attributes.start,)
    return op.name, ()


def _module(op: Op, x: Op) -> nn.Module:
    """The module of an operation on `x`."""
    channels, out = x.shape[0], op.shape[0]
    module: nn.Module
    match op.attributes:
        case Conv(shared=str(name)) as a if name:
            return SharedConv2d(a.shared_channels, out, a.kernel, a.bias)
        case Conv() as a:
            module = nn.Conv2d(channels, out, a.kernel, a.stride, a.padding, groups=a.groups, bias=a.bias)
        case Norm(function="group") as a:
            module = nn.GroupNorm(a.groups, channels)
        case Norm():
            module = nn.BatchNorm2d(channels)
        case Activation() as a:
            module = FUNCTIONS[a.function]()
        case Pool() as a if op.kind == "max_pool":
            module = nn.MaxPool2d(a.kernel, a.stride, a.padding)
        case Pool() as a:
            module = nn.AvgPool2d(a.kernel, a.stride, a.padding)
        case Linear() as a:
            module = Classifier(x.size, out, bias=a.bias)
        case Pad() as a:
            module = ZeroPad(a.stride, out - channels)
        case Drop() as a if op.kind == "drop_path":
            module = StochasticDepth(a.p, "row")
        case Drop() as a:
            module = nn.Dropout(a.p)
        case None:
            module = PLAIN[op.kind]()
    return module


def initialise(network: GraphModule, seed: int) -> None:
    """Give a network on the CPU, which must be the caller's own, the fresh weights that `build` gives.

    Kaiming: normal, fan-out for convolutions (1502.01852); biases zero; the classifier's weights as PyTorch does.
    """
    plan = plan_of(network)
    draw = torch.Generator().manual_seed(seed)
    kaiming = plan.init == "kaiming"
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | SharedConv2d | nn.Linear):
            if kaiming and not isinstance(module, nn.Linear):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=draw)
            else:
                init.kaiming_uniform_(module.weight, a=5**0.5, generator=draw)
            _initialise_bias(module.weight, module.bias, kaiming, draw)
    for op in plan.ops:
        if isinstance(op.attributes, Norm) and op.attributes.zero:
            init.zeros_(network.get_parameter(f"{op.name}.weight"))


def _initialise_bias(weight: Tensor, bias: Tensor | None, zero: bool, draw: torch.Generator) -> None:
    if bias is None:
        return
    bound = 0.0 if zero else weight[0].numel() ** -0.5
    init.uniform_(bias, -bound, bound, generator=draw)
