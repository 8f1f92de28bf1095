"""A figure that is a plain dictionary already, sent as it is: for charts that a page draws anew all the time.

Streamlit hands every figure to `plotly.tools.return_figure_from_figure_or_data`. Of a dictionary this makes a `Figure`,
an object for each of its parts, only to check it, and takes the dictionary out again: more work than all else that such
a chart needs. Of a `BaseFigure` it asks the dictionary alone. What the check would find, tests find.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.io
from _plotly_utils.utils import to_typed_array_spec  # type: ignore[import-untyped]
from plotly.basedatatypes import BaseFigure

Figure = Mapping[str, Any]  # {"data": [...], "layout": {...}}
PLAIN = {str, int, float, bool, type(None)}


class PlainFigure(BaseFigure):  # type: ignore[misc]
    """`st.plotly_chart` sends of it what it would send of the dictionary. It is there to be sent, and nothing else."""

    def __init__(self, figure: Figure) -> None:
        # without BaseFigure's own, which makes the objects
        self._dictionary = _sent({"layout": {}, **figure})
        if template := _template(plotly.io.templates.default):
            self._dictionary["layout"].setdefault("template", template)

    def to_dict(self) -> dict[str, Any]:
        """Not to be changed."""
        found: dict[str, Any] = self._dictionary
        return found


@lru_cache(maxsize=4)
def _template(name: str | None) -> dict[str, Any] | None:
    """Streamlit's, by which the browser knows where the page's theme belongs."""
    return plotly.io.templates[name].to_plotly_json() if name else None


def _sent(part: Any) -> Any:
    """Arrays as their bytes, as Plotly itself sends them."""
    if isinstance(part, Mapping):
        return {name: _sent(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        plain = {*map(type, part)} <= PLAIN  # of thousands of labels none needs to be looked into
        return list(part) if plain else [_sent(value) for value in part]
    return to_typed_array_spec(part) if isinstance(part, np.ndarray) else part
