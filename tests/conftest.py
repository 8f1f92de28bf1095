"""Fixtures of several test files.

One thread for torch in each test process: its threads wait for each other by spinning, so that on a busy machine,
or beside the other workers of pytest-xdist, two are ten times slower than one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# heavy work is done in the test's own process, where it can be watched; of processes test_processes says what holds
os.environ.setdefault("EXPLORER_PROCESSES", "0")
# nothing of the user's own is read or written: all that a test process keeps is in a folder of its own
_own = tempfile.TemporaryDirectory(prefix="explorer-tests-")
for _name in ("runs", "data", "uploads"):
    os.environ[f"EXPLORER_{_name.upper()}"] = os.path.join(_own.name, _name)


CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One for each test process: Playwright does not start twice in one."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "there is no Chromium; `make browser` installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM.split())
        yield browser
        browser.close()


# of a quarter of a minute and more: begun last, they would keep one worker busy while the other has nothing left
FIRST = ("test_sweeps_on_ray", "test_uploads", "test_process_memory", "test_decoding", "test_training_goes_on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in FIRST)
