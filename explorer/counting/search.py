"""Which networks are best under a budget? A search of all combinations of some knobs that writes few of their plans.

Branch and bound (Land & Doig, 1960) over the boxes of `space`. Within a box the cheapest network bounds all costs from
below and the dearest bounds depth, width and parameters from above; so a box is left out whole where its cheapest
network passes a limit, or where even depth and width of the dearest at the costs of the cheapest would not do. What is
left out is counted.
"""

import heapq
import itertools
import math
import re
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from explorer.counting.question import ENDLESS, GOALS, NOTHING, Costs, Limit, Question, Rank
from explorer.counting.space import At, Box, put, space
from explorer.errors import ExplorerError
from explorer.families import Config, ConfigError, PlanError, family_of, write_plan

MOST_SECONDS = 4.0
TIES = 0.25  # share of the time after which the order of equals is left as it is
AT_ONCE = 200  # branches that are begun before the first is gone into; then one after the other
TELLING = 0.5  # seconds between two reports
GAP = 1e-3  # parameters and MACs that differ by less count as equal while boxes are left out


class SearchError(ExplorerError):
    """A question that cannot be searched for, in one sentence."""


class Found(NamedTuple):
    config: Config
    costs: Costs


class Left(NamedTuple):
    """How many of the combinations are not among the answers, and why. Each counts once."""

    over: tuple[tuple[Limit, int], ...] = ()  # by the first limit that they pass
    refused: tuple[tuple[str, int], ...] = ()  # no networks: the reason, or one of its kind; the most frequent first
    shallow: int = 0  # of less depth than asked for
    behind: int = 0  # no better than the last of the answers, or by less than the gap; over a limit or not
    undecided: int = 0  # when the time was up


class Search(NamedTuple):
    """The best answers, best first, as far as the search got."""

    config: Config  # where it began
    names: tuple[str, ...]  # of the knobs that were turned
    question: Question
    found: tuple[Found, ...]
    combinations: int
    plans: int  # written
    left: Left
    best_undecided: float  # no undecided one ranks before this
    seconds: float

    @property
    def complete(self) -> bool:
        return not self.left.undecided

    def is_about(self, config: Config) -> bool:
        """Whether turning the same knobs of this network gives what was found: no other knob has changed since."""
        if config.family != self.config.family:
            return False
        if config in [one.config for one in self.found]:
            return True
        same_lengths = all(
            len(getattr(config, name)) == len(getattr(self.config, name))
            for name in self.names
            if isinstance(getattr(config, name), tuple)
        )
        return same_lengths and config.changes(self.config).keys() <= set(self.names)


def check(names: Sequence[str], question: Question) -> None:
    """Raises SearchError without knobs, and without a limit where more is better."""
    if not names:
        raise SearchError("A search needs a knob to turn; choose at least one")
    if not question.limits and question.objective != "cheapest":
        raise SearchError("A search for the most that is possible needs a limit: set one for params, MACs or memory")


def search(
    config: Config,
    names: Sequence[str],
    question: Question,
    most: int = 10,
    seconds: float = MOST_SECONDS,
    gap: float = GAP,
) -> Search:
    """The last of `searching`."""
    *_, last = searching(config, names, question, most, seconds, gap)
    return last


def searching(
    config: Config,
    names: Sequence[str],
    question: Question,
    most: int = 10,
    seconds: float = MOST_SECONDS,
    gap: float = GAP,
) -> Iterator[Search]:
    """Turn the knobs in `names` and leave the others; now and then, and at the end, how far it got.

    With a `gap`, what could be better by a smaller share than that is left out, and so is, after a while, the order of
    those whose first number is the same. Raises SearchError as `check` does.
    """
    check(names, question)
    began = told = time.perf_counter()
    hunt = _Hunt(config, tuple(names), question, most, gap)
    while hunt.goes_on() and (now := time.perf_counter()) - began < seconds:
        if gap and now - began > TIES * seconds and hunt.settled():
            break
        if now - told > TELLING:
            told = now
            yield hunt.report(now - began)
        hunt.step()
    yield hunt.report(time.perf_counter() - began)


