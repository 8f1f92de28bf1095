"""Long work: announced by an estimate, shown while it goes on, stopped by a button, remembered by its key.

    task = Task("Saliency", macs, partial(explain, subject, target, "saliency"))
    found = work.result("Explain", task)                # its result; None while there is none

    for outcome in work.results("Explain", tasks):      # side by side
        if outcome.done:
            draw(outcome.value)
        else:
            outcome.say()                               # why it is refused, if it is

`explain(subject, target, method, progress)` is a function of a module whose arguments are all that it reads: hashable
values, which with its name are the key, and at last `progress(done, total)`, which it calls now and then and which may
end it by raising. It calls nothing of Streamlit and draws nothing, so that it runs in a process of its own (processes),
and no other visitor's page waits for it.

Of several tasks as many start by themselves, in the order given, as take at most `MOST_UNASKED` seconds. The others
wait for a click on a button that says how long they may take, and so does what was stopped: a link alone never keeps
the server busy.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Generic, TypeVar, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from controls import processes, session
from controls.panel import say_refusal
from controls.text import plain
from explorer.counting.budget import BudgetError
from explorer.errors import ExplorerError
from explorer.remembering import newest
from explorer.running import devices
from explorer.wording import duration

MOST_UNASKED = 5.0  # seconds that are spent without a click
# results of one visitor, of which a map of 224x224 pixels has 0.6 MB; what a page shows stays, however large
MOST_REMEMBERED, MOST_BYTES = 96, 32_000_000
CALL = 7e-5  # seconds to start an operation
TELLING = 1.0  # seconds that work must take, and be computed to take, to tell how fast the machine is
MOST_DELAY = 4.0  # times longer or shorter than computed that work is expected to take
WORTH = 60.0  # seconds for which what a busy machine told is kept

T = TypeVar("T")
Progress = Callable[[int, int], None]

# device and work -> by how much longer than computed it took there, and until when that is worth something
_delays: dict[tuple[str, str], tuple[float, float]] = {}


@dataclass(frozen=True)
class Task(Generic[T]):
    """`title` stands beside the progress; `macs` are multiply-accumulates, a backward pass being two forward passes;
    `calls` are operations that are started one after another, which takes a while however small they are. `network` is
    what it is done on: work on one network goes to one process, which has built it.
    """

    title: str
    macs: float
    run: partial[T]
    calls: float = 0
    network: Hashable = None

    @property
    def key(self) -> Hashable:
        """All that the work reads. Raises TypeError for a function that could read more than its arguments."""
        if "<" in (name := self.run.func.__qualname__):
            raise TypeError(f"{name} reads what is around it, which would not be in its key: use a module's function")
        return self.run.func.__module__, name, self.run.args, tuple(sorted(self.run.keywords.items()))

    @property
    def work(self) -> str:
        """What is done, whatever it is done on."""
        return f"{self.run.func.__module__}.{self.run.func.__qualname__}"

    @property
    def seconds(self) -> float:
        """On the visitor's device: computed from the speed that was measured there, and by what such work took."""
        delay, until = _delays.get((session.device(), self.work), (1.0, inf))
        return estimate(self.macs, self.calls) * (delay if time.monotonic() < until else 1.0)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a task: it is done and has a value, or it is refused with a sentence, or it waits for a click."""

    found: tuple[T, ...] = ()
    refusal: str = ""

    @property
    def done(self) -> bool:
        return bool(self.found)

    @property
    def value(self) -> T:
        """Of a task that is done."""
        return self.found[0]

    def say(self) -> None:
        """Why it is refused, if it is: one part of what was asked for, so not in red."""
        if self.refusal:
            st.info(plain(self.refusal), icon=":material/block:")


def result(label: str, task: Task[T], asks: bool = False) -> T | None:
    """One task's result; None where it waits for a click, or is refused, which is said."""
    (outcome,) = results(label, [task], asks)
    if outcome.refusal:
        say_refusal(outcome.refusal)
    return outcome.value if outcome.done else None


def results(
    label: str,
    tasks: Sequence[Task[T]],
    asks: bool = False,
    meanwhile: Callable[[list[Outcome[T]]], None] = lambda found: None,
) -> list[Outcome[T]]:
    """What became of each task. Runs those that are not remembered, one after the other.

    `label` is the button's, and unique on the page; with `asks` there is always a button first. `meanwhile` draws what
    is there so far, before the first task runs and after each; the page goes on with what is returned.
    """

    def outcomes() -> list[Outcome[T]]:
        return [cast(Outcome[T], found.get(task.key, Outcome())) for task in tasks]

    known = session.visitor()
    known.asked.update(task.key for task in tasks)
    found = {task.key: known.results[task.key] for task in tasks if task.key in known.results}
    for key in found:
        known.results.move_to_end(key)
    missing = {task.key: task for task in tasks if task.key not in found}
    place = st.empty()  # also where nothing is missing: what is below keeps its place on the page
    if missing:
        with place.container(horizontal=True, vertical_alignment="center"):
            start = _start(label, tasks, missing, -1 if asks else MOST_UNASKED)
            if start:
                meanwhile(outcomes())
                running = st.empty()
                with running.container(horizontal=True, vertical_alignment="center"):
                    for key, outcome in _carry_out(label, start):
                        found[key] = outcome
                        meanwhile(outcomes())
                running.empty()
        if len(start) == len(missing):
            place.empty()
    return outcomes()


def agreed(label: str, task: Task[Any], most: float = MOST_UNASKED) -> bool:
    """Whether work may start whose result is kept elsewhere: it takes at most `most` seconds, or a click on the button,
    which is drawn here, has agreed to it.
    """
    agreed_to = session.visitor().agreed.get(label, frozenset())
    return task.key in agreed_to or bool(_start(label, [task], {task.key: task}, most))


