"""The arithmetic of one number as HTML: patches, kernels and products as coloured cells, and what they come to.

Cells carry their own colours; all other text has the page's, so that it reads in light and dark. What does not fit in
a row goes into the next, down to the width of a phone.
"""

import math
import re
from html import escape

import numpy as np
from numpy.typing import NDArray

from explorer.analyses.arithmetic import OneNumber, Part, Parts, Step, parts
from explorer.plots.colours import paint, paint_kernel
from explorer.plots.mosaic import data_url, resize
from explorer.running.arithmetic import Arithmetic, Numbers
from explorer.wording import MINUS, decimal

MOST_PATCHES = 6
MOST_SINGLE = 12  # of patches that are one number each
FEW_CELLS = 4  # along a side: beyond, they are smaller
MOST_CELLS = 8  # along a side, for numbers in them; beyond, a picture
PICTURE = 180  # pixels

STYLE = """<style>
.one-number { display: flex; flex-wrap: wrap; gap: .9rem 1.6rem; align-items: flex-start; font-size: .85rem }
.one-number .row { display: flex; flex-wrap: wrap; gap: .3rem; align-items: center }
.one-number .cells { display: grid; font-size: .68rem; line-height: 1.45rem; text-align: center; gap: 1px }
.one-number .cells span { min-width: 2.4rem; padding: 0 .1rem; white-space: nowrap; border-radius: 2px }
.one-number .beyond { opacity: .55; outline: 1px dashed currentColor; outline-offset: -1px }
.one-number .dim, .one-number small { opacity: .75 }
.one-number .chip { padding: .1rem .45rem; border-radius: 4px; font-weight: 600; white-space: nowrap }
.one-number .step { padding: .3rem .6rem; border: 1px solid #80808066; border-radius: 6px }
.one-number .asked { border: 2px solid currentColor }
.one-number table { border-collapse: collapse; font-variant-numeric: tabular-nums }
.one-number td { padding: .05rem .5rem; border: 0 }
.one-number td.number { text-align: right }
.one-number .many span { min-width: 1.95rem; padding: 0; font-size: .6rem }
@media (max-width: 500px) { .one-number .cells span { min-width: 1.75rem; padding: 0; font-size: .6rem } }
.one-number .bar { display: inline-block; height: .75rem; vertical-align: middle }
</style>"""


def html(found: OneNumber) -> str:
    """All of it: the patches that contribute most, what they add up to, and what becomes of the sum."""
    single = all(patch.inside.size == 1 for patch in found.made.patches)
    shown = parts(found.made, MOST_SINGLE if single else MOST_PATCHES)
    add_up = _sums(shown) if len(shown.largest) > 2 else ""
    return f"{STYLE}{_block(_patches(shown.largest))}{_block(add_up)}{_block(_line(found))}"


def _block(content: str) -> str:
    return f'<div class="one-number" style="margin-bottom: 1rem">{content}</div>' if content else ""


# -- patches ----------------------------------------------------------------------------------------------------------


def _patches(largest: tuple[Part, ...]) -> str:
    """Each patch, its kernel and their product; colours and decimals are the same for all patches."""
    values = [part.patch.values for part in largest]
    weights = [part.patch.weights for part in largest if part.patch.weights is not None]
    products = [part.patch.products for part in largest]
    reaches = _reach(values), _reach(weights), _reach(products)
    return "".join(_patch(part, reaches) for part in largest)


def _patch(part: Part, reaches: tuple[float, float, float]) -> str:
    patch = part.patch
    of_values, of_weights, of_products = reaches
    shown = [_grid(patch.values[0], of_values, patch.inside)]
    if patch.weights is not None:
        shown.append(f'<div class="row">× {_grid(patch.weights[0], of_weights, kernel=True)}</div>')
        shown.append(f'<div class="row">= {_grid(patch.products[0], of_products)}</div>')
    where = f"channel {patch.channels[0]}"
    if patch.weights is None:
        where = f"{escape(patch.source)}, {where}"
        if patch.inside.size == 1:
            where += f", row {patch.rows[0]}, column {patch.columns[0]}"
    elif patch.values.size > 1:
        where += f" adds <b>{decimal(part.contribution)}</b>"
    return f'<div><small>{where}</small><div class="row">{"".join(shown)}</div></div>'


def _grid(values: Numbers, reach: float, inside: NDArray[np.bool_] | None = None, kernel: bool = False) -> str:
    """(h, w) as cells with numbers, or as a picture where they are many."""
    colours = paint_kernel(values, reach) if kernel else paint(values, reach, signed=True)
    if max(values.shape) > MOST_CELLS:
        said = f"full colour {decimal(reach, 3)}"
        return f'<div><img src="{data_url(resize(colours, PICTURE))}" alt="{said}"><br>{said}</div>'
    bright = colours @ np.array([0.299, 0.587, 0.114]) > 140
    text = _cell if values.size > 1 else _single
    cells = []
    for at in np.ndindex(values.shape):
        if inside is not None and not inside[at]:
            cells.append('<span class="beyond" title="beyond the border: zero">0</span>')
            continue
        r, g, b = colours[at]
        style = f"background: rgb({r},{g},{b}); color: {'#111' if bright[at] else '#fff'}"
        cells.append(f'<span style="{style}">{text(float(values[at]), reach)}</span>')
    many = " many" * (values.shape[1] > FEW_CELLS)
    across = f"grid-template-columns: repeat({values.shape[1]}, auto)"
    return f'<div class="cells{many}" style="{across}">{"".join(cells)}</div>'


