"""The design space page as its visitors use it."""

import pytest
from visitor import ARCHITECTURE, DESIGN_SPACE, chart, click, config, fine, messages, opened, tick, visit

from explorer.families import FAMILIES, PRESETS, plan

pytestmark = pytest.mark.usefixtures("navigation")
SMALL = "resnet20_cifar"


def axes_of(app):
    layout = chart(app, "map.")["layout"]
    return layout["xaxis"]["title"]["text"], layout["yaxis"]["title"]["text"]


def found(app):
    """The table of what was found, or None."""
    tables = [one.value for one in app.dataframe if "used" in one.value]
    return tables[0] if tables else None


def searched(app):
    (button,) = (one for one in app.button if one.label == "Search")
    return fine(button.click().run())


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
    app = opened(DESIGN_SPACE, network=SMALL)
    assert found(app) is None
    app.number_input(key="search.params").set_value(0.5).run()
    table = found(searched(app))
    assert (table.params <= 500_000).all()
    assert table.used.is_monotonic_decreasing
    tick(app, "search.rows.1", 2)
    assert plan(config(app)).params == table.params[2]
    assert found(app).equals(table)  # the rows are still there, to go to another
    tick(app, "search.rows.1", 0)
    assert plan(config(app)).params == table.params[0]
    # on another page and back
    visit(app.switch_page(ARCHITECTURE), DESIGN_SPACE)
    assert found(app).equals(table)


def test_a_new_search_has_a_table_of_its_own():
    app = searched(opened(DESIGN_SPACE, network=SMALL))
    tick(app, "search.rows.1", 1)
    searched(app)
    (table,) = (one for one in app.dataframe if "search.rows" in one.proto.id)
    assert table.proto.id.endswith("search.rows.2")


def test_what_was_found_for_one_family_is_not_shown_for_another():
    app = searched(opened(DESIGN_SPACE, network=SMALL))
    assert found(app) is not None
    app.pills(key="family").select("densenet").run()
    assert found(fine(app)) is None
    app.pills(key="family").select("resnet").run()
    app.selectbox(key="preset").select(SMALL).run()
    assert found(fine(app)) is not None


def test_what_was_found_is_not_shown_once_another_knob_was_turned():
    app = searched(opened(DESIGN_SPACE, network=SMALL))
    app.slider(key="resnet.input_size").set_value(48).run()
    assert found(fine(app)) is None


def test_nothing_under_the_limits():
    app = opened(DESIGN_SPACE, network=SMALL)
    app.number_input(key="search.params").set_value(0.001).run()
    searched(app)
    assert found(app) is None
    assert "None of them stays under the limits." in "\n".join(one.value for one in app.caption)
