"""A network as Python: one file that needs torch alone, with the names, and the logits, of the network that runs.

Everything is read from the plan, so a new family needs nothing here. The dots in the operations' names give the
modules. Each module becomes text with holes where the numbers go; modules of equal text are one class, and the
numbers in which they differ are its constructor's arguments, or follow from those by simple arithmetic.

From the top: text with holes; the modules of a plan, and how they call each other; a forward; classes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, groupby, permutations, takewhile
from keyword import iskeyword
from textwrap import fill
from typing import Any, NamedTuple

from explorer import families, network, weights
from explorer.families import Config
from explorer.plan import GROUP_NORM_GROUPS, Activation, Conv, Drop, Linear, Norm, Op, Pad, Plan, Pool

WIDTH = 110  # columns of the file
NESTING = 4  # calls in one expression
DIGITS = "0123456789"


def python_source(config: Config) -> str:
    """The network of a configuration as a Python file: it defines `Network`, and runs by itself."""
    plan = families.plan(config)
    return plan_source(plan, describe(config, plan))


def describe(config: Config, plan: Plan) -> str:
    """What the file holds: title or knobs, costs, papers, and whose weights fit."""
    family, known = families.family_of(config), families.known_as(config)
    nearest = min(family.presets.values(), key=lambda preset: len(config.changes(preset.config)))
    changes = {} if known else config.changes(nearest.config)
    knobs = ", ".join(f"{name} {families.describe(value)}" for name, (_, value) in changes.items())
    title = families.TITLES[known] if known else f"{nearest.title}, but {knobs}" if knobs else nearest.title
    shape = " x ".join(map(str, plan.ops[0].shape))
    paragraphs = [
        f"{title}.",
        f"{plan.params:,} parameters; {plan.macs:,} multiply-accumulates for an image of {shape}.",
        "\n".join(f"{paper}\n    {address}" for paper, address in family.papers.items()),
    ]
    if weights.offered(config):
        name = families.known_as(config.adapt(input_size=224))
        paragraphs.append(f"torchvision.models.{name} is the same network: its state_dict() loads here, strictly.")
    return "\n\n".join(p if "\n" in p else fill(p, WIDTH) for p in paragraphs)


def plan_source(plan: Plan, description: str) -> str:
    """The network of any plan; `description` opens the file."""
    classes = "\n\n\n".join(Classes(plan).written())
    helpers = [helper for name, helper in HELPERS.items() if re.search(rf"\b{name}\(", classes)]
    body = "\n\n\n".join([*helpers, classes, MAIN.format(shape=", ".join(map(str, plan.ops[0].shape)))])
    functional = "from torch.nn import functional as F\n" if "F." in body else ""
    return f'"""{description}\n"""\n\nimport torch\nfrom torch import Tensor, nn\n{functional}\n\n{body}'


# --- text with holes


class Number(NamedTuple):
    """A hole for a number, in which the instances of a class may differ."""

    role: str  # its name, should it become an argument
    value: Any
    keyword: bool = False  # written by name, and left out at `default`
    default: Any = None
    kept: bool = False  # read in forward, so an attribute
    looped: bool = False  # the value is a tuple, one entry for each i of the loop around it


class Read(NamedTuple):
    """A tensor of the plan, or a list of them. None: any will do, since nothing reads it."""

    values: tuple[str | None, ...]
    listed: bool = False


Text = tuple[str | Number | Read, ...]


def numbers(text: Text) -> list[Number]:
    return [part for part in text if isinstance(part, Number)]


def saying(text: Text) -> Text:
    """The text apart from its numbers."""
    return tuple(part._replace(value=None) if isinstance(part, Number) else part for part in text)


def together(texts: Sequence[Text]) -> Text:
    """Texts that differ in their numbers only, as one to stand in a loop over i; () where they are not such."""
    if len(set(map(saying, texts))) != 1 or any(number.looped for number in numbers(texts[0])):
        return ()
    values = iter(list(zip(*([number.value for number in numbers(text)] for text in texts), strict=True)))
    return tuple(p._replace(value=next(values), looped=True) if isinstance(p, Number) else p for p in texts[0])


def commas(texts: Sequence[Text]) -> Text:
    return tuple(part for i, text in enumerate(texts) for part in ((", ", *text) if i else text))


def named_well(word: str) -> bool:
    return word.isidentifier() and not iskeyword(word)


def attribute(path: str) -> str:
    return f"self.{path}" if all(map(named_well, path.split("."))) else f'self.get_submodule("{path}")'


def shared_kernel(op: "Op | Unit") -> str:
    """The name of the kernel that an operation reads a slice of; "" for most."""
    return op.attributes.shared if isinstance(op, Op) and isinstance(op.attributes, Conv) else ""


def construction(op: Op, x: Op) -> Text:
    """The module of an operation on `x`."""
    channels, out = Number("channels", x.shape[0]), Number("width", op.shape[0])
    match op.attributes:
        case Conv() as a:
            name, read = ("SharedConv2d(", a.shared_channels) if a.shared else ("nn.Conv2d(", x.shape[0])
            sizes = commas([(channels._replace(value=read),), (out,), (Number("kernel", a.kernel),)])
            options = ("stride", a.stride, 1), ("padding", a.padding, 0), ("groups", a.groups, 1)
            holes = [Number(role, value, True, default) for role, value, default in options]
            return (name, *sizes, *holes, ")" if a.bias else ", bias=False)")
        case Norm(function="group") as a:
            if a.groups == max(g for g in range(1, GROUP_NORM_GROUPS + 1) if x.shape[0] % g == 0):
                return ("GroupNorm(", channels, ")")
            return ("nn.GroupNorm(", Number("groups", a.groups), ", ", channels, ")")
        case Norm():
            return ("nn.BatchNorm2d(", channels, ")")
        case Linear() as a:
            close = ")" if a.bias else ", bias=False)"
            return ("nn.Linear(", Number("channels", x.size), ", ", Number("classes", op.shape[0]), close)
        case Pad() as a:
            return ("ZeroPad(", out, ", ", Number("stride", a.stride), ")")
        case Drop() as a:
            return ("DropPath(" if op.kind == "drop_path" else "nn.Dropout(", Number(op.kind, a.p), ")")
        case Activation() as a:
            return (f"nn.{type(network.FUNCTIONS[a.function]()).__name__}()",)
        case Pool() as a:
            return (f"nn.{'Max' if op.kind == 'max_pool' else 'Avg'}Pool2d({pool_sizes(a)})",)
    return ("nn.AdaptiveAvgPool2d(1)",)


def application(op: Op, module: str) -> Text:
    """The operation applied to its inputs; `module` is where its module is."""
    first, *others = (Read((name,)) for name in op.inputs)
    match op.kind, op.attributes:
        case "conv", Conv(shared=str(shared)) as a if shared:
            return (f"{module}(", first, Number("start", a.start, True, 0, kept=True), ")")
        case "linear", _:
            return (f"{module}(torch.flatten(", first, ", 1))")
        case "activation", Activation() as a:
            return (f"torch.{a.function}(" if a.function in ("tanh", "sigmoid") else f"F.{a.function}(", first, ")")
        case "max_pool" | "avg_pool", Pool() as a:
            return (f"F.{op.kind}2d(", first, f", {pool_sizes(a)})")
        case "global_pool", _:
            return ("F.adaptive_avg_pool2d(", first, ", 1)")
        case "add" | "multiply", _:
            return (first, " + " if op.kind == "add" else " * ", *others)
        case "concat", _:
            return ("torch.cat(", Read(op.inputs, listed=True), ", 1)")
    return (f"{module}(", first, ")")


def pool_sizes(a: Pool) -> str:
    return f"{a.kernel}, stride={a.stride}" + (f", padding={a.padding}" if a.padding else "")


# --- the modules of a plan, and how they call each other


class Unit:
    """A module that holds others: a prefix of the plan's names, "" for the network."""

    kind = "call"

    def __init__(self, path: str) -> None:
        self.name = path
        self.members: dict[str, Op | Unit] = {}  # its modules by their names in it
        self.steps: list[Op | Unit] = []  # what its forward does
        self.inputs: list[str] = []  # tensors
        self.outputs: list[str] = []
        self.foreign: list[str] = []  # modules outside that it reads: shared kernels
        self.loop: Loop | None = None
        self.returned = 1  # tensors that its class returns, perhaps more than are read of this instance

    def holds(self, path: str) -> bool:
        return not self.name or path.startswith(f"{self.name}.")

    def local(self, path: str) -> str:
        return path.removeprefix(f"{self.name}.") if self.name else path


