"""Does the memory come back? Visitors come, use the pages and go, for a quarter of an hour.

A server as `make run` starts it. Each visitor has a session of their own: knobs, drawings and tables, maps of pictures
that they send, attributions, gradient flow, checkpoints, exports; some close the browser in the middle of long work. No
two ask for quite the same, so that what is remembered has to give way. After a first round of them, and after the last,
the server is left alone until it has let go of what it keeps for visitors who may come back: sessions, and processes
with the networks that they have built.
"""

import io
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image

from benchmarks.measure import UNPROMISED, Table, own_bytes, promised, watching
from benchmarks.served import starting, wait_until_healthy
from benchmarks.visitor import Visitor
from explorer.families import PRESETS, write_plan
from explorer.running.network import build
from explorer.running.weights import save_safetensors

SECONDS, QUICK = 15 * 60.0, 60.0  # in which visitors come after the first round
AT_ONCE = 3  # visitors
ALONE = 100.0  # seconds: sessions are kept for 30 without a browser, processes for 60 without work
EACH = 1.0  # seconds between two looks at the memory
PROMISED = 150.0  # MB more than after the first round, of the server and of its processes


class Memory(NamedTuple):
    """MB that no file holds, of the server itself and of the processes beside it."""

    server: float
    processes: float

    @property
    def together(self) -> float:
        return self.server + self.processes


def tables(quick: bool) -> Iterator[Table]:
    seconds, first_round = QUICK if quick else SECONDS, len(VISITS) * (1 if quick else 2)
    soak = Soak()
    with serving() as (address, server), watching(partial(looked_at, server), EACH) as seen:
        begun = memory(server)
        soak.come(address, lambda: soak.visits < first_round)
        first = left_alone(server)
        start = time.perf_counter()
        soak.come(address, lambda: time.perf_counter() < start + seconds)
        end = time.perf_counter()
        last = left_alone(server)
    meanwhile = [(at - start, one) for at, one in seen if start <= at <= end]
    rows = [
        row("before anybody came", begun),
        row(f"after {first_round} visits, left alone", first),
        row(
            f"the most while {soak.visits - first_round} more came",
            max((one for _, one in meanwhile), key=lambda one: one.together),
        ),
        row("after the last had gone, left alone", last),
    ]
    for name in Memory._fields:
        more = getattr(last, name) - getattr(first, name)
        rows.append((f"{name}: more than after the first", f"{more:+.0f} MB", *NONE, *promised(more, PROMISED)))
    rows.append(("visits that failed", str(len(soak.failed)), *NONE, "0", "NO" if soak.failed else "yes"))
    yield Table(
        f"{(end - start) / 60:.0f} minutes, {AT_ONCE} visitors at a time",
        ("", "server", "processes", "together", "promise", "kept"),
        rows,
        sorted(set(soak.failed))[:5],
    )
    yield Table(
        "Minute by minute, while they came",
        ("minute", "server: least", "most", "together: least", "most"),
        [
            (
                str(minute + 1),
                *least_and_most(one.server for one in found),
                *least_and_most(one.together for one in found),
            )
            for minute in range(int(meanwhile[-1][0] / 60) + 1)
            if (found := [one for at, one in meanwhile if minute == int(at / 60)])
        ],
    )


NONE = ("", "")


def row(what: str, found: Memory) -> tuple[str, ...]:
    return (what, *(f"{value:.0f} MB" for value in (found.server, found.processes, found.together)), *UNPROMISED)


def least_and_most(values: Iterator[float]) -> tuple[str, str]:
    found = list(values)
    return f"{min(found):.0f} MB", f"{max(found):.0f} MB"


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    """What visitors leave lies in a folder of its own, and not among the user's."""
    with tempfile.TemporaryDirectory() as folder, starting(EXPLORER_RUNS=folder) as (port, server):
        wait_until_healthy(port, server)
        yield f"http://127.0.0.1:{port}", server


# ---- memory ----


def memory(server: psutil.Process) -> Memory:
    beside = 0
    for one in server.children(recursive=True):
        with suppress(OSError):  # it has ended
            beside += own_bytes(one.pid)
    return Memory(own_bytes(server.pid) / 1e6, beside / 1e6)


def looked_at(server: psutil.Process) -> tuple[float, Memory]:
    """What it has, and the time of the clock perf_counter."""
    return time.perf_counter(), memory(server)


def left_alone(server: psutil.Process) -> Memory:
    time.sleep(ALONE)
    return memory(server)


# ---- visitors ----


