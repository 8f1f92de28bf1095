"""Uploads that links name: found by their name alone, for a while after their pages were closed, and never changed."""

import pytest
from visitor import FEATURE_MAPS, captions, fine, link, messages, opened, photo, upload, went
from visitor import checkpoint as checkpoint_file

from controls import kept
from controls.kept import Kept

SMALL = "resnet20_cifar"


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch):
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(kept, "_uses", {})


# --- a page that is loaded anew


def sent(app, data):
    box = next(box for box in app.file_uploader if box.label == "Your own pictures")
    box.set_value(("holiday.png", data, "image/png")).run()
    return fine(app)


@pytest.mark.usefixtures("navigation")
def test_a_link_finds_the_picture_as_long_as_the_server_has_it():
    app = sent(opened(FEATURE_MAPS, network=SMALL), photo())
    (picture,) = app.session_state.visitor.pictures.values()
    named = link(app)["picture"]
    assert kept.NAME.fullmatch(named)
    again = opened(FEATURE_MAPS, **link(app))
    assert messages(again) == []
    assert again.selectbox(key="link.picture").value == named
    assert again.session_state.visitor.pictures == {named: picture}
    assert link(again) == link(app)
    # another visitor's page has none of it
    assert "holiday.png" not in opened(FEATURE_MAPS, network=SMALL).selectbox(key="link.picture").options
    kept.forget(named)
    late = opened(FEATURE_MAPS, **link(app))
    assert messages(late) == ["The picture of this link is no longer on the server; upload it again."]
    assert late.selectbox(key="link.picture").value == "shapes.3"


@pytest.mark.usefixtures("navigation")
def test_a_link_finds_the_checkpoint_with_what_was_said_of_it():
    app = upload(opened(FEATURE_MAPS, network="plain20_cifar"), "mine.safetensors", checkpoint_file("plain20_cifar", 5))
    undescribed = link(app)
    (mean, std) = (
        next(box for box in app.text_input if box.label == label) for label in ("Mean", "Standard deviation")
    )
    mean.set_value("0.25")
    std.set_value("0.5")
    next(button for button in app.sidebar.button if button.label == "Use").click().run()
    assert link(fine(app))["weights"] != undescribed["weights"]
    again = opened(FEATURE_MAPS, **link(app))
    assert messages(again) == []
    assert "mean 0.25" in captions(again)
    # the link that was given on before stays what it was
    assert "mean 0.25" not in captions(opened(FEATURE_MAPS, **undescribed))
    went(again, network="plain20_cifar")
    assert "uploaded: mine.safetensors" not in captions(again)
    went(again, **link(app))
    assert "uploaded: mine.safetensors" in captions(again)
    kept.forget(link(app)["weights"])
    late = opened(**link(app))
    assert messages(late)[0] == "The checkpoint of this link is no longer on the server; upload it again."


# --- what is kept, and for how long


def test_names_cannot_be_guessed_and_tell_nothing_of_the_file():
    same = [kept.keep(Kept("a.png", b"x"), "one") for _ in range(200)]
    assert len(set(same)) == 200
    digits = "".join(name.removeprefix("own-") for name in same)
    assert len(digits) == 200 * 80 // 4
    # each of the sixteen about equally often: 250 of 4,000, with a standard deviation of 15
    assert all(170 < digits.count(one) < 330 for one in "0123456789abcdef")


def test_it_goes_some_time_after_the_last_page_that_had_it_was_closed(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(kept.time, "monotonic", lambda: now)
    name = kept.keep(Kept("a.png", b"x"), "one")
    now += 10 * kept.KEEP
    kept.expire({"one"})  # still open
    assert kept.find(name, "other")
    now += kept.KEEP - 1
    kept.expire({"other"})
    now += kept.KEEP - 1
    kept.expire(set())
    assert kept.find(name, "late")
    kept.expire(set())
    now += kept.KEEP
    kept.expire(set())
    assert kept.find(name, "late") is None


def test_what_is_sent_now_is_worth_more_than_what_was_left(monkeypatch):
    now = 0.0
    monkeypatch.setattr(kept.time, "monotonic", lambda: now)
    data = {session: bytes(10 * kept.EACH) for session in ("open", "first", "second", "third")}
    names = {}
    for session, one in data.items():
        now += 1
        names[session] = kept.keep(Kept("a", one), session)
    again = kept.keep(Kept("a", data["open"], about="described"), "open")  # the same bytes are counted once
    assert kept.size() == 40 * kept.EACH
    assert kept.size({id(data["open"])}) == 30 * kept.EACH
    kept.make_room(15 * kept.EACH, {"open"})
    assert [session for session in names if kept.find(names[session], "open")] == ["open", "third"]
    assert kept.find(again, "open")
    kept.make_room(10**9, {"open"})  # all that is left is in use
    assert kept.size() == 20 * kept.EACH
