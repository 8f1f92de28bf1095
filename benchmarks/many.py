"""How long do many visitors wait who turn a knob at the same time? 50 and 100 of them, with `make serve`.

Each has a web socket of their own through HAProxy, as a browser has, and turns the growth rate of DenseNet-121 every 3
seconds, no two in step. A wait lasts from the message that a slider has moved to the end of the script; whoever waits
longer than 3 seconds turns again at once. Before that each server has shown every value once, and its visitors have
turned for a while. Every answer is checked: parameters and MACs to the last digit.

All visitors live in this process, which has to share the cores with the servers; its own processor time is told.
"""

import asyncio
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import cycle
from operator import attrgetter
from statistics import median, quantiles
from typing import NamedTuple

import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from benchmarks.measure import ROOT, UNPROMISED, Table, promised
from benchmarks.served import PATIENCE, wait_until_healthy
from benchmarks.visitor import Talk, cookies_set
from explorer.families import PRESETS, write_plan

NETWORK, KEY = "densenet121", "densenet.growth_rate"
VALUES = [value for value in range(8, 65) if value != 32]  # the preset's is in no link
EVERY = 3.0  # seconds from one turn of a visitor to the next
VISITORS = 50, 100
SERVERS = 2, 1  # the promises are for two
MOST = {(50, "p50"): 150.0, (50, "p95"): 600.0, (100, "p95"): 2000.0}  # ms, on two cores
OPENING = 4  # visitors at a time, so that nobody's first page is given up
HEADER = (
    *("servers, visitors", "p50", "p95", "slowest", "turns", "servers", "HAProxy", "visitors", "failed", "wrong"),
    *("promise", "kept"),
)
FIGURES = re.compile(r"<b>([\d,]+)</b>")


def tables(quick: bool) -> Iterator[Table]:
    warming, seconds = (EVERY, 9.0) if quick else (2 * EVERY, 60.0)
    rows = []
    for servers in SERVERS:
        with serving(servers) as (address, processes):
            counts = VISITORS[:1] if quick and servers < max(SERVERS) else VISITORS
            for visitors, found in asyncio.run(visited(address, processes, counts, warming, seconds)):
                rows += rows_of(servers, visitors, found)
    yield Table(
        f"The growth rate of DenseNet-121, turned by each visitor every {EVERY:g} s, {seconds:.0f} s long",
        HEADER,
        rows,
        [
            "turns: answered a second, of all visitors. servers, HAProxy, visitors: their processor time for a turn,",
            "the last being the benchmark's own. failed: no answer; wrong: other costs than the library's.",
            f"The promise is for two cores; this machine has {os.cpu_count()}.",
        ],
    )


class Found(NamedTuple):
    waits: list[float]  # seconds
    seconds: float
    processor: dict[str, float]  # of the servers, HAProxy and this process: seconds
    failed: list[str]
    wrong: list[str]


def rows_of(servers: int, visitors: int, found: Found) -> list[tuple[str, ...]]:
    waits = [1e3 * wait for wait in found.waits]
    at = {"p50": median(waits), "p95": quantiles(waits, n=20)[-1]}
    first = (
        f"{servers}, {visitors}",
        *(f"{value:,.0f} ms" for value in (*at.values(), max(waits))),
        f"{len(waits) / found.seconds:.1f}/s",
        *(f"{1e3 * busy / len(waits):.1f} ms" for busy in found.processor.values()),
        str(len(found.failed)),
        str(len(found.wrong)),
    )
    promises = []
    for name, value in at.items():
        if servers == max(SERVERS) and (visitors, name) in MOST:
            words, kept = promised(value, at_most=MOST[visitors, name], unit=" ms")
            promises.append((f"{name} {words}", kept))
    blank = ("",) * len(first)
    return [
        *((first if i == 0 else blank) + promise for i, promise in enumerate(promises or [UNPROMISED])),
        *((one[:100],) + ("",) * (len(blank) + 1) for one in sorted({*found.failed[:3], *found.wrong[:3]})),
    ]


# ---- the servers ----


@contextmanager
def serving(servers: int) -> Iterator[tuple[str, dict[str, list[psutil.Process]]]]:
    """As `make serve` starts them; the address, and the processes by what they are."""
    port = free_ports(servers + 1)
    environment = os.environ | {"WORKERS": str(servers), "PORT": str(port)}
    command = [sys.executable, "-m", "deploy.serve"]
    started = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for each in range(port + 1, port + servers + 1):
            wait_until_healthy(each, started)
        wait_until_healthy(port, started)
        below = started.children(recursive=True)
        yield (
            f"http://127.0.0.1:{port}",
            {
                "servers": [one for one in below if "streamlit" in one.cmdline()],
                "HAProxy": [one for one in below if one.name() == "haproxy"],
            },
        )
    finally:
        started.terminate()
        started.wait(30)


