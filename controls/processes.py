"""Who carries out heavy work, and whose turn is it? Processes beside the server's, so that no page waits for it.

    value, seconds = carry_out(partial(function, *arguments), visitor, progress, meanwhile)

`function(*arguments, progress)` is a module's, and arguments and value can be pickled. What goes on in a process stands
back behind every page, and the system shares out what is left among the processes, so among visitors: each has one at
most. Beyond `most()` visitors they wait in line. A process keeps the networks that it has built, and is chosen again
for the same one.

Work ends where its visitor has gone, stops it or wants something else: whatever `meanwhile` or `progress` raises ends
it, and a process that does not answer to that within `GRACE` seconds is killed. Another is then ready: one more than
are at work is kept.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from controls.refusals import refusal_of
from explorer.counting.budget import BudgetError, free_memory, servers
from explorer.learning import settings
from explorer.running import devices

T = TypeVar("T")
Progress = Callable[..., None]
Work = Callable[[Progress], T]
Meanwhile = Callable[[int], None]  # how many visitors are before this one in line; 0: none, or it is at work

FOR_EACH_CORE = 4
EACH = 2**30  # bytes that are free where one more than the first is started
LOOKS_EACH = 0.1  # seconds between two questions whether the visitor is still there
GRACE = 0.4  # seconds in which work must end by itself
KEPT, LAST_KEPT = 60.0, 600.0  # seconds without work after which a process ends; and the last one, with its networks
TIDIES_EACH = 5.0  # seconds
MOST_KNOWN = 4  # networks that a process has, about
ROOT = Path(__file__).parents[1]


class WorkError(RuntimeError):
    """Work failed as nobody meant it to; says where."""


class _Gone(Exception):
    """The process has ended."""


def most() -> int:
    """Visitors whose work goes on at once: EXPLORER_PROCESSES, or four for each of this server's cores; with 0
    everything is done in the server's own process. Raises SettingError.
    """
    if os.name != "posix":  # elsewhere a process is not handed its end of a pipe
        return 0
    chosen = settings.most_processes()
    return FOR_EACH_CORE * cores() if chosen is None else chosen


def cores() -> int:
    """Those of the machine, shared out among its servers."""
    return max(1, (os.cpu_count() or 1) // servers())


def carry_out(
    work: Work[T],
    visitor: Hashable,
    progress: Progress = lambda *_: None,
    meanwhile: Meanwhile = lambda before: None,
    network: Hashable = None,
) -> tuple[T, float]:
    """What the work returns, and the seconds that it took, without those in line.

    `progress` gets what the work says of itself, though not each time; `meanwhile` is called several times a second.
    `network` is what the work is done on: a process that knows it is chosen. Raises what the work refuses, an
    ExplorerError, and BudgetError where its process was ended by the system; WorkError for what went wrong otherwise.
    """
    if not most():
        began = time.perf_counter()
        return _carried_out_here(work, progress, partial(meanwhile, 0)), time.perf_counter() - began
    try:
        process = _pool.take(visitor, network, meanwhile)
        began = time.perf_counter()
        try:
            value = process.run(work, _pool.threads(), progress, partial(meanwhile, 0))
        finally:
            _pool.give_back(process, visitor)
    except _Gone:
        raise BudgetError("The system ended this work, most likely for want of memory: ask for less of it.") from None
    return value, time.perf_counter() - began


def _carried_out_here(work: Work[T], progress: Progress, meanwhile: Callable[[], None]) -> T:
    def told(*said: object) -> None:
        meanwhile()
        progress(*said)

    try:
        return work(told)
    except Exception as error:
        refused = refusal_of(error)
        if refused is None:
            raise
    raise refused  # outside: a traceback would keep what it has taken


def warm_up() -> None:
    """Start the first process, so that the first visitor does not wait for it."""
    if most():
        _pool.keep_spare()


def end() -> None:
    """End all processes, whatever they do."""
    _pool.end()


class _Process:
    """One process, as the server sees it. Whoever has it has it alone."""

    def __init__(self) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        paths = dict.fromkeys([str(ROOT), *filter(None, sys.path)])
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controls.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
        self.known: list[Hashable] = []  # the networks that it was last asked about
        self.visitor: Hashable = None  # who had it last
        self.since = time.monotonic()  # when that ended
        self.answers = True  # whether all that it was asked is answered
        self._ready = False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it has imported what it needs, which takes seconds. Asked only while it has nothing to do."""
        with suppress(OSError, EOFError):  # it has ended
            if not self._ready and self.connection.poll():
                self._ready = self.connection.recv()[0] == "ready"
        return self._ready

    def run(self, work: Work[T], threads: int, progress: Progress, meanwhile: Callable[[], None]) -> T:
        """Raises _Gone, and what `progress` and `meanwhile` raise: the work then goes on."""
        self._send(work, threads)
        self.answers = False
        with ExitStack() as rooms:
            while True:
                kind, said = self._hear(meanwhile)
                if kind == "progress":
                    progress(*said)
                elif kind == "room":
                    self._grant(rooms, meanwhile, *said)
                elif kind == "leaves":
                    rooms.close()
                elif kind in ENDS:
                    break
        self.answers = True
        if kind == "refused":
            raise said
        if kind == "failed":
            raise WorkError(said)
        value: T = said
        return value

    def _grant(
        self, rooms: ExitStack, meanwhile: Callable[[], None], device: str, needed: int, patience: float
    ) -> None:
        """Room on a device, which all processes share; or why there is none."""
        until, refusal = time.monotonic() + patience, "?"
        while refusal:
            meanwhile()
            try:
                rooms.enter_context(devices.room(device, needed, LOOKS_EACH))
                refusal = ""
            except BudgetError as error:
                refusal = str(error)
                if time.monotonic() > until:
                    break
        self._send("room", refusal)

    def _hear(self, meanwhile: Callable[[], None]) -> tuple[str, Any]:
        while True:
            meanwhile()
            with _noticing_its_end():
                if self.connection.poll(LOOKS_EACH):
                    kind, said = self.connection.recv()
                    return kind, said

    def _send(self, *message: object) -> None:
        with _noticing_its_end():
            self.connection.send(message)

    def stop(self) -> None:
        """What it does ends, or it is killed."""
        with suppress(_Gone), _noticing_its_end():
            self.connection.send(("stop", None))
            until = time.monotonic() + GRACE
            while not self.answers and self.connection.poll(max(0.0, until - time.monotonic())):
                self.answers = self.connection.recv()[0] in ENDS
        if not self.answers:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


