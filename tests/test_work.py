"""Long work: announced, started by a click where it takes long, stopped, refused, remembered."""

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from controls import session, work
from controls.work import Task
from explorer.counting.budget import BudgetError
from explorer.errors import ExplorerError
from explorer.running import devices

MEASURED: Any = devices.macs_per_second
RUNS: list[Any] = []  # what was run, in order
Progress = Callable[[int, int], None]


def double(number: int, progress: Progress) -> int:
    RUNS.append(number)
    for done in range(3):
        progress(done, 3)
    return 2 * number


def refuse(number: int, progress: Progress) -> int:
    RUNS.append(number)
    raise ExplorerError(f"{number} cannot be doubled: choose **another**")


def too_large(number: int, progress: Progress) -> int:
    RUNS.append(number)
    raise BudgetError(f"{number} is too large")


def press_stop(number: int, progress: Progress) -> int:
    """As a visitor's click on Stop: its callback runs first, and then the script is ended at the next progress."""
    RUNS.append(number)
    key = Task("", 0, partial(press_stop, number)).key
    work._stop("Double", frozenset({key}))
    session.visitor().problems.append("stopped")
    import streamlit as st

    st.rerun()
    raise AssertionError


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 10 multiply-accumulates a second."""
    RUNS.clear()
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 10.0)
    monkeypatch.setattr(work, "_delays", {})


def script(function, numbers, macs, asks):
    """Numbers, doubled; a number that the visitor can turn without any consequence."""
    from functools import partial

    import streamlit as st

    from controls import work
    from controls.work import Task

    st.number_input("Else", key="else")
    tasks = [Task(f"Number {n}", macs, partial(function, n)) for n in numbers]
    for outcome in work.results("Double", tasks, asks):
        st.text(outcome.value if outcome.done else "-")
        outcome.say()


def opened(function: Any, *numbers: int, macs: float = 1, asks: bool = False) -> AppTest:
    return shown(AppTest.from_function(script, args=(function, numbers, macs, asks)).run())


def shown(app: AppTest) -> AppTest:
    assert [found.message for found in app.exception] == []
    return app


def texts(app: AppTest) -> list[str]:
    return [found.value for found in app.text]


def labels(app: AppTest) -> list[str]:
    return [found.label for found in app.button]


def test_quick_work_is_done_at_once_and_remembered() -> None:
    app = opened(double, 3, 4)
    assert texts(app) == ["6", "8"]
    shown(app.run())
    assert texts(app) == ["6", "8"]
    assert RUNS == [3, 4]


def test_the_same_work_twice_is_done_once() -> None:
    assert texts(opened(double, 3, 3)) == ["6", "6"]
    assert RUNS == [3]


def test_long_work_says_how_long_and_waits_for_a_click() -> None:
    # 3 times 60 multiply-accumulates, 10 a second
    app = opened(double, 1, 2, 3, macs=60)
    assert labels(app) == ["Double (about 18 s)"]
    assert texts(app) == ["-", "-", "-"]
    assert RUNS == []
    shown(app.button(key="work.Double").click().run())
    assert texts(app) == ["2", "4", "6"]
    assert labels(shown(app.run())) == []


def test_what_is_short_enough_starts_and_the_rest_waits() -> None:
    # 2 seconds each, of which 5 are spent unasked
    app = opened(double, 1, 2, 3, macs=20)
    assert labels(app) == ["Double (about 2 s)"]
    assert texts(app) == ["2", "4", "-"]
    shown(app.number_input(key="else").set_value(5).run())
    assert texts(app) == ["2", "4", "-"]  # the page does not go on by itself
    assert texts(shown(app.button(key="work.Double").click().run())) == ["2", "4", "6"]
    assert RUNS == [1, 2, 3]


def test_a_cheaper_way_is_taken_where_the_best_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = session.Visitor()
    monkeypatch.setattr(session, "visitor", lambda: visitor)
    monkeypatch.setattr(session, "device", lambda: "cpu")
    ways = [[Task("", macs, partial(double, 1)) for _ in range(3)] for macs in (100, 20, 10, 1)]
    assert work.affordable(ways) == 2  # 30, 6 and 3 seconds
    assert work.affordable(ways[:2]) == 1  # none is short enough
    monkeypatch.setattr(work.devices, "macs_per_second", lambda device: 1e6)
    assert work.affordable(ways) == 2  # settled


def test_just_under_the_limit_nothing_is_asked() -> None:
    assert labels(opened(double, 1, macs=10 * work.MOST_UNASKED)) == []
    assert labels(opened(double, 1, macs=10 * work.MOST_UNASKED + 1)) == ["Double (about 5 s)"]


def test_some_work_always_waits_for_a_click() -> None:
    app = opened(double, 1, asks=True)
    assert labels(app) == ["Double (about 1 s)"]
    assert texts(shown(app.button(key="work.Double").click().run())) == ["2"]


def test_a_refusal_is_one_sentence_in_its_place_and_the_others_stay() -> None:
    app = opened(refuse, 1, 2)
    assert texts(app) == ["-", "-"]
    assert [found.value for found in app.info] == [
        f"{n} cannot be doubled\\: choose \\*\\*another\\*\\*" for n in (1, 2)
    ]
    shown(app.run())
    assert len(app.info) == 2
    assert RUNS == [1, 2]  # it stays refused, and nothing is tried again


def test_what_is_refused_for_lack_of_memory_is_tried_again_without_another_click() -> None:
    app = opened(too_large, 1, macs=100)
    shown(app.button(key="work.Double").click().run())
    assert [found.value for found in app.info] == ["1 is too large"]
    shown(app.run())
    assert labels(app) == []
    assert [found.value for found in app.info] == ["1 is too large"]
    assert RUNS == [1, 1]


def test_what_was_stopped_waits_for_a_click() -> None:
    app = opened(press_stop, 1)
    assert RUNS == [1]
    assert labels(app) == ["Double (about 1 s)"]
    shown(app.number_input(key="else").set_value(5).run())
    assert labels(app) == ["Double (about 1 s)"]
    assert RUNS == [1]


def test_work_that_a_control_interrupted_goes_on() -> None:
    app = opened(double, 1, macs=100)
    # agreed to, and interrupted before it was done
    visitor = app.session_state.visitor
    visitor.agreed["Double"] = frozenset({Task("", 0, partial(double, 1)).key})
    assert texts(shown(app.number_input(key="else").set_value(5).run())) == ["2"]
    # another number was not agreed to
    other = opened(double, 1, 2, macs=100)
    other.session_state.visitor.agreed["Double"] = frozenset({Task("", 0, partial(double, 1)).key})
    assert labels(shown(other.run())) == ["Double (about 10 s)"]
    assert texts(other) == ["2", "-"]


def test_the_store_is_bounded_and_forgets_what_was_asked_for_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_REMEMBERED", 3)
    app = opened(double, 1, 2, 3, 4, 5)
    assert texts(app) == ["2", "4", "6", "8", "10"]  # more than are remembered are shown all the same
    kept = app.session_state.visitor.results
    assert [key[2] for key in kept] == [(3,), (4,), (5,)]


def test_what_was_looked_up_last_is_kept_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_REMEMBERED", 2)
    store = session.Visitor()
    monkeypatch.setattr(session, "visitor", lambda: store)
    monkeypatch.setattr(session, "device", lambda: "cpu")
    for numbers in ((1,), (2,), (1,), (3,), (1,)):
        work.results("Double", [Task("", 1, partial(double, n)) for n in numbers])
    assert RUNS == [1, 2, 3]


def test_the_key_is_the_function_and_its_arguments() -> None:
    task = Task("Saliency", 1, partial(double, 1))
    assert task.key == Task("Another title", 2, partial(double, 1)).key
    assert task.key != Task("Saliency", 1, partial(double, 2)).key
    assert task.key != Task("Saliency", 1, partial(refuse, 1)).key


def test_a_function_that_may_read_more_than_its_arguments_is_refused() -> None:
    around = 1

    def reads_around(progress: Progress) -> int:
        return around

    with pytest.raises(TypeError, match="reads what is around it"):
        _ = Task("", 1, partial(reads_around)).key
    with pytest.raises(TypeError, match="reads what is around it"):
        _ = Task("", 1, partial(lambda progress: around)).key


def test_finished_work_tells_how_long_such_work_takes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "device", lambda: "cpu")
    monkeypatch.setattr(work.devices, "busy", lambda: False)

    def took(task: Task[int], clock: float) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(work.processes, "carry_out", lambda *_: (0, clock))
            work._timed(task, SimpleNamespace(), 0.0, 1.0)

    task = Task("", 40, partial(double, 1))
    assert task.seconds == 4
    took(task, 16)  # the geometric mean of 4 and 16
    assert task.seconds == pytest.approx(8)
    took(Task("", 80, partial(double, 1)), 4)  # of 16 and 4, for twice the work
    assert task.seconds == pytest.approx(4)
    took(Task("", 9, partial(double, 1)), 10)  # 0.9 seconds are too short to say anything
    assert task.seconds == pytest.approx(4)
    took(task, 1e6)  # 4 times at most
    assert task.seconds == pytest.approx(16)
    assert Task("", 40, partial(refuse, 1)).seconds == 4  # other work has other delays

    # what a busy machine says is worth a minute
    monkeypatch.setattr(work.devices, "busy", lambda: True)
    took(task, 4)
    assert task.seconds == pytest.approx(8)
    now = work.time.monotonic()
    monkeypatch.setattr(work.time, "monotonic", lambda: now + 61)
    assert task.seconds == 4


def test_a_devices_speed_is_not_that_of_what_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other programs have their turn a thousand times as long, the clock runs on and the processor's does not."""
    clock = SimpleNamespace(perf_counter=lambda: 1000 * time.perf_counter(), process_time=time.process_time)
    monkeypatch.setattr(devices, "time", clock)
    # by the clock even 100 G a second would be 0.1 G
    assert MEASURED.__wrapped__("cpu") > 5e8


