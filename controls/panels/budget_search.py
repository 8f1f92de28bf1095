"""Which networks come closest to a budget without passing it?"""

import streamlit as st

from controls import session
from controls.panel import panel
from explorer.counting import design_space
from explorer.counting.design_space import Search
from explorer.families import Config, describe, knobs, plan

MILLION = 1e6  # the fields' unit


@panel
def budget_search(config: Config) -> None:
    """Knobs and limits to choose, and what the last search found while it is about this network."""
    titles = {knob.name: knob.title for knob in knobs(type(config))}
    main = [name for name in titles if name in config.MAIN and name not in config.unused()]
    usual_params, usual_macs = design_space.usual_limits(plan(config))
    box = st.columns([3, 2, 2], vertical_alignment="bottom")
    names = box[0].multiselect(
        "Knobs to turn",
        main,
        default=main[:2],
        format_func=titles.__getitem__,
        key=f"search.knobs.{config.family}",
        help="Lists are turned as a whole: in their present proportions, and all entries alike.",
    )
    params = box[1].number_input("At most, M params", 0.001, 10_000.0, usual_params / MILLION, key="search.params")
    macs = box[2].number_input("At most, M MACs", 0.1, 1e6, usual_macs / MILLION, key="search.macs")
    if names and st.button("Search", type="primary", icon=":material/search:"):
        with st.spinner("Counting networks ...", show_time=True):
            found = design_space.search(config, names, round(params * MILLION), round(macs * MILLION))
        session.remember_search(found)
    last = session.visitor().search
    if last and last.is_about(config):
        _results(last, titles)


def _results(found: Search, titles: dict[str, str]) -> None:
    """A click on a row makes its network the present one."""
    # a table of its own for each search: a tick belongs to the rows that it was made in
    key = f"search.rows.{session.visitor().searches}"

    def chosen() -> None:
        if rows := session.entered(key)["selection"]["rows"]:
            config = found.found[rows[0]].config
            session.change(**{name: getattr(config, name) for name in found.names})

    tried = "all" if found.complete else f"{found.tried:,} of"
    st.caption(
        f"Tried {tried} {found.combinations:,} combinations in {found.seconds:.1f} s. "
        + ("Click a row to go there." if found.found else "None of them stays under the limits.")
    )
    st.dataframe(
        [
            {titles[name]: describe(getattr(one.config, name)) for name in found.names}
            | {"params": one.params, "MACs": one.macs, "used": one.percent}
            for one in found.found
        ],
        hide_index=True,
        column_config={
            "params": st.column_config.NumberColumn("Params", format="localized"),
            "MACs": st.column_config.NumberColumn("MACs", format="localized"),
            "used": st.column_config.ProgressColumn("Used of the limits", format="%.1f %%", max_value=100),
        },
        on_select=chosen,
        selection_mode="single-row",
        key=key,
    )