class Loop(NamedTuple):
    """How the members of a module, if they are one numbered series, read each other."""

    kind: str
    inputs: Read
    state: tuple[str | None, ...]  # the tensors that the loop leaves
    after: list[Op | Unit]  # further steps; without any, the module returns a list
    result: tuple[str | None, ...] = ()  # this one


def prefixes(path: str) -> Iterator[str]:
    """The modules around a name, the innermost first."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def outputs(step: Op | Unit) -> list[str]:
    return step.outputs if isinstance(step, Unit) else [step.name]


def list_of(step: Op | Unit) -> tuple[str | None, ...]:
    """The tensors in the list that a module returns, if it returns a list."""
    return step.loop.result if isinstance(step, Unit) and step.loop else ()


def units_of(plan: Plan) -> dict[str, Unit]:
    """All modules that hold others. Those whose operations follow each other without a gap can be called; the
    operations of the rest are steps of the next such module around them."""
    spans: dict[str, list[int]] = defaultdict(list)
    for index, op in enumerate(plan.ops):
        for path in prefixes(op.name):
            spans[path].append(index)
    called = {path for path, span in spans.items() if span[-1] - span[0] + 1 == len(span)}
    units = {path: Unit(path) for op in plan.ops for name in (op.name, shared_kernel(op)) for path in prefixes(name)}
    makers: dict[str, list[Unit]] = {plan.ops[0].name: []}  # of each tensor: the modules around its operation

    def enter(path: str, member: Op | Unit | None) -> None:
        for outer in prefixes(path):
            if member:
                units[outer].members.setdefault(units[outer].local(path), member)
            path, member = outer, units[outer]

    def note(name: str, lists: Iterable[list[str]]) -> None:
        for names in lists:
            if name not in names:
                names.append(name)

    for index, op in enumerate(plan.ops[1:], start=1):
        around = [units[path] for path in prefixes(op.name) if path in called]
        begins = spans[around[0].name][0] == index < spans[around[0].name][-1]
        if op.kind == "concat" and begins and not any(map(around[0].holds, op.inputs)):
            around = around[1:]  # a module that begins by joining what others made is given the joined tensor
        makers[op.name] = around
        step: Op | Unit = op
        for unit in around:
            if not unit.steps or unit.steps[-1] is not step:
                unit.steps.append(step)
            step = unit
        for name in op.inputs:
            note(name, (unit.inputs for unit in around if unit not in makers[name]))
            note(name, (unit.outputs for unit in makers[name] if unit not in around))
        kernel = shared_kernel(op)
        own = isinstance(op.attributes, Conv | Norm | Linear | Pad | Drop) and not kernel
        enter(op.name, op if own else None)
        if kernel:
            enter(kernel, op)
            local = next(unit for unit in around if unit.holds(kernel)).local(kernel)
            node = kernel.removesuffix(local) + local.partition(".")[0]
            note(node, (unit.foreign for unit in around if not unit.holds(kernel)))
    note(plan.ops[-1].name, (unit.outputs for unit in makers[plan.ops[-1].name]))
    order = {op.name: index for index, op in enumerate(plan.ops)}
    for unit in units.values():
        unit.outputs.sort(key=order.__getitem__)
    return units


def numbered(names: Sequence[str]) -> tuple[str, str]:
    """("layer", "layer{i + 1}") for layer1, layer2, ...; ("", "") for names that are no such series."""
    stem = names[0].rstrip(DIGITS) if names else ""
    start = names[0][len(stem) :] if names else ""
    if not start or any(name != f"{stem}{int(start) + i}" for i, name in enumerate(names)):
        return "", ""
    return stem, f"{stem}{{i + {start}}}" if int(start) else f"{stem}{{i}}"


def loop_of(unit: Unit) -> Loop | None:
    """The unit's forward as a loop over its members, if it is one."""
    elements = [step for step in unit.steps if isinstance(step, Unit)]
    simple = all(len(step.inputs) == len(step.outputs) == step.returned == 1 and not list_of(step) for step in elements)
    if not simple or len(unit.members) != len(elements) or not numbered(list(unit.members))[1]:
        return None
    joins = {step.name: tuple(step.inputs) for step in unit.steps if step.kind == "concat"}
    seen = [joins.get(step.inputs[0], tuple(step.inputs)) for step in elements]
    joined = {step.inputs[0] for step in elements}
    after = [step for step in unit.steps if step not in elements and step.name not in joined]
    kernels = [path for step in elements for path in step.foreign]
    beside = numbered(kernels)[0].rpartition(".")[0] == unit.name.rpartition(".")[0]
    handed = not kernels or (beside and numbered(kernels)[1] and len(kernels) == len(elements))
    if (
        not handed
        or any(map(shared_kernel, after))
        or (after and unit.steps.index(after[0]) < unit.steps.index(elements[-1]))
    ):
        return None
    outs: list[str | None] = [step.outputs[0] for step in elements]
    x, newest, others = seen[0][0], [None, *seen[0]], []
    for i, out in enumerate(outs):
        others.append((*newest[:i], *newest[i + 1 :]))
        newest[i : i + 1] = [out]
    chained, grown = [(name,) for name in (x, *outs[:-1])], [(x, *outs[:i]) for i in range(len(outs))]
    for loop, reads in (
        (Loop("chain", Read((x,)), tuple(outs[-1:]), after), chained),
        (Loop("growing", Read((x,)), (x, *outs), after, () if after else tuple(outs)), grown),
        (Loop("replacing", Read((None, *seen[0]), True), tuple(newest), after, () if after else tuple(newest)), others),
    ):
        gone = {*loop.inputs.values} - {*loop.state}  # what was replaced
        closed = {*unit.inputs} <= {*loop.inputs.values} and not gone & {name for step in after for name in step.inputs}
        returns = not {*unit.outputs} & {*loop.state} if after else {*unit.outputs} <= {*(loop.result or loop.state)}
        if seen == reads and closed and returns and not (after and loop.kind == "chain"):
            return loop
    return None


