"""A module's forward: its operations as statements that a person would write."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

from explorer.plan import Op, Plan
from explorer.running.source.modules import Loop, Unit, list_of, numbered, outputs, shared_kernel
from explorer.running.source.text import (
    DIGITS,
    NESTING,
    Number,
    Read,
    Text,
    application,
    attribute,
    commas,
    named_well,
)


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
