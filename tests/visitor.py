"""The app as a visitor has it in Streamlit's AppTest: opened by a link, read off the page.

A test file that uses it asks for the fixture `navigation`.
"""

import io
import json
import re
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from controls.folded import key_of
from explorer.families import PRESETS, plan
from explorer.running import project_weights
from explorer.running.network import build
from explorer.running.weights import save_safetensors

ROOT = Path(__file__).parents[1]
ARCHITECTURE, FEATURE_MAPS = "pages/architecture.py", "pages/feature_maps.py"
DESIGN_SPACE = "pages/design_space.py"
GRADIENT_FLOW, ATTRIBUTION = "pages/gradient_flow.py", "pages/attribution.py"
TRAINING, EXPERIMENTS, SWEEPS = "pages/training.py", "pages/experiments.py", "pages/sweeps.py"
FOLDED = "knobs", "conventions", "downloads"


def opened(page: str = ARCHITECTURE, /, **link: str) -> AppTest:
    """A new session, opened by a link."""
    return fine(unvisited(page, **link).run())


def unvisited(page: str = ARCHITECTURE, /, **link: str | list[str]) -> AppTest:
    """A new session whose address is typed and whose page has not been run; a list is a value given twice."""
    app = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    app.query_params = dict(link)
    for name in FOLDED:  # as if the visitor had unfolded all
        app.session_state[key_of(name)] = True
    if page != ARCHITECTURE:
        # AppTest's switch_page would run the first page before; by st.navigation a page is the hash of its address
        app._page_hash = calc_hash(Path(page).stem.replace("_", "-"))
    return app


def visit(app: AppTest, page: str) -> AppTest:
    app.run()
    if page != ARCHITECTURE:
        app.switch_page(page).run()
    return fine(app)


def fine(app: AppTest) -> AppTest:
    """The same session, its last run without a traceback."""
    assert [found.message for found in app.exception] == []
    return app


def messages(app: AppTest) -> list[str]:
    """Warnings and errors as they are read, markdown's backslashes gone; each one sentence without line breaks."""
    shown = (found.value for found in (*app.warning, *app.error))
    found = [re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", message) for message in shown]
    assert all("\n" not in message and "Traceback" not in message for message in found)
    return found


def captions(app: AppTest) -> str:
    return "\n".join(re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", found.value) for found in app.caption)


def figures(app: AppTest) -> dict[str, tuple[str, str]]:
    """The cells of the architecture page: label -> short figure, exact one."""
    return {cell["label"]: (cell["value"], cell["exact"]) for cell in _cells(app)}


def change(app: AppTest, label: str) -> str:
    """By how much a figure of the architecture page is another than the preset's; "" where it is the same."""
    return next(cell.get("change", "") for cell in _cells(app) if cell["label"] == label)


def _cells(app: AppTest) -> list[dict[str, str]]:
    (found,) = (one.proto.body for one in app.get("html") if "class='figures'" in one.proto.body)
    parts = (re.findall(r"<\w+ class='(\w+)[^>]*>([^<]*)", cell) for cell in found.split("<div>")[1:])
    return [{name: unescape(text) for name, text in cell} for cell in parts]


def exact(app: AppTest, label: str) -> int:
    """The whole number in a cell of the architecture page."""
    return int(figures(app)[label][1].split()[0].replace(",", ""))


def config(app: AppTest) -> Any:
    """The session's network."""
    return app.session_state.visitor.choice.config


def link(app: AppTest) -> dict[str, str]:
    """To what is shown, as it is copied; the address may say less, as long as nothing was changed."""
    return dict(app.session_state.visitor.link)


def went(app: AppTest, page: str = "", /, **address: str) -> AppTest:
    """The same session after the visitor went back or forward to this address in the browser."""
    if page:
        app.switch_page(page)
    app.query_params = dict(address)
    with patch("streamlit.testing.v1.local_script_runner.RerunData", partial(RerunData, is_history_navigation=True)):
        return fine(app.run())


def chart(app: AppTest, key: str) -> Any:
    """The one figure whose key begins so, as it is sent to the browser."""
    (found,) = (one for one in app.get("plotly_chart") if (one.key or "").startswith(key))
    return json.loads(found.proto.spec)


def link_of_weights(name: str) -> dict[str, str]:
    """What the link says of the weights that a preset has unless others are chosen."""
    return {"weights": "shapes"} if project_weights.offered(PRESETS[name]) else {}


def click(app: AppTest, key: str, data: Any) -> AppTest:
    """The session after a click on the point of a chart that carries this `customdata`."""
    (found,) = (one for one in app.get("plotly_chart") if (one.key or "").startswith(key))
    selection = {"points": [{"customdata": data}], "point_indices": [0], "box": [], "lasso": []}
    return _told(app, found.proto.id, {"selection": selection})


def component(app: AppTest, key: str) -> Any:
    """What the component with this key is given to draw."""
    return json.loads(_component(app, key).json)


def scene(app: AppTest, key: str) -> Any:
    """The network's drawing with this key, as the browser gets it."""
    return json.loads(component(app, key)["scene"])


def press(app: AppTest, key: str, identity: str) -> AppTest:
    """The session after a click within a component, which tells what was clicked."""
    events = f"$$STREAMLIT_INTERNAL_KEY_{_component(app, key).id}__events"
    states = app._tree.get_widget_states()
    states.widgets.add(id=events, json_trigger_value=json.dumps([{"event": "clicked", "value": identity}]))
    return fine(app._run(states))


def _component(app: AppTest, key: str) -> Any:
    (found,) = (one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}"))
    return found


def tick(app: AppTest, key: str, row: int) -> AppTest:
    """The session after the row of a table was ticked."""
    (found,) = (one for one in app.dataframe if one.proto.id.endswith(key))
    return _told(app, found.proto.id, {"selection": {"rows": [row], "columns": [], "cells": []}})


def click_cell(app: AppTest, key: str, row: int) -> AppTest:
    """The session after a cell in the row of a table was clicked, which takes the ticks away."""
    (found,) = (one for one in app.dataframe if one.proto.id.endswith(key))
    return _told(app, found.proto.id, {"selection": {"rows": [], "columns": [], "cells": [[row, "kind"]]}})


def _told(app: AppTest, widget: str, state: dict[str, Any]) -> AppTest:
    """As a browser tells it: the widget's state changes, and its callback runs before the page."""
    states = app._tree.get_widget_states()
    states.widgets.add(id=widget, string_value=json.dumps(state))
    return fine(app._run(states))


def photo(seed: int = 0) -> bytes:
    """A PNG of noise, 60 pixels wide and 40 high."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def checkpoint(name: str, seed: int) -> bytes:
    """Fresh weights of a preset, as a safetensors file."""
    return save_safetensors(build(plan(PRESETS[name]), seed=seed))


def upload(app: AppTest, name: str, data: bytes) -> AppTest:
    """The session after a file was opened."""
    app.file_uploader(key="open.file").set_value((name, data, "application/octet-stream")).run()
    return fine(app)
