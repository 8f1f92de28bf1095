"""Imports run one way: app and pages ask the library; what only counts needs no torch. Read from the sources."""

import pytest
from import_graph import GRAPH, MODULES, ROOT, TENSORS, imports_of, reached, within

ABOVE = {"streamlit", "pages", "controls", "app", "server"}  # what the library knows nothing of
TABLES = {"numpy", "pandas"}
OPEN_TO_ALL = ("errors", "remembering", "wording")  # they import nothing of ours
# room -> the rooms of explorer/ that it may import from, beside itself and those
ROOMS = {
    "plan": set(),
    "families": {"plan"},
    "counting": {"families", "plan"},
    "links": {"families"},
    "recognition": {"families", "plan"},
    "drawing": {"plan"},
    "running": {"pictures", "counting", "families", "plan", "recognition"},
    "network": {"running"},
    "pictures": set(),
    "learning": {"running", "pictures", "counting", "families", "plan"},
    "analyses": {"running", "pictures", "counting", "plan"},
    "command_line": {"counting", "experiments", "families", "learning", "links", "plan", "running"},
    "experiments": {"analyses", "families", "learning", "plan", "plots", "running"},
    "plots": {"analyses", "counting", "drawing", "learning", "plan", "running"},
}
WITHOUT_TENSORS = (*OPEN_TO_ALL, "plan", "families", "counting", "links", "recognition", "drawing")


def test_imports_are_found_wherever_they_stand():
    source = """
import os.path
from a.b import c as d

def late():
    import torch.nn
    from . import sister
    from ..cousins import one

if True:
    from .. import aunt
"""
    expected = {"os", "os.path", "a", "a.b", "a.b.c", "torch", "torch.nn", "x", "x.y", "x.y.sister"}
    expected |= {"x.cousins", "x.cousins.one", "x.aunt"}
    assert imports_of(source, "x.y.z") == expected
    # inside a package's own __init__ one dot is the package
    assert imports_of("from .z import w", "x.y", package=True) == {"x", "x.y", "x.y.z", "x.y.z.w"}


def test_the_graph_is_the_projects():
    assert {"explorer.plan", "explorer.running.network", "explorer.families.resnet"} <= GRAPH.keys()
    assert "torch" in reached("explorer.running.network")
    assert "explorer.plan" in reached("explorer.counting.costs")
    assert "psutil" in reached("explorer.counting.budget")


@pytest.mark.parametrize("module", within("explorer"))
def test_the_library_knows_nothing_of_the_app(module):
    assert not GRAPH[module] & ABOVE


@pytest.mark.parametrize("room", WITHOUT_TENSORS)
def test_what_only_counts_needs_no_tensors(room):
    for module in within(f"explorer.{room}"):
        assert not reached(module) & (TENSORS | TABLES), module


def rooms_of(names):
    return {name.split(".")[1] for name in names if name.startswith("explorer.")}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way_through_the_rooms(room):
    for module in within(f"explorer.{room}"):
        assert rooms_of(GRAPH[module]) <= {*ROOMS[room], room, *OPEN_TO_ALL}, module


@pytest.mark.parametrize("room", ROOMS)
def test_no_arrow_is_allowed_in_vain(room):
    used = set().union(*(rooms_of(GRAPH[module]) for module in within(f"explorer.{room}")))
    assert ROOMS[room] <= used


@pytest.mark.parametrize("module", OPEN_TO_ALL)
def test_what_is_open_to_all_imports_nothing_of_ours(module):
    assert rooms_of(GRAPH[f"explorer.{module}"]) == set()


def test_every_room_has_its_arrows():
    assert rooms_of(MODULES) == {*ROOMS, *OPEN_TO_ALL, "__main__"}


def test_pages_only_ask():
    for module in within("pages"):
        assert not GRAPH[module] & (TENSORS | {"app", "server"}), module


def test_controls_know_no_page():
    for module in within("controls"):
        assert not {name.split(".")[0] for name in GRAPH[module]} & {"pages", "app", "server"}, module


def test_plots_take_tables_and_arrays():
    for module in within("explorer.plots"):
        assert not GRAPH[module] & TENSORS, module


# -- the picture of the house in CONTRIBUTING.md -----------------------------------------------------------------------


def places_of(names):
    """Rooms, and what stands above them."""
    above = {name.split(".")[0] for name in names} & {"app", "pages", "controls"}
    return (above | rooms_of(names)) - {*OPEN_TO_ALL, "__main__"}


def drawn():
    """The arrows of the picture: `a & b --> c & d` are four."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = page.split("flowchart TD\n")[1].split("```")[0].splitlines()
    sides = [[side.split(" & ") for side in line.strip().split(" --> ")] for line in lines]
    return {(source, target) for sources, targets in sides for source in sources for target in targets}


def imported():
    """The arrows of the code."""
    return {
        (place, other)
        for module, names in GRAPH.items()
        for place in places_of({module})
        for other in places_of(names) - {place}
    }


def test_every_arrow_of_the_picture_is_an_import():
    assert drawn() <= imported()


def test_every_import_goes_along_arrows_of_the_picture():
    arrows, reach = drawn(), drawn()
    while longer := {(a, d) for a, b in reach for c, d in arrows if b == c} - reach:
        reach |= longer
    assert not {(a, b) for a, b in reach if (b, a) in reach}  # no circle
    assert imported() <= reach
    # none is drawn that follows from others
    assert not [arrow for arrow in arrows if reached_without(arrows, *arrow)]


def reached_without(arrows, source, target):
    seen, ahead = set(), [b for a, b in arrows if a == source and b != target]
    while ahead:
        place = ahead.pop()
        seen.add(place)
        ahead += [b for a, b in arrows if a == place and b not in seen]
    return target in seen
