"""Where does one begin? What the app is, on its first page; and on every page the guided story that is followed."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page

from controls import session
from controls.choices import OneOf, Switch
from controls.panel import panel
from controls.stories import STORIES

PLACES = {f"{name}.{n}": (name, n) for name, story in STORIES.items() for n in range(1, len(story.steps) + 1)}

STORY = OneOf("story", "", ("", *PLACES))  # which one, and at which step
INTRODUCTION = Switch("intro", True)

ICON = (Path(__file__).parents[2] / "docs" / "icon.svg").read_text(encoding="utf-8")
NAME = "Skip-connection explorer"
SENTENCE = "change a ResNet, a DenseNet or a CliqueNet, and see why skip connections work."
STYLE = """<style>
:is(.st-key-introduction, .st-key-story) {
  position: relative; padding: 0.5rem 3rem 0.5rem 0.8rem; gap: 0.3rem;
  border-left: 4px solid #D55E00; border-radius: 0.5rem;
  background: color-mix(in srgb, Canvas 94%, #D55E00); }
:is(.st-key-introduction, .st-key-story) :is(p, [data-testid=stMarkdownContainer]) { margin: 0; }
:is(.st-key-introduction, .st-key-story) :is(button, [data-testid=stPageLink-NavLink]) {
  min-height: 2rem; margin: 0; padding: 0 0.6rem; }
.st-key-guide-close { position: absolute; top: 0.5rem; right: 0.5rem; }
:is(.st-key-introduction, .st-key-story) [data-testid=stPageLink-NavLink] {
  border: 1px solid rgba(128, 128, 128, 0.45); border-radius: 0.5rem; background: Canvas; }
@media (min-width: 700px) {
  :has(> .st-key-story) { position: sticky; top: 3.75rem; z-index: 90; }
  :has(> .st-key-story) ~ * h3 { scroll-margin-top: 12rem; }
}
</style>"""
TEXT = {"light": "#31333F", "dark": "#FAFAFA"}  # Streamlit's own, by the theme


@panel
def guide(here: Page, pages: Sequence[Page]) -> None:
    """`here` is the page that is shown, and `pages` are all that there are, the first of which has the introduction."""
    _logo()
    place = PLACES.get(STORY.value())
    if place:
        _story(*place, here, pages)
    elif here.url_path == pages[0].url_path and INTRODUCTION.value():
        _introduction(here, pages)


def _logo() -> None:
    """The name above the navigation; where the sidebar is closed the icon alone: a phone has no room for more."""
    colour = TEXT[st.context.theme.type or "light"]
    icon = ICON.replace("<svg ", '<svg width="24" height="24" ')
    st.logo(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="232" height="24">{icon}<text x="32" y="17" font-size="16" '
        f'font-weight="600" font-family="sans-serif" fill="{colour}" textLength="196">{NAME}</text></svg>',
        icon_image=ICON,
    )


def _introduction(here: Page, pages: Sequence[Page]) -> None:
    with _frame("introduction"):
        st.markdown(f"**{NAME}**: {SENTENCE}")
        with st.container(horizontal=True, gap="xsmall"):
            for name, story in STORIES.items():
                _lead(story.question, (name, 1), here, pages, icon=":material/play_circle:")
        _dismiss(INTRODUCTION.set, False, "Hide this introduction")


def _story(name: str, number: int, here: Page, pages: Sequence[Page]) -> None:
    story = STORIES[name]
    step = story.steps[number - 1]
    with _frame("story"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{story.question}** {number} of {len(story.steps)}", width="stretch")
            if here.title != step.page or session.link() != _link(name, number):
                _lead("Set up again", (name, number), here, pages, icon=":material/restart_alt:")
            if number > 1:
                _lead("Back", (name, number - 1), here, pages, icon=":material/arrow_back:")
            if number < len(story.steps):
                _lead("Next", (name, number + 1), here, pages, icon=":material/arrow_forward:", icon_position="right")
            else:
                following = _after(name)
                _lead(STORIES[following].question, (following, 1), here, pages, icon=":material/play_circle:")
        look = f"[{step.look}](#{anchor(step.heading)})" if step.heading else f"*{step.look}*"
        st.markdown(f"{step.text} :material/visibility: {look}")
        _dismiss(STORY.set, "", "Leave the story, and stay on this page as it is")


def anchor(heading: str) -> str:
    """Under which a browser finds it, as Streamlit writes it."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower())


def _after(name: str) -> str:
    """The next story; after the last one the first."""
    names = list(STORIES)
    return names[(names.index(name) + 1) % len(names)]


def _link(name: str, number: int) -> dict[str, str]:
    return {**STORIES[name].steps[number - 1].link, STORY.name: f"{name}.{number}"}


def _lead(label: str, to: tuple[str, int], here: Page, pages: Sequence[Page], **style: Any) -> None:
    """What leads to a step of a story: one step for the browser's Back, too.

    To another page a link does; one to the same page would leave the browser's address as it was.
    """
    page = next(page for page in pages if page.title == STORIES[to[0]].steps[to[1] - 1].page)
    if page.url_path == here.url_path:
        st.button(label, key=f"guide.{label}", on_click=session.open_link, args=(_link(*to),), **style)
    else:
        st.page_link(page, label=label, query_params=_link(*to), **style)


def _dismiss(choose: Callable[[Any], None], value: Any, help: str) -> None:
    st.button(
        "", icon=":material/close:", key="guide.close", type="tertiary", help=help, on_click=choose, args=(value,)
    )


def _frame(key: str) -> DeltaGenerator:
    st.html(STYLE)
    return st.container(key=key)
