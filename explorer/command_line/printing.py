"""Answers on standard output: columns for people, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any


def print_table(rows: Sequence[Sequence[str]], left: int, left_again: int = 1000) -> None:
    """Aligned at the left: the first `left` columns, and those from `left_again` on; the others at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < left or i >= left_again else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))
