"""What a class takes: the numbers in which its modules differ become arguments, or arithmetic with arguments.

Of two blocks `Conv2d(64, 128, 3)` and `Conv2d(128, 256, 3)`, the first number becomes the argument `channels`
(64, 128), the second is `2 * channels`, and the third stays 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, permutations
from typing import Any, NamedTuple

from explorer.running.source.series import progression
from explorer.running.text import Number, Text, commas

PLACED = ("channels", "width", "out")  # arguments given by place; the others are given by name


class Expression(NamedTuple):
    """What is written for a number."""

    text: str
    indexed: bool = False  # it reads i, the variable of the loop around it


class Arguments:
    """The arguments of a class, with their values in each of its modules."""

    def __init__(self) -> None:
        self.values: dict[str, Sequence[Any]] = {}  # by name: the value in each module
        self.defaults: dict[str, Any] = {}

    def fill(self, columns: Sequence[Sequence[Number]]) -> list[Expression]:
        """What is written for each number, given as the numbers at its place in each module.

        Numbers in a loop are written as `start + step * i`. All starts come before the steps, so that a step may be
        one of the numbers that stand outside of the loop.
        """
        series = [_progressions(column) for column in columns]
        starts = [
            self._expression(column[0], [start for start, _ in found] if found else [n.value for n in column])
            for column, found in zip(columns, series, strict=True)
        ]
        growth = Number("growth", 0)
        steps = [self._expression(growth, [step for _, step in found]) if found else "" for found in series]
        return [_stepped(start, step) for start, step in zip(starts, steps, strict=True)]

    def _expression(self, number: Number, values: Sequence[Any]) -> str:
        """A literal, an argument, or arithmetic with arguments, that has these values in the modules."""
        known = [value for value in values if value is not None] or [0]
        if all(value == known[0] for value in known):
            return f"{known[0]:.6g}" if isinstance(known[0], float) else str(known[0])
        alike = {name: have for name, have in self.values.items() if type(have[0]) is type(known[0])}
        candidates = arithmetic(alike, values) if type(known[0]) is int else iter(alike.items())
        return next((text for text, have in candidates if agree(have, values)), "") or self._new(number, values)

    def _new(self, number: Number, values: Sequence[Any]) -> str:
        """A new argument with these values; None, which any value may stand for, becomes the first of the others."""
        first = next(value for value in values if value is not None)
        role = f"layer_{number.role}" if isinstance(first, tuple) else number.role
        names = chain([role], PLACED if role in PLACED else (), numbers_of(role))
        name = next(name for name in names if name not in self.values)
        self.values[name] = [first if value is None else value for value in values]
        if number.keyword and number.default in values:
            self.defaults[name] = number.default
        return name

    def _ordered(self) -> list[str]:
        return sorted(self.values, key=lambda name: (name in self.defaults, name not in PLACED))

    def signature(self) -> str:
        """As the constructor declares them, each after a comma."""
        types = {name: type(have[0]).__name__.replace("tuple", "tuple[int, ...]") for name, have in self.values.items()}
        defaults = {name: f" = {value}" for name, value in self.defaults.items()}
        return "".join(f", {name}: {types[name]}{defaults.get(name, '')}" for name in self._ordered())

    def given(self, index: int) -> Text:
        """As the call gives them that makes the module with this index."""
        holes = [
            Number(name, self.values[name][index], name not in PLACED, self.defaults.get(name))
            for name in self._ordered()
        ]
        return (*commas([(hole,) for hole in holes if not hole.keyword]), *(hole for hole in holes if hole.keyword))


def arithmetic(known: Mapping[str, Sequence[int]], goal: Sequence[int | None]) -> Iterator[tuple[str, list[int]]]:
    """Expressions that may give the goal, with their values in each module; the simplest first.

    Factors and offsets are guessed from the first value of the goal that matters; the caller compares the rest.
    """
    place = next(i for i, value in enumerate(goal) if value is not None)
    want = goal[place] or 0
    terms = {name: list(have) for name, have in known.items()} | dict(_products(known))
    yield from terms.items()
    for name, have in known.items():
        times, share = want // (have[place] or 1), have[place] // (want or 1)
        yield f"{times} * {name}", [times * value for value in have]
        yield f"{name} // {share}", [value // (share or 1) for value in have]
    for one, other in permutations(terms, 2):
        times = (want - terms[one][place]) // (terms[other][place] or 1)
        if times >= -1:
            text = {-1: f"{one} - {other}", 1: f"{one} + {other}"}.get(times, f"{one} + {times} * {other}")
            yield text, [a + times * b for a, b in zip(terms[one], terms[other], strict=True)]
    for name, have in known.items():
        more = want - have[place]
        yield f"{name} {'-' if more < 0 else '+'} {abs(more)}", [value + more for value in have]


def _products(known: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, list[int]]]:
    """layers * width, the channels that some layers make together; and of all layers but one."""
    for layers, width in permutations(known, 2):
        if layers.startswith("layers"):
            pairs = list(zip(known[layers], known[width], strict=True))
            yield f"{layers} * {width}", [n * k for n, k in pairs]
            yield f"({layers} - 1) * {width}", [(n - 1) * k for n, k in pairs]


def agree(have: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether the values are those wanted; for a wanted None any will do."""
    return len(have) == len(wanted) > 0 and all(w is None or h == w for h, w in zip(have, wanted, strict=True))


def numbers_of(word: str) -> Iterator[str]:
    """word2, word3, ..."""
    return (f"{word}{i}" for i in count(2))


def _progressions(column: Sequence[Number]) -> list[tuple[Any, Any]]:
    """(start, step) of a number in each module; [] where one has no equal steps."""
    found = [progression(number.value) if number.looped else (number.value, 0) for number in column]
    return [pair for pair in found if pair] if all(found) else []


def _stepped(start: str, step: str) -> Expression:
    """start + step * i, for people; without a step, the entry i of a list."""
    if not step:
        return Expression(f"{start}[i]", indexed=True)
    if step == "0":
        return Expression(start)
    step = f"({step})" if " " in step else step
    term = "i" if step == "1" else f"{step} * i"
    if start == "0":
        return Expression(term, indexed=True)
    return Expression(f"{start} - {term[1:]}" if term[0] == "-" else f"{start} + {term}", indexed=True)
