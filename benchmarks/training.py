"""Is a run as fast as a bare loop, and what does a visitor notice of it?

A run's steps (explorer.learning) take turns, step by step, with those of a loop written here: a plain nn.Module of the
same network and the same numbers, SGD, a batch taken out of uint8 images in memory, and nothing that is written down.

What visitors notice is measured on a real server, and with a real worker that the system halts in every other round:
"alone" and "while it trains" differ in nothing else.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import plotly.io
import plotly.tools
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from benchmarks.reruns import VALUES, Server
from explorer.families import PRESETS, write_plan
from explorer.learning import datasets, records, runs, session, starting
from explorer.learning.datasets import Dataset, Split
from explorer.learning.job import Job, fitting_threads
from explorer.learning.precision import fastest
from explorer.learning.recipe import Recipe
from explorer.learning.settings import runs_folder
from explorer.learning.training import Training, drawn_seed
from explorer.pictures import shapes
from explorer.plots import training as plots
from explorer.plots.plain import PlainFigure
from explorer.plots.training import Curve
from explorer.running.network import build, run

NETWORK, DATA = "resnet20_cifar", "shapes"
CONFIG = PRESETS[NETWORK]
AS_FAST, NOISE = 1.0, 0.98  # promised: at least so many times a bare loop's images a second; less may be chance
RECORDING = 3.0  # % of the time
TWICE = 2.0  # times as long as alone
POLL = 10.0  # ms
DRAWN = 4000  # images a second
BEGUN = 8.0  # s
IDLE = 15.0  # % of the processor: with less to do it has a second core to give
ROWS = 400  # of a run's curves
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def tables(quick: bool) -> Iterator[Table]:
    yield from steps(quick)
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"EXPLORER_RUNS": folder}):
        yield visitors(quick)
        yield polls(quick)
        yield shapes_drawn(quick)
        yield begun(quick)


# ---- a run's steps, and a bare loop's ----


class Kind(NamedTuple):
    """Who makes the steps, and how."""

    ours: bool
    precision: str
    channels_last: bool = True

    @property
    def words(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        return f"{'a run' if self.ours else 'bare'}, {self.precision}, {layout}"


KINDS = (
    *(Kind(ours, precision) for precision in ("bfloat16", "float32") for ours in (True, False)),
    Kind(False, "float32", channels_last=False),
)
FEW = 2  # steps a round of what is not the default, where it is to be quick


def steps(quick: bool) -> Iterator[Table]:
    """What `measured` finds, with one thread and, where the machine has a core to spare, with two."""
    idle = psutil.cpu_percent(interval=1) < IDLE
    threads = ["1"] if quick or not idle else ["1", "2"]
    found = {one: child(__name__, "steps", one, "2" if quick else "16", "quick" * quick, **MALLOC) for one in threads}
    usual = fastest("cpu")
    rows, recorded = [], []
    for number, one in found.items():
        times = {Kind(*name): times for name, times in one["times"]}
        for kind, own in times.items():
            promise, ratio = UNPROMISED, ""
            if kind.ours:
                found_ratios = ratios(times[kind._replace(ours=False)], own)
                ratio, promise = spread(found_ratios), faster(statistics.median(found_ratios))
            default = " (default)" if kind.ours and kind.precision == usual else ""
            speed = f"{RECIPE.batch_size / statistics.median(own):,.0f}/s"
            rows.append((f"{kind.words}, threads: {number}{default}", speed, ratio, *promise))
        share = statistics.median(100 * r for r in one["recording"])
        recorded.append(
            (
                f"{one['apart']} steps apart, threads: {number}",
                ms(one["looking"]),
                spread([100 * r for r in one["recording"]]),
                *promised(share, at_most=RECORDING, unit=" %"),
            )
        )
    yield Table(
        f"Images a second that ResNet-20 learns from, {CONFIG.input_size} px, 128 images a step",
        ("steps of", "images", "times the bare loop's", "promise", "kept"),
        rows,
        [
            "A run's steps record gradient norms as a worker's do; the bare loop's write nothing down. Both begin with",
            f"the same weights and images ({next(iter(found.values()))['same']} losses). One thread: processor time;",
            "two: the clock. noise: less than promised, by no more than two measurements of one thing differ.",
            *([] if idle else ["One thread only: the machine had other work."]),
        ],
    )
    yield Table(
        "Recording the norms of all kernels' gradients and their update ratios",
        ("once", "takes", "% of the run's time", "promise", "kept"),
        recorded,
        [f"A worker looks at every {session.LEAST_APART}th step, or less often: about {session.MOST_RECORDED} a run."],
    )


def faster(ratio: float) -> tuple[str, str]:
    promise, kept = promised(ratio, at_least=AS_FAST)
    return promise, "noise" if kept == "NO" and ratio >= NOISE else kept


def measured(threads: int, rounds: int, quick: bool) -> dict[str, Any]:
    """Seconds a step of each kind, one number a round, in which all take turns step by step.

    `recording`: the share of the default's time that recording takes; `looking`: how long each time.
    """
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    data = made_up()
    usual, apart = fastest("cpu"), session.LEAST_APART
    with ExitStack() as until_measured, tempfile.TemporaryDirectory() as folder:
        ours = {kind: OurSteps(kind, data, Path(folder, kind.precision), clock) for kind in KINDS if kind.ours}
        for one in ours.values():
            until_measured.callback(one.close)
        makers = {kind: ours[kind] if kind.ours else BareSteps(kind, data) for kind in KINDS}
        losses = {kind: float(maker.step()) for kind, maker in makers.items()}
        same = all(
            abs(loss - losses[kind._replace(ours=True, channels_last=True)]) < 1e-5 for kind, loss in losses.items()
        )
        times: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
        looked = ours[Kind(True, usual)].looked
        recording: list[float] = []
        looking: list[float] = []
        for number in range(-1, rounds):  # the first is not counted
            took = {kind: list[float]() for kind in KINDS}
            looked.clear()
            for i in range(apart):
                few = [kind for kind in KINDS if not quick or i < FEW or kind.precision == usual]
                for kind in few if i % 2 else reversed(few):
                    began = clock()
                    makers[kind].step()
                    took[kind].append(clock() - began)
            if number >= 0:
                for kind in KINDS:
                    times[kind].append(statistics.mean(took[kind]))
                recording.append(sum(looked) / sum(took[Kind(True, usual)]))
                looking += looked
    return {
        "times": list(times.items()),
        "recording": recording,
        "looking": looking,
        "apart": apart,
        "same": "equal" if same else "DIFFERENT",
    }


class OurSteps:
    """Those of a run, with what is recorded of them; `looked` is how long recording took each time."""

    def __init__(self, kind: Kind, data: Dataset, folder: Path, clock: Callable[[], float]) -> None:
        recipe = RECIPE.replace(precision=kind.precision)
        self.training = Training(built(), data, recipe)
        self.kernels = records.Kernels(self.training)
        self.records = records.Records(runs.create(Job(CONFIG, DATA, recipe), folder), self.kernels.names, 0)
        self.looked: list[float] = []
        self.clock = clock

    def step(self) -> Tensor:
        # one of so many, and not the first, which `measured` asks for beforehand
        looks = self.training.done % session.LEAST_APART == 1
        took = 0.0

        def before() -> None:
            nonlocal took
            began = self.clock()
            self.kernels.before()
            took = self.clock() - began

        found = self.training.step(before if looks else None)
        if looks:
            began = self.clock()
            self.records.kernels(self.training.done, *self.kernels.after())
            self.looked.append(took + self.clock() - began)
        return found.loss

    def close(self) -> None:
        self.records.close()


class BareSteps:
    """As short as PyTorch's tutorials have them, and as fast as it goes without losing precision."""

    def __init__(self, kind: Kind, data: Dataset) -> None:
        pixels = torch.from_numpy(data.train.images)
        network = ResNet20()
        network.load_state_dict(built().state_dict())
        self.mean, self.std = torch.tensor(data.mean)[:, None, None], torch.tensor(data.std)[:, None, None]
        if kind.channels_last:
            network, pixels = network.to(memory_format=torch.channels_last), pixels.permute(0, 2, 3, 1)
            self.mean, self.std = torch.tensor(data.mean), torch.tensor(data.std)
        self.network, self.pixels, self.kind = network.train(), pixels.contiguous(), kind
        self.labels = torch.from_numpy(data.train.labels)
        self.optimizer = torch.optim.SGD(
            network.parameters(), RECIPE.learning_rate, RECIPE.momentum, weight_decay=RECIPE.weight_decay, nesterov=True
        )
        self.batches: list[Tensor] = []

    def step(self) -> Tensor:
        if not self.batches:
            draw = torch.Generator().manual_seed(drawn_seed(RECIPE.seed, "order", 0))  # a run's first epoch
            self.batches = list(torch.randperm(len(self.labels), generator=draw).split(RECIPE.batch_size)[:-1])
        chosen = self.batches.pop(0)
        images = self.pixels[chosen].float().div_(255).sub_(self.mean).div_(self.std)
        if self.kind.channels_last:
            images = images.permute(0, 3, 1, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.kind.precision == "bfloat16"):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), self.labels[chosen])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut that pads with zeros where the shape changes (option A)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.more = stride, width - before

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(y + x)


