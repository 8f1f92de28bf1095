"""How long is the server busy when a slider moves? The growth rate of DenseNet-121, there and back.

Two real servers run side by side, one as it is and one that collects garbage after each run, as Streamlit does unless
told (runner.postScriptGC). A client moves the slider of each in turn, with the messages that a browser sends. A rerun
lasts from that message to the end of the script and of such a collection. In the servers every function of `explorer`
that the app calls is timed; the rest is Streamlit, the page, and the messages. The first time, a value's curves and
plans are written; the second time they are remembered. Two promises are made of the whole, whoever spends it: what a
visitor waits for, and what fifty visitors share.

Streamlit's AppTest would be simpler and is no measure: it collects no garbage after a rerun and sends nothing, but
compiles the pages anew in each run and parses its own messages.
"""

import functools
import gc
import inspect
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from statistics import mean, median
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from benchmarks.measure import UNPROMISED, Table, promised
from benchmarks.served import starting, wait_until_healthy
from benchmarks.visitor import Visitor

PROMISED = {"new values": 70.0, "seen before": 40.0}  # ms of processor time, whoever spends it
LINK, KEY = {"network": "densenet121"}, "densenet.growth_rate"
VALUES = [value for value in (*range(8, 64, 2), *range(63, 8, -2)) if value != 32]  # the preset's is in no link
FIRST = 4  # moves that are not counted
PAUSE = 0.05  # seconds between two moves of a hand


class Rerun(NamedTuple):
    """Seconds by the clock, and seconds of processor time, which other work on the machine leaves alone."""

    clock: float
    processor: float  # of the whole server; it ticks in hundredths, so only a mean says something
    library: float  # of which in `explorer`
    garbage: float  # of which in garbage collections


def tables(quick: bool) -> Iterator[Table]:
    values = VALUES[: 6 * FIRST] if quick else VALUES
    with Server("as it is") as ours, Server("collecting") as collecting:
        moves = [(ours.move(value), collecting.move(value)) for value in [*values, *values]]
    rows = []
    for what, pairs in (("new values", moves[FIRST : len(values)]), ("seen before", moves[len(values) :])):
        usual, collected = ([pair[i] for pair in pairs] for i in (0, 1))
        took = 1e3 * mean(r.processor for r in usual)
        rows += [
            (f"{what}, as it is", *columns(usual), *promised(took, at_most=PROMISED[what], unit=" ms")),
            (f"{what}, garbage each time", *columns(collected), *UNPROMISED),
        ]
    yield Table(
        f"The architecture page, growth rate of DenseNet-121 moved to {len(values)} values, there and back, twice",
        ("slider", "by the clock", "processor", "library", "garbage", "beyond library", "promise", "kept"),
        rows,
        [
            "By the clock: the median. The rest: the server's mean processor time a rerun, which is what it would last",
            "on a machine that does nothing else.",
        ],
    )


def columns(reruns: list[Rerun]) -> list[str]:
    seconds = (
        median(r.clock for r in reruns),
        mean(r.processor for r in reruns),
        mean(r.library for r in reruns),
        mean(r.garbage for r in reruns),
        mean(r.processor - r.library for r in reruns),
    )
    return [f"{1e3 * value:.1f} ms" for value in seconds]


class Server:
    """The app on a port of its own, and one session that is open there, at a page and with a link."""

    def __init__(self, mode: str, link: Mapping[str, str] = MappingProxyType(LINK), page: str = "") -> None:
        self.mode, self.link, self.page = mode, link, page

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.log = stack.enter_context(tempfile.NamedTemporaryFile("r"))
            command = ("-m", "benchmarks.reruns", self.mode, "{port}", self.log.name)
            port, self.server = stack.enter_context(starting(command))
            wait_until_healthy(port, self.server)
            self.visitor = stack.enter_context(Visitor(f"http://127.0.0.1:{port}", self.link, self.page))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def move(self, value: int) -> Rerun:
        self.log.read()  # what happened before
        busy = self._busy()
        began = time.perf_counter()
        self.visitor.set(KEY, value)
        ended = time.perf_counter()
        if f"growth_rate={value}" not in self.visitor.query:
            raise RuntimeError(f"the slider was moved to {value}, and the link says {self.visitor.query!r}")
        time.sleep(PAUSE)  # until garbage is collected too
        while not (lines := self.log.read()).endswith("\n"):
            time.sleep(PAUSE)
        spans = [json.loads(line) for line in lines.splitlines()]
        ended = max(ended, *(end for _, end, _ in spans))
        library, garbage = (sum(s for what, _, s in spans if what == which) for which in ("library", "garbage"))
        return Rerun(ended - began, self._busy() - busy, library, garbage)

    def _busy(self) -> float:
        times = self.server.cpu_times()
        return times.user + times.system


Report = Callable[[str, float, float], None]  # what, when it ended, how much of the processor's time it took


class Watch(MetaPathFinder):
    """Times every function of the library that is called from outside it, from the module's import on.

    Modules are imported when the app wants them, as they are without a watch: what is there before `gc.freeze` matters.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.inside = threading.local()

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name.startswith("explorer.") else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_wrap(module: ModuleType) -> None:
                execute(module)
                self._wrap(module)

            patch.object(spec.loader, "exec_module", execute_and_wrap).start()
        return spec

    def _wrap(self, module: ModuleType) -> None:
        for name, value in list(vars(module).items()):
            ours = getattr(value, "__module__", "") == module.__name__
            if ours and not name.startswith("_") and inspect.isfunction(inspect.unwrap(value)):
                setattr(module, name, self._timed(value))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(self.inside, "library", False):
                return function(*args, **kwargs)
            self.inside.library = True
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside.library = False
                self.report("library", time.perf_counter(), time.thread_time() - began)

        return call

    def collection(self, phase: str, _: dict[str, int]) -> None:
        """A callback of the garbage collector."""
        if phase == "start":
            self.began = time.thread_time()
        else:
            self.report("garbage", time.perf_counter(), time.thread_time() - self.began)


def serve(mode: str, port: str, log: str) -> None:
    from streamlit.web import cli

    with open(log, "a", buffering=1) as file:
        watch = Watch(lambda *span: print(json.dumps(span), file=file))
        sys.meta_path.insert(0, watch)
        gc.callbacks.append(watch.collection)
        sys.argv = ["streamlit", "run", "app.py", "--server.port", port, "--server.headless", "true"]
        if mode == "collecting":
            sys.argv += ["--runner.postScriptGC", "true"]
        cli.main()


if __name__ == "__main__":
    serve(*sys.argv[1:])
