"""Attribution as long work: functions that read nothing but their arguments, and what each is estimated to cost."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from controls.services.subject import Subject
from controls.work import Progress, Task
from explorer.analyses.attribution import checks, request
from explorer.analyses.attribution.attribute import Attribution, attribute
from explorer.analyses.attribution.checks import Curve, Randomised
from explorer.analyses.attribution.method import Extent, Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.request import Compared, Options
from explorer.analyses.attribution.score import Target
from explorer.counting import effort
from explorer.families import plan

T = TypeVar("T")

STEPS, NOISES, MOVES = 50, 50, 10  # of deletion and insertion; of infidelity; of sensitivity


def settings_of(subject: Subject, method: str, options: Options) -> Settings:
    return request.settings(METHODS[method], options, subject.picture, subject.preparation)


def baseline_of(subject: Subject, asked: Compared) -> Tensor:
    return request.baseline_of(asked, subject.image, subject.preparation)


# ---- a map ----


def explanation(subject: Subject, target: Target, method: str, options: Options) -> Task[Attribution]:
    chosen, network = METHODS[method], plan(subject.config)
    if options.operation not in network:  # it is another network's
        options = options._replace(operation="")
    asked = request.read_by(chosen, options)
    macs = request.macs(network, chosen, options)
    return _task(chosen.title, subject, macs, partial(_explain, subject, target, method, asked))


def _task(title: str, subject: Subject, macs: float, work: partial[T]) -> Task[T]:
    """As many images go through at once as a method takes, where there is room for them."""
    network = plan(subject.config)
    passes = macs / network.macs / Extent._field_defaults["batch"]
    return Task(title, macs * effort.slowness(network), work, passes * len(network.ops), subject.identity)


def _explain(subject: Subject, target: Target, method: str, options: Options, progress: Progress) -> Attribution:
    settings = settings_of(subject, method, options)
    return attribute(subject.network, subject.image, target, method, settings, progress)


# ---- whether it tells the truth ----


@dataclass(frozen=True)
class Explained:
    """A map and what it was asked by, which decides it."""

    subject: Subject
    target: Target
    method: str
    options: Options
    attribution: Attribution = field(compare=False, repr=False)


def truth(
    subject: Subject, target: Target, method: str, options: Options, attribution: Attribution
) -> tuple[Task[Any], ...]:
    """The checks of one map: deletion, insertion, infidelity, sensitivity, and of trained weights randomisation.

    `options.baseline` is what pixels give way to, also where the method compares with nothing.
    """
    network, chosen = plan(subject.config), METHODS[method]
    asked = Explained(subject, target, method, request.read_by(chosen, options), attribution)
    one, forward = request.macs(network, chosen, options), float(network.macs)
    stages = len({op.stage for op in network.ops if op.params})
    checked: tuple[Task[Any], ...] = (
        _task("Deletion", subject, STEPS * forward, partial(_deletion, asked, options.baseline)),
        _task("Insertion", subject, STEPS * forward, partial(_insertion, asked)),
        _task("Infidelity", subject, NOISES * forward, partial(_infidelity, asked, options.baseline)),
        _task("Maximum sensitivity", subject, (MOVES + 1) * one, partial(_sensitivity, asked)),
    )
    if not subject.weights.trained:  # fresh weights in the place of fresh ones
        return checked
    return *checked, _task("Randomisation", subject, (stages + 1) * one, partial(_randomisation, asked))


def _deletion(asked: Explained, baseline: Compared, progress: Progress) -> Curve:
    subject = asked.subject
    given = baseline_of(subject, baseline)
    values = asked.attribution.map
    return checks.deletion(subject.network, subject.image, asked.target, values, given, STEPS, progress=progress)


def _insertion(asked: Explained, progress: Progress) -> Curve:
    # into the blurred image, as in the paper
    subject = asked.subject
    given = baseline_of(subject, Compared("blurred"))
    values = asked.attribution.map
    return checks.insertion(subject.network, subject.image, asked.target, values, given, STEPS, progress=progress)


def _infidelity(asked: Explained, baseline: Compared, progress: Progress) -> float:
    subject = asked.subject
    given = baseline_of(subject, baseline)
    values = asked.attribution.map
    return checks.infidelity(
        subject.network, subject.image, asked.target, asked.method, values, given, samples=NOISES, progress=progress
    )


def _sensitivity(asked: Explained, progress: Progress) -> float:
    subject = asked.subject
    settings = settings_of(subject, asked.method, asked.options)
    return checks.max_sensitivity(
        subject.network, subject.image, asked.target, asked.method, settings, samples=MOVES, progress=progress
    )


def _randomisation(asked: Explained, progress: Progress) -> list[Randomised]:
    subject = asked.subject
    settings = settings_of(subject, asked.method, asked.options)
    return list(
        checks.randomisation(subject.network, subject.image, asked.target, asked.method, settings, progress=progress)
    )
