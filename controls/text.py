"""Text as a page shows it."""

import re

from explorer.wording import duration, number, shape, size

__all__ = ["duration", "number", "plain", "shape", "size"]

MARKUP = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """Text that came from outside, so that Markdown shows it as it is: no pictures, no links, no formulas."""
    return MARKUP.sub(r"\\\1", text)
