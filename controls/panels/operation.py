"""Which operation is selected? One choice, the same on every page."""

from collections.abc import Callable, Sequence

from controls import session
from controls.choices import Place


def choose_operation(at: Place, names: Sequence[str], shown: str, help: str, title: Callable[[str], str] = str) -> None:
    """A box of the network's operations that shows one and selects another."""
    session.show("operation.box", shown)
    at.selectbox(
        "Operation",
        names,
        format_func=title,
        key="operation.box",
        on_change=lambda: session.select_operation(session.entered("operation.box")),
        help=f"{help} Type to search.",
    )