class _Hunt:
    """The boxes that are yet to be decided, and the best networks so far."""

    def __init__(self, config: Config, names: tuple[str, ...], question: Question, most: int, gap: float) -> None:
        self.config, self.names, self.question, self.most, self.gap = config, names, question, most, gap
        self.goal, self.family = GOALS[question.objective], family_of(config)
        # what the goal is about, where a configuration tells it without a plan
        self.level = {"depth": self.family.depth, "width": self.family.width, "": None}[self.goal.level]
        whole = space(config, names)
        self.combinations = self.unseen = whole.combinations
        self.new = whole.boxes()
        self.begun = 0
        self.open: dict[int, tuple[Rank, Box]] = {}  # number -> bound, box
        # by what they promise; among equals those of the best cheapest network, and in the other the oldest, which are
        # the largest: the one goes on where it is good already, the other looks where it has not been
        self.near: list[tuple[float, Rank, int]] = []
        self.far: list[tuple[float, int]] = []
        self.turn = self.looks_near = False
        self.numbers = itertools.count()
        self.counted: dict[tuple[int, At], Found | str] = {}
        self.plans = 0
        self.best: list[tuple[Rank, int, Box]] = []  # negative ranks, ascending; each a box of one
        self.over: Counter[Limit] = Counter()
        self.refused: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.shallow = self.behind = 0

    def goes_on(self) -> bool:
        return bool(self.unseen or self.open)

    def step(self) -> None:
        """Decide a new box, or split one and of its halves the better one, and so on to where nothing is left."""
        self.turn = not self.turn
        if self.unseen and (self.turn or self.begun < AT_ONCE or not self.open):
            box = next(self.new)
            self.begun += 1
            self.unseen -= box.size
            self.decide(box)
            return
        number: int | None = self.next()
        while number is not None:
            bound, box = self.open.pop(number)
            if not self.may_win(bound):
                self.behind += box.size
                return
            kept = [found for half in box.split(self.fork(box)) if (found := self.decide(half))]
            number = min(kept)[1] if kept else None

    def settled(self) -> bool:
        """Whether nothing that is undecided can be better than the answers by the first number of its rank."""
        while self.near and self.near[0][-1] not in self.open:
            heapq.heappop(self.near)
        full = not self.unseen and len(self.best) == self.most
        return full and not (self.near and self.near[0][0] < self.best[-1][0][0])

    def next(self) -> int:
        """The number of the most promising box."""
        self.looks_near = not self.looks_near
        while True:
            number = heapq.heappop(self.near)[-1] if self.looks_near else heapq.heappop(self.far)[-1]
            if number in self.open:
                return number

    def decide(self, box: Box) -> tuple[Rank, int] | None:
        """Leave a box out, or put it among those that are to be split: its number, after its rank in a dive."""
        deep = self.reaching(box, self.family.depth, self.question.depth)
        self.shallow += box.size - (deep.size if deep else 0)
        good = deep
        if deep and self.level and len(self.best) == self.most:
            good = self.reaching(deep, self.level, round(-self.best[-1][0][0]))
            self.behind += deep.size - (good.size if good else 0)
        if good is None:
            return None
        box, least = good, self.count(good, good.low)
        if isinstance(least, str):
            # what the cheapest and the dearest are refused for in the very same words, all between are
            if box.low == box.high or self.refusal(box, box.high) == least:
                kind = re.sub(r"\d+(-\d+)*", "#", least)
                self.refused[kind] += box.size
                self.examples.setdefault(kind, least)
                return None
        elif over := self.question.passed(least.costs):
            self.over[over] += box.size
            return None
        elif box.low == box.high:
            self.behind += 1  # unless it is among the best
            return None
        bound = self.bound(box, least)
        if not self.may_win(bound):
            self.behind += box.size
            return None
        number = next(self.numbers)
        known = (NOTHING, ENDLESS) if isinstance(least, str) else (least.costs, least.costs)
        rank = tuple(-one for one in self.goal.rank(self.question, *known))
        self.open[number] = bound, box
        heapq.heappush(self.near, (-bound[0], rank, number))
        heapq.heappush(self.far, (-bound[0], number))
        return rank, number

    def bound(self, box: Box, least: Found | str) -> Rank:
        """No network of the box that keeps the limits ranks before this."""
        most = ENDLESS
        if self.question.objective != "cheapest" and isinstance(dearest := self.count(box, box.high), Found):
            most = dearest.costs
        params = min([most.params, *(limit for name, limit in self.question.limits if name == "params")])
        most = most._replace(params=params, depth=self.family.depth(self.at(box, box.high)))
        if self.level:
            reachable = self.reachable(box, self.level)
            most = most._replace(depth=reachable) if self.goal.level == "depth" else most._replace(width=reachable)
        return self.goal.rank(self.question, most, NOTHING if isinstance(least, str) else least.costs)

    def reachable(self, box: Box, measure: Callable[[Config], int]) -> int:
        """As much depth, or width, as the box may have within the limits: not what takes too much at its cheapest."""
        low, high = measure(self.at(box, box.low)), measure(self.at(box, box.high))
        level = high
        while low < level:
            inner = self.reaching(box, measure, level)
            least = self.count(inner, inner.low) if inner else ""
            if isinstance(least, str) or not self.question.passed(least.costs):
                low = level
            else:
                high = level - 1
            level = (low + high + 1) // 2
        return low

    def may_win(self, bound: Rank) -> bool:
        """Whether a network of this rank would be among the best, by more than the gap."""
        if len(self.best) < self.most:
            return True
        for i, (one, negative) in enumerate(zip(bound, self.best[-1][0], strict=True)):
            other = -negative
            if one < other:
                return False
            if one > other + (0 if self.goal.level and not i else self.gap * abs(other)):
                return True
        return False

    def fork(self, box: Box) -> int:
        """The dimension to split: the longest of those that depth or width depend on, or where neither is asked for one
        after the other; where the cheapest network cannot be, one that changes the reason.
        """
        wide = [i for i, (low, high) in enumerate(zip(box.low, box.high, strict=True)) if low < high]
        if reason := self.refusal(box, box.low):
            for i in wide:
                if self.refusal(box, put(box.low, i, box.high[i])) != reason:
                    return i
        if self.level:
            most = self.level(self.at(box, box.high))
            wide = [i for i in wide if self.level(self.at(box, put(box.high, i, box.low[i]))) < most] or wide
            return max(wide, key=lambda i: box.high[i] - box.low[i])
        # mixed, and the same each time: boxes that are split in one order all end in the same corner
        return wide[sum(box.low + box.high) % len(wide)]

    def reaching(self, box: Box, measure: Callable[[Config], int], least: int) -> Box | None:
        """The smallest box that holds all networks of at least this depth, or width; None where there are none."""
        if measure(self.at(box, box.low)) >= least:
            return box
        if measure(self.at(box, box.high)) < least:
            return None
        low = list(box.low)
        for i, high in enumerate(box.high):
            short = box.low[i] - 1  # with all other dimensions at their highest
            while high - short > 1:
                middle = (short + high) // 2
                enough = measure(self.at(box, put(box.high, i, middle))) >= least
                short, high = (short, middle) if enough else (middle, high)
            low[i] = high
        return box._replace(low=tuple(low))

    def at(self, box: Box, at: At) -> Config:
        """A combination that may be none: depth and width are asked of it, and nothing else."""
        return box.branch.config.model_copy(update=box.branch.changes(at))

    def refusal(self, box: Box, at: At) -> str:
        """Why a combination cannot be, as far as its knobs say; empty where it can."""
        try:
            box.branch.config.adapt(**box.branch.changes(at))
        except ConfigError as refusal:
            return str(refusal)
        return ""

    def count(self, box: Box, at: At) -> Found | str:
        """The network and its costs, or why there is none. One that keeps the limits may be among the best."""
        key = box.branch.number, at
        if key not in self.counted:
            self.counted[key] = self._count(box, at)
            if isinstance(found := self.counted[key], Found):
                self.compare(found, box._replace(low=at, high=at))
        return self.counted[key]

    def _count(self, box: Box, at: At) -> Found | str:
        try:
            config = box.branch.config.adapt(**box.branch.changes(at))
            plan = write_plan(config)
        except (ConfigError, PlanError) as refusal:
            return str(refusal)
        self.plans += 1
        return Found(config, self.question.costs(config, plan, self.family))

    def compare(self, found: Found, at: Box) -> None:
        """Put a network among the best, if it is an answer and better than the last of them."""
        costs = found.costs
        if costs.depth < self.question.depth or self.question.passed(costs):
            return
        if all(found.config != other.config for other in self.answers()):
            rank = tuple(-one for one in self.goal.rank(self.question, costs, costs))
            insort(self.best, (rank, next(self.numbers), at))
            del self.best[self.most :]

    def answers(self) -> list[Found]:
        found = [self.counted[box.branch.number, box.low] for *_, box in self.best]
        return [one for one in found if isinstance(one, Found)]

    def report(self, seconds: float) -> Search:
        behind = self.behind + sum(box.size for bound, box in self.open.values() if not self.may_win(bound))
        still = [(bound, box) for bound, box in self.open.values() if self.may_win(bound)]
        bounds = [math.inf] * bool(self.unseen) + [bound[0] for bound, _ in still]
        # an answer may stand at the corner of a box that is yet to be split
        inside = sum(any(_holds(box, one) for _, box in still) for *_, one in self.best)
        left = Left(
            tuple(self.over.most_common()),
            tuple((self.examples[kind], count) for kind, count in self.refused.most_common()),
            self.shallow,
            behind - (len(self.best) - inside),
            self.unseen + sum(box.size for _, box in still) - inside,
        )
        return Search(
            config=self.config,
            names=self.names,
            question=self.question,
            found=tuple(self.answers()),
            combinations=self.combinations,
            plans=self.plans,
            left=left,
            best_undecided=max(bounds, default=-math.inf),
            seconds=seconds,
        )


def _holds(box: Box, one: Box) -> bool:
    return box.branch.number == one.branch.number and all(
        low <= at <= high for low, at, high in zip(box.low, one.low, box.high, strict=True)
    )
