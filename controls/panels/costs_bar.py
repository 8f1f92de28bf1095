"""What does the network cost now, and what has the knob that is being turned changed? In view wherever one scrolls."""

from functools import lru_cache
from html import escape
from typing import NamedTuple

import streamlit as st

from controls.panel import panel
from explorer.counting import costs
from explorer.families import Config, chosen_depth, family_of, plan, turned
from explorer.wording import number

STYLE = """<style>
/* what keeps in view is the wrapper: within it the bar has no room to move */
:has(> .st-key-costs_bar) { position: sticky; top: 3.75rem; z-index: 80; }
@media (min-width: 700px) { body:has(.st-key-story) :has(> .st-key-costs_bar) { top: 10.8rem; } }
.costs { display: flex; flex-wrap: wrap; gap: 0.2rem 1.8rem; padding: 0.4rem 0.9rem; border-radius: 0.5rem;
  border: 1px solid rgba(128, 128, 128, 0.35); font-variant-numeric: tabular-nums;
  background: Canvas; }
.costs div { white-space: nowrap; }
.costs small { display: block; font-size: 0.78rem; line-height: 1.3rem; }
.costs b { font-weight: 600; }
.costs b.words { font-weight: 400; }
.costs i { font-style: normal; margin-left: 0.35rem; padding: 0 0.3rem; border-radius: 0.3rem;
  background: rgba(230, 159, 0, 0.22); animation: costs-flash 1.4s ease-out; }
@keyframes costs-flash { 0%, 30% { background: rgba(230, 159, 0, 0.9); } }
@media (prefers-reduced-motion: reduce) { .costs i { animation: none; } }
@media (max-width: 640px) { .costs .minor { display: none; } }
</style>"""


class Figure(NamedTuple):
    """One number to the last digit, and how it has changed."""

    label: str
    value: str
    change: str = ""
    minor: bool = False  # left out where the window is narrow


@panel
def costs_bar(config: Config, before: Config | None) -> None:
    """`before` is the network as it was when the present turning of a knob began; None where none is turned."""
    cells = []
    for label, value, change, minor in figures(config, before):
        marked = f"<i>{change}</i>" if change else ""
        cells.append(f"<div class='{'minor' if minor else ''}'><small>{label}{marked}</small><b>{value}</b></div>")
    if before is not None:
        cells.append(f"<div><small>Turned</small><b class='words'>{escape(turned(config, before))}</b></div>")
    with st.container(key="costs_bar"):
        st.html(f"{STYLE}<div class='costs' role='status'>{''.join(cells)}</div>")


@lru_cache(maxsize=128)
def figures(config: Config, before: Config | None) -> tuple[Figure, ...]:
    now, was = plan(config), plan(before or config)
    sees, saw = costs.receptive_field(now), costs.receptive_field(was)
    depth = chosen_depth(config) or str(family_of(config).depth(config))
    return (
        Figure("Parameters", f"{now.params:,}", _change(was.params, now.params)),
        Figure("MACs", f"{now.macs:,}", _change(was.macs, now.macs)),
        Figure("FLOPs", f"{2 * now.macs:,}", minor=True),
        Figure("Depth", depth),
        Figure("Receptive field", f"{sees:,} px", f"{sees - saw:+,} px" if sees != saw else "", minor=True),
    )


def _change(was: int, now: int) -> str:
    """+1.2 M (×1.8): the difference, and beside it the ratio."""
    if was == now:
        return ""
    return f"{'+' if now > was else '−'}{number(abs(now - was))} (×{now / was:.3g})"
