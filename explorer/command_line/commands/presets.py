"""The published networks."""

from collections.abc import Sequence

from explorer.command_line.parser import Parser
from explorer.command_line.printing import print_json, print_table
from explorer.command_line.program import CommandError
from explorer.families import FAMILIES, PRESETS, TITLES, plan

USAGE = "presets [FAMILY]"
SUMMARY = "the published networks"


def run(words: Sequence[str]) -> None:
    parser = Parser("presets", "The published networks.")
    parser.add_argument("family", nargs="?", metavar="FAMILY", help=f"only {' or '.join(FAMILIES)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(words)
    if arguments.family not in (None, *FAMILIES):
        raise CommandError(f"{arguments.family[:40]!r} is not a family; there are {', '.join(FAMILIES)}.")
    presets = {name: config for name, config in PRESETS.items() if arguments.family in (None, config.family)}
    plans = {name: plan(config) for name, config in presets.items()}
    if arguments.json:
        print_json(
            [
                {"name": n, "title": TITLES[n], "family": c.family, "params": plans[n].params, "macs": plans[n].macs}
                for n, c in presets.items()
            ]
        )
        return
    rows = [(name, TITLES[name], f"{plans[name].params:,}", f"{plans[name].macs:,}") for name in presets]
    print_table([("name", "title", "params", "MACs"), *rows], left=2)
