"""What does a network cost, in eight numbers, and what has changed since the network that it started from?"""

from functools import lru_cache
from typing import NamedTuple

import streamlit as st

from controls.panel import panel
from explorer.counting import costs
from explorer.counting.costs import Summary
from explorer.families import Config, chosen_depth, family_of, plan
from explorer.wording import number, size


class Figure(NamedTuple):
    """One number: short, to the last digit, and its difference."""

    label: str
    value: str
    exact: str
    help: str = ""
    change: str | None = None


@panel
def cost_figures(config: Config, origin: Config, batch: int) -> None:
    """Differences are those to `origin`; the two peaks are for a batch of `batch` images."""
    found = figures(config, origin, batch)
    for row in (found[:4], found[4:]):
        for column, figure in zip(st.columns(4), row, strict=True):
            with column.container(border=True, gap=None, height="stretch"):
                st.metric(figure.label, figure.value, figure.change, delta_color="inverse", help=figure.help or None)
                st.caption(figure.exact)


@lru_cache(maxsize=128)
def figures(config: Config, origin: Config, batch: int) -> tuple[Figure, ...]:
    now = _summary(config, batch)
    change = now.since(_summary(origin, batch))
    named_depth = chosen_depth(config)
    return (
        Figure("Parameters", number(now.params), f"{now.params:,}", "", _signed(change.params, number(change.params))),
        Figure(
            "MACs",
            number(now.macs),
            f"{now.macs:,}",
            "Multiply-accumulates of convolutions and linear layers for one image. torchvision calls them GFLOPS.",
            _signed(change.macs, number(change.macs)),
        ),
        Figure(
            "FLOPs",
            number(now.flops),
            f"{now.flops:,} = 2 × MACs",
            "Each multiply and each add counted: twice the MACs.",
            _signed(change.flops, number(change.flops)),
        ),
        Figure(
            "Depth",
            named_depth or str(family_of(config).depth(config)),
            f"{'' if named_depth else 'custom, '}{now.operations:,} operations",
            "Weighted layers, as the family's papers count.",
        ),
        Figure(
            "Receptive field",
            f"{now.receptive_field:,} px",
            f"of {config.input_size} px of input",
            "How many pixels along a side a position of the last feature map depends on, in theory.",
            _signed(change.receptive_field, f"{change.receptive_field:,} px"),
        ),
        Figure(
            "Activations",
            size(now.activation_bytes),
            f"{now.activation_bytes:,} bytes",
            "All outputs of all operations for one image, float32.",
            _signed(change.activation_bytes, size(change.activation_bytes)),
        ),
        Figure(
            "Forward, peak",
            size(now.forward_bytes),
            f"batch of {batch}, estimated",
            "The most memory alive at once, each tensor freed after its last use. Scratch space comes beside it.",
            _signed(change.forward_bytes, size(change.forward_bytes)),
        ),
        Figure(
            "Training step, peak",
            size(now.training_bytes),
            f"batch of {batch}, estimated",
            "Weights, gradients, momentum, and what autograd keeps for the backward pass, with SGD.",
            _signed(change.training_bytes, size(change.training_bytes)),
        ),
    )


@lru_cache(maxsize=128)
def _summary(config: Config, batch: int) -> Summary:
    """That of the network one started from is asked for again and again."""
    return costs.summary(plan(config), batch)


def _signed(change: int, text: str) -> str | None:
    """Nothing where nothing has changed."""
    return f"{'+' if change > 0 else ''}{text}" if change else None
