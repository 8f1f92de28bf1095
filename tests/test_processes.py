"""Heavy work in processes of its own: what comes back, whose turn it is, and when it ends."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from controls import processes
from controls.processes import WorkError, carry_out
from explorer.counting.budget import BudgetError
from explorer.errors import ExplorerError
from explorer.learning import settings
from explorer.running import devices
from explorer.running.weights import WeightsError

Progress = Callable[..., None]


def process(progress: Progress) -> int:
    return os.getpid()


def steps(count: int, seconds: float, progress: Progress) -> int:
    for done in range(count):
        time.sleep(seconds)
        progress(done, count)
    return count


def deaf(seconds: float, progress: Progress) -> int:
    """Says nothing and listens to nobody, as a long pass through a network does."""
    time.sleep(seconds)
    return os.getpid()


def refuse(progress: Progress) -> None:
    raise WeightsError("That does not fit", ["a line", "another"])


def fail(progress: Progress) -> None:
    raise KeyError("nothing of this name")


def end_badly(progress: Progress) -> None:
    os.abort()


def hold(needed: int, seconds: float, progress: Progress) -> float:
    """When it had the room that it asked for."""
    with devices.room("cpu", needed, patience=20):
        began = time.monotonic()
        time.sleep(seconds)
    return began


class Left(BaseException):
    """As Streamlit ends a script."""


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two at once; the processes are the same for all tests, since each takes seconds to start."""
    monkeypatch.setenv(settings.PROCESSES, "2")
    return processes._pool


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    processes.end()


def leaves_after(seconds: float) -> Callable[[int], None]:
    until = time.monotonic() + seconds

    def meanwhile(before: int) -> None:
        if time.monotonic() > until:
            raise Left

    return meanwhile


def test_work_is_done_elsewhere_and_comes_back() -> None:
    said: list[Any] = []
    found, seconds = carry_out(process, "a")
    assert found != os.getpid()
    value, seconds = carry_out(partial(steps, 4, 0.15), "a", lambda *words: said.append(words))
    assert value == 4
    assert 0.6 <= seconds < 6
    assert set(said) <= {(done, 4) for done in range(4)}
    assert len(said) > 1


def test_what_is_refused_is_refused_in_the_same_words() -> None:
    with pytest.raises(WeightsError, match="That does not fit") as caught:
        carry_out(refuse, "a")
    assert caught.value.mismatches == ("a line", "another")
    with pytest.raises(WorkError, match="nothing of this name"):
        carry_out(fail, "a")
    with pytest.raises(WorkError, match="cannot leave its process"):
        carry_out(unfit, "a")


def unfit(progress: Progress) -> Any:
    return lambda: None


def break_off(error: Exception, progress: Progress) -> None:
    raise error


CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.mark.parametrize("most", ["0", "2"])  # in the server's own process, and beside it
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "too little memory"),
        (RuntimeError(f"{CPU} 99 bytes."), "too little memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk is full"),
    ],
    ids=["memory", "torch", "disk", "quota"],
)
def test_a_machine_that_is_full_is_one_sentence(monkeypatch: Any, error: Exception, words: str, most: str) -> None:
    monkeypatch.setenv(settings.PROCESSES, most)
    with pytest.raises(BudgetError, match=words) as caught:
        carry_out(partial(break_off, error), "a")
    assert caught.value.__context__ is None  # whose traceback would keep what was taken


def test_a_process_that_dies_is_one_sentence_and_another_takes_its_place() -> None:
    with pytest.raises(BudgetError, match="The system ended this work"):
        carry_out(end_badly, "a")
    assert carry_out(process, "a")[0] != os.getpid()


@pytest.mark.parametrize("work", [partial(steps, 1000, 0.01), partial(deaf, 30.0)], ids=["listens", "deaf"])
def test_who_leaves_ends_the_work(work: Any, pool: Any) -> None:
    at_work: list[Any] = []

    def meanwhile(before: int) -> None:
        one = pool.at_work.get("a")
        if one and not one.answers:  # it has begun
            time.sleep(0.3)
            at_work.append(one)
            raise Left

    with pytest.raises(Left):
        carry_out(work, "a", meanwhile=meanwhile)
    left = time.monotonic()
    (one,) = at_work
    while one.alive and not one.answers:
        time.sleep(0.02)
    assert time.monotonic() - left < 3  # on a busy machine; the benchmark `beside` holds it to a second


