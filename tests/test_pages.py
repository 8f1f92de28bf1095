"""A page chooses, asks and shows. Read from the sources: what pages may do, and what they declare in the link."""

import ast

import pytest
from import_graph import GRAPH, MODULES, TENSORS, within

from controls import session

PAGES, PANELS = within("pages"), within("controls.panels")
KINDS = {"OneOf", "SeveralOf", "Names", "Whole", "Real", "Text", "Switch"}
MOST_LINES = 150


def tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def names_of_choices(source):
    """The link names of the choices that are declared in a source."""
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            made = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            if isinstance(made, ast.Name) and made.id in KINDS:
                found.append(node.args[0].value)
    return found


def globals_read(source):
    """Variables of the module, not its constants, that its functions read."""
    made = set()
    for node in source.body:
        for inner in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store) and not inner.id.isupper():
                made.add(inner.id)
    found = set()
    for function in ast.walk(source):
        if isinstance(function, ast.FunctionDef):
            own = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
            own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            inner = [arg.arg for node in ast.walk(function) if isinstance(node, ast.Lambda) for arg in node.args.args]
            read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            found |= (read & made) - own - set(inner)
    return found


def test_what_is_read_from_sources_is_found():
    source = ast.parse(
        """
LIMIT = 3
STEPS = OneOf[int | None]("steps", 50)
METHODS = SeveralOf("methods", ())
plan = current()
for row in plan:
    width = 2

def panel(width, other):
    plan = other
    return plan, width, LIMIT, row

def reader():
    return [plan for one in range(LIMIT)]
"""
    )
    assert names_of_choices(source) == ["steps", "methods"]
    assert globals_read(source) == {"row", "plan"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_read_in_one_sitting(page):
    assert len(MODULES[page].read_text(encoding="utf-8").splitlines()) < MOST_LINES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_no_arithmetic(page):
    assert not GRAPH[page] & (TENSORS | {"numpy"})


@pytest.mark.parametrize("module", [*PAGES, *PANELS])
def test_functions_take_what_they_need(module):
    assert globals_read(tree(module)) == set()


@pytest.mark.parametrize("module", [*PAGES, *within("controls"), "app", "server"])
def test_session_state_is_touched_in_one_module(module):
    attributes = {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert ("session_state" in attributes) == (module == "controls.session")


def test_names_in_the_link_are_declared_once_and_are_not_the_networks():
    names = [name for module in (*PAGES, *within("controls")) for name in names_of_choices(tree(module))]
    assert {"methods", "steps"} <= set(names)
    assert sorted(set(names)) == sorted(names)
    assert not set(names) & session.reserved()
    assert all(session.ENTRY.fullmatch(name) for name in names)
