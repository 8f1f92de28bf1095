"""From a plan to a network that runs, and any of its tensors by name.

The network is a `torch.fx.GraphModule` with one submodule an operation: torch.compile, torch.export and Captum
work on it, its state dict has the plan's names, and its forward is as fast as one written by hand.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node, Proxy
from torch.fx.proxy import GraphAppendingTracer
from torch.nn import init

from explorer.counting.budget import check
from explorer.plan import Op, Plan
from explorer.plan.wiring import Edge, owner
from explorer.running.devices import attempted
from explorer.running.kinds import RUNNING


def build(plan: Plan, seed: int = 0, device: torch.device | str = "cpu") -> GraphModule:
    """The network of a plan, in eval mode, with fresh weights.

    The weights depend on plan and seed alone: they are drawn on the CPU from a generator of their own. Raises
    BudgetError before anything is allocated where the network is larger than this machine should hold, and where the
    memory ends all the same.
    """
    check(plan)

    def drawn() -> GraphModule:
        network = blank(plan).to_empty(device="cpu")
        initialise(network, seed)
        return network.to(device)

    return attempted(str(device), drawn, "fewer channels or blocks")


def blank(plan: Plan) -> GraphModule:
    """The network without its numbers, on torch's meta device: names and shapes, and nothing allocated.

    The plan stays with the network as `network.meta["plan"]`.
    """
    return assembled(plan, _on_meta).eval()


def sharing(network: GraphModule, plan: Plan) -> GraphModule:
    """The network of another plan, with the very modules of a network wherever both have the same operation.

    So a network with lesions (`explorer.plan.lesions`) has the weights of the whole one, on its device and in its mode,
    and nothing of that is changed or copied. The two are one in what they share: whoever trains, moves or switches one
    does so to both. Raises ValueError for an operation with weights that the network does not have.
    """
    known, modules = plan_of(network), dict[str, nn.Module](network.named_modules())

    def module(op: Op, x: Op) -> nn.Module:
        if op.name in known:
            its = known[op.name]
            same = (op.kind, op.attributes, op.shape) == (its.kind, its.attributes, its.shape)
            if same and x.shape == known[its.inputs[0]].shape:
                shared: nn.Module = modules[owner(op)]
                return shared
        made = _on_meta(op, x).train(network.training)
        if next(chain(made.parameters(), made.buffers()), None) is not None:
            raise ValueError(f"{op.name} has weights, and the network that it shall share has none such")
        return made

    found = assembled(plan, module)
    # the mode of modules that only hold others, and of the whole: `eval()` would reach what is shared
    for name, inner in found.named_modules():
        if name not in modules or inner is not modules[name]:
            inner.training = network.training
    return found


def _on_meta(op: Op, x: Op) -> nn.Module:
    # on the meta device the constructors draw nothing from the process-wide generator
    with torch.device("meta"):
        module: nn.Module = RUNNING[op.kind].module(op, x)
    return module


def assembled(plan: Plan, module: Callable[[Op, Op], nn.Module]) -> GraphModule:
    """The plan's graph over the modules that `module` gives for operations on their first inputs."""
    modules: dict[str, nn.Module] = {}
    graph = Graph()
    writing = GraphAppendingTracer(graph)
    nodes: dict[str, Node] = {}
    for op in plan.ops:
        if not op.inputs:
            node = graph.placeholder(op.name)
        else:
            kind, target = RUNNING[op.kind], owner(op)
            if target not in modules:
                modules[target] = module(op, plan[op.inputs[0]])
            inputs = [Proxy(nodes[name], writing) for name in op.inputs]
            node = kind.call(op, partial(_call, graph, writing, target), *inputs).node
        nodes[op.name] = node
        for written in reversed(graph.nodes):
            if "op" in written.meta:
                break
            written.meta["op"] = op.name
    graph.output(graph.call_method("flatten", (nodes[plan.ops[-1].name], 1)))
    network = _graph_module(modules, graph, "Network")
    network.meta["plan"] = plan
    return network


