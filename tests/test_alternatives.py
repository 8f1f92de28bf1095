"""Whoever cannot see a picture or a chart is told what it shows."""

import ast
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(chain((ROOT / "pages").glob("*.py"), (ROOT / "controls").rglob("*.py")))


def test_every_picture_and_chart_has_words():
    shown, without = 0, []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("image", "plotly_chart"):
                shown += 1
                if "alt" not in {word.arg for word in node.keywords}:
                    without.append(f"{path.name}:{node.lineno}")
    assert without == []
    assert shown > 20