def free_ports(count: int) -> int:
    """The first of so many in a row."""
    while True:
        first = random.randrange(20_000, 30_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


# ---- the visitors ----


async def visited(
    address: str, processes: dict[str, list[psutil.Process]], counts: Sequence[int], warming: float, seconds: float
) -> list[tuple[int, Found]]:
    """First by some visitors, and then by more."""
    expected = {value: costs(value) for value in VALUES}
    visitors: list[Visitor] = []
    results = []
    try:
        for count in counts:
            few = asyncio.Semaphore(OPENING)
            new = [Visitor(number, expected) for number in range(len(visitors), count)]
            await asyncio.gather(*(one.open(address, few) for one in new))
            if not visitors:
                await see_all(new)
            visitors += new
            await turn_all(visitors, warming)
            before = busy(processes)
            took = await turn_all(visitors, seconds)
            processor = {name: now - before[name] for name, now in busy(processes).items()}
            waits, failed, wrong = (
                [entry for one in visitors for entry in entries(one)]
                for entries in (attrgetter("waits"), attrgetter("failed"), attrgetter("wrong"))
            )
            results.append((count, Found(waits, took, processor, failed, wrong)))
    finally:
        await asyncio.gather(*(one.close() for one in visitors))
    return results


async def see_all(visitors: "list[Visitor]") -> None:
    """Each server shows each value once, since afterwards it remembers its plan and curves."""
    by_server: defaultdict[str, list[Visitor]] = defaultdict(list)
    for one in visitors:
        by_server[one.server].append(one)

    async def see(together: list[Visitor]) -> None:
        for value, one in zip(VALUES, cycle(together), strict=False):
            await one.set(value)

    await asyncio.gather(*map(see, by_server.values()))


async def turn_all(visitors: "list[Visitor]", seconds: float) -> float:
    """Seconds that it took until the last had their last answer."""
    began = time.perf_counter()
    await asyncio.gather(*(one.turn(began + seconds) for one in visitors))
    return time.perf_counter() - began


def costs(growth_rate: int) -> list[str]:
    """Parameters and MACs, as a page writes them."""
    plan = write_plan(PRESETS[NETWORK].replace(growth_rate=growth_rate))
    return [f"{plan.params:,}", f"{plan.macs:,}"]


def busy(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Seconds of processor time so far."""
    times = {name: [one.cpu_times() for one in found] for name, found in processes.items()}
    return {name: sum(one.user + one.system for one in found) for name, found in times.items()} | {
        "visitors": time.process_time()
    }


class Visitor:
    """One session, and what became of the turns since `turn` was called last."""

    def __init__(self, number: int, expected: dict[int, list[str]]) -> None:
        self.random = random.Random(number)
        self.expected = expected
        self.talk = Talk({"network": NETWORK})
        self.leave = AsyncExitStack()

    async def open(self, address: str, few: asyncio.Semaphore) -> None:
        async with few:
            self.socket = await self.leave.enter_async_context(
                connect(
                    f"ws{address.removeprefix('http')}/_stcore/stream",
                    subprotocols=[Subprotocol("streamlit")],
                    max_size=None,
                )
            )
            assert self.socket.response
            self.server = cookies_set(self.socket.response.headers.get_all("Set-Cookie"))["explorer_server"]
            await self.set(None)

    async def close(self) -> None:
        await self.leave.aclose()

    async def turn(self, end: float) -> None:
        """Every few seconds from a moment of their own, until `end` on the clock perf_counter."""
        self.waits, self.failed, self.wrong = list[float](), list[str](), list[str]()
        due = time.perf_counter() + self.random.uniform(0, EVERY)
        value = 0
        while due < end:
            await asyncio.sleep(due - time.perf_counter())
            value = self.random.choice([one for one in VALUES if one != value])
            try:
                self.waits.append(await self.set(value))
            except (RuntimeError, LookupError, OSError, WebSocketException) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                return
            found = FIGURES.findall(self.talk.text("class='costs'"))[:2]
            if found != self.expected[value]:
                self.wrong.append(f"growth rate {value}: {found} instead of {self.expected[value]}")
            due = max(due + EVERY, time.perf_counter())

    async def set(self, value: int | None) -> float:
        """Seconds until the script has ended; without a value, of the first visit."""
        request = self.talk.request(None if value is None else {KEY: value})
        began = time.perf_counter()
        await self.socket.send(request)
        while not self.talk.take(await asyncio.wait_for(self.socket.recv(decode=False), PATIENCE)):
            pass
        return time.perf_counter() - began