def test_each_visitor_has_one_at_most_and_the_next_waits_in_line() -> None:
    """Two places: a has two wishes and b and c one each; a's second one comes after b's."""
    with ThreadPoolExecutor(2) as threads:  # until two processes are there
        for visitor in ("a", "b"):
            threads.submit(carry_out, partial(deaf, 0.3), visitor)
    order: list[str] = []
    places: dict[str, list[int]] = {"a2": [], "b": [], "c": []}

    def wish(name: str, visitor: str, seconds: float) -> None:
        carry_out(partial(deaf, seconds), visitor, meanwhile=lambda before: places.setdefault(name, []).append(before))
        order.append(name)

    with ThreadPoolExecutor(4) as threads:
        for name, visitor, seconds in (("a1", "a", 1.5), ("a2", "a", 0.1), ("b", "b", 0.5), ("c", "c", 0.1)):
            threads.submit(wish, name, visitor, seconds)
            time.sleep(0.2)
    assert order.index("b") < order.index("a2")
    assert order.index("a1") < order.index("a2")
    assert max(places["a2"]) >= 1
    assert max(places["c"]) >= 1
    assert places["b"] == [] or max(places["b"]) == 0


def test_who_leaves_the_line_is_in_nobodys_way() -> None:
    with ThreadPoolExecutor(3) as threads:
        at_work = [threads.submit(carry_out, partial(deaf, 1.0), visitor) for visitor in ("a", "b")]
        time.sleep(0.3)
        with pytest.raises(Left):
            carry_out(process, "c", meanwhile=leaves_after(0.2))
        assert all(one.result() for one in at_work)
    assert processes._pool.line == []
    assert carry_out(process, "c")[0]


def test_a_process_that_knows_the_network_is_chosen() -> None:
    first = carry_out(process, "a", network="one")[0]
    other = threading.Thread(target=carry_out, args=(partial(deaf, 0.5), "b"))
    other.start()
    assert carry_out(process, "c", network="one")[0] == first
    other.join()
    assert carry_out(process, "c", network="one")[0] == first


class Starting:
    """As a process that is never ready; it lives, or it has ended."""

    ready, since, known, visitor = False, 0.0, (), None

    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def kill(self) -> None:
        pass


def test_nobody_waits_for_one_that_starts_where_another_is_given_back_sooner(pool: Any, monkeypatch: Any) -> None:
    carry_out(process, "a")
    monkeypatch.setattr(processes, "_Process", lambda: Starting(True))
    with ThreadPoolExecutor(2) as threads:
        others = threads.submit(carry_out, partial(deaf, 1.5), "a")
        while pool.at_work.get("a") is None:
            time.sleep(0.01)
        with pool.changed:  # the spare one, if there is one
            spare, pool.idle = pool.idle, []
        mine = threads.submit(carry_out, process, "b")
        assert mine.result(20)[0] == others.result(20)[0]
    with pool.changed:
        pool.idle = [one for one in pool.idle if not isinstance(one, Starting)] + spare


def test_one_that_cannot_start_is_one_sentence(pool: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(processes, "_Process", lambda: Starting(False))
    with pool.changed:
        before, pool.idle = pool.idle, []
    with pytest.raises(BudgetError, match="The system ended this work"):
        carry_out(process, "a")
    assert pool.at_work == {}
    with pool.changed:
        pool.idle = before


def test_memory_is_promised_by_the_server_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 bytes, two works that each take 6 have them one after the other."""
    monkeypatch.setattr(devices, "free", lambda device: 10)
    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(carry_out, partial(hold, 6, 0.8), visitor) for visitor in ("a", "b")]
        first, second = sorted(one.result()[0] for one in found)
    assert second - first >= 0.8
    assert devices._rooms["cpu"].promised == 0


def test_in_the_servers_own_process_where_there_are_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.PROCESSES, "0")
    assert carry_out(process, "a")[0] == os.getpid()
    monkeypatch.setenv(settings.PROCESSES, "many")
    with pytest.raises(ValueError, match="EXPLORER_PROCESSES='many' is not a whole number"):
        processes.most()


def test_refusals_of_the_library_can_leave_a_process() -> None:
    """Whatever their class asks for when they are made."""
    import pickle

    def classes(of: type[ExplorerError]) -> Iterator[type[ExplorerError]]:
        for one in of.__subclasses__():
            yield one
            yield from classes(one)

    for one in {ExplorerError, *classes(ExplorerError)}:
        again = pickle.loads(pickle.dumps(one("A sentence")))
        assert (type(again), str(again)) == (one, "A sentence")