ENDS = ("done", "refused", "failed", "stopped")  # how work ends, as its process says


@contextmanager
def _noticing_its_end() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise _Gone from None


class _Waiting(NamedTuple):
    ticket: object
    visitor: Hashable


class _Pool:
    """All processes of this server, and the line before them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.idle: list[_Process] = []  # the last used one last
        self.at_work: dict[Hashable, _Process | None] = {}  # by visitor
        self.line: list[_Waiting] = []
        self.tidying: threading.Thread | None = None

    def threads(self) -> int:
        """Of torch, for one of those at work."""
        return max(1, cores() // max(1, len(self.at_work)))

    def take(self, visitor: Hashable, network: Hashable, meanwhile: Meanwhile) -> _Process:
        """A process, once it is this visitor's turn. Raises what `meanwhile` raises, and _Gone where none can start."""
        own = _Waiting(object(), visitor)
        with self.changed:
            self.line.append(own)
        try:
            while (before := self._before(own)) is not None:
                meanwhile(before)
                with self.changed:
                    self.changed.wait(LOOKS_EACH)
        except BaseException:
            with self.changed:
                self.line.remove(own)
                self.changed.notify_all()
            raise
        try:
            while (process := self._choose(visitor, network)) is None:
                meanwhile(0)
                with self.changed:
                    self.changed.wait(LOOKS_EACH)
        except BaseException:
            with self.changed:
                del self.at_work[visitor]
            raise
        self.keep_spare()
        return process

    def _before(self, own: _Waiting) -> int | None:
        """How many have their turn first; None where it is this one's turn, which it then has."""
        with self.changed:
            if own.visitor in self.at_work:
                return 1
            mine = self.line.index(own)
            before = len({one.visitor for one in self.line[:mine]} - self.at_work.keys())
            if len(self.at_work) + before >= most() or (self._is_tight() and self.at_work):
                return before + len(self.at_work)
            if own.visitor in {one.visitor for one in self.line[:mine]}:  # an older page of the same visitor
                return before
            self.line.remove(own)
            self.at_work[own.visitor] = None
            return None

    def _is_tight(self) -> bool:
        return not self.idle and free_memory() < EACH

    def _choose(self, visitor: Hashable, network: Hashable) -> _Process | None:
        """One that has built this network; or the visitor's last one; or the one with the fewest networks. None while
        none is ready: one that others give back may be so sooner than one that starts.
        """
        with self.changed:
            ended = [one for one in self.idle if not one.alive]
            self.idle = [one for one in self.idle if one not in ended]
            ready = [one for one in self.idle if one.ready]
            if not ready:
                if not all(one.ready for one in ended):
                    raise _Gone
                wanted = sum(process is None for process in self.at_work.values())
                if len(self.idle) < min(wanted, cores()):
                    self.idle.append(_Process())
                return None
            process = max(ready, key=lambda one: (network in one.known, one.visitor == visitor, -len(one.known)))
            self.idle.remove(process)
            self.at_work[visitor] = process
        if network is not None:
            process.known = [*(one for one in process.known if one != network), network][-MOST_KNOWN:]
        process.visitor = visitor
        return process

    def give_back(self, process: _Process, visitor: Hashable) -> None:
        """What still goes on there is stopped, for which nobody waits."""
        with self.changed:
            self.at_work.pop(visitor, None)
            self.changed.notify_all()
        if process.answers:
            self._lay_aside(process)
        else:
            threading.Thread(target=self._stop, args=(process,), daemon=True).start()

    def _stop(self, process: _Process) -> None:
        process.stop()
        self._lay_aside(process)

    def _lay_aside(self, process: _Process) -> None:
        process.since = time.monotonic()
        with self.changed:
            if process.alive and not process.connection.closed:
                self.idle.append(process)
            self.changed.notify_all()
        self.keep_spare()

    def keep_spare(self) -> None:
        """One that nobody has, where memory allows it."""
        with self.changed:
            if not self.idle and len(self.at_work) <= most() and free_memory() > 2 * EACH:
                with suppress(OSError):
                    self.idle.append(_Process())
            if self.tidying is None:
                self.tidying = threading.Thread(target=self._tidy, daemon=True)
                self.tidying.start()

    def _tidy(self) -> None:
        """Ends processes that nobody has wanted for a while."""
        while True:
            time.sleep(TIDIES_EACH)
            now = time.monotonic()
            with self.changed:
                over = [one for one in self.idle[:-1] if now - one.since > KEPT]
                over += [one for one in self.idle[-1:] if one.known and now - one.since > LAST_KEPT]
                self.idle = [one for one in self.idle if one not in over]
            for one in over:
                one.kill()
            if over:
                self.keep_spare()

    def end(self) -> None:
        with self.changed:
            ended = [*self.idle, *filter(None, self.at_work.values())]
            self.idle = []
        for one in ended:
            one.kill()


_pool = _Pool()