# --- a forward


class Statement(NamedTuple):
    step: Op | Unit
    targets: tuple[str | None, ...]
    text: Text


class Forward:
    """The lines of a module's forward. What is read once, and short, is written where it is read."""

    def __init__(self, unit: Unit, plan: Plan) -> None:
        self.unit, self.plan = unit, plan
        self.names: dict[str | None, str] = {}  # the variables of tensors
        self.lists: dict[str, tuple[str | None, ...]] = {}  # expressions that are lists of tensors
        self.modules: dict[str, str] = {}  # arguments that are modules
        self.series: dict[str, tuple[str, int]] = {}  # lists of members, by the first: the variable, and how many
        self.lines: list[tuple[Text, str]] = []  # with comments
        self.parameters = self._loop(unit.loop) if unit.loop else self._arguments()
        for step in unit.steps:
            if isinstance(step, Unit) and step.loop and step.foreign:
                name, length = self.series.get(step.foreign[0], (f"kernels{len(self.series) or ''}", 0))
                self.series[step.foreign[0]] = name, max(length, len(step.foreign))
        for path, (name, length) in self.series.items():
            start = f'{name} = [self.get_submodule(f"{numbered([unit.local(path)])[1]}") for i in range('
            self.lines.append(((start, Number("layers", length, kept=True), ")]"), ""))
        statements, self.returned = self._statements(unit.loop.after if unit.loop else unit.steps)
        self._write(statements)
        tensors = ["Tensor"] * len(self.returned)
        self.annotation = f"tuple[{', '.join(tensors)}]" if len(tensors) > 1 else "Tensor"
        if list_of(unit):
            self.annotation = "list[Tensor]"

    def _arguments(self) -> str:
        self.names = dict(zip(self.unit.inputs, letters(), strict=False))
        self.modules = {path: f"kernels{i or ''}" for i, path in enumerate(self.unit.foreign)}
        tensors = [f"{name}: Tensor" for name in self.names.values()]
        return ", ".join([*tensors, *(f"{name}: nn.Module" for name in self.modules.values())])

    def _loop(self, loop: Loop) -> str:
        parameters, lines = LOOPS[loop.kind]
        words = {"each": "layer", "pair": "layer", "every": "self.values()", "kernel": ""}
        if self.unit.foreign:
            words = {"each": "layer, kernel", "pair": "(layer, kernel)", "every": "zip(self.values(), kernels)"}
            words["kernel"] = ", kernel"
            parameters += ", kernels: list[nn.Module]"
        self.lines = [((line.format(**words),), "") for line in lines]
        self.names = {loop.inputs.values[0]: "x"} | {name: "x" for name in loop.state if loop.kind == "chain"}
        if loop.kind != "chain":
            self.lists = {"features": loop.state, "features[1:]": loop.state[1:]}
        return parameters

    def _statements(self, steps: Sequence[Op | Unit]) -> tuple[list[Statement], list[Text]]:
        """What is assigned, and what is returned."""
        texts = [self._application(step) for step in steps]
        uses = Counter(chain(self.unit.outputs, *(step.inputs for step in steps)))
        readers: dict[str | None, str] = {}
        for step, text in zip(steps, texts, strict=True):
            for part in text:
                if isinstance(part, Read):
                    readers |= dict.fromkeys(part.values, "list" if part.listed else step.kind)
        statements: list[Statement] = []
        pending: dict[str | None, Statement] = {}

        def put(text: Text, room: int) -> Text:
            """With pending expressions in place of the tensors that they make, as long as there is room."""
            parts: list[Text] = []
            for part in text:
                inner = pending.pop(part.values[0], None) if isinstance(part, Read) else None
                if inner and calls(inner.text) > room:
                    statements.append(inner)
                    inner = None
                room -= calls(inner.text) if inner else 0
                parts.append(inner.text if inner else (part,))
            return tuple(chain(*parts))

        for step, text in zip(steps, texts, strict=True):
            made = Statement(step, list_of(step) or tuple(outputs(step)), put(text, NESTING - calls(text)))
            one = (
                outputs(step)[0] if not list_of(step) and len(made.targets) == getattr(step, "returned", 1) == 1 else ""
            )
            if uses[one] == 1 and nests(step.kind, readers.get(one, "return")):
                pending[one] = made
            elif any(uses[str(name)] for name in made.targets):
                statements.append(made)
        if list_of(self.unit):
            return statements, [(Read(list_of(self.unit), listed=True),)]
        return statements, [put((Read((name,)),), NESTING + 1) for name in self.unit.outputs]

    def _application(self, step: Op | Unit) -> Text:
        module = attribute(self.unit.local(step.name))
        if isinstance(step, Op):
            return application(step, self._module(shared_kernel(step)) if shared_kernel(step) else module)
        given: list[Text] = [(step.loop.inputs,)] if step.loop else [(Read((name,)),) for name in step.inputs]
        if step.loop:
            modules = [self.series[path][0] for path in step.foreign[:1]]
        else:
            modules = [self._module(path) for path in step.foreign]
        return (f"{module}(", *commas([*given, *((name,) for name in modules)]), ")")

    def _module(self, path: str) -> str:
        """A module from here: one inside, or one that is handed in or inside of that."""
        if self.unit.holds(path):
            return attribute(self.unit.local(path))
        node = next(node for node in self.modules if f"{path}.".startswith(f"{node}."))
        return self.modules[node] + (attribute(path[len(node) + 1 :]).removeprefix("self") if path != node else "")

    def _write(self, statements: Sequence[Statement]) -> None:
        """The statements with a variable for each tensor: one that is read no more, or the next letter."""
        texts = [*(statement.text for statement in statements), tuple(chain(*self.returned))]
        last = {name: i for i, text in enumerate(texts) for name in tensors_of(text)}
        for i, (step, targets, text) in enumerate(statements):
            line, several = self._named(text), list_of(step) or getattr(step, "returned", 1) > 1
            free = chain((self.names[name] for name in tensors_of(text) if name in self.names), letters())
            busy = {self.names[name] for name, at in last.items() if at > i and name in self.names}
            busy |= {*self.lists, *self.modules.values(), *(name for name, _ in self.series.values()), "features"}
            variables = []
            for name in targets[: 1 if list_of(step) else None]:
                inside = str(name).removeprefix(f"{step.name}.").split(".")
                own = inside[0] + step.name[len(step.name.rstrip(DIGITS)) :] if len(inside) > 1 else ""
                wanted = [self.unit.local(step.name) if list_of(step) else own] if several else []
                variable = next(word for word in chain(wanted, free) if named_well(word) and word not in busy)
                variables.append(variable)
                busy.add(variable)
            if list_of(step):
                self.lists[variables[0]] = targets
            else:
                self.names |= dict(zip(targets, variables, strict=True))
            shape = "x".join(map(str, self.plan[str(targets[-1])].shape)) if not list_of(step) else ""
            variables += ["_"] * (getattr(step, "returned", 1) - len(targets))
            self.lines.append(((f"{', '.join(variables)} = ", *line), shape))
        self.lines.append((("return ", *commas([self._named(text) for text in self.returned])), ""))

    def _named(self, text: Text) -> Text:
        """With variables in place of tensors."""
        return tuple(self._variables(part) if isinstance(part, Read) else part for part in text)

    def _variables(self, read: Read) -> str:
        if not read.listed:
            return self._variable(read.values[0])
        parts, rest = [], read.values
        while rest:
            texts = (text for text, have in self.lists.items() if agree(have, rest[: len(have)]))
            text = next(texts, "")
            parts.append(f"*{text}" if text else self._variable(rest[0]))
            rest = rest[len(self.lists[text]) if text else 1 :]
        return parts[0][1:] if len(parts) == 1 and parts[0][0] == "*" else f"[{', '.join(parts)}]"

    def _variable(self, name: str | None) -> str:
        items = (f"{text}[{have.index(name)}]" for text, have in self.lists.items() if name in have)
        return self.names.get(name) or next(items, "None")


