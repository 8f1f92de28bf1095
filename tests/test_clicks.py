"""A chart that answers clicks."""

import json

from streamlit.testing.v1 import AppTest


def script() -> None:
    import streamlit as st

    from controls.clicks import clickable

    seen = st.session_state.setdefault("seen", [])
    figure = {"data": [{"type": "scatter", "x": [1, 2], "y": [1, 2], "customdata": ["a", "b"]}]}
    clickable(figure, "chart", "two points", seen.append)
    st.json(seen)


def test_a_click_gives_the_points_data_and_the_chart_a_new_key() -> None:
    app = AppTest.from_function(script).run()
    assert [found.key for found in app.get("plotly_chart")] == ["chart.0"]
    # as the browser tells it: the widget's state changes, and its callback runs first
    points = [{"customdata": "b"}]
    clicked = {"selection": {"points": points, "point_indices": [1], "box": [], "lasso": []}}
    states = app._tree.get_widget_states()
    states.widgets.add(id=app.get("plotly_chart")[0].proto.id, string_value=json.dumps(clicked))
    app._run(states)
    assert [found.message for found in app.exception] == []
    assert app.json[0].value == '["b"]'
    assert [found.key for found in app.get("plotly_chart")] == ["chart.1"]