class ResNet20(nn.Module):
    """He et al., 1512.03385, section 4.2; named as torchvision would, and so as ours is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(before, width, stride), Block(width, width, 1), Block(width, width, 1))
            for before, width, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


RECIPE = Recipe(epochs=1000, learning_rate=1e-3, schedule="constant")


def built() -> Any:
    return build(write_plan(CONFIG), seed=0)


def made_up(count: int = 10_000) -> Dataset:
    """As many images as Shapes usually has, without the drawing."""
    shape = (count, CONFIG.channels, CONFIG.input_size, CONFIG.input_size)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    split = Split(pixels, np.arange(count) % CONFIG.classes)
    return Dataset(datasets.find(DATA), split, split, (0.5,) * CONFIG.channels, (0.25,) * CONFIG.channels)


# ---- visitors, while a run trains ----


class Worker:
    """A run in a process of its own, as the page starts it; `halted` or at work."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def halt(self) -> None:
        self.process.suspend()
        time.sleep(0.02)

    def go_on(self) -> None:
        self.process.resume()
        time.sleep(0.1)  # until it is at full speed


@contextmanager
def worker(data: str = DATA, recipe: Recipe | None = None) -> Iterator[Path]:
    """The directory of a run whose worker was started just now, and is ended in the end."""
    source = datasets.find(data)
    config = CONFIG.adapt(**source.fit(CONFIG)) if source.misfits(CONFIG) else CONFIG
    job = Job(config, data, (recipe or Recipe()).replace(precision=fastest("cpu")), threads=fitting_threads())
    path = runs.create(job, runs_folder() / runs.new_name(f"{NETWORK} {data}")).path
    known = set(psutil.Process().children())
    starting.start(path)
    (process,) = set(psutil.Process().children()) - known
    try:
        yield path
    finally:
        process.kill()
        process.wait()


