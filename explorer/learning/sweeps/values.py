"""A knob's values as somebody types them: `4, 8, 12`, `4 to 32 by 4`, or, to be drawn from, `0.001 to 1 log`."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from explorer.families import Config, Knob, describe, knobs
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps.sweep import MOST_VALUES, Range, SweepError, Values
from explorer.wording import clean

RANGE = re.compile(r"(\S+) to (\S+)(?: by (\S+)| (log))?")
WHOLE = re.compile(r"-?\d{1,9}")
REAL = re.compile(r"\d{0,9}\.?\d{0,12}(e[-+]?\d{1,2})?", re.IGNORECASE)
BY_DATA = ("classes", "channels")  # knobs that the data set decides
BY_SWEEP = ("seed",)
FACTORS, OFFERED = (0.25, 0.5, 1, 2, 4), 3  # times the present value, and how many of these


def turnable(config: Config) -> dict[str, Knob]:
    """Those of the network that do something, and those of a recipe, by name."""
    left_out = {*config.unused(), *BY_DATA, *BY_SWEEP}
    return {knob.name: knob for knob in (*knobs(type(config)), *knobs(Recipe)) if knob.name not in left_out}


def usual(knob: Knob, value: Any, drawn: bool = False, can_be: Callable[[str], bool] = lambda text: True) -> str:
    """Some around the present one that can be, to begin with; with `drawn` a range where there can be one."""
    if knob.kind == "choice":
        return ", ".join(filter(can_be, map(describe, knob.choices)))
    if knob.kind == "switch":
        return "off, on"
    if drawn and knob.kind != "list" and value > 0:
        low, high = _within(knob, value / 4), _within(knob, value * 4)
        return f"{low:.4g} to {high:.4g} log" if low < high else f"{value:.10g}"
    present, around = _text(knob, value), [_text(knob, one) for one in _around(knob, value)]
    known = [text for text in dict.fromkeys(around) if text == present or can_be(text)]
    first = max(0, min(known.index(present) - 1, len(known) - OFFERED))
    return ", ".join(known[first : first + OFFERED])


def _around(knob: Knob, value: Any) -> list[Any]:
    """The present one among them, smaller ones before it."""
    if knob.kind == "list":
        return [tuple(entry * factor for entry in value) for factor in FACTORS]
    return [value * factor for factor in FACTORS] if value > 0 else [value, 0, 2 * knob.step, 4 * knob.step]


def _text(knob: Knob, value: Any) -> str:
    if knob.kind == "list":
        return describe(tuple(_within(knob, entry) for entry in value))
    return f"{_within(knob, value):.10g}"


def _within(knob: Knob, value: float) -> float:
    """The nearest that the knob can have."""
    whole = knob.kind in ("whole", "list")
    found = min(max(round(value) if whole else float(f"{value:.4g}"), knob.least), knob.most)
    return int(found) if whole else found


def read(knob: Knob, text: str, drawn: bool = False) -> Values:
    """What a sweep turns. Raises SweepError, in a sentence that stands beside the field."""
    parts = [" ".join(part.split()) for part in text.split(",")]
    parts = [part for part in parts if part]
    if not parts:
        raise SweepError(f"Give its values, as in {usual(knob, knob.default)}")
    ranges = [RANGE.fullmatch(part) if knob.kind in ("whole", "real") else None for part in parts]
    if drawn and len(parts) == 1 and ranges[0] and not ranges[0][3]:
        return _range(knob, ranges[0])
    found: list[str] = []
    for part, one in zip(parts, ranges, strict=True):
        found += _steps(knob, one, drawn) if one else [_value(knob, part)]
        if len(found) > MOST_VALUES:
            raise SweepError(f"These are more than {MOST_VALUES:,} values")
    return tuple(dict.fromkeys(found))


def _range(knob: Knob, found: re.Match[str]) -> Range:
    low, high = (float(_value(knob, found[i])) for i in (1, 2))
    if low >= high:
        raise SweepError(f"{found[1]} to {found[2]}: give the lower end first")
    if found[4] and low <= 0:
        raise SweepError(f"{found[1]} to {found[2]} log: both ends must be above 0")
    return Range(low, high, bool(found[4]))


def _steps(knob: Knob, found: re.Match[str], drawn: bool) -> Iterator[str]:
    """4, 8, .., 32 of `4 to 32 by 4`; of whole numbers all without a step."""
    if found[4] or (not found[3] and knob.kind == "real"):
        if drawn:
            raise SweepError(f"{clean(found[0])}: a range to draw from stands alone")
        raise SweepError(
            f"{clean(found[0])}: say in which steps, as in {clean(found[1])} to {clean(found[2])} by "
            f"{knob.step:g}; values between two ends are for trials that are drawn at random"
        )
    low, high = (float(_value(knob, found[i])) for i in (1, 2))
    step = _number(knob, found[3]) if found[3] else 1.0
    if low > high or step <= 0:
        raise SweepError(f"{clean(found[0])}: give the lower end first, and a step above 0")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > MOST_VALUES:
        raise SweepError(f"{clean(found[0])}: these are more than {MOST_VALUES:,} values")
    return (_value(knob, f"{low + i * step:.10g}") for i in range(count))


def _number(knob: Knob, text: str) -> float:
    pattern = WHOLE if knob.kind == "whole" else REAL
    if not pattern.fullmatch(text) or not re.search(r"\d", text):
        raise SweepError(f"{clean(text)!r} is no {'whole ' * (knob.kind == 'whole')}number")
    return float(text)


def _value(knob: Knob, text: str) -> str:
    """As a link writes it. Raises SweepError for what the knob cannot have, whatever the others are."""
    if knob.kind in ("whole", "real"):
        number = _number(knob, text)
        if not knob.least <= number <= knob.most:
            raise SweepError(f"{clean(text)} is not within {knob.least:g} to {knob.most:g}")
        return f"{number:.10g}"
    if knob.kind == "list":
        return _list(knob, text)
    known = ("off", "on") if knob.kind == "switch" else tuple(map(describe, knob.choices))
    if text not in known:
        raise SweepError(f"{clean(text)!r} is none of {', '.join(known)}")
    return text


def _list(knob: Knob, text: str) -> str:
    entries = text.split("-")
    if not all(
        entry.isdigit() and WHOLE.fullmatch(entry) and knob.least <= int(entry) <= knob.most for entry in entries
    ):
        raise SweepError(f"{clean(text)!r}: whole numbers of {knob.least:g} to {knob.most:g}, as in 2-2-2")
    if knob.length and not knob.length[0] <= len(entries) <= knob.length[1]:
        raise SweepError(f"{clean(text)!r} has {len(entries)} numbers: give {knob.length[0]} to {knob.length[1]}")
    return "-".join(str(int(entry)) for entry in entries)
