"""Text as a page shows it."""

import re

MARKUP = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """Text that came from outside, so that Markdown shows it as it is: no pictures, no links, no formulas."""
    return MARKUP.sub(r"\\\1", text)