def _reach(values: list[Numbers]) -> float:
    finite = [np.abs(one[np.isfinite(one)]) for one in values]
    return float(max((one.max(initial=0) for one in finite), default=0))


def _decimals(reach: float) -> int | None:
    """Of the numbers in cells, so that the largest has two or three digits; None: they are too small or too large."""
    if reach == 0:
        return 0
    size = math.floor(math.log10(reach))
    return min(2, 3 - size) if 0 <= size <= 3 else 1 - size if -3 <= size < 0 else None


def _single(value: float, _: float) -> str:
    return decimal(value)


def _cell(value: float, reach: float) -> str:
    places = _decimals(reach)
    if places is None:
        return decimal(value, 2)
    text = f"{abs(value):.{places}f}"
    if not float(text):
        return "0"
    return MINUS + text if value < 0 else text


# -- what they add up to ----------------------------------------------------------------------------------------------


def _sums(shown: Parts) -> str:
    """A bar for each channel that contributes much, and one for all others: together they are the sum."""
    names = [f"channel {part.patch.channels[0]}" for part in shown.largest]
    numbers = [part.contribution for part in shown.largest]
    if shown.others:
        names.append(f"{shown.others} other channel{'s' * (shown.others > 1)}")
        numbers.append(shown.rest)
    most = max((abs(number) for number in numbers if math.isfinite(number)), default=0) or 1
    rows = "".join(_bar(name, number, most) for name, number in zip(names, numbers, strict=True))
    total = f'<tr><td>sum</td><td></td><td class="number"><b>{_in_column(sum(numbers), most)}</b></td></tr>'
    return f"<table>{rows}{total}</table>"


def _bar(name: str, number: float, most: float) -> str:
    """To the right of the middle where it is positive, to the left where it is negative."""
    share = abs(number) / most if math.isfinite(number) else 0
    r, g, b = paint(np.array(math.copysign(0.7, number)), 1.0, signed=True)
    before = 50 if number > 0 else 50 - 50 * share
    place = f"margin-left: {before:.1f}%; width: {50 * share:.1f}%"
    bar = f'<span class="bar" style="{place}; background: rgb({r},{g},{b})"></span>'
    middle = "background: linear-gradient(#80808099, #80808099) center / 1px 100% no-repeat"
    return (
        f'<tr><td>{name}</td><td style="width: 11rem; padding: 0; {middle}">{bar}</td>'
        f'<td class="number">{_in_column(number, most)}</td></tr>'
    )


def _in_column(number: float, most: float) -> str:
    """All with the decimals of the largest."""
    text = f"{abs(number):.{min(9, max(0, 3 - math.floor(math.log10(most))))}f}" if most < 1e6 else decimal(abs(number))
    return MINUS + text if number < 0 and float(text) else text


# -- what becomes of it -----------------------------------------------------------------------------------------------


def _line(found: OneNumber) -> str:
    """From the sum through norm and activation, in numbers for a calculator."""
    reach = _reach([np.array([step.arithmetic.result]) for step in found.steps])
    steps = [_step(step, reach, asked=i == found.asked) for i, step in enumerate(found.steps)]
    return f'<div class="row">{"<span>→</span>".join(steps)}</div>'


def _step(step: Step, reach: float, asked: bool) -> str:
    result = decimal(step.arithmetic.result)
    r, g, b = paint(np.array(step.arithmetic.result), reach, signed=True)
    dark = "#111" if 0.299 * r + 0.587 * g + 0.114 * b > 140 else "#fff"
    chip = f'<span class="chip" style="background: rgb({r},{g},{b}); color: {dark}">{result}</span>'
    told = formula(step.arithmetic)
    told = told.removesuffix(result) if told.endswith(result) else f"{told} ="
    return f'<div class="step{" asked" * asked}"><small>{escape(step.op.name)}</small><br>{escape(told)} {chip}</div>'


AFTER_A_SIGN = re.compile(rf"(?<=[·/] ){MINUS}\S+")


def formula(arithmetic: Arithmetic) -> str:
    """With its numbers: "sum 1.832 + bias 0.1". A negative number that is added is subtracted."""
    numbers = {name: decimal(number) for name, number in arithmetic.formula.numbers.items()}
    text = arithmetic.formula.words.format(**numbers).replace(" - ", f" {MINUS} ")
    text = text.replace(f"{MINUS} {MINUS}", "+ ").replace(f"+ {MINUS}", f"{MINUS} ")
    return AFTER_A_SIGN.sub(lambda found: f"({found[0]})", text)
