"""The lines of a class, from what one of its modules would say and the arguments that were found for all of them."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from explorer.running.source.arguments import Expression, numbers_of
from explorer.running.source.forward import Forward
from explorer.running.source.layout import WIDTH
from explorer.running.source.loops import Loop
from explorer.running.source.modules import Module
from explorer.running.text import Number, Part, Repeat, Text, numbers, with_numbers, words

SUPER: Text = ("super().__init__()",)


class Template(NamedTuple):
    """What a class for one module would say, with holes for its numbers."""

    module: Module
    loop: Loop | None
    init: list[Text]
    forward: Forward | None  # None where it is never called

    def numbers(self) -> list[Number]:
        return [number for line in self._lines() for number in numbers(line)]

    def says(self) -> object:
        """Equal for the modules of one class, which may differ in how much they return."""
        lines = self._lines()[: -1 if self.forward else None]
        return self.loop is None, self.forward and self.forward.parameters, *map(words, lines)

    def returns(self) -> Text:
        """The words of the line that returns, a comma behind each tensor."""
        return (*words(self.forward.lines[-1].text), ", ") if self.forward else ()

    def returns_first_of(self, other: "Template") -> bool:
        """Whether a class written for the other one returns what this one does, and perhaps more."""
        mine, others = self.returns(), other.returns()
        return mine == others[: len(mine)] and not [*numbers(others[len(mine) :])]

    def _lines(self) -> list[Text]:
        return [*self.init, *(line.text for line in (self.forward.lines if self.forward else []))]


def definition(
    template: Template,
    modules: Sequence[Module],
    signature: str,
    expressions: Sequence[Expression],
    initialise: list[str],
) -> list[Text]:
    """The lines in the class of these modules, of which the only holes are names of classes.

    `expressions` stand for the template's numbers; `initialise` is a method that the constructor calls.
    """
    found = iter(expressions)

    def with_expression(number: Number) -> Number:
        return number._replace(value=next(found))

    init = [_filled(with_numbers(line, with_expression)) for line in template.init]
    kept = _Kept(template.module.members)
    body: list[Text] = []
    if forward := template.forward:
        body = [(f"def forward(self, {forward.parameters}) -> {forward.annotation}:",)]
        for line in forward.lines:
            text = ("    ", *_filled(with_numbers(line.text, lambda n: kept.attribute(with_expression(n)))))
            short = sum(len(str(part)) for part in text) + len(line.comment) < WIDTH - 8
            body.append((*text, f"  # {line.comment}") if line.comment and len(modules) == 1 and short else text)
    init += [(f"self.{name} = {text}",) for name, text in kept.attributes.items()]
    if initialise:
        init.append(("self.initialise()",))
    if init:
        init = [(f"def __init__(self{signature}) -> None:",), *(("    ", *line) for line in [SUPER, *init])]
    about = f'"""{modules[0].name} to {modules[-1].name}, {len(modules)} in all."""'
    sections: list[list[Text]] = [
        [(about,)] if len(modules) > 1 else [],
        init,
        body,
        [(line,) for line in initialise],
    ]
    apart = [line for section in sections if section for line in [*section, ()]]
    return apart[:-1] or [("pass",)]


class _Kept:
    """Numbers that forward reads, and that its constructor therefore keeps as attributes."""

    def __init__(self, taken: Mapping[str, object]) -> None:
        self.attributes: dict[str, str] = {}
        self.taken = taken

    def attribute(self, number: Number) -> Number:
        """The number as it is read in forward: literals as they are."""
        text = number.value.text
        if not number.kept or text.isdecimal():
            return number
        names = (name for name in chain([number.role], numbers_of(number.role)) if name not in self.taken)
        name = next(name for name in names if self.attributes.get(name, text) == text)
        self.attributes[name] = text
        return number._replace(value=Expression(f"self.{name}"))


def _filled(text: Text) -> Text:
    """A line whose numbers have expressions as their values, with these written out."""
    parts: list[Part] = []
    for part in text:
        if isinstance(part, Repeat):
            indexed = any(number.value.indexed for number in numbers(part.element))
            index = "i" if indexed else "_"
            parts += ["*[", *_filled(part.element), f" for {index} in range(", *_filled((part.times,)), ")]"]
        elif isinstance(part, Number) and part.keyword:
            if part.value.text != str(part.default):
                comma = "" if parts and str(parts[-1]).endswith("(") else ", "
                parts.append(f"{comma}{part.role}={part.value.text}")
        else:
            parts.append(part.value.text if isinstance(part, Number) else part)
    return tuple(parts)
