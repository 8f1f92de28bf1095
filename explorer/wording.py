"""Numbers and shapes as people write them, and strangers' text in one line."""

import math

MINUS = "−"  # as wide as a plus
UNITS = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def number(value: float) -> str:
    """Four significant digits and a unit: 25.56 M, 4.089 G."""
    for unit, factor in UNITS:
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g}"


def decimal(value: float, digits: int = 4) -> str:
    """So many significant digits, as one types them into a calculator: 1.832, −0.00001."""
    if value == 0 or not math.isfinite(value) or not 1e-6 <= abs(value) < 1e6:
        return f"{value:.{digits}g}".replace("-", MINUS, 1) if value < 0 else f"{value:.{digits}g}"
    text = f"{abs(value):.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return MINUS + text if value < 0 else text


def many(count: int) -> str:
    """A whole number that may be beyond all counting: 64,000, or 5.45 billion, or 1.13 × 10^15."""
    if count < 1_000_000:
        return f"{count:,}"
    for word, factor in (("million", 10**6), ("billion", 10**9), ("trillion", 10**12)):
        if count < 1000 * factor:
            return f"{count / factor:.3g} {word}" if count < 999.5 * factor else f"1,000 {word}"
    digits, _, power = f"{count:.2e}".partition("e+")
    return f"{float(digits):g} × 10^{int(power)}"


def size(value: float) -> str:
    """Bytes, in powers of a thousand: 102.2 MB."""
    return f"{number(value)}B" if abs(value) >= 1e3 else f"{value:.0f} B"


def gigabytes(count: int) -> str:
    """Bytes of memory: 4.1 GB, 51.2 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def shape(dimensions: tuple[int, ...]) -> str:
    """64×56×56."""
    return "×".join(map(str, dimensions))


def duration(seconds: float) -> str:
    """An estimate as people say it: about 12 s, about 3 min."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def ending(text: str, most: int = 30) -> str:
    """A name of at most `most` characters, by whose end it can be told from others: …seblock1.denselayer2.concat."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def clean(text: str, most: int = 80) -> str:
    """Text of a stranger (a file's name, a key) as one printable line of at most `most` characters."""
    line = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return line if len(line) <= most else line[: most - 3] + "..."
