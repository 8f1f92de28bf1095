"""Which network is the best one under a budget?"""

import streamlit as st

from controls import session
from controls.choices import OneOf, Real, SeveralOf, Whole
from controls.panel import panel
from controls.panels.budget_results import budget_results
from controls.services import searches
from explorer.counting import search
from explorer.counting.question import GOALS, LIMITS, Limit, Objective, Question, cost_of, usual_limits
from explorer.counting.search import MOST_SECONDS, Search
from explorer.counting.space import extent, space
from explorer.families import PRESETS, TITLES, Config, family_of, knobs, plan
from explorer.wording import many

OBJECTIVE: OneOf[Objective] = OneOf("objective", "closest", tuple(GOALS))
NUMBER, NONE = "number", "none"
BY = {limit: OneOf(f"most-{limit.lower()}", NONE if limit == "memory" else NUMBER) for limit in LIMITS}
LABELS: dict[Limit, str] = {"params": "Parameters", "MACs": "MACs", "memory": "Memory, forward peak"}
LONGER = 30.0  # seconds


@panel
def budget_search(config: Config) -> None:
    """A question to put together, and the answers to the last one while they are about this network."""
    question, names = _question(config), _names(config)
    combinations = space(config, names).combinations if names else 0
    ranges = "; ".join(f"{_titles(config)[name]}: {extent(config, name)}" for name in names)
    st.caption(f"{many(combinations)} combinations. {ranges}." if names else "Choose a knob to turn.")
    search.check(names, question)
    last = session.visitor().search
    answered = last is not None and last.is_about(config) and (last.question, last.names) == (question, names)
    box = st.container(horizontal=True, vertical_alignment="center")
    place = st.empty()
    seconds = 0.0
    if box.button("Search", type="primary", icon=":material/search:"):
        seconds = MOST_SECONDS
    if answered and last and not last.complete and box.button(f"Search for up to {LONGER:g} s"):
        seconds = LONGER
    if seconds:
        _carry_out(config, names, question, seconds, place)
        st.rerun()
    if last and last.is_about(config):
        budget_results(last, _titles(config), answered)


def _carry_out(
    config: Config, names: tuple[str, ...], question: Question, seconds: float, place: st.delta_generator.DeltaGenerator
) -> None:
    """The search, with a bar and a Stop button. A click on that, or on any control, ends it: what was found until then
    stays.
    """
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, "Counting networks ...")
        st.button("Stop", key="search.stop", icon=":material/stop:")

    def show(found: Search) -> None:
        session.remember_search(found)
        decided = 1 - found.left.undecided / found.combinations
        text = f"{found.plans:,} networks counted, {found.seconds:.0f} of at most {seconds:.0f} s"
        bar.progress(min(1.0, max(decided, found.seconds / seconds)), text)

    session.remember_search(searches.carry_out(config, names, question, seconds, show))
    place.empty()


def _titles(config: Config) -> dict[str, str]:
    return {knob.name: knob.title for knob in knobs(type(config))}


def _main(config: Config) -> tuple[str, ...]:
    return tuple(name for name in config.MAIN if name not in config.unused())


def _turned(config: Config) -> SeveralOf[str]:
    """Each family has knobs of its own, and a choice of them in the link."""
    return SeveralOf(f"turn-{config.family}", config.MAIN[:2], config.MAIN)


def _names(config: Config) -> tuple[str, ...]:
    return _turned(config).value(_main(config))


def _question(config: Config) -> Question:
    """Drawn: what is best, the knobs to turn, and a limit in each column."""
    box = st.columns([3, 4, 2], vertical_alignment="bottom")
    objective = OBJECTIVE.select(
        box[0],
        "Which is the best?",
        title=lambda one: GOALS[one].title,
        help="In order of rank: "
        + " ".join(f"**{goal.title}**: by {goal.order}." for goal in GOALS.values())
        + f" Width is, here, {family_of(config).width_is}.",
    )
    _turned(config).select(
        box[1],
        "Knobs to turn",
        _main(config),
        title=_titles(config).__getitem__,
        help="All others stay as they are. Every value on the slider is tried, in lists each entry by itself.",
    )
    depth = 1
    if objective == "cheapest":
        usual = family_of(config).depth(PRESETS[session.choice().origin])
        depth = Whole("least-depth", usual, 1, 5000).number(box[2], "Depth, at least")
    limits = []
    usual_of = usual_limits(plan(config))
    for limit, column in zip(LIMITS, st.columns(3), strict=True):
        with column:
            most = _limit(config, limit, usual_of[limit])
        limits += [(limit, most)] if most is not None else []
    return Question(objective, tuple(limits), depth)


def _limit(config: Config, limit: Limit, usual: int) -> int | None:
    """A number that is typed, or that a published network has."""
    own = family_of(config).presets
    presets = [*own, *(name for name in PRESETS if name not in own)]
    by = BY[limit].select(
        st,
        f"{LABELS[limit]}, at most",
        (NUMBER, NONE, *presets),
        title=lambda one: {NUMBER: "this number", NONE: "no limit"}.get(one) or f"{TITLES[one]}'s",
    )
    if by == NONE:
        st.caption("Not limited.")
        return None
    if by != NUMBER:
        most = cost_of(by, limit)
        st.caption(f"{most:,}" + (" bytes" if limit == "memory" else ""))
        return most
    typed = Real(f"{BY[limit].name}-m", usual / 1e6, 0.001, 1e6)
    return round(1e6 * typed.number(st, "MB" if limit == "memory" else f"M {limit}", format="%g"))
