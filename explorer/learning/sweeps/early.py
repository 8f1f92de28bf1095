"""Trials that do worse than others are stopped early, by Ray Tune's ASHA (Li et al., 1810.05934, algorithm 2).

Trials are compared where they have come as far: after `grace` epochs, and each time that they have come `factor` times
further. One that is then below the best 1 / `factor` of those that were there before it is stopped. Ray decides; of
Ray nothing else is at work here, so trials may be trained anywhere. ASHA's first ones have nobody to be compared with
and go on, however they do.

The test images decide, since a run looks at no others: the accuracy of the best trial is flattered, as is that of
whatever is chosen by it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from explorer.learning import results, runs
from explorer.learning.sweeps.ray_package import imported
from explorer.learning.sweeps.sweep import Early

METRIC, TIME = "test_accuracy", "epoch"

Evaluations = Iterable[tuple[float, float]]  # the epoch, and the share of the test images that is right then


class _Named(NamedTuple):
    """All that the scheduler asks of a trial, and of what carries it out nothing."""

    trial_id: str


class EarlyStopping:
    """Decides, evaluation by evaluation; `longest` is how many epochs the longest trial has."""

    def __init__(self, early: Early, longest: int) -> None:
        """Raises SweepError where Ray is not installed."""
        schedulers = imported("ray.tune.schedulers")
        self._stop = schedulers.TrialScheduler.STOP
        self._scheduler = schedulers.ASHAScheduler(
            time_attr=TIME,
            metric=METRIC,
            mode="max",
            max_t=max(longest, early.grace),
            grace_period=early.grace,
            reduction_factor=early.factor,
            stop_last_trials=False,  # a trial ends by itself, and is compared once wherever it has come
        )
        self._told: dict[int, float] = {}  # trial -> the epoch of its last evaluation that the scheduler knows
        self._stopped: set[int] = set()

    def tell(self, number: int, evaluations: Evaluations) -> bool:
        """Whether to stop a trial, of which these evaluations are known by now, with or without those told before.

        One that is to be stopped stays so.
        """
        if self._told_of(number, evaluations):
            self._stopped.add(number)
        return number in self._stopped

    def replay(self, number: int, evaluations: Evaluations) -> None:
        """Of a trial that has ended, or has begun before this process did: others are compared with it, and what was
        decided of it then holds. In whatever order trials are replayed, others are decided upon alike afterwards.
        """
        self._told_of(number, evaluations)

    def _told_of(self, number: int, evaluations: Evaluations) -> bool:
        """Whether any of the new ones is a reason to stop."""
        trial = _Named(str(number))
        if number not in self._told:
            self._scheduler.on_trial_add(None, trial)
        last = self._told.setdefault(number, 0.0)
        new = sorted((epoch, accuracy) for epoch, accuracy in evaluations if epoch > last)
        said = [self._scheduler.on_trial_result(None, trial, {TIME: at, METRIC: found}) for at, found in new]
        if new:
            self._told[number] = new[-1][0]
        return self._stop in said


def evaluations(path: Path) -> list[tuple[float, float]]:
    """Of the run in that directory; empty where there is none yet."""
    table = runs.metrics(path)
    found = zip(results.numbers(table, TIME), results.numbers(table, METRIC), strict=True)
    return [(float(epoch), float(accuracy)) for epoch, accuracy in found if accuracy == accuracy]
