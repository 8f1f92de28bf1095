"""What is remembered, and how many bytes that may have."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from explorer.remembering import Remembered, bytes_of, newest, remembered

LITTLE = 2000  # bytes of whatever holds the arrays


class Pair(NamedTuple):
    name: str
    values: Any


@dataclass(frozen=True)
class Held:
    values: Any
    others: tuple[Any, ...] = ()


def array(count: int) -> Any:
    return np.zeros(count, np.uint8)


@pytest.mark.parametrize(
    "held",
    [
        array(10**6),
        Pair("a", array(10**6)),
        Held(array(10**6)),
        Held(None, (array(10**6),)),
        {"a": [array(5 * 10**5), {"b": (array(5 * 10**5),)}]},
        "a" * 10**6,
        bytes(10**6),
        {array(10**6).tobytes(): 1},
    ],
)
def test_bytes_are_counted_wherever_they_are(held: Any) -> None:
    assert 0 <= bytes_of(held) - 10**6 < LITTLE


def test_what_is_there_twice_counts_once() -> None:
    one = array(10**6)
    assert bytes_of([one, one, Held(one)]) < 10**6 + LITTLE
    assert bytes_of([one.copy(), one]) >= 2 * 10**6
    counted: set[int] = set()
    assert bytes_of(one, counted) == 10**6
    assert bytes_of([one], counted) < LITTLE
    circle: list[Any] = []
    circle.append(circle)
    assert bytes_of(circle) == sys.getsizeof(circle)


def test_the_newest_are_those_that_have_room_together() -> None:
    entries = [(name, array(10**6)) for name in "abcd"]
    assert newest(entries, 25 * 10**5) == ["d", "c"]
    assert newest(entries, 10) == ["d"]
    assert newest([], 10) == []
    shared = array(10**6)
    assert newest([(name, Held(shared)) for name in "abcd"], 11 * 10**5) == ["d", "c", "b", "a"]


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    made: list[str] = []
    known: Remembered[Any] = Remembered(25 * 10**5)

    def ask(name: str) -> Any:
        def make() -> Any:
            made.append(name)
            return array(10**6)

        return known.get(name, make)

    first = ask("a")
    assert ask("a") is first
    ask("b")
    ask("a")
    ask("c")  # b goes
    ask("a")
    ask("b")
    assert made == ["a", "b", "c", "b"]
    assert len(known) == 2
    assert 2 * 10**6 <= known.bytes < 2 * 10**6 + LITTLE
    known.get("large", lambda: array(10**7))  # the last one stays, however large
    assert len(known) == 1
    known.clear()
    assert (len(known), known.bytes) == (0, 0)


def test_a_number_of_them_may_be_the_bound_too() -> None:
    known: Remembered[int] = Remembered(10**6, 2)
    for number in range(5):
        known.get(number, lambda number=number: number)  # type: ignore[misc]
    assert len(known) == 2
    assert known.get(4, lambda: -1) == 4
    assert known.get(0, lambda: -1) == -1


def test_what_none_was_made_of_is_made_anew() -> None:
    known: Remembered[int] = Remembered(10**6)

    def fail() -> int:
        raise KeyError("not there")

    for _ in range(2):
        with pytest.raises(KeyError):
            known.get("a", fail)
    assert known.get("a", lambda: 1) == 1


def test_all_who_ask_at_once_wait_for_one() -> None:
    known: Remembered[object] = Remembered(10**6)
    made, together = [], threading.Barrier(4)

    def make() -> object:
        made.append(object())
        threading.Event().wait(0.2)
        return made[-1]

    def ask(_: int) -> object:
        together.wait(10)
        return known.get("a", make)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert found == made * 4


def test_a_function_is_asked_once_for_each_of_its_arguments() -> None:
    made: list[Any] = []

    @remembered(25 * 10**5)
    def values(count: int, by: int = 1) -> Any:
        """Some."""
        made.append((count, by))
        return array(count * by)

    assert values(10**6) is values(10**6)
    values(10**6, by=2)  # for which the other goes
    values(10**6, 2)
    assert made == [(10**6, 1), (10**6, 2), (10**6, 2)]
    assert (values.__name__, values.__doc__) == ("values", "Some.")
