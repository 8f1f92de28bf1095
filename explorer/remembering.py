"""What is remembered for the next time, bounded by its bytes: a few large values take the room of many small ones.

    @remembered(32_000_000)                       # as functools.lru_cache, for values of very different sizes
    def scene(config, opened): ...

    _maps = Remembered(128_000_000)
    maps = _maps.get(key, lambda: compute(key))   # shared by whoever asks: not to be changed

What was asked for longest ago goes first. The newest value stays, however large it is.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

V = TypeVar("V")
P = ParamSpec("P")


def bytes_of(value: Any, counted: set[int] | None = None) -> int:
    """About how much memory a value holds: arrays, tensors and texts, in whatever of Python's own containers, named
    tuples and dataclasses. What is there twice counts once; so does what is `counted`, by its id, already.
    """
    counted = set() if counted is None else counted
    waiting, total = [value], 0
    while waiting:
        one = waiting.pop()
        if id(one) in counted:
            continue
        counted.add(id(one))
        nbytes = getattr(one, "nbytes", None)  # of numpy, torch and pyarrow
        total += sys.getsizeof(one) if nbytes is None else int(nbytes)
        if isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, tuple | list | AbstractSet):
            waiting += one
        elif is_dataclass(one) and not isinstance(one, type):
            waiting += getattr(one, "__dict__", {}).values()
    return total


def newest(entries: Iterable[tuple[Hashable, Any]], most: int) -> list[Hashable]:
    """Of keys and values, the newest last, the keys of those that together have at most so many bytes, and of the
    newest in any case. What several of them hold counts once.
    """
    found: list[Hashable] = []
    counted: set[int] = set()
    total = 0
    for entry in reversed(list(entries)):
        total += bytes_of(entry, counted)
        if found and total > most:
            break
        found.append(entry[0])
    return found


class Remembered(Generic[V]):
    """Values by their keys, of at most so many bytes and, if that is given, at most `count`. `size` says how many
    bytes one has.
    """

    def __init__(self, most: int, count: int | None = None, size: Callable[[V], int] = bytes_of) -> None:
        self.most, self.count, self.size = most, count, size
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._total = 0
        self._changing = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    @property
    def bytes(self) -> int:
        return self._total

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Made where it is not there, once for all who ask at the same time. Raises what `make` raises."""
        if (found := self._find(key)) is not None:
            return found[0]
        with self._changing:
            gate = self._making.setdefault(key, threading.Lock())
        try:
            with gate:
                if (found := self._find(key)) is not None:
                    return found[0]
                value = make()
                self._put(key, value)
                return value
        finally:
            with self._changing:
                self._making.pop(key, None)

    def clear(self) -> None:
        with self._changing:
            self._values.clear()
            self._total = 0

    def _find(self, key: Hashable) -> tuple[V, int] | None:
        with self._changing:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def _put(self, key: Hashable, value: V) -> None:
        size = self.size(value) + bytes_of(key)
        with self._changing:
            _, before = self._values.pop(key, (None, 0))
            self._values[key] = value, size
            self._total += size - before
            while len(self._values) > 1 and (
                self._total > self.most or (self.count is not None and len(self._values) > self.count)
            ):
                _, (_, gone) = self._values.popitem(last=False)
                self._total -= gone


def remembered(most: int, count: int | None = None) -> Callable[[Callable[P, V]], Callable[P, V]]:
    """A function of hashable arguments whose values are remembered, of at most so many bytes."""

    def decorate(function: Callable[P, V]) -> Callable[P, V]:
        known: Remembered[V] = Remembered(most, count)

        @wraps(function)
        def asked(*args: P.args, **kwargs: P.kwargs) -> V:
            return known.get((args, *sorted(kwargs.items())), lambda: function(*args, **kwargs))

        asked.remembered = known  # type: ignore[attr-defined]
        return asked

    return decorate
