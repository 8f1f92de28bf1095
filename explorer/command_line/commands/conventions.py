"""The count of a network as tools and papers would have it."""

from collections.abc import Sequence

from explorer.command_line.parser import Parser, parse_network
from explorer.command_line.printing import print_table
from explorer.counting.conventions import conventions
from explorer.families import plan

USAGE = "conventions NAME"
SUMMARY = "why others say a different number"

HEADER = ("says", "of its", "number", "/ MACs", "counts", "leaves out")


def run(words: Sequence[str]) -> None:
    parser = Parser("conventions", "The network's count as tools and papers would have it.")
    _, network = parse_network(parser, words)
    operations = plan(network.config)
    rows = [
        (
            row.by,
            row.word,
            "-" if row.number is None else f"{row.number:,}",
            "" if row.number is None else f"{row.number / operations.macs:.3f}",
            row.counts,
            row.leaves_out,
        )
        for row in conventions(operations)
    ]
    print_table([HEADER, *rows], left=2, left_again=4)
