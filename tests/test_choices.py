"""Choices that stand in the link: there and back, and whatever else a link may say."""

import json
import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest


def script() -> None:
    """A page with one choice of each kind."""
    import streamlit as st

    from controls import session
    from controls.choices import OneOf, SeveralOf, Switch, Whole

    steps = OneOf("steps", 50, (8, 50, 100))
    methods = SeveralOf("methods", ("saliency", "lime"), ("saliency", "lime", "occlusion", "deep_lift"), most=3)
    numbers = SeveralOf("numbers", (), (1, 2, 3))
    draw = Whole("draw", 0, most=99)
    relu = Switch("relu", True)
    layer = OneOf[str | None]("layer", None)
    session.read_link()
    session.write_link()
    found = {
        "steps": steps.select(st, "Steps"),
        "methods": methods.select(st, "Methods", title=str.upper),
        "numbers": numbers.select(st, "Numbers"),
        "draw": draw.number(st, "Seed"),
        "relu": relu.toggle(st, "ReLU"),
        "layer": layer.segments(st, "Layer", [None, "stem", "head"], default="head"),
    }
    undrawn = (steps.value(), methods.value(), numbers.value(), draw.value(), relu.value())
    assert undrawn == tuple(found.values())[:5]
    st.button("More", on_click=steps.set, args=(100,))
    st.json(found)


DEFAULTS = {
    "steps": 50,
    "methods": ["saliency", "lime"],
    "numbers": [],
    "draw": 0,
    "relu": True,
    "layer": "head",
}
NETWORK = {"network": "resnet32_cifar"}


def opened(**link: Any) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params = NETWORK | link
    return app.run()


def values(app: AppTest) -> Any:
    assert [found.message for found in app.exception] == []
    return json.loads(app.json[0].value)


def link(app: AppTest) -> dict[str, str]:
    app.run()  # written at the beginning of a run
    return {name: "".join(value) for name, value in app.query_params.items() if name != "network"}


def test_the_defaults_are_not_in_the_link() -> None:
    app = opened()
    assert values(app) == DEFAULTS
    assert link(app) == {}


def test_what_is_chosen_stands_in_the_link_and_a_copy_of_it_says_the_same() -> None:
    app = opened()
    app.selectbox(key="link.steps").set_value(8).run()
    app.multiselect(key="link.methods").set_value(["deep_lift", "saliency"]).run()
    app.multiselect(key="link.numbers").set_value([3, 1]).run()
    app.number_input(key="link.draw").set_value(7).run()
    app.toggle(key="link.relu").set_value(False).run()
    app.segmented_control(key="link.layer").set_value("stem").run()
    chosen = {
        "steps": 8,
        "methods": ["deep_lift", "saliency"],
        "numbers": [3, 1],
        "draw": 7,
        "relu": False,
        "layer": "stem",
    }
    assert values(app) == chosen
    written = {
        "steps": "8",
        "methods": "deep_lift.saliency",
        "numbers": "3.1",
        "draw": "7",
        "relu": "off",
        "layer": "stem",
    }
    assert link(app) == written
    assert values(opened(**written)) == chosen
    # and back: the declared defaults leave the link
    app.selectbox(key="link.steps").set_value(50).run()
    app.number_input(key="link.draw").set_value(0).run()
    app.toggle(key="link.relu").set_value(True).run()
    assert link(app).keys() == {"methods", "numbers", "layer"}


def test_a_default_of_this_network_alone_is_kept_once_it_is_chosen() -> None:
    app = opened(layer="stem")
    app.segmented_control(key="link.layer").set_value("head").run()
    assert link(app) == {"layer": "head"}


def test_a_set_may_be_empty_though_its_default_is_not() -> None:
    app = opened()
    app.multiselect(key="link.methods").set_value([]).run()
    assert values(app)["methods"] == []
    assert link(app) == {"methods": "none"}
    assert values(opened(methods="none"))["methods"] == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("saliency.saliency", ["saliency"]),
        ("lime.saliency.lime.saliency", ["lime", "saliency"]),
        ("deep_lift.occlusion.lime.saliency", ["deep_lift", "occlusion", "lime"]),
        ("saliency.<b>..lime", ["saliency", "lime"]),
        ("saliency" * 5000, []),
        (["lime", "occlusion"], ["occlusion"]),
    ],
)
def test_a_set_is_read_in_order_and_each_value_once(entry: Any, expected: list[str]) -> None:
    app = opened(methods=entry)
    assert values(app)["methods"] == expected
    assert app.multiselect(key="link.methods").value == expected


