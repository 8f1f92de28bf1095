"""Fixtures of several test files.

One thread for torch in each test process: its threads wait for each other by spinning, so that on a busy machine,
or beside the other workers of pytest-xdist, two are ten times slower than one.
"""

import os
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def navigation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in server.py: AppTest forgets before each run that app.py has a navigation of its own, and would search
    pages/ for the scripts.
    """
    from streamlit.runtime.pages_manager import PagesManager

    start = PagesManager.__init__

    def init(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", init)
