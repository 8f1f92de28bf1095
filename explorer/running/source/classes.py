"""Modules of equal text become one class, whose arguments are the numbers in which they differ."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby, permutations, takewhile
from typing import Any, NamedTuple

from explorer.plan import GROUP_NORM_GROUPS, Norm, Op, Plan
from explorer.running.source.forward import Forward, agree, numbers_of
from explorer.running.source.modules import Unit, list_of, loop_of, numbered, outputs, prefixes, shared_kernel, units_of
from explorer.running.source.text import (
    DIGITS,
    WIDTH,
    Number,
    Text,
    attribute,
    commas,
    construction,
    named_well,
    numbers,
    saying,
    together,
)


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