@pytest.mark.parametrize("nonsense", ["", "-1", "100", "9" * 400, "²", "1e1", "nan", "<script>", "\x00", "None", "ON"])
def test_nonsense_is_the_default(nonsense: str) -> None:
    names = ("steps", "draw", "relu", "layer")
    found = values(opened(**dict.fromkeys(names, nonsense)))
    # 100 is among the steps, and nothing else here is anything
    assert {name: found[name] for name in names} == {name: DEFAULTS[name] for name in names} | (
        {"steps": 100} if nonsense == "100" else {}
    )


def test_a_choice_is_set_from_elsewhere() -> None:
    app = opened(steps="8")
    app.button[0].click().run()
    assert values(app)["steps"] == 100
    assert link(app) == {"steps": "100"}


def test_what_other_pages_have_in_the_link_stays_and_the_networks_own_is_none_of_it() -> None:
    app = opened(batch="16", growth_rate="24", kernel="3")
    app.selectbox(key="link.steps").set_value(8).run()
    # a growth rate is a knob of another family, and this network has none
    assert link(app) == {"batch": "16", "kernel": "3", "steps": "8"}


def test_a_link_of_hundreds_of_entries_is_cut() -> None:
    app = opened(**{f"x{i}": "y" * 1000 for i in range(300)})
    kept = {name: value for name, value in app.session_state.visitor.link.items() if name != "network"}
    assert len(kept) == 40
    assert set(kept.values()) == {"y" * 300}


def two_alike() -> None:
    import streamlit as st

    from controls import session
    from controls.choices import OneOf

    session.read_link()
    session.write_link()
    st.text(OneOf("class", 0, (0, 1, 2)).select(st, "Class", title={0: "crane", 1: "cat", 2: "crane"}.__getitem__))


def test_two_options_of_one_title_can_be_told_apart() -> None:
    app = AppTest.from_function(two_alike, default_timeout=60).run()
    assert app.selectbox(key="link.class").options == ["crane (0)", "cat", "crane (2)"]
    app.selectbox(key="link.class").select("crane (2)").run()
    assert app.text[0].value == "2"


def parts() -> None:
    import streamlit as st

    from controls import session
    from controls.choices import Names

    opened, known = Names("opened"), [f"layer{i}.{j}" for i in range(4) for j in range(30)]
    session.read_link()
    session.write_link()
    found = opened.value(known)
    for some in (["layer2.0", "layer1"], [], known[:60], known, known[3:]):
        st.button(str(len(some)), on_click=opened.set, args=(some, known))
    st.json(["nothing chosen"] if found is None else sorted(found))


def test_parts_of_a_network_stand_in_the_link_by_their_names() -> None:
    app = AppTest.from_function(parts, default_timeout=60)
    app.query_params = dict(NETWORK)
    assert values(app.run()) == ["nothing chosen"]
    two, none, half, every, most = range(5)
    app.button[two].click().run()
    assert link(app) == {"opened": "layer1.layer2_0"}
    assert values(app) == ["layer2.0"]  # the other is none of this network's
    app.button[none].click().run()
    assert values(app) == []
    assert link(app) == {"opened": "none"}
    app.button[every].click().run()
    assert link(app) == {"opened": "all"}
    assert len(values(app)) == 120
    app.button[most].click().run()
    assert link(app) == {"opened": "all.layer0_0.layer0_1.layer0_2"}
    assert len(values(app)) == 117
    app.button[half].click().run()
    # as many as there is room for, each whole: layer0's thirty have 10 x 9 + 20 x 10 characters with their dots, and
    # what is left of 301 is enough for one of 9 more
    names = link(app)["opened"].split(".")
    assert len(names) == len(values(app)) == 31
    assert all(re.fullmatch(r"layer\d_\d+", name) for name in names)


@pytest.mark.parametrize("nonsense", ["", "...", "layer9", "<script>", "x" * 5000, "layer2.0", "\x00"])
def test_names_that_are_no_parts_are_passed_over(nonsense: str) -> None:
    app = AppTest.from_function(parts, default_timeout=60)
    app.query_params = {"opened": f"{nonsense}.layer3_1"[:300] if len(nonsense) < 300 else nonsense}
    assert values(app.run()) in (["layer3.1"], [])
