"""Figures that Plotly does not check: the browser gets what it would get of checked ones, with theme and selections."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from explorer.counting import costs
from explorer.families import PRESETS, plan
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.plots import charts
from explorer.plots import training as plots
from explorer.plots.plain import PlainFigure
from explorer.plots.training import Curve

ROWS = 5
METRICS = pd.DataFrame(
    {
        "step": np.arange(ROWS),
        "epoch": np.arange(ROWS) / 2,
        "learning_rate": np.linspace(0, 0.1, ROWS),
        "train_loss": [2.0, 1.0, 0.5, 0.0, np.nan],
        "train_accuracy": np.linspace(0, 1, ROWS),
        "test_loss": [np.nan, 1.5, np.nan, np.inf, np.nan],
        "test_accuracy": [np.nan, 0.5, np.nan, 0.7, np.nan],
    }
)
WHOLE = {"type": "scatter", "x": np.arange(300), "y": np.arange(300.0), "customdata": ["a", None], "meta": "<b>"}
FIGURES = {
    "curves": plots.curves([Curve("one", "#0072B2", METRICS, True), Curve("seeds", "#D55E00", [METRICS, METRICS])]),
    "no curves": plots.curves([]),
    "confusion": plots.confusion_matrix(np.array([[6, 2], [0, 5]]), ["cat", "dog"]),
    "heat map": plots.gradient_heat_map(pd.DataFrame({"step": [1, 9], "conv1": [1e-3, 0.0], "fc": [0.5, np.nan]})),
    "stages": charts.stage_bars(costs.table(plan(PRESETS["densenet121"]), "stage"), "#D55E00"),
    "whole numbers": {"data": [WHOLE], "layout": {"height": 100}},
    "without a layout": {"data": [{"type": "heatmap", "z": np.eye(3)}]},
    "a template of its own": {"data": [WHOLE], "layout": {"template": {"layout": {"font": {"size": 9}}}}},
}


def page(figure, config, selects):  # which AppTest runs without this file's imports
    import streamlit as st

    def chosen() -> None:
        st.session_state["chosen"] = st.session_state["chart"]["selection"]["points"][0]["customdata"]

    more = {"on_select": chosen, "selection_mode": "points"} if selects else {}
    st.plotly_chart(figure, key="chart", config=config, **more)


def drawn(figure: Any, selects: bool = False) -> AppTest:
    app = AppTest.from_function(page, args=(figure, {"displaylogo": False}, selects), default_timeout=60).run()
    assert not app.exception
    return app


def sent(app: AppTest) -> Any:
    (chart,) = app.get("plotly_chart")
    return chart.proto


@pytest.mark.parametrize("name", FIGURES)
def test_the_browser_gets_what_it_would_get_of_a_checked_figure(name: str) -> None:
    ours, theirs = (sent(drawn(figure)) for figure in (PlainFigure(FIGURES[name]), FIGURES[name]))
    assert json.loads(ours.spec) == json.loads(theirs.spec)
    assert (ours.theme, ours.config) == (theirs.theme, theirs.config)


def test_it_is_the_same_element_as_long_as_it_shows_the_same() -> None:
    first, again = (sent(drawn(PlainFigure(FIGURES["curves"]))) for _ in range(2))
    other = sent(drawn(PlainFigure(FIGURES["confusion"])))
    assert first.id == again.id != other.id


def test_the_pages_theme_reaches_it() -> None:
    """Streamlit's template carries colours that its browser side replaces by the theme's."""
    assert plotly.io.templates.default == "streamlit"
    spec = json.loads(sent(drawn(PlainFigure(FIGURES["curves"]))).spec)
    assert spec["layout"]["template"]["layout"]["colorway"][0] == "#000001"


@pytest.mark.parametrize("kind", [PlainFigure, dict])
def test_a_selection_is_told(kind: Any) -> None:
    app = drawn(kind(FIGURES["whole numbers"]), selects=True)
    states = app._tree.get_widget_states()
    points = {"points": [{"customdata": "a"}], "point_indices": [0], "box": [], "lasso": []}
    states.widgets.add(id=sent(app).id, string_value=json.dumps({"selection": points}))
    app = app._run(states)
    assert app.session_state["chosen"] == "a"


def test_the_dictionary_that_it_is_made_of_stays_as_it_is() -> None:
    trace = {"type": "scatter", "x": np.arange(3)}
    figure = {"data": [trace], "layout": {"height": 100}}
    PlainFigure(figure).to_dict()
    assert figure == {"data": [trace], "layout": {"height": 100}}
    assert isinstance(trace["x"], np.ndarray)


# --- the curves of a run that is watched


def watching(run):
    from controls.panels import training_live

    training_live._curves(run, [])


def test_curves_are_read_and_drawn_anew_with_a_new_row_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.create(Job(PRESETS["resnet20_cifar"], "shapes", Recipe()), tmp_path / "run")
    app = AppTest.from_function(watching, args=(run,), default_timeout=60).run()
    assert not app.get("plotly_chart")
    METRICS.head(2).to_csv(run.path / runs.METRICS, index=False)
    first = sent(app.run())
    read = []
    monkeypatch.setattr(runs, "metrics", lambda path, metrics=runs.metrics: read.append(path) or metrics(path))
    assert sent(app.run()).id == first.id
    assert read == []
    METRICS.head(3).to_csv(run.path / runs.METRICS, index=False)
    assert sent(app.run()).spec != first.spec
    assert read == [run.path]