def letters() -> Iterator[str]:
    return chain("xyzuvw", (f"x{i}" for i in count(1)))


def calls(text: Text) -> int:
    return sum(part.count("(") for part in text if isinstance(part, str))


def tensors_of(text: Text) -> list[str | None]:
    return [name for part in text if isinstance(part, Read) for name in part.values]


def numbers_of(word: str) -> Iterator[str]:
    return (f"{word}{i}" for i in count(2))


def agree(have: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """None among the wanted: anything will do."""
    return len(have) == len(wanted) > 0 and all(w is None or h == w for h, w in zip(have, wanted, strict=True))


def nests(kind: str, reader: str) -> bool:
    """Whether an operation is written inside the one that reads it: lines end after an activation."""
    inside = {"activation": ["multiply"], "add": ["activation"], "call": ["add", "multiply"]}
    inside |= {"multiply": [], "max_pool": [], "avg_pool": [], "global_pool": []}
    return reader == "return" or (reader != "list" and reader in inside.get(kind, [reader]))


# --- classes


class Arguments:
    """What a constructor takes, found from the numbers of the instances, hole by hole."""

    PLACED = ("channels", "width", "out")  # given by place, the others by name

    def __init__(self) -> None:
        self.values: dict[str, Sequence[Any]] = {}  # by name: of each instance
        self.defaults: dict[str, Any] = {}

    @classmethod
    def of(cls, holes: Sequence[Sequence[Number]]) -> tuple["Arguments", list[str]]:
        """The arguments for the holes of each instance, and the text that fills each hole."""
        found, starts, steps = cls(), [], []
        for column in zip(*holes, strict=True):
            series = [progression(hole.value) if hole.looped else (hole.value, 0) for hole in column]
            known = [pair for pair in series if pair]
            if len(known) == len(series):
                starts.append(found.expression(column[0], [start for start, _ in known]))
                steps.append([step for _, step in known])
            else:
                starts.append(found.expression(column[0], [hole.value for hole in column]) + "[i]")
                steps.append([0])
        growth = Number("growth", 0)
        return found, [stepped(text, found.expression(growth, step)) for text, step in zip(starts, steps, strict=True)]

    def expression(self, hole: Number, values: Sequence[Any]) -> str:
        """A literal, an argument, or arithmetic with these, that has these values in the instances."""
        known = [value for value in values if value is not None] or [0]
        if all(value == known[0] for value in known):
            return f"{known[0]:.6g}" if isinstance(known[0], float) else str(known[0])
        alike = {name: have for name, have in self.values.items() if type(have[0]) is type(known[0])}
        terms = arithmetic(alike, values) if type(known[0]) is int else alike.items()
        return next((text for text, have in terms if agree(have, values)), "") or self._new(hole, values, known[0])

    def _new(self, hole: Number, values: Sequence[Any], known: Any) -> str:
        role = f"layer_{hole.role}" if isinstance(known, tuple) else hole.role
        names = chain([role], self.PLACED if role in self.PLACED else (), numbers_of(role))
        name = next(name for name in names if name not in self.values)
        self.values[name] = [known if value is None else value for value in values]
        if hole.keyword and hole.default in values:
            self.defaults[name] = hole.default
        return name

    def names(self) -> list[str]:
        return sorted(self.values, key=lambda name: (name in self.defaults, name not in self.PLACED))

    def signature(self) -> str:
        types = {name: type(have[0]).__name__.replace("tuple", "tuple[int, ...]") for name, have in self.values.items()}
        defaults = {name: f" = {value}" for name, value in self.defaults.items()}
        return "".join(f", {name}: {types[name]}{defaults.get(name, '')}" for name in self.names())

    def given(self, instance: int) -> Text:
        """What the call that makes this instance gives."""
        holes = [
            Number(name, self.values[name][instance], name not in self.PLACED, self.defaults.get(name))
            for name in self.names()
        ]
        return (*commas([(hole,) for hole in holes if not hole.keyword]), *(hole for hole in holes if hole.keyword))


def arithmetic(known: Mapping[str, Sequence[int]], goal: Sequence[int | None]) -> Iterator[tuple[str, list[int]]]:
    """What may give the goal, the simplest first."""
    place = next(i for i, value in enumerate(goal) if value is not None)
    want = goal[place] or 0
    terms = {name: list(have) for name, have in known.items()}
    for n, width in permutations(known, 2):
        if n.startswith("layers"):
            terms[f"{n} * {width}"] = [n * k for n, k in zip(known[n], known[width], strict=True)]
            terms[f"({n} - 1) * {width}"] = [(n - 1) * k for n, k in zip(known[n], known[width], strict=True)]
    yield from terms.items()
    for name, have in known.items():
        times, share = want // (have[place] or 1), have[place] // (want or 1)
        yield f"{times} * {name}", [times * value for value in have]
        yield f"{name} // {share}", [value // (share or 1) for value in have]
    for one, other in permutations(terms, 2):
        times = (want - terms[one][place]) // (terms[other][place] or 1)
        text = f"{one} - {other}" if times == -1 else f"{one} + {times} * {other}".replace(" 1 * ", " ")
        if times >= -1:
            yield text, [a + times * b for a, b in zip(terms[one], terms[other], strict=True)]
    for name, have in known.items():
        more = want - have[place]
        yield f"{name} {'-' if more < 0 else '+'} {abs(more)}", [value + more for value in have]


def even(values: Sequence[Any]) -> int:
    """How many of the first are equal; or else, of numbers, how many have equal steps."""
    same = len(list(takewhile(lambda value: value == values[0], values)))
    if same > 1 or len(values) == 1 or isinstance(values[0], bool | tuple):
        return same
    step = values[1] - values[0]
    return len(list(takewhile(lambda at: abs(values[0] + at[0] * step - at[1]) < 1e-9, enumerate(values))))


def progression(values: Sequence[Any]) -> tuple[Any, Any] | None:
    """(start, step) of values with equal steps; of a single one, the step is None."""
    if even(values) < len(values):
        return None
    start, *rest = values
    return start, None if not rest else 0 if rest[0] == start else rest[0] - start


def runs(texts: Sequence[Text]) -> Iterator[Text]:
    """The elements of a list, with comprehensions where they repeat."""
    while texts:
        alike = list(next(groupby(texts, key=saying))[1])
        columns = list(zip(*([hole.value for hole in numbers(text)] for text in alike), strict=True))
        length = min(map(even, columns), default=len(alike))
        if length == 2 and any(isinstance(values[0], int) and values[0] != values[1] for values in columns):
            length = 1  # a step between two widths says nothing
        if length > 1 and (text := together(texts[:length])):
            yield ("*[", *text, " for i in range(", Number("layers", length), ")]")
        else:
            yield from texts[:length]
        texts = texts[length:]


class Template(NamedTuple):
    """A module as text."""

    unit: Unit
    init: list[Text]
    forward: Forward | None

    def lines(self) -> list[Text]:
        return [*self.init, *(line for line, _ in (self.forward.lines if self.forward else []))]

    def key(self) -> str:
        """Equal for instances of one class, which may differ in how much they return."""
        lines = self.lines()[: -1 if self.forward else None]
        parameters = self.forward and self.forward.parameters
        return repr((self.unit.loop is None, parameters, list(map(saying, lines))))

    def end(self) -> Text:
        """The line that returns."""
        return (*saying(self.forward.lines[-1][0]), ", ") if self.forward else ()


class Classes:
    """The classes of a plan, found from the innermost modules outwards."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.units = units_of(plan)
        self.made: dict[str, Text] = {}  # what makes each module
        self.all: list[tuple[list[Template], list[str]]] = []  # the instances of each class, and its lines
        depths: dict[int, list[Unit]] = defaultdict(list)
        for path, unit in self.units.items():
            depths[len(list(prefixes(path)))].append(unit)
        for _, units in sorted(depths.items(), reverse=True):
            groups: dict[str, list[Template]] = defaultdict(list)
            for unit in units:
                if text := self._sequential(unit):
                    self.made[unit.name] = text
                else:
                    template = self._template(unit)
                    groups[template.key()].append(template)
            for group in groups.values():
                self._define(group)

    def _construction(self, module: Op | Unit) -> Text:
        return self.made[module.name] if isinstance(module, Unit) else construction(module, self.plan[module.inputs[0]])

    def _sequential(self, unit: Unit) -> Text:
        """nn.Sequential(...), where the modules are numbered and each reads the one before; else nothing."""
        value, places = unit.inputs, {}
        for step in unit.steps:
            if isinstance(step, Unit):
                simple = not step.foreign and not list_of(step) and step.returned == 1
            else:
                simple = step.kind != "linear" and not shared_kernel(step) and not starts_at_zero(step)
            if not simple or list(step.inputs) != value or not unit.local(step.name).isdecimal():
                return ()
            value, places[int(unit.local(step.name))] = outputs(step), self._construction(step)
        ordered = list(places) == sorted(places) and len(places) >= len(unit.members)
        if (
            not unit.name
            or not places
            or not ordered
            or unit.outputs != value
            or not len(unit.inputs) == len(value) == 1
        ):
            return ()
        elements = [places.get(i, ("nn.Identity()",)) for i in range(max(places) + 1)]
        return ("nn.Sequential(", *commas(list(runs(elements))), ")")

    def _template(self, unit: Unit) -> Template:
        made = {name: self._construction(member) for name, member in unit.members.items()}
        unit.loop = loop_of(unit) if together(list(made.values())) else None
        forward = Forward(unit, self.plan) if unit.outputs else None
        names, lists = list(made), [list(made)] if unit.loop else []
        for path, (_, length) in (forward.series if forward else {}).items():
            start = names.index(unit.local(path))
            lists.append(names[start : start + length])
        init: list[Text] = []
        called = [unit.local(step.name).partition(".")[0] for step in unit.steps]
        for name in dict.fromkeys([*(name for name in called if name in made), *made]):
            series = next((names for names in lists if name in names and together([made[n] for n in names])), [])
            if name in series[:1]:
                place = f'f"{numbered(series)[1]}"'
                head, tail = (f"    self[{place}] = ", "") if unit.loop else (f"    self.add_module({place}, ", ")")
                init.append(("for i in range(", Number("layers", len(series)), "):"))
                init.append((head, *together([made[n] for n in series]), tail))
            elif not series:
                head, tail = (f"self.{name} = ", "") if named_well(name) else (f'self.add_module("{name}", ', ")")
                init.append((head, *made[name], tail))
            if starts_at_zero(unit.members[name]):
                init.append((f"nn.init.zeros_({attribute(name)}.weight)",))
        return Template(unit, init, forward)

    def _define(self, templates: Sequence[Template]) -> None:
        """One class for those that return what the most talkative returns, or the first of it; then for the rest."""
        first = max(templates, key=lambda template: len(template.end()))
        last = first.end()
        group = [
            template
            for template in templates
            if template.end() == last[: len(template.end())] and not numbers(last[len(template.end()) :])
        ]
        rest = [template for template in templates if template not in group]
        arguments, texts = Arguments.of([[n for line in t.lines() for n in numbers(line)] for t in group])
        kept: dict[str, str] = {}

        def filled(part: Any) -> str:
            text = texts.pop(0) if isinstance(part, Number) else str(part)
            if isinstance(part, Number) and part.kept and not text.isdecimal():
                names = (name for name in chain([part.role], numbers_of(part.role)) if name not in first.unit.members)
                name = next(name for name in names if kept.get(name, text) == text)
                kept[name], text = text, f"self.{name}"
            if isinstance(part, Number) and part.keyword:
                text = "" if text == str(part.default) else f", {part.role}={text}"
            return text

        def written(line: Text) -> str:
            text = "".join(map(filled, line)).replace("(, ", "(")
            unused = re.compile(r"(\*\[(?:(?!\bi\b)[^\[\]])*) for i in")  # a comprehension that does not read its i
            return unused.sub(r"\1 for _ in", text)

        lines, body = [written(line) for line in first.init], []
        if forward := first.forward:
            body = [f"def forward(self, {forward.parameters}) -> {forward.annotation}:"]
            for line, comment in forward.lines:
                text = f"    {written(line)}"
                fits = comment and len(group) == 1 and len(text) + len(comment) < WIDTH - 8
                body.append(f"{text}  # {comment}" if fits else text)
        lines += [f"self.{name} = {text}" for name, text in kept.items()]
        if not first.unit.name and self.plan.init == "kaiming":
            lines.append("self.initialise()")
            body += KAIMING.splitlines()
        if lines:
            lines = ["super().__init__()", *lines]
            lines = [f"def __init__(self{arguments.signature()}) -> None:", *(f"    {line}" for line in lines), ""]
        if len(group) > 1:
            lines = [f'"""{group[0].unit.name} to {group[-1].unit.name}, {len(group)} in all."""', "", *lines]
        for i, template in enumerate(group):
            template.unit.returned = len(forward.returned) if forward else 0
            self.made[template.unit.name] = (f"<{len(self.all)}>(", *arguments.given(i), ")")
        self.all.append((group, [*lines, *body] or ["pass"]))
        if rest:
            self._define(rest)

    def written(self) -> list[str]:
        """The text of each class, the network last."""
        names, texts = self._names(), []
        for i, (group, lines) in enumerate(self.all):
            head = f"class {names[i]}({'nn.ModuleDict' if group[0].unit.loop else 'nn.Module'}):"
            text = "\n".join([head, *(f"    {line}" if line else "" for line in lines)]).rstrip()
            text = re.sub(r"<(\d+)>", lambda match: names[int(match[1])], text)
            texts.append("\n".join(map(laid_out, text.split("\n"))))
        return texts

    def _names(self) -> list[str]:
        """Block, where there is one; else FirstBlock, Block2, ... for those that have fewer instances."""
        names = {len(self.all) - 1: "Network"}
        for i, (group, _) in sorted(enumerate(self.all[:-1]), key=lambda pair: -len(pair[1][0])):
            base = self._title(group[0].unit)
            if (members := group[0].unit.members) and all(map(shared_kernel, members.values())):
                base += "Kernels"
            places = {self._place(template.unit) for template in group}
            special = [f"{place}{base}" for place in places if place and len(places) == 1]
            candidates = chain([base, *special], numbers_of(base))
            names[i] = next(name for name in candidates if name not in {*names.values(), *HELPERS, "F", "Tensor"})
        return [names[i] for i in range(len(names))]

    def _title(self, unit: Unit) -> str:
        """DenseLayer for features.denseblock1.denselayer1, Block for layer1.0."""
        op = next(op for op in self.plan.ops if unit.holds(op.name) or unit.holds(shared_kernel(op)))
        stem = unit.name.rpartition(".")[2].rstrip(DIGITS + "_")
        labels = [label.partition(" ")[0] for label in (op.block, op.stage)]
        word = next((label for label in labels if label and stem.endswith(label)), "")
        parts = [*stem.removesuffix(word).split("_"), word] if stem else labels[:1]
        name = "".join(part.upper() if len(part) < 3 else part.capitalize() for part in parts)
        return name if named_well(name) else "Module"

    def _place(self, unit: Unit) -> str:
        """First or Last of a numbered series."""
        outer, _, name = unit.name.rpartition(".")
        series = [other for other in self.units[outer].members if other.rstrip(DIGITS) == name.rstrip(DIGITS)]
        return {series[-1]: "Last", series[0]: "First"}.get(name, "") if len(series) > 1 else ""


def starts_at_zero(module: Op | Unit) -> bool:
    return isinstance(module, Op) and isinstance(module.attributes, Norm) and module.attributes.zero


def stepped(start: str, step: str) -> str:
    """start + step * i, for people."""
    if step == "0":
        return start
    step = f"({step})" if " " in step else step
    term = "i" if step == "1" else f"{step} * i"
    return term if start == "0" else f"{start} - {term[1:]}" if term[0] == "-" else f"{start} + {term}"


def laid_out(line: str) -> str:
    """A line that is too long, with what its last brackets hold on lines of their own."""
    end = line.rfind(")")
    if len(line) <= WIDTH or end < 0:
        return line
    start = end - 1
    while line[start : end + 1].count("(") < line[start : end + 1].count(")"):
        start -= 1
    margin = " " * (len(line) - len(line.lstrip()) + 4)
    inside = margin + line[start + 1 : end]
    if len(inside) > WIDTH:
        pieces, depth = [""], 0
        for letter in line[start + 1 : end]:
            depth += (letter in "([{") - (letter in ")]}")
            pieces[-1] += letter
            if letter == "," and not depth:
                pieces.append("")
        inside = "\n".join(laid_out(f"{margin}{piece.strip().removesuffix(',')},") for piece in pieces)
    return f"{line[: start + 1]}\n{inside}\n{margin[4:]}{line[end:]}"


# by how the members of a module read each other: what its forward takes, and its lines
LOOPS: Mapping[str, tuple[str, list[str]]] = {
    "chain": ("x: Tensor", ["for {each} in {every}:", "    x = layer(x{kernel})"]),
    "growing": (
        "x: Tensor",
        ["features = [x]", "for {each} in {every}:", "    features.append(layer(torch.cat(features, 1){kernel}))"],
    ),
    "replacing": (
        "features: list[Tensor]",
        [
            "features = list(features)",
            "for i, {pair} in enumerate({every}):",
            "    others = features[:i] + features[i + 1 :]",
            "    features[i] = layer(torch.cat(others, 1){kernel})",
        ],
    ),
}

HELPERS = {
    "SharedConv2d": '''class SharedConv2d(nn.Conv2d):
    """A kernel over all channels, of which each call reads the slice that begins at `start`."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        kernel = self.weight.narrow(1, start, x.shape[1])
        return F.conv2d(x, kernel, self.bias, padding=self.padding)''',
    "GroupNorm": f'''class GroupNorm(nn.GroupNorm):
    """In {GROUP_NORM_GROUPS} groups, or the most below that divide the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(max(g for g in range(1, {GROUP_NORM_GROUPS + 1}) if channels % g == 0), channels)''',
    "ZeroPad": '''class ZeroPad(nn.Module):
    """Every stride-th pixel, and zeros for the channels that are missing."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels - x.shape[1]))''',
    "DropPath": '''class DropPath(nn.Module):
    """In training, drops the whole branch of an image (1603.09382)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        noise = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * noise''',
}

KAIMING = '''
def initialise(self) -> None:
    """Kaiming: normal, fan-out (1502.01852); biases zero; the classifier's weights as PyTorch does."""
    for module in self.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)'''

MAIN = """if __name__ == "__main__":
    network = Network().eval()
    print(f"{{sum(weight.numel() for weight in network.parameters()):,}} parameters")
    with torch.no_grad():
        print(network(torch.rand(1, {shape})).shape)
"""
