"""The table of published counts that the tests hold networks against."""

import csv
from decimal import Decimal
from pathlib import Path

with (Path(__file__).parent / "data" / "published.csv").open(newline="") as file:
    PUBLISHED = {row["name"]: row for row in csv.DictReader(file)}
TORCHVISION = {name: row for name, row in PUBLISHED.items() if row["source"].startswith("torchvision")}


def equals(count: int, written: str) -> bool:
    """Whether a count is the published one in all the digits that were published: 153290624 is 153.29e6."""
    digits, _, power = written.partition("e")
    return Decimal(count).scaleb(-int(power or 0)).quantize(Decimal(digits)) == Decimal(digits)
