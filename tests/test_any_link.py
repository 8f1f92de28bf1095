"""Whatever a link says, every page opens: no traceback, and nothing of it is taken for Markdown or HTML.

Names and words are those that the app's own files write, so that a new page or choice is tried by itself.
"""

import ast
from dataclasses import is_dataclass
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from visitor import ROOT, fine, unvisited

from controls import choices, work
from controls.services import speed
from explorer.analyses.attribution.methods import METHODS
from explorer.families import FAMILIES, PRESETS, knobs

PAGES = sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("[!_]*.py"))
SMALL = ("resnet20_cifar", "plain20_cifar", "densenet40_12_cifar", "cliquenet_k36_t12", "vgg11_bn_cifar")
HOSTILE = (
    *(
        "![x](//localhost/a.png)",
        "<img src=//localhost/a.png>",
        "[x](javascript:alert(1))",
        "$\\frac{1}{0}$",
        ":red[x]",
    ),
    *("\x00", "\u202eabc", "a" * 5000, "٣", "nan", "-0", "1e999", "9" * 400, "..", ".", "None", "%00", "{}"),
)


CHOICES = {name for name, found in vars(choices).items() if is_dataclass(found)}
NODES = [
    node
    for path in chain((ROOT / "pages").glob("*.py"), (ROOT / "controls").rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
]


def strings(nodes):
    return sorted({node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)})


# of every OneOf("name", ...) and the like
NAMES = strings(
    node.args[0]
    for node in NODES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CHOICES and node.args
)
# options of choices, and much else
STRINGS = [text for text in strings(NODES) if len(text) < 40]
KNOBS = sorted({knob.name for family in FAMILIES.values() for knob in knobs(family.config)})
WORDS = st.one_of(
    st.sampled_from(STRINGS),
    st.sampled_from(HOSTILE),
    st.integers(-2, 400).map(str),
    st.text(max_size=20),
    st.sampled_from(["conv1", "fc", "layer2.0.conv1", "layer3.2.add", "plain", *METHODS]),
)
VALUES = st.one_of(WORDS, WORDS.map(lambda word: f"{word}.{word}"), st.lists(WORDS, max_size=4).map(".".join))
# an entry may be typed twice
ENTRIES = st.dictionaries(st.sampled_from(NAMES), VALUES | st.lists(VALUES, min_size=2, max_size=2), max_size=8)
OWN = st.dictionaries(st.sampled_from(["op", "against", "weights", "seed", "norms", *KNOBS]), VALUES, max_size=3)


@pytest.mark.usefixtures("navigation")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_by_any_link(page, monkeypatch):
    monkeypatch.setattr(work, "MOST_UNASKED", 0.2)  # what takes longer is asked for by a click, and not tried here
    monkeypatch.setattr(speed, "speed", lambda job: None)  # nor is it measured how fast each network would learn

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(SMALL), OWN, ENTRIES)
    def opens(network, own, entries):
        app = fine(unvisited(page, **{**entries, "network": network, **own}).run())
        shown = chain(app.warning, app.error, app.markdown, app.caption, app.title)
        assert not [text.value for text in shown if "![x](" in text.value or "<img" in text.value.replace("\\<", "")]

    opens()


def test_the_app_knows_these_names():
    assert {"methods", "steps", "view", "images", "sort", "open", "x"} <= set(NAMES)
    assert set(SMALL) <= set(PRESETS)
