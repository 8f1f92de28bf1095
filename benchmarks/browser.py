"""What does a visitor wait for in a browser? The first useful picture, and the drawing that follows a slider.

A server as `make run` starts it, and Debian's Chromium driven by Playwright. The first visit is to a server that was
started just before, by a browser that has nothing in its cache. A slider is turned by a key, which it tells the server
as it does when a mouse lets go of it. The page itself notes when the key went down, when a node of the drawing first
has another size, and when the costs say other numbers.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.measure import UNPROMISED, Table, promised
from benchmarks.served import starting

MOVED = 0.4  # seconds from the key to the first frame in which the drawing has changed, half of the time
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
SLIDERS = {"densenet_bc40_12_cifar": "Growth rate k", "resnet20_cifar": "Width", "densenet121": "Growth rate k"}
DRAWN = "[class*=st-key-drawing] .node .body"

WATCH = """() => {
    window.seen = {};
    const note = what => { if (window.seen.key && !(what in window.seen)) window.seen[what] = performance.now(); };
    addEventListener("keydown", () => window.seen = {key: performance.now()}, true);
    const drawing = document.querySelector("[class*=st-key-drawing] [data-testid=stBidiComponentIsolated]").shadowRoot;
    new MutationObserver(found => {
        if (found.some(one => one.attributeName == "height" && one.oldValue != one.target.getAttribute("height")))
            note("drawing");
    }).observe(drawing, {subtree: true, attributes: true, attributeOldValue: true, attributeFilter: ["height"]});
    new MutationObserver(found => {
        if (found.some(one => one.target.closest?.("[class*=st-key-costs_bar]"))) note("costs");
    }).observe(document.body, {subtree: true, childList: true});
}"""


class Wait(NamedTuple):
    """Seconds from the key."""

    drawing: float
    costs: float


def tables(quick: bool) -> Iterator[Table]:
    rows = []
    for _ in range(1 if quick else 3):
        with starting() as (port, _), chromium() as browser:
            rows.append(first_visit(browser, port))
    yield Table(
        "First visit to a server just started", ("costs are read", "the drawing is seen", "all has settled"), rows
    )
    rows = []
    with starting() as (port, _), chromium() as browser:
        for network, slider in SLIDERS.items():
            waits = moves(browser, port, network, slider, 8 if quick else 24)
            drawing, costs = ([getattr(wait, what) for wait in waits] for what in Wait._fields)
            kept = promised(median(drawing), at_most=MOVED, unit=" s") if network != "densenet121" else UNPROMISED
            rows.append((network, *told(drawing), *told(costs), *kept))
    yield Table(
        "A slider is turned, until the drawing or the costs first change",
        ("network", "drawing, p50", "p90", "costs, p50", "p90", "promise", "kept"),
        rows,
    )


def told(seconds: list[float]) -> tuple[str, str]:
    return f"{median(seconds):.2f} s", f"{quantiles(seconds, n=10)[-1]:.2f} s"


@contextmanager
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise RuntimeError("there is no Chromium; `make browser` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


def opened(browser: Browser, port: int, link: str = "") -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    deadline = time.monotonic() + 120
    while True:
        try:
            page.goto(f"http://127.0.0.1:{port}/{link}")
            return page
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def first_visit(browser: Browser, port: int) -> tuple[str, ...]:
    page = opened(browser, port)
    began = page.evaluate("performance.timeOrigin") / 1000
    seen = []
    for what in (".costs b", DRAWN, "[data-testid=stApp][data-test-script-state=notRunning]"):
        page.locator(what).first.wait_for(timeout=120_000)
        seen.append(time.time() - began)
    return tuple(f"{seconds:.1f} s" for seconds in seen)


def moves(browser: Browser, port: int, network: str, slider: str, count: int) -> list[Wait]:
    """Waits after `count` turns of the slider to and fro; two before them are not counted."""
    page = opened(browser, port, f"?network={network}")
    page.locator(DRAWN).first.wait_for(timeout=120_000)
    settled(page)
    page.evaluate(WATCH)
    thumb = page.get_by_role("slider", name=slider).first
    waits = []
    for i in range(count + 2):
        thumb.press("ArrowRight" if i % 4 < 2 else "ArrowLeft")
        seen = noted(page)
        waits.append(Wait((seen["drawing"] - seen["key"]) / 1000, (seen["costs"] - seen["key"]) / 1000))
        settled(page)
    return waits[2:]


def noted(page: Page) -> dict[str, float]:
    """What the page has noted of a turn, once it has seen both change."""
    deadline = time.monotonic() + 60
    while True:  # the page's policy forbids to wait for an expression
        seen: dict[str, float] = page.evaluate("() => window.seen")
        if {"drawing", "costs"} <= seen.keys():
            return seen
        if time.monotonic() > deadline:
            raise RuntimeError(f"after a key the page has seen {', '.join(seen)} alone")
        page.wait_for_timeout(50)


def settled(page: Page) -> None:
    page.wait_for_timeout(500)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)
