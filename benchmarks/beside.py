"""What does a visitor who turns a slider notice of four others who keep the machine busy?

A server as `make run` starts it. One visitor turns the growth rate of a DenseNet-121 on the Architecture page; then
four others come, each with work of minutes, and the same is measured again, in several rounds. Then the four close
their browsers, and the server's processes are watched until they have nothing to do. So they are where a visitor ends
the passes of a large network, of which nothing is heard while they last: by Stop, and by closing the browser.
"""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from statistics import median, quantiles

import psutil

from benchmarks.many import KEY, NETWORK, VALUES
from benchmarks.measure import UNPROMISED, Table, promised
from benchmarks.served import starting, wait_until_healthy
from benchmarks.visitor import Visitor

PROMISED, GONE = 2.0, 1.0  # times the p95 alone; seconds
PAUSE = 0.3  # seconds between two turns
# page, link, and the button that starts it
HEAVY = {
    "Integrated Gradients, SmoothGrad": (
        "attribution",
        {"network": "resnet50", "methods": "integrated_gradients", "noise": "smoothgrad", "steps": "100"},
        "work.Explain",
    ),
    "Occlusion": ("attribution", {"network": "resnet50", "methods": "occlusion"}, "work.Explain"),
    "LIME": ("attribution", {"network": "resnet50", "methods": "lime", "samples": "2000"}, "work.Explain"),
    "Gradient flow": ("gradient-flow", {"network": "resnet50", "batch": "32", "seeds": "10"}, "work.Measure"),
}
PASSES = {
    "gradient flow, ResNet-152": ({"network": "resnet152", "batch": "16", "seeds": "10"}, "work.Measure"),
    "shortcut share, ResNet-152": (
        {"network": "resnet152", "batch": "10", "view": "shortcuts"},
        "work.Follow the gradient",
    ),
    "paths, ResNet-152": ({"network": "resnet152", "batch": "8", "view": "paths"}, "work.Follow paths"),
}


def tables(quick: bool) -> Iterator[Table]:
    turns, rounds = (40, 2) if quick else (100, 4)
    alone, beside, ends = [], [], []
    with serving() as (address, server), Visitor(address, {"network": NETWORK}) as light:
        values = itertools.cycle(VALUES)

        def turned() -> list[float]:
            waits = []
            for _ in range(turns):
                time.sleep(PAUSE)
                waits.append(light.set(KEY, next(values)))
            return waits

        for _ in VALUES:  # every value is seen once
            light.set(KEY, next(values))
        for _ in range(rounds):
            alone += turned()
            with ExitStack() as others:
                for page, link, button in HEAVY.values():
                    others.enter_context(at_work(address, page, link, button))
                beside += turned()
                left = time.perf_counter()
            ends.append(quiet(server) - left)
        passes = {what: ended(address, server, *PASSES[what]) for what in PASSES}
    rows = []
    for what, waits in (("alone", alone), ("beside four", beside)):
        ratio = p95(waits) / p95(alone)
        kept = promised(ratio, at_most=PROMISED) if what != "alone" else UNPROMISED
        rows.append((what, f"{1e3 * median(waits):.0f} ms", f"{1e3 * p95(waits):.0f} ms", f"{ratio:.2f}", *kept))
    yield Table(
        f"Growth rate of DenseNet-121, {len(alone)} turns each",
        ("visitor", "p50", "p95", "p95 / alone", "promise", "kept"),
        rows,
        [f"The four: {', '.join(HEAVY)}."],
    )
    rows = [("until nothing goes on for them", f"{max(ends):.1f} s", *promised(max(ends), at_most=GONE, unit=" s"))]
    yield Table(f"The four close their browsers, the longest of {len(ends)}", ("", "takes", "promise", "kept"), rows)
    yield Table(
        "Seconds until nothing goes on any more",
        ("at work", "Stop", "browser closed", "promise", "kept"),
        [
            (what, *(f"{took:.1f} s" for took in times), *promised(max(times), at_most=GONE, unit=" s"))
            for what, times in passes.items()
        ],
    )


def ended(address: str, server: psutil.Process, link: dict[str, str], button: str) -> tuple[float, float]:
    """Seconds from Stop, and from the browser's being closed, to the end of the work on the page of gradients."""
    with at_work(address, "gradient-flow", link, button) as visitor:
        began = time.perf_counter()
        visitor.press(f"{button}.stop")
        stopped = quiet(server) - began
    with at_work(address, "gradient-flow", link, button):
        began = time.perf_counter()
    return stopped, quiet(server) - began


def p95(waits: list[float]) -> float:
    return quantiles(waits, n=20)[-1]


@contextmanager
def at_work(address: str, page: str, link: dict[str, str], button: str) -> Iterator[Visitor]:
    """A visitor whose work goes on inside the `with`, unless they stop it, and who closes the browser at its end."""
    with Visitor(address, link, page, patience=600) as visitor:

        def work() -> None:
            with suppress(Exception):  # the socket is closed while it waits
                visitor.set(button, True)

        waiting = threading.Thread(target=work)
        waiting.start()
        time.sleep(2)
        if not waiting.is_alive():
            raise RuntimeError(f"the work on {page} has ended: there is nothing to be beside")
        yield visitor
        if not visitor.pressed and not waiting.is_alive():
            raise RuntimeError(f"the work on {page} ended too early")
        visitor.close()
        waiting.join()


def quiet(server: psutil.Process) -> float:
    """When the server and its processes have done nothing for half a second: when that began."""
    since, busy = time.perf_counter(), used(server)
    while time.perf_counter() - since < 0.5:
        time.sleep(0.05)
        now = used(server)
        if now - busy > 0.04:  # of which a watched machine's own housekeeping takes less
            since, busy = time.perf_counter(), now
    return since


def used(server: psutil.Process) -> float:
    """Seconds of processor time, of all that are there."""
    total = 0.0
    for one in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    with starting() as (port, server):
        wait_until_healthy(port, server)
        yield f"http://127.0.0.1:{port}", server
