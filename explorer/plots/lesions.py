"""What is a block worth? Bars of the accuracy without each, in the order in which they run."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from explorer.plan.lesions import Part

Figure = dict[str, Any]  # {"data": [...], "layout": {...}}

BAR, GUIDE = "#0072B2", "#888888"  # Okabe and Ito's blue
HEIGHT = 300  # pixels
BESIDE = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "showarrow": False}
MOST_LABELS = 40  # beyond, the axis says only where stages begin


def each_removed(parts: Sequence[Part], shares: Sequence[float], whole: float, chance: float) -> Figure:
    """`shares` are the accuracies, 0..1, without each of the parts; `whole` is that of the whole network."""
    places = list(range(len(parts)))
    starts = [next(places_of)[0] for _, places_of in groupby(enumerate(parts), key=lambda at: at[1].stage)]
    labels = places if len(parts) <= MOST_LABELS else starts
    bars = {
        "type": "bar",
        "x": places,
        "y": list(shares),
        "marker": {"color": BAR},
        "customdata": [part.name for part in parts],
        "hovertemplate": "without %{customdata}: %{y:.1%}<extra></extra>",
        "showlegend": False,
    }
    return {
        "data": [bars],
        "layout": {
            "height": HEIGHT,
            "margin": {"l": 0, "r": 92, "t": 12, "b": 0},
            "bargap": 0.15,
            "dragmode": False,
            "xaxis": {
                "tickvals": labels,
                "ticktext": [parts[i].name for i in labels],
                "tickangle": -45 if len(labels) > 8 else 0,
                "automargin": True,
                "fixedrange": True,
            },
            "yaxis": {
                "range": [0, 1.02],
                "tickformat": ".0%",
                "title": {"text": "Accuracy"},
                "automargin": True,
                "fixedrange": True,
            },
            "shapes": [
                *(_line(y, dash) for y, dash in ((whole, "solid"), (chance, "dash"))),
                *(_between(start) for start in starts[1:]),
            ],
            "annotations": [
                {**BESIDE, "y": whole, "text": f"whole, {whole:.1%}"},
                {**BESIDE, "y": chance, "text": f"chance, {chance:.0%}"},
            ],
        },
    }


def _line(y: float, dash: str) -> dict[str, Any]:
    line = {"color": GUIDE, "width": 1.5, "dash": dash}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def _between(start: int) -> dict[str, Any]:
    """Where a stage begins."""
    line = {"color": GUIDE, "width": 1, "dash": "dot"}
    return {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": start - 0.5, "x1": start - 0.5, "line": line}