def until_a_row(path: Path) -> Iterator[runs.Status]:
    """What the worker says, again and again, until metrics.csv has a row. Raises RuntimeError where it ends before."""
    metrics = path / runs.METRICS
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 2:
        now = runs.status(path)
        if not now.active:
            raise RuntimeError(f"the worker {now.state}: {now.message}")
        yield now
        time.sleep(0.02)


def visitors(quick: bool) -> Table:
    rows = []
    with worker(recipe=Recipe(epochs=1000)) as path:
        *_, last = until_a_row(path)
        at_work = Worker(last.pid)
        at_work.halt()
        values = VALUES[:16] if quick else VALUES
        with Server("as it is") as server:
            for value in values[:4]:
                server.move(value)  # not counted
            for what in ("new values", "seen before"):
                alone, beside = moves(server, at_work, values[4:], what == "new values")
                rows.append(row(f"architecture page, growth rate of DenseNet-121, {what}", alone, beside))
        pid = str(at_work.process.pid)
        for threads in ("default",) if quick else ("default", "1"):
            found = child(__name__, "forward", pid, threads, "12" if quick else "60")
            what = f"ResNet-18, a 224-px image, torch threads: {found['threads']}"
            rows.append(row(what, found["alone"], found["beside"], threads == "default"))
        at_work.go_on()
    return Table(
        f"What a visitor waits for, alone and while a run trains (threads of the run: {fitting_threads()})",
        ("by the clock", "alone", "while it trains", "times as long", "promise", "kept"),
        rows,
        [
            "The worker is halted (SIGSTOP) in every other round. At work it gives way as line.give_way has it; Linux",
            "weighs sessions against each other first (sched_autogroup_enabled), and it is one of its own.",
        ],
    )