def affordable(ways: Sequence[Sequence[Task[Any]]]) -> int:
    """Which of several ways to do the same, the best first, is the first that needs no click; if none, the last.

    Settled once for so much work: estimates learn, and what a visitor sees shall not change by itself.
    """
    settled = session.visitor().settled
    key = session.device(), *((task.work, task.macs, task.calls) for way in ways for task in way)
    if key not in settled:
        seconds = [sum(task.seconds for task in way) for way in ways]
        settled[key] = next((i for i, found in enumerate(seconds) if found <= MOST_UNASKED), len(ways) - 1)
        while len(settled) > MOST_REMEMBERED:
            settled.popitem(last=False)
    return settled[key]


def carry_out(work: Callable[..., T], progress: Callable[..., None] | None = None, network: Hashable = None) -> T:
    """What `work(progress)` returns, carried out where no page waits for it; for work that is neither announced nor
    remembered. It ends where its visitor has gone or wants something else.
    """

    def meanwhile(before: int) -> None:
        session.go_on()

    return processes.carry_out(work, session.identity(), progress or _silent, meanwhile, network)[0]


def _silent(*said: object) -> None:
    """For work of which nothing is to be seen."""


def estimate(macs: float, calls: float = 0) -> float:
    """Seconds on the visitor's device, by a convolution's speed there."""
    return macs / devices.macs_per_second(session.device()) + CALL * calls


def _start(
    label: str, tasks: Sequence[Task[T]], missing: dict[Hashable, Task[T]], most: float
) -> dict[Hashable, Task[T]]:
    """Those of the missing tasks that start now; a button for the others, which take a click."""
    known, keys = session.visitor(), frozenset(missing)
    agreed, stopped = known.agreed.get(label, frozenset()), known.stopped.get(label, frozenset())
    # what was agreed to goes on where a control interrupted it, and so does what was refused for lack of memory
    may = frozenset() if stopped & keys else agreed | _unasked(tasks, agreed, most)
    start = {key: task for key, task in missing.items() if key in may}
    waiting = [task for key, task in missing.items() if key not in start]
    if waiting or keys & agreed:
        # Disabled, it stays while the work goes on. A browser keeps a button that has the focus until the mouse is
        # pressed elsewhere; Stop would move away under that press, and would not be clicked.
        seconds = sum(task.seconds for task in waiting or missing.values())
        text, icon = f"{label} ({duration(seconds)})", ":material/play_arrow:"
        st.button(text, key=f"work.{label}", icon=icon, disabled=not waiting, on_click=_agree, args=(label, keys))
    return start


def _unasked(tasks: Sequence[Task[Any]], agreed: frozenset[Hashable], most: float) -> set[Hashable]:
    """What starts without a click, `most` seconds of it: the same however much of it is done, so that a page does not
    go on by itself.
    """
    found: set[Hashable] = set()
    for key, task in {task.key: task for task in tasks if task.key not in agreed}.items():
        most -= task.seconds
        if most < 0:
            break
        found.add(key)
    return found


def _agree(label: str, keys: frozenset[Hashable]) -> None:
    session.visitor().agreed[label] = keys
    session.visitor().stopped.pop(label, None)


def _stop(label: str, keys: frozenset[Hashable]) -> None:
    session.visitor().stopped[label] = keys
    session.visitor().agreed.pop(label, None)


def _carry_out(label: str, missing: dict[Hashable, Task[T]]) -> Iterator[tuple[Hashable, Outcome[T]]]:
    """Runs tasks with a bar and a Stop button. A click on that, or on any control, ends it at the next progress."""
    total, before = sum(task.macs for task in missing.values()) or 1.0, 0.0
    bar = st.progress(0.0, f"{label} ...")
    st.button(
        "Stop", key=f"work.{label}.stop", icon=":material/stop:", on_click=_stop, args=(label, frozenset(missing))
    )
    for key, task in missing.items():
        try:
            outcome = Outcome((_timed(task, bar, before / total, task.macs / total),))
        except BudgetError as error:  # of the moment: not remembered
            yield key, Outcome(refusal=str(error))
            continue
        except ExplorerError as error:
            outcome = Outcome(refusal=str(error))
        _remember(key, outcome)
        before += task.macs
        yield key, outcome


def _timed(task: Task[T], bar: DeltaGenerator, begin: float, share: float) -> T:
    """Carried out, from `begin` on for a `share` of the whole bar."""

    def show(done: int, total: int) -> None:
        bar.progress(min(1.0, begin + share * done / max(1, total)), f"{task.title}, {done} of {total}")

    def meanwhile(before: int) -> None:
        session.go_on()
        if before:
            bar.progress(min(1.0, begin), f"{task.title}: in line, {before} before it")

    expected = task.seconds
    value, seconds = processes.carry_out(task.run, session.identity(), show, meanwhile, task.network)
    if min(seconds, computed := estimate(task.macs, task.calls)) > TELLING:
        # halfway on a scale of ratios: a moment in which the machine is busy shall not count for all
        delay = min(MOST_DELAY, max(1 / MOST_DELAY, (expected * seconds) ** 0.5 / computed))
        _delays[session.device(), task.work] = delay, time.monotonic() + WORTH if devices.busy() else inf
    return value


def _remember(key: Hashable, outcome: Outcome[Any]) -> None:
    """The bounded store: what was asked for longest ago goes first, but for what this page shows."""
    known = session.visitor()
    known.results[key] = outcome
    stays = known.asked.union(newest(known.results.items(), MOST_BYTES))
    for old in known.results.keys() - stays:
        del known.results[old]
    while len(known.results) > MOST_REMEMBERED:
        known.results.popitem(last=False)
