"""Axes that carry numbers: at least two ticks, whatever the range, as Plotly's layout has them.

Plotly's own ticks of a logarithmic axis are at 1, 2 and 5: between 2.1 and 4.9 there is none.
"""

import math
from typing import Any

ROOM = 0.15  # decades beside the values
MOST_TICKS = 8


def logarithmic(low: float, high: float) -> dict[str, Any]:
    """For values from `low` to `high`, both above zero, which may be equal."""
    bottom, top = math.log10(low) - ROOM, math.log10(high) + ROOM
    powers = range(math.ceil(bottom), math.floor(top) + 1)
    if len(powers) > 2:
        step = -(-len(powers) // MOST_TICKS)
        ticks = {float(power): _power(power) for power in powers if power % step == 0 or len(powers) <= MOST_TICKS}
    else:
        ticks = _between(bottom, top)
    return {
        "type": "log",
        "range": [bottom, top],
        "tickvals": [10**place for place in ticks],
        "ticktext": list(ticks.values()),
    }


def _between(bottom: float, top: float) -> dict[float, str]:
    """Round numbers on less than three powers of ten, by their logarithm."""
    found: dict[float, str] = {}
    for digits in ((1, 2, 5), (1, 2, 3, 4, 5, 6, 8), tuple(range(10, 100, 5))):
        for power in range(math.floor(bottom) - 1, math.ceil(top) + 1):
            for digit in digits:
                place = math.log10(digit) + power
                if bottom <= place <= top:
                    found[place] = _number(digit, power)
        if len(found) > 2:
            break
        found = {}
    return dict(sorted(found.items()))


def _number(digit: int, power: int) -> str:
    """2·10⁻⁵, or 0.2 where that is as short."""
    if digit >= 10:
        return f"{digit / 10:g}·{_power(power + 1)}" if not -2 <= power <= 2 else f"{digit * 10.0**power:g}"
    if -2 <= power <= 3:
        return f"{digit * 10.0**power:g}"
    return _power(power) if digit == 1 else f"{digit}·{_power(power)}"


def _power(power: int) -> str:
    return f"10<sup>{power}</sup>"


def whole(last: int) -> dict[str, Any]:
    """For numbers that are counted, from 0 or 1 to `last`: no ticks between them."""
    step = next(size for size in _steps() if last <= 10 * size)
    return {"tick0": 0, "dtick": step, "tickformat": "d"}


def _steps() -> Any:
    return (digit * 10**power for power in range(300) for digit in (1, 2, 5))


def share(least: float = 0.0, most: float = 1.0) -> dict[str, Any]:
    """From 0 to 100 %, and further where a share works against the whole."""
    low, high = min(0.0, least), max(1.0, most)
    room = 0.02 * (high - low)
    return {"range": [low - room * (low < 0), high + room], "tickformat": ".0%", "nticks": 7}
