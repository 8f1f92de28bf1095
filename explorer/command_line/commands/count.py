"""The numbers of a network, exactly; several networks side by side, each beside what it was before its changes."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from explorer.command_line.networks import Network
from explorer.command_line.parser import Parser, parse_networks
from explorer.command_line.printing import print_json, print_table
from explorer.counting import costs
from explorer.families import Config, family_of, plan
from explorer.wording import number, size

USAGE = "count NAME ..."
SUMMARY = "parameters, MACs, memory; several networks stand side by side"

Counts = dict[str, int]


def rounded(value: float) -> str:
    """Nothing where the exact number is as short."""
    return number(value) if value >= 1e3 else ""


QUANTITIES: Mapping[str, tuple[str, Callable[[float], str]]] = {  # depth and costs.Summary: label, short form
    "depth": ("depth", lambda _: ""),
    "params": ("params", rounded),
    "macs": ("MACs", rounded),
    "flops": ("FLOPs", rounded),
    "receptive_field": ("receptive field", lambda _: "px"),
    "activation_bytes": ("image, activations", size),
    "forward_bytes": ("forward, peak", size),
    "training_bytes": ("training, peak", size),
}


def run(words: Sequence[str]) -> None:
    parser = Parser("count", "Parameters, multiply-accumulates and memory, exactly; several networks side by side.")
    parser.add_argument("--batch", type=batch_size, default=1, metavar="N", help="images of the two peaks (default 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments, networks = parse_networks(parser, words)
    after = [count(network.config, arguments.batch) for network in networks]
    before = [count(network.origin, arguments.batch) if network.changes else None for network in networks]
    if arguments.json:
        records = [record(*entry, batch=arguments.batch) for entry in zip(networks, after, before, strict=True)]
        print_json(records)
        return
    print_table(columns(networks, after, before), left=1)
    print()
    for network in networks:
        if network.changes:
            print(f"{network.name}: {network.changes_in_words}")
    peaks = "one image" if arguments.batch == 1 else f"{arguments.batch} images"
    print(
        f"\n1 MAC is one multiply and one add in a convolution or linear layer; the peaks are for {peaks} in float32."
    )


def batch_size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of images")
    return int(text)


def count(config: Config, batch: int) -> Counts:
    """The depth, and the fields of costs.Summary."""
    return {"depth": family_of(config).depth(config)} | costs.summary(plan(config), batch)._asdict()


def record(network: Network, after: Counts, before: Counts | None, batch: int) -> dict[str, object]:
    """A network as JSON has it."""
    return {
        "name": network.name,
        "config": network.config.model_dump(mode="json"),
        "changes": {name: {"from": was, "to": now} for name, (was, now) in network.changes.items()},
        "batch": batch,
        **after,
        "unchanged": before,
    }


def columns(networks: Sequence[Network], after: Sequence[Counts], before: Sequence[Counts | None]) -> list[list[str]]:
    """A row for each quantity: exact number and short one, and where a network was changed, by how much."""
    header = [""]
    rows = [[label] for label, _ in QUANTITIES.values()]
    for network, now, was in zip(networks, after, before, strict=True):
        header += [network.name, ""] + ([f"against {network.name}", ""] if was else [])
        for row, (key, (_, short)) in zip(rows, QUANTITIES.items(), strict=True):
            row += [f"{now[key]:,}", short(now[key])]
            if was:
                change = now[key] - was[key]
                row += [f"{change:+,}", f"{change / was[key]:+.1%}" if change and was[key] else ""]
    return [header, *rows]
