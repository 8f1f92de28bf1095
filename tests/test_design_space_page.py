"""The design space page as its visitors use it."""

import pytest
from made import TINY, made, register
from visitor import (
    ARCHITECTURE,
    DESIGN_SPACE,
    chart,
    click,
    config,
    fine,
    link_of_weights,
    messages,
    opened,
    tick,
    visit,
)

from controls.panels import budget_search
from explorer.families import FAMILIES, PRESETS, Preset, plan

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet20_cifar"
ResNet = FAMILIES["resnet"]


def axes_of(app):
    layout = chart(app, "map.")["layout"]
    return layout["xaxis"]["title"]["text"], layout["yaxis"]["title"]["text"]


def found(app):
    """The table of what was found, or None."""
    tables = [one.value for one in app.dataframe if "depth" in one.value]
    return tables[0] if tables else None


def searched(app):
    (button,) = (one for one in app.button if one.label == "Search")
    return fine(button.click().run())


def said(app):
    return "\n".join(one.value for one in (*app.caption, *app.markdown, *app.info))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_map_of_its_first_two_axes(family):
    app = opened(DESIGN_SPACE, network=next(iter(FAMILIES[family].presets)))
    assert messages(app) == []
    across, upward = (app.selectbox(key=f"link.{axis}") for axis in "xy")
    assert axes_of(app) == (across.options[0], upward.options[0]) == (across.options[0], across.options[1])


def test_axes_and_measure_stand_in_the_link():
    app = opened(DESIGN_SPACE, network="densenet121")
    app.selectbox(key="link.x").select("blocks.4").run()
    app.selectbox(key="link.y").select("input_size").run()
    app.segmented_control(key="link.measure").select("memory").run()
    assert fine(app).query_params == {
        "network": "densenet121",
        "x": "blocks.4",
        "y": "input_size",
        "measure": "memory",
    }
    again = opened(DESIGN_SPACE, **app.query_params)
    assert axes_of(again) == axes_of(app) == ("Layers, stage 4", "Input size")
    assert chart(again, "map.")["data"][0]["colorbar"]["title"]["text"] == "MB, forward peak"


def test_an_axis_of_another_family_is_passed_over():
    app = opened(DESIGN_SPACE, network=SMALL, x="growth_rate", y="<script>", measure="money")
    assert messages(app) == []
    assert axes_of(app) == axes_of(opened(DESIGN_SPACE, network=SMALL))


def test_a_click_on_the_map_turns_both_knobs():
    app = opened(DESIGN_SPACE, network="densenet121", x="growth_rate", y="blocks.1")
    click(app, "map.", [24, 8])
    assert config(app) == PRESETS["densenet121"].replace(growth_rate=24, blocks=(8, 12, 24, 16))
    # and again, on the chart that was drawn anew
    click(app, "map.", [32, 6])
    assert config(app) == PRESETS["densenet121"]


def test_a_search_finds_networks_under_the_limits_and_a_tick_goes_there():
    app = opened(DESIGN_SPACE, network=SMALL, **{"turn-resnet": "blocks"})
    assert found(app) is None
    app.number_input(key="link.most-params-m").set_value(0.5).run()
    assert fine(app).query_params["most-params-m"] == "0.5"
    table = found(searched(app))
    assert (table.params <= 500_000).all()
    assert table.used.is_monotonic_decreasing
    key = f"search.rows.{app.session_state.visitor.searches}"
    tick(app, key, 2)
    assert (plan(config(app)).params, ResNet.depth(config(app))) == (table.params[2], table.depth[2])
    assert found(app).equals(table)  # the rows are still there, to go to another
    tick(app, key, 0)
    assert plan(config(app)).params == table.params[0]
    # on another page and back
    visit(app.switch_page(ARCHITECTURE), DESIGN_SPACE)
    assert found(app).equals(table)
    # a new search has a table of its own: the tick belongs to the old one
    searched(app)
    assert app.session_state.visitor.searches > int(key.rpartition(".")[2])
    # on another family's page the answers are gone, and on this one's they are back
    app.pills(key="family").select("densenet").run()
    assert found(fine(app)) is None
    app.pills(key="family").select("resnet").run()
    app.selectbox(key="preset").select(SMALL).run()
    assert found(fine(app)) is not None
    # and so they are once a knob has changed that was not turned
    app.slider(key="resnet.input_size").set_value(48).run()
    assert found(fine(app)) is None


def test_a_question_stands_in_the_link_and_waits_for_a_click():
    app = opened(DESIGN_SPACE, network=SMALL, **{"turn-resnet": "blocks"})
    app.selectbox(key="link.objective").select("cheapest").run()
    app.number_input(key="link.least-depth").set_value(44).run()
    app.selectbox(key="link.most-params").select("resnet56_cifar").run()
    app.selectbox(key="link.most-macs").select("none").run()
    link = fine(app).query_params
    assert link == link_of_weights(SMALL) | {
        "network": SMALL,
        "turn-resnet": "blocks",
        "objective": "cheapest",
        "least-depth": "44",
        "most-params": "resnet56_cifar",
        "most-macs": "none",
    }
    again = opened(DESIGN_SPACE, **link)
    assert found(again) is None
    # He et al., table 6: 0.85 M parameters
    assert "853,018" in said(again)
    assert "64,000 combinations. Blocks: 1 to 40 in each of the stages." in said(again)
    table = found(searched(again))
    assert (table.depth >= 44).all()
    assert (table.params <= 853_018).all()
    assert table.MACs.is_monotonic_increasing
    assert "are less deep than 44" in said(again)
    assert "have more than 853,018 params" in said(again)
    # the question has changed since: the answers say which one they belong to
    assert "question before" not in said(again)
    again.number_input(key="link.least-depth").set_value(50).run()
    assert "question before" in said(fine(again))
    assert found(again).equals(table)


def test_what_a_link_may_say_of_a_search():
    strange = {"objective": "loudest", "turn-resnet": "growth_rate.<b>", "most-macs": "resnet0", "most-params-m": "-1"}
    app = opened(DESIGN_SPACE, network=SMALL, **strange)
    # no knob of this family is left, which is said; the rest is as it is at first
    assert messages(app) == ["A search needs a knob to turn; choose at least one"]
    assert app.selectbox(key="link.objective").value == "closest"
    assert app.number_input(key="link.most-params-m").value == 1
    app = opened(DESIGN_SPACE, network=SMALL, **{"most-params": "none", "most-macs": "none"})
    (sentence,) = messages(app)
    assert "needs a limit" in sentence
    assert not [one for one in app.button if one.label == "Search"]


def test_nothing_under_the_limits():
    app = opened(DESIGN_SPACE, network=SMALL, **{"most-params-m": "0.001", "turn-resnet": "blocks.width"})
    searched(app)
    assert found(app) is None
    assert "There is none." in said(app)
    # widths below the stem's 16, which is refused for a reason
    assert "192,000 cannot be, for example" in said(app)
    assert "zero padding cannot narrow" in said(app).replace("\\", "")


def test_a_family_without_an_order_of_its_knobs_is_searched_too(monkeypatch):
    # of a size of its own: plans are remembered by their configuration, also of a family that another test makes faulty
    register(monkeypatch, made(presets={"made3": Preset("Made-3", TINY.replace(input_size=24))}))
    app = opened(DESIGN_SPACE, network=SMALL)
    app.pills(key="family").select("made").run()
    monkeypatch.setattr(budget_search, "MOST_SECONDS", 0.3)
    app.selectbox(key="link.objective").select("widest").run()
    table = found(searched(app))
    assert table.width.is_monotonic_decreasing
