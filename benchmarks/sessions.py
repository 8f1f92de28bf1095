"""Two threads that call `run` on one network, as two visitors do, against one thread alone.

Nothing of ours holds them up: no lock, no hooks. What can: Python's own lock, while a thread goes from one operation to
the next; and the cores, of which one session takes several where torch has several threads. Beside them two processes,
each with a network of its own, show what the machine gives when there is no common lock.

Two Python threads of several torch threads each are more than the cores; torch's threads wait for one another by
spinning, so that such rows are slow on a machine that has other work too.
"""

import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.measure import Table, child, interleaved, promised, ratios, spread

NETWORKS = ("resnet18", "densenet121", "cliquenet_k36_t12")
PROMISED = 1.6  # times the throughput of one session, where nothing serialises them
ROUND = 0.1  # seconds of one thread's work between two looks at the clock

_shared: dict[str, Any] = {}


def tables(quick: bool) -> Iterator[Table]:
    rows, failures = [], []
    for name in NETWORKS:
        for threads in ("default", "1"):
            try:
                found = child(__name__, name, threads, "4" if quick else "24")
            except RuntimeError as error:  # a process that the machine ended, for one
                rows.append((f"{name}, torch threads: {threads}", "failed", *[""] * 7))
                failures.append(f"{name}, torch threads {threads}: {str(error)[:90]}")
                continue
            calls, one, two = found["calls"], found["one"], found["two"]
            gain, processes = 2 * min(one) / min(two), 2 * min(one) / min(found["processes"])
            promise, kept = promised(gain, at_least=PROMISED)
            if kept == "NO" and processes < PROMISED:
                kept = "no room"
            rows.append(
                (
                    f"{name}, torch threads: {found['threads']}",
                    f"{calls / statistics.median(one):.1f}/s",
                    f"{found['cores']:.2f}",
                    f"{2 * calls / statistics.median(two):.1f}/s",
                    spread([2 * ratio for ratio in ratios(one, two)]),
                    f"{gain:.2f}",
                    f"{processes:.2f}",
                    promise,
                    kept,
                )
            )
    header = ("shared network", "one session", "its cores", "two", "gain", "fastest", "processes", "promise", "kept")
    yield Table(
        "Forward passes of one image a second, on the CPU",
        header,
        rows,
        [
            "its cores: processor time over time; where one session takes all of them, a second has nothing to gain.",
            "fastest: the gain by the fastest rounds, which other work on the machine disturbed least, and which the",
            "promise is held to; processes: the same for two processes that share nothing.",
            "no room: they do not reach the promise either.",
            *failures,
        ],
    )


def prepare(name: str, threads: str) -> None:
    """In each worker, since torch's threads are counted for each."""
    import torch

    if threads != "default":
        torch.set_num_threads(int(threads))
    if "network" not in _shared:
        from explorer.families import PRESETS, write_plan
        from explorer.running.network import build

        size = PRESETS[name].input_size
        _shared["network"] = build(write_plan(PRESETS[name]))
        _shared["images"] = torch.zeros(1, 3, size, size)


def work(calls: int) -> None:
    import torch

    from explorer.running.network import run

    with torch.inference_mode():
        for _ in range(calls):
            run(_shared["network"], _shared["images"])


def together(pool: Executor, workers: int, calls: int) -> None:
    for future in [pool.submit(work, calls) for _ in range(workers)]:
        future.result()


def timed(pool: Executor, calls: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time."""
    began, busy = time.perf_counter(), time.process_time()
    together(pool, 1, calls)
    return time.perf_counter() - began, time.process_time() - busy


def measure(name: str, threads: str, seconds: float) -> dict[str, Any]:
    import torch

    prepare(name, threads)
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads broken
    begin = {"initializer": prepare, "initargs": (name, threads)}
    with ThreadPoolExecutor(2, **begin) as pool, ProcessPoolExecutor(2, spawn, **begin) as processes:
        for executor in (pool, processes):
            for future in [executor.submit(time.sleep, 2) for _ in range(2)]:  # until both workers are there
                future.result()
        _, (took, _) = timed(pool, 3), timed(pool, 3)
        calls = max(1, round(ROUND / (took / 3)))
        took, busy = timed(pool, 3 * calls)
        times = interleaved(
            {
                "one": partial(together, pool, 1, calls),
                "two": partial(together, pool, 2, calls),
                "processes": partial(together, processes, 2, calls),
            },
            seconds,
        )
    return {**times, "calls": calls, "cores": busy / took, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
