"""What runs in the browser: known to each server, from its first visitor on, by the files in its folder."""

from threading import Thread

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from controls import components

NAMES = [folder.name for folder in components.FOLDER.iterdir() if folder.is_dir() and folder.name != "__pycache__"]


def page(names):
    from controls.components import mount

    for name in names:
        mount(name)(key=name, data={})


@pytest.mark.parametrize("server", ["the first", "another in the same process"])
def test_a_server_draws_each_of_them(server):
    app = AppTest.from_function(page, args=(NAMES,), default_timeout=60)
    for _ in ("as it starts", "as it is drawn anew"):
        app.run()
        assert not app.exception
        drawn = [one.proto for one in app.get("bidi_component")]
        assert [one.component_name for one in drawn] == [f"explorer.{name}" for name in NAMES]
        # by their address on the server: what stands in the page itself its policy forbids
        assert [one.js_source_path for one in drawn] == [f"{name}.js" for name in NAMES]
        assert not any(one.js_content or one.css_content or one.html_content for one in drawn)


def test_visitors_who_come_at_once_find_them(monkeypatch):
    server, found = BidiComponentManager(), []
    monkeypatch.setattr(components, "get_bidi_component_manager", lambda: server)
    monkeypatch.setattr("streamlit.components.v2.get_bidi_component_manager", lambda: server)

    def visit():
        components.mount("copy_link")
        found.append(server.get("explorer.copy_link").js_url)

    visitors = [Thread(target=visit) for _ in range(30)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert found == ["copy_link.js"] * 30
