"""A module's forward: its operations as statements that a person would write."""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from explorer.plan import Op, Plan
from explorer.running.kinds import RUNNING
from explorer.running.source.loops import Loop
from explorer.running.source.modules import Module, Step, read_as_vector, shared_kernel
from explorer.running.source.statements import Statement, Statements, tensors_of
from explorer.running.source.variables import Variables, letters
from explorer.running.text import DIGITS, Number, Read, Text, attribute, commas, named_well


class Made(NamedTuple):
    """What is known of a module once its class is made."""

    construction: Text  # "Block(64, stride=2)"
    loop: Loop | None = None
    returned: int = 1  # tensors that its class returns, perhaps more than are read of this one

    def returns_tensor(self) -> bool:
        """Not a tuple or list of them."""
        return self.returned == 1 and not (self.loop and self.loop.listed)


class Line(NamedTuple):
    text: Text
    comment: str = ""


class Forward(NamedTuple):
    parameters: str
    lines: list[Line]  # the last one returns
    returned: int  # tensors
    annotation: str  # of what is returned
    kernels: dict[str, int]  # members that are a series of kernels, read in a loop: the first's path, and how many


def forward_of(module: Module, loop: Loop | None, made: Mapping[str, Made], plan: Plan) -> Forward:
    """The forward of a module, which may be a `loop`; `made` are the modules in it."""
    variables = Variables(module, loop)
    if loop:
        parameters = loop.pattern.parameters + (", kernels: list[nn.Module]" if loop.kernels else "")
        lines = [Line((line,)) for line in loop.lines()]
    else:
        parameters, lines = variables.parameters(), []
    steps = loop.after if loop else module.steps
    lines += _kernel_lists(module, made, variables)
    statements = Statements([_statement(step, made, variables, plan) for step in steps], module.outputs)
    returned: list[Text] = [(Read(loop.listed, listed=True),)] if loop and loop.listed else statements.returned
    lines += _assigned(statements.lines, returned, variables, plan)
    lines.append(Line(("return ", *commas([variables.read(text) for text in returned]))))
    tensors = ["Tensor"] * len(returned)
    annotation = f"tuple[{', '.join(tensors)}]" if len(tensors) > 1 else "Tensor"
    if loop and loop.listed:
        annotation = "list[Tensor]"
    kernels = {path: series.length for path, series in variables.kernels.items()}
    return Forward(parameters, lines, len(returned), annotation, kernels)


def _kernel_lists(module: Module, made: Mapping[str, Made], variables: Variables) -> list[Line]:
    """kernels = [...], for loops that hand one to each of their members."""
    for step in module.steps:
        loop = made[step.name].loop if isinstance(step, Module) else None
        if isinstance(step, Module) and loop and loop.kernels:
            variables.add_kernels(step.borrowed, module.local(loop.kernels))
    lines = []
    for variable, pattern, length in variables.kernels.values():
        start = f'{variable} = [self.get_submodule(f"{pattern}") for i in range('
        lines.append(Line((start, Number("layers", length, kept=True), ")]")))
    return lines


def _statement(step: Step, made: Mapping[str, Made], variables: Variables, plan: Plan) -> Statement:
    if isinstance(step, Op):
        text = RUNNING[step.kind].application(step, variables.submodule(shared_kernel(step) or step.name))
        if RUNNING[step.kind].makes_vectors and not read_as_vector(step, plan):
            text = (*text, "[:, :, None, None]")
        return Statement(step.name, step.kind, text, step.inputs, (step.name,))
    _, loop, returned = made[step.name]
    reads = [loop.given] if loop else [Read((name,)) for name in step.inputs]
    if loop:
        modules = [variables.kernels[path].variable for path in step.borrowed[:1]]
    else:
        modules = [variables.submodule(path) for path in step.borrowed]
    called = attribute(variables.module.local(step.name))
    text = (f"{called}(", *commas([*((read,) for read in reads), *((name,) for name in modules)]), ")")
    listed = loop.listed if loop else ()
    return Statement(step.name, "call", text, step.inputs, listed or tuple(step.outputs), bool(listed), returned)


def _assigned(statements: list[Statement], returned: list[Text], variables: Variables, plan: Plan) -> list[Line]:
    """Each statement with variables for what it makes: those whose tensors are read no more, or the next letters."""
    texts = [*(statement.text for statement in statements), tuple(part for text in returned for part in text)]
    last = {name: i for i, text in enumerate(texts) for name in tensors_of(text)}  # where each is read last
    lines = []
    for i, one in enumerate(statements):
        text = variables.read(one.text)
        free = [variables.tensors[name] for name in tensors_of(one.text) if name in variables.tensors]
        busy = variables.busy({name for name, at in last.items() if at > i})
        targets: list[str] = []
        for wanted in _wanted(one, variables.module):
            candidates = chain([wanted], free, letters())
            targets.append(next(word for word in candidates if named_well(word) and word not in busy))
            busy.add(targets[-1])
        if one.listed:
            variables.lists[targets[0]] = one.makes
        else:
            variables.tensors |= dict(zip(one.makes, targets, strict=True))
        unused = ["_"] * (one.returned - len(one.makes))
        shape = "" if one.listed else "x".join(map(str, plan[str(one.makes[-1])].shape))
        lines.append(Line((f"{', '.join([*targets, *unused])} = ", *text), shape))
    return lines


def _wanted(statement: Statement, module: Module) -> list[str]:
    """The best name for each variable that a statement assigns; "" where any will do.

    A list is called as the module that makes it. What block2 returns, if it is several tensors, are feature2 for
    block2.feature.relu and so on.
    """
    if statement.listed:
        return [module.local(statement.name)]
    number = statement.name[len(statement.name.rstrip(DIGITS)) :]
    inside = [str(name).removeprefix(f"{statement.name}.").split(".") for name in statement.makes]
    return [f"{path[0]}{number}" if statement.returned > 1 and len(path) > 1 else "" for path in inside]