def moves(server: Server, at_work: Worker, values: Sequence[int], even_alone: bool) -> tuple[list[float], list[float]]:
    """Seconds of reruns: alone and beside the run by turns, the other half in the other pass."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for i, value in enumerate(values[: len(values) // 2 * 2]):
        alone = (i % 2 == 0) == even_alone
        (at_work.halt if alone else at_work.go_on)()
        found[alone].append(server.move(value).clock)
    at_work.halt()
    return found[True], found[False]


def row(what: str, alone: Sequence[float], beside: Sequence[float], promise: bool = True) -> tuple[str, ...]:
    times = statistics.median(beside) / statistics.median(alone)
    last = promised(times, at_most=TWICE, unit=" times") if promise else UNPROMISED
    return (what, ms(alone), ms(beside), f"{times:.2f}", *last)


def forwards(pid: str, threads: str, rounds: int) -> dict[str, Any]:
    if threads != "default":
        torch.set_num_threads(int(threads))
    network, images = build(write_plan(PRESETS["resnet18"])), torch.zeros(1, 3, 224, 224)
    at_work = Worker(int(pid))
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    with torch.inference_mode():
        for number in range(-2, rounds):
            for name, begin in (("alone", at_work.halt), ("beside", at_work.go_on)):
                begin()
                run(network, images)
                began = time.perf_counter()
                run(network, images)
                if number >= 0:
                    found[name].append(time.perf_counter() - began)
    at_work.halt()
    return {**found, "threads": torch.get_num_threads()}


# ---- the live view ----


def curve(rows: int) -> pd.DataFrame:
    """A run's metrics, of which every 33rd row is of the test images, as after an epoch of 12."""
    at = np.arange(rows)
    test = at % 33 == 32
    learned = {"train_loss": 2 * np.exp(-at / 100), "train_accuracy": 1 - 0.9 * np.exp(-at / 100)}
    table = pd.DataFrame({"step": 2 * at + 1, "epoch": at / 33, "seconds": at / 2, "learning_rate": 0.1 * at / ROWS})
    for name, values in learned.items():
        table[name] = np.where(test, np.nan, values)
        table[name.replace("train", "test")] = np.where(test, 1.1 * values, np.nan)
    return table[list(records.COLUMNS)]


def say_alive(path: Path, said: runs.Status) -> None:
    """As this process says it now of a run, or of a sweep, in that directory."""
    now = said._replace(heartbeat=time.time(), pid=os.getpid(), host=platform.node())
    runs.write_whole(path / runs.STATUS, json.dumps(now._asdict()).encode(), False)


class Watched(Server):
    """A session that has opened a run on the Training page, or what a link has under another word on another page, and
    asks for its fragment anew as a browser does.
    """

    def __init__(self, name: str, page: str = "training", entry: str = "run") -> None:
        super().__init__("as it is", {"network": NETWORK, entry: name}, page)

    def measures(self) -> bool:
        """Whether it finds out how fast a run of the page's form would be."""
        return any("explorer.learning.measuring" in one.cmdline() for one in self.server.children())

    def poll(self, count: int, before: Callable[[], None]) -> float:
        """Seconds of the server's processor time each, of so many, with what happens `before` each."""
        busy = self._busy()
        for _ in range(count):
            before()
            self.visitor.rerun(fragment=self.visitor.talk.fragment)
            time.sleep(0.02)  # until garbage is collected too
        return (self._busy() - busy) / count


