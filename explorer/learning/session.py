"""One worker's work on a run, from its data to its last prediction; the steps themselves are those of `Training`."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import torch

from explorer.counting.budget import check_batch
from explorer.counting.memory import training_bytes
from explorer.families import plan
from explorer.learning import checkpoint, runs, weight_path
from explorer.learning import recipe as recipes
from explorer.learning.datasets import Dataset, find
from explorer.learning.endings import Diverged, Stopped
from explorer.learning.events import Events
from explorer.learning.recipe import Precision
from explorer.learning.records import Kernels, Records, table
from explorer.learning.runs import PREDICTIONS, Run, RunError, State
from explorer.learning.training import Evaluated, Images, Step, Training, evaluate
from explorer.running.calibration import can_be_calibrated
from explorer.running.card import Card
from explorer.running.devices import device_limits, devices
from explorer.running.network import build
from explorer.wording import clean

MOST_ROWS = 400  # of metrics, about
MOST_RECORDED = 100  # steps whose gradients' norms are kept, about
LEAST_APART = 8  # steps between two of those: looking at one costs up to a tenth of a small network's step
SPEED_OVER = 20  # steps, over which the speed is told
LOOKS = 10  # steps between two looks at the loss where each makes the host wait for the device

Say = Callable[..., None]


class Session:
    """`say(**changes)` changes the run's status; `stop()` raises Stopped where somebody has asked for it."""

    def __init__(self, run: Run, say: Say, stop: Callable[[], None]) -> None:
        self.directory, self.job = run, run.job
        self._say, self._stop = say, stop

    def run(self) -> tuple[State, str]:
        """How it ended, and a sentence for the reader. Raises Stopped, with a checkpoint where training had begun;
        OSError; ExplorerError.
        """
        job = self.job
        settle(job.device, job.threads)
        network_plan = plan(job.config)
        weight_path.check(job, network_plan)
        data = self._data()
        batch = min(job.recipe.batch_size, len(data.train.labels))
        check_batch("Training", batch, partial(training_bytes, network_plan), device_limits(job.device))
        if can_be_calibrated(network_plan, 2) and not can_be_calibrated(network_plan, batch):
            raise RunError(f"batch_size={batch}: a batch norm would get a single number of a channel; use 2 or more.")
        self._say(message="Building the network")
        training = Training(build(network_plan, job.recipe.seed), data, job.recipe, job.device)
        checkpoint.restore(self.directory, training)
        card = Card(data.preparation, data.source.classes)
        test = Images(data.test, data, job.device)
        kernels, way = Kernels(training), weight_path.Keeping(self.directory, training)
        with (
            closing(Records(self.directory, kernels.names, training.done)) as records,
            closing(Events(self.directory)) as events,
        ):
            learning = _Learning(training, test, kernels, records, events)

            def keep() -> None:
                checkpoint.write(self.directory, training, card)

            try:
                with _keeping_on_stop(learning, keep):
                    self._learn(learning, keep, way)
            except Diverged as reason:
                return "diverged", str(reason)
        return self._finish(training, test)

    def _data(self) -> Dataset:
        """Raises DataError, and RunError where the network is not one for these data."""
        config, source = self.job.config, find(self.job.data)
        if misfits := source.misfits(config):
            raise RunError(f"The network does not fit {source.title}, which needs {' and '.join(misfits)}.")

        def progress(done: int, total: int) -> None:
            self._stop()
            self._say(at_once=False, message=f"Getting {source.title}: {100 * done // max(1, total)} %")

        self._say(message=f"Getting {source.title}")
        return source.load(config.input_size, config.channels, self.job.images, progress)

    def _learn(self, learning: "_Learning", keep: Callable[[], None], way: weight_path.Keeping) -> None:
        training, epochs = learning.training, self.job.recipe.epochs
        evaluated = recipes.evaluated_each(epochs)
        self._say(state="training", message="", **learning.progress())
        while training.done < training.steps:
            self._stop()
            self._watch_the_clock(learning.seconds)
            way.keep()
            learning.step()
            ended = training.done % training.steps_an_epoch == 0
            epoch = training.done // training.steps_an_epoch
            if ended and (epoch % evaluated == 0 or epoch == epochs):
                learning.evaluate(self.job.recipe.precision)
            if ended:
                keep()
            self._say(at_once=training.done == 1 or ended, **learning.progress())

    def _watch_the_clock(self, seconds: float) -> None:
        most = self.job.most_seconds
        if most and seconds > most:
            raise Stopped(f"{most / 60:.3g} minutes of training are the limit here.")

    def _finish(self, training: Training, test: Images) -> tuple[State, str]:
        """What the network says of each test image: in 32 bits, as pages run it."""
        self._say(message="Looking at the test images")
        found = evaluate(training.network, test, self.job.device)
        labels = test.labels.cpu()
        probability, predicted = found.probabilities.max(1)
        of_label = found.probabilities[torch.arange(len(labels)), labels]
        columns = labels.tolist(), predicted.tolist(), probability.tolist(), of_label.tolist()
        rows = zip(*columns, strict=True)
        names = ("label", "predicted", "probability", "of_label")
        runs.write_whole(self.directory.path / PREDICTIONS, table(names, rows))
        return "finished", f"Right on {found.accuracy:.1%} of {len(labels):,} test images."


