"""What a search under a budget found, what it left out, and why."""

import math

import streamlit as st

from controls import session
from controls.text import plain
from explorer.counting.question import GOALS
from explorer.counting.search import GAP, Search
from explorer.families import describe, family_of
from explorer.wording import many, size

REASONS = 3  # why combinations cannot be: as many are said


def budget_results(found: Search, titles: dict[str, str], answered: bool) -> None:
    """The answers; a click on a row makes its network the present one. `answered`: to what the page asks now."""
    if not answered:
        st.info(
            "These are the answers to the question before; Search answers the present one.", icon=":material/history:"
        )
    st.markdown(_asked(found, titles))
    if found.found:
        _table(found, titles)
    else:
        st.caption("There is none." if found.complete else "None is found yet.")
    st.caption("\n".join(f"- {line}" for line in _left_out(found)))


def _asked(found: Search, titles: dict[str, str]) -> str:
    limits = [_limit(limit, most) for limit, most in found.question.limits]
    depth = [f"depth of at least {found.question.depth}"] if found.question.objective == "cheapest" else []
    goal = GOALS[found.question.objective].title.removesuffix(" for a depth")
    asked = ", ".join([*depth, *(f"at most {limit}" for limit in limits)])
    turned = ", ".join(titles[name] for name in found.names)
    return f"**{goal[:1].upper()}{goal[1:]}**, {asked}; turned: {turned}."


def _limit(limit: str, most: float) -> str:
    return f"{size(most)} of memory" if limit == "memory" else f"{most:,.0f} {limit}"


def _table(found: Search, titles: dict[str, str]) -> None:
    # a table of its own for each search: a tick belongs to the rows that it was made in
    key = f"search.rows.{session.visitor().searches}"

    def chosen() -> None:
        if rows := session.entered(key)["selection"]["rows"]:
            config = found.found[rows[0]].config
            session.change(**{name: getattr(config, name) for name in found.names})

    family, limited = family_of(found.config), dict(found.question.limits)
    rows = [
        {titles[name]: describe(getattr(one.config, name)) for name in found.names}
        | {"depth": one.costs.depth, "params": one.costs.params, "MACs": one.costs.macs}
        | ({"width": one.costs.width} if found.question.objective == "widest" else {})
        | ({"memory": one.costs.memory / 1e6} if "memory" in limited else {})
        | ({"used": 100 * found.question.used(one.costs)} if limited else {})
        for one in found.found
    ]
    st.caption("Click a row to go there; the browser's Back returns.")
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "depth": st.column_config.NumberColumn("Depth", help="Weighted layers as the family's papers count them."),
            "width": st.column_config.NumberColumn(
                "Narrowest layer", help=f"The {family.width_is.removeprefix('the ')}."
            ),
            "params": st.column_config.NumberColumn("Params", format="localized"),
            "MACs": st.column_config.NumberColumn("MACs", format="localized"),
            "memory": st.column_config.NumberColumn("Memory, MB", format="%.4g"),
            "used": st.column_config.ProgressColumn("Used of the limits", format="%.1f %%", max_value=100),
        },
        on_select=chosen,
        selection_mode="single-row",
        key=key,
    )


def _left_out(found: Search) -> list[str]:
    """Every combination is said of: found, or left out and why."""
    left, question = found.left, found.question
    limits = dict(question.limits)
    lines = [
        f"Of {many(found.combinations)} combinations {found.plans:,} were counted singly, in {found.seconds:.1f} s: "
        "where the cheapest of many passes a limit they all do, and where the dearest is behind, so are they all."
    ]
    lines += [f"{many(count)} have more than {_limit(limit, limits[limit])}." for limit, count in left.over]
    if left.refused:
        total = sum(count for _, count in left.refused)
        reasons = "; ".join(f"{many(count)}: {plain(reason)}" for reason, count in left.refused[:REASONS])
        more = "" if len(left.refused) <= REASONS else f"; and {len(left.refused) - REASONS} other reasons"
        lines.append(f"{many(total)} cannot be, for example: {reasons}{more}.")
    if left.shallow:
        lines.append(f"{many(left.shallow)} are less deep than {question.depth}.")
    if left.behind:
        lines.append(
            f"{many(left.behind)} would come behind these, or before the last by less than {GAP:.1%}, whether they "
            f"keep the limits or not; the order is by {GOALS[question.objective].order}."
        )
    if left.undecided:
        lines.append(f"**{many(left.undecided)} were not decided** in the time. {_at_best(found)}")
    return lines


def _at_best(found: Search) -> str:
    """What those that were not decided can be at best."""
    goal, question = GOALS[found.question.objective], found.question
    if not found.found or math.isinf(found.best_undecided):
        return "There may be better ones among them."
    last = found.found[-1].costs
    tie = found.best_undecided <= goal.rank(question, last, last)[0]
    rest = "they are at best as good as these, and may rank among them" if tie else "but some may be better than these"
    return f"None of them is {goal.beyond(found.best_undecided)}, {rest}."
