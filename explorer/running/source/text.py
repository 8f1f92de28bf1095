"""The vocabulary of the generated file: Python as text with holes, so that nothing is ever searched in finished text.

`nn.Conv2d(64, 128, 3)` is `("nn.Conv2d(", Number("channels", 64), ", ", Number("width", 128), ...)`: the numbers
stand apart from the words, and two modules belong to one class where their words are equal.
"""

from collections.abc import Callable, Iterator, Sequence
from keyword import iskeyword
from typing import Any, NamedTuple

from explorer.plan import GROUP_NORM_GROUPS, Activation, Conv, Drop, Linear, Norm, Op, Pad, Pool
from explorer.running import network

DIGITS = "0123456789"


class Number(NamedTuple):
    """A hole for a number, in which the modules of a class may differ."""

    role: str  # its name, should it become an argument
    value: Any
    keyword: bool = False  # written by name, and left out at `default`
    default: Any = None
    kept: bool = False  # read in forward, so an attribute
    looped: bool = False  # the value is a tuple, one entry for each i of the loop around it


class Read(NamedTuple):
    """A hole for a variable: a tensor of the plan, or a list of them. None: any will do, since nothing reads it."""

    values: tuple[str | None, ...]
    listed: bool = False


class ClassName(NamedTuple):
    """A hole for the name of a class: names are chosen when all classes are known."""

    place: int  # of the class in the file


class Repeat(NamedTuple):
    """Elements of a list that differ in their numbers only: *[element for i in range(times)]."""

    element: "Text"
    times: Number


Part = str | Number | Read | ClassName | Repeat
Text = tuple[Part, ...]


def numbers(text: Text) -> Iterator[Number]:
    """All numbers, in the order in which they are written."""
    for part in text:
        if isinstance(part, Number):
            yield part
        elif isinstance(part, Repeat):
            yield from numbers((*part.element, part.times))


def with_numbers(text: Text, change: Callable[[Number], Number]) -> Text:
    """The text with each number changed, in the order in which they are written."""

    def changed(part: Part) -> Part:
        if isinstance(part, Repeat):
            return Repeat(with_numbers(part.element, change), change(part.times))
        return change(part) if isinstance(part, Number) else part

    return tuple(map(changed, text))


def words(text: Text) -> Text:
    """The text without the values of its numbers: equal for modules of one class."""
    return with_numbers(text, lambda number: number._replace(value=None))


def in_a_loop(texts: Sequence[Text]) -> Text:
    """Texts that differ in their numbers only, as one text in a loop over i; () where they are not such."""
    if len(set(map(words, texts))) != 1 or any(number.looped for number in numbers(texts[0])):
        return ()
    values = zip(*([number.value for number in numbers(text)] for text in texts), strict=True)
    return with_numbers(texts[0], lambda number: number._replace(value=next(values), looped=True))


def commas(texts: Sequence[Text]) -> Text:
    return tuple(part for i, text in enumerate(texts) for part in ((", ", *text) if i else text))


def named_well(word: str) -> bool:
    return word.isidentifier() and not iskeyword(word)


def attribute(path: str) -> str:
    return f"self.{path}" if all(map(named_well, path.split("."))) else f'self.get_submodule("{path}")'


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