class Soak:
    """Visitors one after another, some at a time, each kind in its turn."""

    def __init__(self) -> None:
        self.visits = 0
        self.failed: list[str] = []
        self._kinds = itertools.cycle(VISITS.items())
        self._changing = threading.Lock()

    def come(self, address: str, goes_on: Callable[[], bool]) -> None:
        """As long as it goes on; and each visit that has begun comes to its end."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for one in [threads.submit(self._come, address, goes_on) for _ in range(AT_ONCE)]:
                one.result()

    def _come(self, address: str, goes_on: Callable[[], bool]) -> None:
        while True:
            with self._changing:
                if not goes_on():
                    return
                self.visits += 1
                number = self.visits
                name, visit = next(self._kinds)
            try:
                visit(address, number)
            except Exception as error:  # whatever it is, the others come
                self.failed.append(f"{name}: {type(error).__name__}: {error}"[:150])


Visit = Callable[[str, int], None]  # it raises where the page does not show what the visitor has come for


def opened(address: str, page: str, number: int, network: str, **link: str) -> Visitor:
    """With fresh weights of a seed of their own."""
    its = {"network": network, "weights": "fresh", "seed": str(number), "norms": "raw", **link}
    return Visitor(address, its, page, patience=300)


def architecture(address: str, number: int) -> None:
    with opened(address, "", number, "densenet121", level="operation", open="operation") as visitor:
        for rate in range(33 + number % 27, 39 + number % 27):  # 64 at most
            visitor.set("densenet.growth_rate", float(rate))
        visitor.text(f"growth rate k 32 → {rate}")


def design_space(address: str, number: int) -> None:
    with opened(address, "design-space", number, "resnet50") as visitor:
        visitor.set("resnet.width", float(72 + 8 * (number % 8)))
        visitor.text(f"width 64 → {72 + 8 * (number % 8)}")


def experiments(address: str, number: int) -> None:
    with opened(address, "experiments", number, "resnet18", claim="degradation") as visitor:
        visitor.text("The rule:")


def feature_maps(address: str, number: int) -> None:
    """Of a picture of their own."""
    with opened(address, "feature-maps", number, "resnet18") as visitor:
        visitor.send("uploads", f"{number}.jpg", picture(number))
        visitor.text("Down to one number")


def attribution(address: str, number: int) -> None:
    with opened(address, "attribution", number, "resnet18", methods="saliency.grad_cam") as visitor:
        click(visitor, "work.Explain")
        visitor.text("of pixels beyond the scale")


def gradient_flow(address: str, number: int) -> None:
    with opened(address, "gradient-flow", number, "resnet20_cifar", batch="16", seeds="2") as visitor:
        click(visitor, "work.Measure")
        visitor.text("It reaches the first layer")


def checkpoint(address: str, number: int) -> None:
    file = save_safetensors(build(write_plan(PRESETS["resnet18"]), seed=number), config=PRESETS["resnet18"])
    with Visitor(address, {"network": "resnet20_cifar"}, "feature-maps", patience=300) as visitor:
        visitor.send("open.file", f"{number}.safetensors", file)
        visitor.text("122 tensors fit")


def export(title: str, ends: str, network: str, address: str, number: int) -> None:
    with opened(address, "", number, network) as visitor:
        visitor.set("unfolded.downloads", True)
        visitor.set("along.form", [title])
        visitor.text(rf"{ends}\, untrained")  # in Markdown


def leaves(page: str, network: str, button: str, link: dict[str, str], address: str, number: int) -> None:
    """In the middle of long work."""
    with opened(address, page, number, network, **link) as visitor:
        visitor.press(button)
        time.sleep(4)


def leaves_an_export(address: str, number: int) -> None:
    with opened(address, "", number, "resnet50") as visitor:
        visitor.set("unfolded.downloads", True)
        visitor.press("along.form", ["ONNX"])
        time.sleep(4)


def click(visitor: Visitor, button: str) -> None:
    """Where the work waits for it."""
    if button in visitor.talk.widgets:
        visitor.set(button, True)


def picture(number: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


VISITS: dict[str, Visit] = {
    "architecture": architecture,
    "attribution": attribution,
    "export, safetensors": partial(export, "safetensors", "safetensors", "resnet50"),
    "gradient flow": gradient_flow,
    "feature maps": feature_maps,
    "leaves gradient flow": partial(
        leaves, "gradient-flow", "resnet152", "work.Measure", {"batch": "4", "seeds": "10"}
    ),
    "checkpoint": checkpoint,
    "export, pt2": partial(export, "torch.export (.pt2)", "pt2", "resnet18"),
    "design space": design_space,
    "leaves an export": leaves_an_export,
    "experiments": experiments,
    "leaves attribution": partial(
        leaves, "attribution", "resnet50", "work.Explain", {"methods": "lime", "samples": "2000"}
    ),
}
