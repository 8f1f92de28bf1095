"""Measuring and printing, the same for every question."""

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

T = TypeVar("T")

ROOT = Path(__file__).parent.parent

Times = dict[str, list[float]]  # contender -> seconds, one entry a round


class Table(NamedTuple):
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    least: int = 5,
) -> Times:
    """Every contender once a round, in alternating order, for about `seconds`; what each round took by the `clock`.

    Two rounds before that warm up and are not counted.
    """
    times: Times = {name: [] for name in contenders}
    end, rounds = 0.0, -2
    while rounds < least or time.perf_counter() < end:
        if rounds == 0:
            times = {name: [] for name in contenders}
            end = time.perf_counter() + seconds
        for name in contenders if rounds % 2 else reversed(contenders):
            began = clock()
            contenders[name]()
            times[name].append(clock() - began)
        rounds += 1
    return times


def ratios(ours: Sequence[float], peer: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, peer, strict=True)]


def ms(seconds: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(seconds):,.2f} ms"


def spread(values: Sequence[float]) -> str:
    """Median, and the middle half: 0.981 (0.970-0.992)."""
    low, middle, high = statistics.quantiles(values, n=4)
    digits = 3 if middle < 10 else 0
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def promised(value: float, at_most: float = 0, at_least: float = 0, unit: str = "") -> tuple[str, str]:
    """The last two columns: what is promised, and whether it is kept."""
    if at_most:
        return f"<= {at_most:g}{unit}", "yes" if value <= at_most else "NO"
    return f">= {at_least:g}{unit}", "yes" if value >= at_least else "NO"


UNPROMISED = ("", "")


def own_bytes(process: int) -> int:
    """What a process holds in memory that no file holds: not the code of libraries, which processes share. Linux alone.

    Raises OSError where it has ended.
    """
    found = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return sum(1024 * int(found.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem"))


@contextmanager
def watching(look: Callable[[], T], each: float) -> Iterator[list[T]]:
    """What is found by a look every so many seconds; one during which a process ends is left out."""
    seen: list[T] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(each):
            with suppress(OSError, psutil.Error):
                seen.append(look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def child(module: str, *arguments: str, **environment: str) -> Any:
    """What `python -m module arguments` prints on its last line, as JSON. Raises RuntimeError with what it raised.

    A process of its own for whatever changes the whole process: threads of torch, hooks, patches, the environment.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    if done.returncode:
        lines = done.stderr.splitlines()  # libraries may complain further while the process ends
        raise RuntimeError(
            ([line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)] or lines or [""])[-1]
        )
    return json.loads(done.stdout.splitlines()[-1])


def show(table: Table) -> None:
    """Aligned columns; numbers to the right, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    print(f"\n  {table.title}")
    for row in (table.header, ["-" * width for width in widths], *table.rows):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join([row[0].ljust(len(first)), *rest]).rstrip())
    for note in table.notes:
        print(f"  {note}")
    sys.stdout.flush()