def _call(graph: Graph, writing: GraphAppendingTracer, target: str, *arguments: Any) -> Proxy:
    """A module called in the graph, as a kind calls it with tensors."""
    given = tuple(argument.node if isinstance(argument, Proxy) else argument for argument in arguments)
    return Proxy(graph.call_module(target, given), writing)


def _graph_module(root: nn.Module | dict[str, nn.Module], graph: Graph, name: str) -> GraphModule:
    """A module that leaves nothing behind; of torch.fx's own, built for visitors all day, remains would pile up."""
    # under a name of its own for each, the source that fx generates would stay in linecache for good
    graph._co_fields = {"co_filename": f"<{name}>"}
    module = GraphModule(root, graph, name)
    # graph and module refer to each other; without one of the two, the weights are freed with their last user, at once
    module.graph.owning_module = None
    return module


def plan_of(network: GraphModule) -> Plan:
    plan: Plan = network.meta["plan"]
    return plan


Kept = TypeVar("Kept", bound=str | Edge)


def run(network: GraphModule, images: Tensor, keep: Sequence[Kept] = ()) -> tuple[Tensor, dict[Kept, Tensor]]:
    """The logits (N, classes) of images (N, C, H, W), and what is named in `keep`: the outputs of operations, or of
    edges, each (N, *op.shape), a vector being (N, C, 1, 1).

    An edge's tensor has the source's values and is read by that one consumer alone: its gradient is what reaches the
    source through that consumer, and the gradients of all of a source's edges add up to the source's.

    Nothing of the network is changed and no hook is set, so any number of threads may run one network. Gradients
    are recorded as the caller's grad mode says. Raises KeyError for what the network does not have.
    """
    logits, *kept = _keeping(network, tuple(keep))(images)
    return logits, dict(zip(keep, kept, strict=True))


MOST_DERIVED, MOST_NODES = 32, 16_000  # sets of names remembered for each network; nodes of all of them, 2 kB each

_derived: WeakKeyDictionary[GraphModule, dict[tuple[str | Edge, ...], GraphModule]] = WeakKeyDictionary()
_derived_lock = threading.Lock()


def _keeping(network: GraphModule, names: tuple[str | Edge, ...]) -> GraphModule:
    """The same modules under a graph with more outputs; an interpreter would cost 13-19 % of every forward."""
    with _derived_lock:
        known = _derived.setdefault(network, {})
        derived = known.pop(names, None) or _derive(network, names)
        known[names] = derived
        most = min(MOST_DERIVED, MOST_NODES // len(network.graph.nodes))
        while len(known) > max(1, most):
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
        if edges and (edge := (source.meta["op"], consumer.meta.get("op", ""))) in edges:
            if edge not in found:
                found[edge] = graph.call_method("view_as", (copies[source], copies[source]))
            return found[edge]
        return copies[source]

    for node in network.graph.nodes:
        if node.op == "output":
            graph.output((copies[node.args[0]], *(found[name] for name in wanted)))
        else:
            copies[node] = graph.node_copy(node, partial(read, consumer=node))
            if "op" in node.meta:  # all but the last one, which makes vectors of the logits
                found[node.meta["op"]] = copies[node]
    return _graph_module(network, graph, "Keeping")


def initialise(network: GraphModule, seed: int) -> None:
    """Give a network on the CPU, which must be the caller's own, the fresh weights that `build` gives.

    They are drawn module by module, as the network holds them. Raises TypeError, with the kind's name, for parameters
    that nothing would fill.
    """
    plan = plan_of(network)
    draw = torch.Generator().manual_seed(seed)
    ops = {owner(op): op for op in plan.ops}
    for name, module in network.named_modules():
        if name in ops:
            kind = RUNNING[ops[name].kind]
            if kind.initialise:
                kind.initialise(module, plan.init, draw)
            elif next(chain(module.parameters(), module.buffers()), None) is not None:
                raise TypeError(f"the kind {kind.kind!r} does not say how the parameters of {name} are initialised")
    for op in plan.ops[1:]:
        if RUNNING[op.kind].starts_at_zero(op):
            init.zeros_(network.get_parameter(f"{op.name}.weight"))
