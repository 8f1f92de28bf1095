"""What comes out of one operation: its strongest maps or numbers; of the logits, the answers."""

from collections.abc import Iterable
from html import escape
from math import isfinite
from typing import NamedTuple

import streamlit as st

from controls import work
from controls.panel import panel
from controls.services import built, forwards
from controls.services.subject import Subject
from controls.text import plain
from explorer.analyses import activations
from explorer.analyses.activations import Maps
from explorer.plan import Op
from explorer.plots import mosaic
from explorer.plots.colours import SIGNED
from explorer.running import weights

MOST_UNASKED = 0.3  # seconds: knobs are turned while it is on the page
STRONGEST, COLUMNS = 8, 4
ANSWERS = 4
SHARP = 2  # times as large as they are shown: browsers blur what they enlarge
POSITIVE, NEGATIVE = SIGNED[6], SIGNED[2]

STYLE = """<style>
.bars { width: 100%; border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.bars td { border: none; padding: 0.05rem 0.6rem 0.05rem 0; overflow-wrap: anywhere; }
.bars td:last-child { width: 45%; padding-right: 0; }
.bars div { height: 0.8em; }
</style>"""


class Bar(NamedTuple):
    """`share` of the longest bar, -1 to 1."""

    label: str
    value: str
    share: float


@panel
def strongest(op: Op, is_last: bool, subject: Subject, width: int) -> None:
    """By one forward pass of the picture. What would take long waits for a click, once for each network."""
    task = built.task(subject.config, subject.weights, subject.device, passes=1)
    if not work.agreed("Show its maps", task, MOST_UNASKED):
        return
    used = built.current(asks=False)
    maps = forwards.forward(subject._replace(weights=used), [op.name]).maps[op.name]
    if is_last:
        _bars(answers(maps, weights.class_names(used, subject.config.classes)))
        said = "Its top answers"
    elif maps.shape[1:] == (1, 1):
        _bars(numbers(maps))
        said = f"The largest of its {len(maps)} numbers"
    else:
        said = _sheet(op.name, maps, width)
    st.caption(f"{said} · {plain(used.label)}")


def answers(logits: Maps, names: tuple[str, ...]) -> list[Bar]:
    found = activations.answers(logits.ravel(), ANSWERS)
    return [Bar(names[one.number], f"{one.probability:.1%}", one.probability) for one in found]


def numbers(maps: Maps) -> list[Bar]:
    """Of a vector (C, 1, 1), on one scale."""
    reach = float(mosaic.reaches(maps, each=False)[0]) or 1.0
    chosen = activations.strongest(maps, STRONGEST)
    return [Bar(f"channel {i}", f"{maps[i].item():.3g}", maps[i].item() / reach) for i in chosen]


def _bars(bars: Iterable[Bar]) -> None:
    rows = []
    for bar in bars:
        colour, length = POSITIVE if bar.share > 0 else NEGATIVE, abs(bar.share) if isfinite(bar.share) else 0.0
        drawn = f"<div style='width: {min(1.0, length):.1%}; background: {colour}'></div>"
        rows.append(f"<tr><td>{escape(bar.label)}<td>{bar.value}<td>{drawn}")
    st.html(f"{STYLE}<table class='bars'>{''.join(rows)}</table>")


def _sheet(name: str, maps: Maps, width: int) -> str:
    """Draws the maps, on the layer's one scale, and says what they are."""
    chosen = activations.strongest(maps, STRONGEST)
    found = mosaic.mosaic(
        maps[chosen],
        mosaic.reaches(maps, each=False)[chosen],
        mosaic.is_signed(maps),
        width,
        min(COLUMNS, len(chosen)),
    )
    which = f"Its {len(chosen)} strongest of {len(maps)} maps" if len(maps) > len(chosen) else f"Its {len(maps)} maps"
    picture = mosaic.resize(found.picture, SHARP * width)
    st.image(mosaic.data_url(picture), width=width, alt=f"{which}: {name}, for this picture.")
    reach = f"{found.reach[0]:.3g}"
    return f"{which}: 0 is white, {reach} red" + (f", −{reach} blue" if found.signed else "")
