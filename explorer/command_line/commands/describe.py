"""A network from input to logits, with the costs of each part."""

from collections.abc import Sequence

from explorer.command_line.parser import Parser, parse_network
from explorer.command_line.printing import print_table
from explorer.counting import costs
from explorer.families import family_of, plan
from explorer.wording import size

USAGE = "describe NAME"
SUMMARY = "the network stage by stage, or finer"

LEVELS: tuple[costs.Level, ...] = ("stage", "block", "operation")
HEADER = ("name", "contains", "input", "output", "params", "", "MACs", "", "activations", "field")


def run(words: Sequence[str]) -> None:
    parser = Parser("describe", "The network from input to logits, and where its costs are.")
    parser.add_argument("--level", choices=LEVELS, default="stage", help="a row for each (default: stage)")
    arguments, network = parse_network(parser, words)
    family, operations = family_of(network.config), plan(network.config)
    rows = [
        (
            row.name,
            row.kind,
            row.input,
            row.output,
            f"{row.params:,}",
            f"{row.params_share:.1%}",
            f"{row.macs:,}",
            f"{row.macs_share:.1%}",
            size(row.activation_bytes),
            f"{row.receptive_field:,} px" if row.receptive_field else "all",
        )
        for row in costs.table(operations, arguments.level)
    ]
    activations, field = costs.activation_bytes(operations.ops[1:]), costs.receptive_field(operations)
    whole = f"{operations.params:,}", "", f"{operations.macs:,}", "", size(activations), f"{field:,} px"
    changes = f"; {network.changes_in_words}" if network.changes else ""
    print(f"{network.name}: {family.title}, depth {family.depth(network.config)}{changes}\n")
    print_table([HEADER, *rows, ("whole", "", "", "", *whole)], left=4)
    print()
    for title, address in family.papers.items():
        print(f"{title}  {address}")
