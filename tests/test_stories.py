"""Guided stories: whatever their files say can be seen, and the way through them is one step at a time."""

import pytest
from visitor import ROOT, config, fine, messages, opened, unvisited

from controls import choices, session, work
from controls.panels import guide
from controls.services import speed
from controls.stories import STORIES
from controls.work import Outcome
from explorer import links
from explorer.families import PRESETS

MOST_STEPS, MOST_WORDS = 5, 45
STEPS = {f"{name}.{n}": step for name, story in STORIES.items() for n, step in enumerate(story.steps, 1)}


def file_of(title):
    return f"pages/{title.lower().replace(' ', '_')}.py"


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_short(name):
    story = STORIES[name]
    assert story.question.endswith("?")
    assert 1 <= len(story.steps) <= MOST_STEPS
    for step in story.steps:
        assert len(f"{step.text} {step.look}".split()) <= MOST_WORDS, step.text


@pytest.mark.parametrize("place", STEPS)
def test_a_step_names_what_there_is(place):
    step = STEPS[place]
    assert (ROOT / file_of(step.page)).exists()
    choice, problems = links.read(step.link)
    assert problems == []
    assert links.write(choice).items() <= step.link.items()


@pytest.mark.usefixtures("navigation")
def test_each_step_opens_by_its_link_and_shows_what_that_says(monkeypatch):
    monkeypatch.setattr(work, "results", lambda label, tasks, asks=False: [Outcome() for _ in tasks])
    monkeypatch.setattr(speed, "speed", lambda job: None)
    app = unvisited().run()
    for place, step in STEPS.items():
        link = {**step.link, "story": place}
        # to another page first, since a link is read where it leads to another page
        app.switch_page(file_of("Design space")).run()
        app.query_params = link
        fine(app.switch_page(file_of(step.page)).run())
        assert messages(app) == []
        assert app.query_params == link
        for name in step.link.keys() - session.reserved():  # each of them a choice that is drawn
            assert choices._text(app.session_state[choices.key_of(name)]) == step.link[name]
        assert step.heading in ("", *(found.value for found in app.subheader))
        assert any(step.text in found.value for found in app.markdown)
        assert "Set up again" not in {button.label for button in app.button}


def buttons(app):
    return {button.label: button for button in app.button if (button.key or "").startswith("guide.")}


@pytest.mark.usefixtures("navigation")
def test_a_story_goes_on_while_knobs_are_turned_until_it_is_left():
    app = opened()
    buttons(app)[STORIES["reuse"].question].click().run()
    assert app.query_params == {**STEPS["reuse.1"].link, "story": "reuse.1"}
    buttons(app)["Next"].click().run()
    app.slider(key="densenet.growth_rate").set_value(24).run()
    assert app.query_params == {"network": "densenet_bc40_12_cifar", "growth_rate": "24", "story": "reuse.2"}
    assert STEPS["reuse.2"].text in "\n".join(found.value for found in app.markdown)
    buttons(app)["Set up again"].click().run()
    assert config(app) == PRESETS["densenet_bc40_12_cifar"]
    app.button(key="guide.close").click().run()
    assert app.query_params == STEPS["reuse.2"].link
    assert STORIES["depth"].question in buttons(fine(app))


@pytest.mark.usefixtures("navigation")
def test_the_introduction_stands_on_the_first_page_until_it_is_dismissed():
    app = opened(story="nothing.9")
    assert buttons(app).keys() == {"", *(story.question for story in STORIES.values())}
    assert any(guide.NAME in found.value for found in app.markdown)
    app.switch_page(file_of("Design space")).run()
    assert buttons(app) == {}
    app.switch_page(file_of("Architecture")).run()
    app.button(key="guide.close").click().run()
    assert buttons(fine(app)) == {}
    assert buttons(opened(**app.query_params)) == {}
