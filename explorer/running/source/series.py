"""What repeats: names that are numbered, numbers with equal steps, and elements of a list."""

from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any, NamedTuple

from explorer.running.text import DIGITS, Number, Repeat, Text, in_a_loop, numbers, words


class Numbered(NamedTuple):
    """The names layer1, layer2, ..."""

    stem: str  # layer
    pattern: str  # layer{i + 1}, for an f-string in a loop over i


def numbered(names: Sequence[str]) -> Numbered | None:
    """The series that names are; None where they are no series, or have no numbers."""
    stem = names[0].rstrip(DIGITS) if names else ""
    start = names[0][len(stem) :] if names else ""
    if not start or any(name != f"{stem}{int(start) + i}" for i, name in enumerate(names)):
        return None
    return Numbered(stem, f"{stem}{{i + {start}}}" if int(start) else f"{stem}{{i}}")


def progression(values: Sequence[Any]) -> tuple[Any, Any] | None:
    """(start, step) of values with equal steps, else None; of a single value, the step is None."""
    if even(values) < len(values):
        return None
    start, *rest = values
    return start, None if not rest else 0 if rest[0] == start else rest[0] - start


def even(values: Sequence[Any]) -> int:
    """How many of the first are equal; or else, of numbers, how many have equal steps."""
    same = len(list(takewhile(lambda value: value == values[0], values)))
    if same > 1 or len(values) == 1 or isinstance(values[0], bool | tuple):
        return same
    step = values[1] - values[0]
    return len(list(takewhile(lambda at: abs(values[0] + at[0] * step - at[1]) < 1e-9, enumerate(values))))


def with_repeats(texts: Sequence[Text]) -> Iterator[Text]:
    """The elements of a list, with those that repeat each other as one `Repeat`."""
    while texts:
        length = _alike(texts)
        element = in_a_loop(texts[:length]) if length > 1 else ()
        if element:
            yield (Repeat(element, Number("layers", length)),)
        else:
            yield from texts[:length]
        texts = texts[length:]


def _alike(texts: Sequence[Text]) -> int:
    """How many of the first elements are one repeated: the same words, and numbers with equal steps."""
    same_words = list(next(groupby(texts, key=words))[1])
    columns = list(zip(*([number.value for number in numbers(text)] for text in same_words), strict=True))
    length = min(map(even, columns), default=len(same_words))
    if length == 2 and any(isinstance(values[0], int) and values[0] != values[1] for values in columns):
        return 1  # a step between two widths says nothing
    return length