def polls(quick: bool) -> Table:
    table = curve(ROWS)
    path = runs.create(Job(CONFIG, DATA, Recipe()), runs_folder() / runs.new_name(f"{NETWORK} {DATA}")).path
    metrics = path / runs.METRICS
    table.to_csv(metrics, index=False)

    def alive() -> None:
        say_alive(path, runs.Status("training", 2 * ROWS, 936, 12, 200.0, 300.0, 30.0))

    lines = table.to_csv(index=False).splitlines(keepends=True)
    lengths = cycle(range(ROWS - 20, ROWS))

    def learns() -> None:
        alive()
        metrics.write_text("".join(lines[: next(lengths)]))

    alive()
    rows = []
    count = 40 if quick else 300
    with Watched(path.name) as server:
        while server.measures():
            time.sleep(0.1)
            alive()
        server.poll(10, learns)
        for what, before in (("a new row", learns), ("no new row", alive)):
            found = 1e3 * server.poll(count, before)
            rows.append((f"{what} each time", f"{found:.1f} ms", *promised(found, at_most=POLL, unit=" ms")))
    figure = plots.curves([Curve("run", "#0072B2", table, True)])
    times = interleaved(
        {
            "of which reading metrics.csv": partial(runs.metrics, path),
            "of which drawing the curves": lambda: plots.curves([Curve("run", "#0072B2", table, True)]),
            "of which making JSON of them": lambda: sent(PlainFigure(figure)),
            "the same, where Plotly checks the figure": lambda: sent(figure),
        },
        1 if quick else 5,
        time.thread_time,
    )
    rows += [(what, ms(own), *UNPROMISED) for what, own in times.items()]
    return Table(
        f"A poll of the live view: one run with {ROWS} rows",
        ("processor time of the server", "takes", "promise", "kept"),
        rows,
        ["A poll is one run of the page's fragment, once a second and visitor; what is behind it stays as it is."],
    )


def sent(figure: Any) -> str:
    """As st.plotly_chart does it."""
    return str(plotly.io.to_json(plotly.tools.return_figure_from_figure_or_data(figure, True), validate=False))


# ---- before the first step ----


def shapes_drawn(quick: bool) -> Table:
    count = 1000
    times = interleaved(
        {
            f"{channels} channel{'s' * (channels > 1)}": partial(shapes.draw, np.arange(count), 0, 32, channels)
            for channels in (3, 1)
        },
        2 if quick else 10,
        time.thread_time,
    )
    rows = []
    for what, own in times.items():
        speed = count / statistics.median(own)
        rows.append((f"32 px, {what}", f"{speed:,.0f}/s", *promised(speed, at_least=DRAWN, unit="/s")))
    return Table("Drawing Shapes on one core, processor time", ("images", "drawn", "promise", "kept"), rows)


PARTS = ("process", "imports", "data", "network", "first step")


def begun(quick: bool) -> Table:
    rows = []
    for what, data in (("ResNet-20 on 10,000 Shapes, 32 px", DATA), ("ResNet-20 on Digits, 16 px", "digits")):
        found = [first_row(data) for _ in range(1 if quick else 5)]
        each = {part: statistics.median(one.get(part, 0.0) for one in found) for part in PARTS}
        total = statistics.median(sum(one.values()) for one in found)
        rows.append(
            (
                what,
                *(f"{each[part]:.2f} s" for part in PARTS),
                f"{total:.1f} s",
                *promised(total, at_most=BEGUN, unit=" s"),
            )
        )
    return Table(
        "From the start of a worker to the first row of metrics.csv, by the clock",
        ("run", *PARTS, "in all", "promise", "kept"),
        rows,
        [
            "process: until the worker says that it is its turn. imports: torch and what else it needs. first step:",
            "with what torch imports when it is first used.",
        ],
    )


def first_row(data: str) -> Mapping[str, float]:
    """Seconds of each part, as the run's status told them."""
    began = time.perf_counter()
    with worker(data) as path:
        since, part = began, PARTS[0]
        found: dict[str, float] = {}
        for said in until_a_row(path):
            if (now := part_of(said)) != part:
                found[part] = time.perf_counter() - since
                since, part = time.perf_counter(), now
        found[part] = time.perf_counter() - since
    return found


def part_of(said: runs.Status) -> str:
    if said.state == "waiting":
        return "process"
    if said.state == "training":
        return "first step"
    return "data" if said.message.startswith("Getting") else "network" if "network" in said.message else "imports"


if __name__ == "__main__":
    if sys.argv[1] == "steps":
        print(json.dumps(measured(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "quick")))
    else:
        print(json.dumps(forwards(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
