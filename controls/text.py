"""Numbers as people read them, and text as it came. The library returns numbers; here they become text."""

import re

MARKUP = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """Text that came from outside, so that Markdown shows it as it is: no pictures, no links, no formulas."""
    return MARKUP.sub(r"\\\1", text)


def shape(dimensions: tuple[int, ...]) -> str:
    return "×".join(map(str, dimensions))


def number(value: float) -> str:
    """Four significant digits and a unit: 25.56 M, 4.089 G."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g}"


def size(value: float) -> str:
    """Bytes, in powers of a thousand: 102.2 MB."""
    return f"{number(value)}B" if abs(value) >= 1e3 else f"{value:.0f} B"
