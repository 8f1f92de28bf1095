"""Which operation is selected? One choice, the same on every page."""

from collections.abc import Sequence

from controls import session
from controls.choices import Place
from explorer.plan import Plan
from explorer.wording import shape


def choose_operation(at: Place, plan: Plan, names: Sequence[str], shown: str, help: str) -> None:
    """A box of operations that shows one of them and selects another."""
    session.show("operation.box", shown)
    at.selectbox(
        "Operation",
        names,
        names.index(shown) if shown in names else 0,
        format_func=lambda name: f"{name}  ({plan[name].kind}, {shape(plan[name].shape)})",
        key="operation.box",
        on_change=lambda: session.select_operation(session.entered("operation.box")),
        help=f"{help} Type to search.",
    )
