"""What an experiment is, as one value: a claim of the literature, what is trained and measured, and the rule.

A new experiment is a new file in `claims` with an `EXPERIMENT` in it; the page, the command and the tests find it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.experiments.verdict import OPEN, Verdict
from explorer.learning.job import Job

Figure = dict[str, Any]  # {"data": [...], "layout": {...}}, in Plotly's terms
Measured = dict[str, Any]  # quantity -> a number, or lists of numbers

SCALES = (0.1, 10.0)  # how much shorter or longer than usual the networks may learn
MOST_SEEDS = 10


@dataclass(frozen=True)
class Arm:
    """One of the networks that are compared, and how it is trained. `name` is for files, `title` for people."""

    name: str
    title: str
    job: Job

    def trained(self, seed: int, scale: float) -> Job:
        """The job of one of its runs, `scale` times as long as usual."""
        recipe = self.job.recipe
        return replace(
            self.job,
            recipe=recipe.replace(seed=seed, epochs=max(1, round(scale * recipe.epochs))),
            title=f"{self.title}, seed {seed}",
        )


class Claim(NamedTuple):
    """One statement that is put to the test. `rule` says in words what `judge` does; that is asked only once every arm
    has been measured with one seed at least.
    """

    title: str
    rule: str
    judge: Callable[[Results], Verdict]


class Compared(NamedTuple):
    """A figure of the source beside the same one here."""

    what: str
    paper: str
    here: Callable[[Results], str]


class Picture(NamedTuple):
    """`draw` takes results that may lack arms, which are still trained. `alt` says what there is to see. One that is
    `wide` is scrolled on a phone, and not squeezed.
    """

    title: str
    alt: str
    draw: Callable[[Results], Figure]
    wide: bool = False


@dataclass(frozen=True)
class Experiment:
    """`question` is what is asked; `claim` what the source says, in its meaning; `source` names paper and section, and
    `url` leads there. `differs` says in what the experiment is not the paper's. `measure` looks at one trained
    network. The first picture stands on the card.
    """

    name: str
    question: str
    claim: str
    source: str
    url: str
    differs: str
    arms: tuple[Arm, ...]
    measure: Callable[[Trial], Measured]
    claims: tuple[Claim, ...]
    pictures: tuple[Picture, ...]
    compared: tuple[Compared, ...] = ()
    seeds: int = 3

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def whole(self, results: Results) -> bool:
        """Whether every arm has been measured with one seed at least."""
        return all(results.seeds_of(arm.name) for arm in self.arms)

    def verdicts(self, results: Results) -> Mapping[str, Verdict]:
        """Each claim's title -> its verdict."""
        missing = [arm.title for arm in self.arms if not results.seeds_of(arm.name)]
        if missing:
            waiting = Verdict(OPEN, f"{len(missing)} of {len(self.arms)} networks are not measured yet.")
            return {claim.title: waiting for claim in self.claims}
        return {claim.title: claim.judge(results) for claim in self.claims}
