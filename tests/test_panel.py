"""A refused panel says why in its place, and the rest of the page stays."""

from streamlit.testing.v1 import AppTest


def script() -> None:
    import streamlit as st

    from controls.panel import panel
    from explorer.errors import ExplorerError

    @panel
    def half(number: int) -> None:
        """Half of a number."""
        if number % 2:
            raise ExplorerError(f"{number} is odd: choose [another](//host)")
        st.text(number // 2)

    for number in (4, 5, 6):
        half(number)
    assert half.__doc__ == "Half of a number."


def test_a_refusal_is_said_in_its_place() -> None:
    app = AppTest.from_function(script).run()
    assert [found.message for found in app.exception] == []
    shown = [element.value for element in app.main.children.values()]
    assert shown == ["2", "5 is odd\\: choose \\[another\\]\\(\\/\\/host\\)", "3"]
    assert len(app.error) == 1


def broken() -> None:
    from controls.panel import panel

    @panel
    def fail() -> None:
        raise ValueError("a mistake of ours")

    fail()


def test_a_mistake_of_ours_is_no_refusal() -> None:
    app = AppTest.from_function(broken).run()
    assert len(app.exception) == 1
    assert len(app.error) == 0
