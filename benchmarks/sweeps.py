"""What does a sweep cost beside its trials: under Ray, in what is left behind, on its page, and in its driver?

python -m benchmarks.sweeps left ray        # prints what is left after 100 trials, as JSON
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil

from benchmarks.measure import ROOT, UNPROMISED, Table, child, promised
from benchmarks.sweep_poll import poll_table
from benchmarks.sweep_scale import scale_table
from explorer.families import PRESETS
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps.engine import Engine
from explorer.learning.sweeps.on_ray import OnRay
from explorer.learning.sweeps.on_this_machine import OnThisMachine

SECONDS, SHARE = 3.0, 1.05  # that Ray may take longer than the command, on trials of a minute
TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=8, stem_width=8, input_size=16)
AN_EPOCH = 0.4  # seconds that one of TINY takes, about
TRIALS = 100
PROCESSES = 2
ENGINES: dict[str, Callable[[], Engine]] = {"processes": lambda: OnThisMachine(PROCESSES), "ray": OnRay}


def tables(quick: bool) -> list[Table]:
    return [overhead(quick), left(quick), poll_table(quick), scale_table(quick)]


def overhead(quick: bool) -> Table:
    """Both train the same run, in turns."""
    epochs, rounds = (round(12 / AN_EPOCH), 2) if quick else (round(60 / AN_EPOCH), 3)
    took: dict[str, list[float]] = {"the command": [], "a task of Ray": []}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with closing(OnRay()) as engine:
            cluster = time.perf_counter() - began
            first = on_ray(engine, new(Path(folder), "first", 1))
            for i in range(rounds):
                contenders = {
                    "the command": command,
                    "a task of Ray": lambda path: on_ray(engine, path),
                }
                for name in contenders if i % 2 else reversed(contenders):
                    took[name].append(contenders[name](new(Path(folder), f"{name} {i}", epochs)))
    plain, ray = (statistics.median(took[name]) for name in took)
    more = statistics.median(b - a for a, b in zip(*took.values(), strict=True))
    rows = [
        ("the command `train`", f"{plain:.1f} s", *UNPROMISED),
        ("a task of Ray, whose process is there", f"{ray:.1f} s", *UNPROMISED),
        ("longer by", f"{more:+.1f} s", *promised(more, at_most=SECONDS, unit=" s")),
        ("times as long", f"{ray / plain:.3f}", *(UNPROMISED if quick else promised(ray / plain, at_most=SHARE))),
        ("once for each sweep: a cluster is started", f"{cluster:.1f} s", *UNPROMISED),
        ("once for each process: a trial of one epoch", f"{first:.1f} s", *UNPROMISED),
    ]
    notes = ["By the clock, from the start to the end; the command imports torch each time, Ray's process once."]
    return Table(f"A trial of {epochs} epochs, one at a time", ("", "takes", "promise", "kept"), rows, notes)


def new(folder: Path, name: str, epochs: int) -> Path:
    job = Job(TINY, "digits", Recipe(epochs=epochs, batch_size=32, learning_rate=0.01))
    return runs.create(job, folder / name).path


def command(path: Path) -> float:
    began = time.perf_counter()
    words = [sys.executable, "-m", "explorer", "train", str(path)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return time.perf_counter() - began


def on_ray(engine: Engine, path: Path) -> float:
    began = time.perf_counter()
    engine.start(0, path)
    while not (ended := engine.ended(1.0)):
        pass
    if ended != [(0, "")] or runs.status(path).state != "finished":
        raise RuntimeError(f"{ended}: {runs.status(path).message}")
    return time.perf_counter() - began


def left(quick: bool) -> Table:
    rows = []
    for name in ENGINES:
        found = child("benchmarks.sweeps", "left", name)
        for what in ("file handles", "processes"):
            kept = "yes" if found[what] <= 0 else "NO"
            rows.append((f"{what}, {name}", f"{found[what]}", "none", kept))
        rows.append((f"seconds for all, {name}", f"{found['seconds']:.0f} s", *UNPROMISED))
    return Table(f"What {TRIALS} trials of a step leave in their driver", ("", "left", "promise", "kept"), rows)


def left_by(name: str) -> dict[str, float]:
    """File handles that 100 more trials of one engine have come to hold, and processes once it is closed. (Ray keeps
    some handles of its own for as long as a process lives, however few trials it had.)
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Job(TINY, "digits", Recipe(epochs=1, batch_size=32), images=32)
        paths = [runs.create(job, Path(folder) / str(i)).path for i in range(TRIALS + 4 * PROCESSES)]
        before = children()
        with closing(ENGINES[name]()) as engine:
            carried_out(engine, paths[: 4 * PROCESSES])
            handles, began = open_files(), time.perf_counter()
            carried_out(engine, paths[4 * PROCESSES :])
            more, seconds = open_files() - handles, time.perf_counter() - began
        if bad := [path for path in paths if runs.status(path).state != "finished"]:
            raise RuntimeError(runs.status(bad[0]).message)
        return {"file handles": more, "processes": children() - before, "seconds": seconds}


def open_files() -> int:
    gc.collect()
    return psutil.Process().num_fds()


def children() -> int:
    """But for the one in which multiprocessing keeps account."""
    found = psutil.Process().children(recursive=True)
    return sum("resource_tracker" not in " ".join(child.cmdline()) for child in found)


def carried_out(engine: Engine, paths: list[Path]) -> None:
    todo, done = list(enumerate(paths)), 0
    while done < len(paths):
        while todo and engine.free > 0:
            engine.start(*todo.pop(0))
        done += len(engine.ended(1.0))


if __name__ == "__main__":
    print(json.dumps(left_by(sys.argv[2])))