class _Learning:
    """Steps with what is written down of them."""

    def __init__(self, training: Training, test: Images, kernels: Kernels, records: Records, events: Events) -> None:
        self.training, self.test = training, test
        self.kernels, self.records, self.events = kernels, records, events
        self.seconds = records.seconds  # of training, before and now
        self.since: list[Step] = []  # the last row
        self._rate = training.learning_rate  # of the last step
        self._ends: list[float] = []  # when the last steps ended, in seconds of training
        self._row_each = max(1, training.steps // MOST_ROWS)
        self._kernels_each = max(LEAST_APART, training.steps // MOST_RECORDED)
        self._looks = 1 if training.device == "cpu" else LOOKS

    def step(self) -> None:
        """The next one. Raises Diverged, once that is written down."""
        training, began = self.training, time.perf_counter()
        looked_at = training.done % self._kernels_each == 0
        self._rate = training.learning_rate
        self.since.append(training.step(self.kernels.before if looked_at else None))
        if looked_at:
            self.records.kernels(training.done, *self.kernels.after())
        ended = training.done % training.steps_an_epoch == 0
        broke = self._broke() if ended or training.done % self._looks == 0 else 0
        self.seconds += time.perf_counter() - began
        self._ends = [*self._ends[-SPEED_OVER:], self.seconds]
        if broke or ended or training.done == 1 or training.done % self._row_each == 0:
            self.write()
        if broke:
            rate = recipes.rate(training.recipe, broke - 1, training.steps)
            raise Diverged(
                f"At step {broke} of {training.steps}, with learning rate {rate:.3g}, the loss is no number any longer."
            )

    def _broke(self) -> int:
        """The step, since the last row, whose loss is no number; 0 where all are."""
        if not self.since:
            return 0
        bad = (~torch.stack([step.loss for step in self.since]).isfinite()).nonzero()
        return self.training.done - len(self.since) + 1 + int(bad[0]) if len(bad) else 0

    def write(self, found: Evaluated | None = None) -> None:
        """A row: means over the steps since the one before, or what the test images say."""
        count = len(self.since)
        loss = float(torch.stack([step.loss for step in self.since]).mean()) if count else math.nan
        right = int(torch.stack([step.right for step in self.since]).sum()) if count else 0
        row = {
            "step": self.training.done,
            "epoch": self.training.epochs,
            "seconds": self.seconds,
            "learning_rate": self._rate,
            "train_loss": loss,
            "train_accuracy": right / (count * self.training.batch_size) if count else math.nan,
            "test_loss": found.loss if found else math.nan,
            "test_accuracy": found.accuracy if found else math.nan,
        }
        self.since.clear()
        self.records.row(row)
        self.events.write(row)

    def evaluate(self, precision: Precision) -> None:
        training = self.training
        found = evaluate(training.network, self.test, training.device, precision)
        self.write(found)

    def progress(self) -> dict[str, float]:
        """For the status: how far, how fast, how long yet."""
        training, ends = self.training, self._ends
        each = (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else self.seconds / max(1, training.done)
        return {
            "step": training.done,
            "steps": training.steps,
            "epochs": training.recipe.epochs,
            "seconds": self.seconds,
            "images_per_second": training.batch_size / each if each else 0.0,
            "seconds_left": each * (training.steps - training.done),
        }


@contextmanager
def _keeping_on_stop(learning: _Learning, keep: Callable[[], None]) -> Iterator[None]:
    """Whoever stops a run loses nothing of it."""
    try:
        yield
    except Stopped:
        if learning.since:
            learning.write()
        keep()
        raise


def settle(device: str, threads: int) -> None:
    """As many threads as the run is to have. Raises RunError for a device that is not there."""
    known = [one.name for one in devices()]
    if device not in known:
        raise RunError(f"There is no device {clean(device)!r} on this machine; there are {', '.join(known)}.")
    torch.set_num_threads(threads)