def drawn_meanwhile(function, numbers):
    from functools import partial

    import streamlit as st

    from controls import work
    from controls.work import Task

    tasks = [Task(f"Number {n}", 1, partial(function, n)) for n in numbers]
    seen = []
    work.results("Double", tasks, meanwhile=lambda found: seen.append([one.value for one in found if one.done]))
    st.text(seen)


def test_what_is_there_can_be_drawn_while_the_rest_is_computed():
    app = shown(AppTest.from_function(drawn_meanwhile, args=(double, (1, 2, 3))).run())
    assert texts(app) == ["[[], [2], [2, 4], [2, 4, 6]]"]
    assert texts(shown(app.run())) == ["[]"]  # all of it is remembered: the page has it at once


def draw(number: int, progress: Progress) -> Any:
    RUNS.append(number)
    return np.zeros(10**6, np.uint8)


def test_results_are_bounded_by_their_bytes_but_for_those_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_BYTES", 35 * 10**5)
    store = session.Visitor()
    monkeypatch.setattr(session, "visitor", lambda: store)
    monkeypatch.setattr(session, "device", lambda: "cpu")

    def shows(*numbers: int) -> list[Any]:
        store.asked.clear()  # as a run of the page begins
        work.results("Draw", [Task("", 1, partial(draw, n)) for n in numbers])
        return [key[2][0] for key in store.results]  # type: ignore[index]

    assert shows(1, 2) == [1, 2]
    assert shows(3) == [1, 2, 3]
    assert shows(4) == [2, 3, 4]
    assert shows(5, 6, 7, 8, 9) == [5, 6, 7, 8, 9]  # a page that shows more has more
    assert shows(5, 6, 7, 8, 9) == [5, 6, 7, 8, 9]
    assert list(range(1, 10)) == RUNS  # and asks for nothing twice
    assert shows(10) == [8, 9, 10]
