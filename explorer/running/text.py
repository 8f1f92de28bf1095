"""The vocabulary of the generated file: Python as text with holes, so that nothing is ever searched in finished text.

`nn.Conv2d(64, 128, 3)` is `("nn.Conv2d(", Number("channels", 64), ", ", Number("width", 128), ...)`: the numbers
stand apart from the words, and two modules belong to one class where their words are equal.
"""

from collections.abc import Callable, Iterator, Sequence
from keyword import iskeyword
from typing import Any, NamedTuple

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


class Helper(NamedTuple):
    """A class that torch.nn does not have: its name, where it is used, and its source, at the top of the file."""

    name: str
    source: str


class Repeat(NamedTuple):
    """Elements of a list that differ in their numbers only: *[element for i in range(times)]."""

    element: "Text"
    times: Number


Part = str | Number | Read | ClassName | Helper | Repeat
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
