"""The network's `initialise`: what the kinds of its operations say of their weights."""

from explorer.plan import Plan
from explorer.running.kinds import RUNNING

HEAD = '''def initialise(self) -> None:
    """Kaiming: normal, fan-out (1502.01852); biases zero; the classifier's weights as PyTorch does."""
    for module in self.modules():'''


def kaiming(plan: Plan) -> list[str]:
    """The lines of a method; [] where the plan's weights are drawn as PyTorch's constructors do."""
    kinds = {op.kind for op in plan.ops} if plan.init == "kaiming" else set()
    weights = {name: line for kind, how in RUNNING.items() if kind in kinds for name, line in how.kaiming.items()}
    if not weights:
        return []
    lines = HEAD.splitlines()
    for name, line in weights.items():
        if line:
            lines += [f"        if isinstance(module, {name}):", f"            {line}"]
    lines += [f"        if isinstance(module, {' | '.join(weights)}) and module.bias is not None:"]
    return [*lines, "            nn.init.zeros_(module.bias)"]
