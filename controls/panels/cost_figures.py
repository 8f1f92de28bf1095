"""What does a network cost, in eight numbers, and what has changed since the network that it started from?"""

from functools import lru_cache
from html import escape
from typing import NamedTuple

import streamlit as st

from controls.panel import panel
from explorer.counting import costs
from explorer.counting.costs import Summary
from explorer.families import Config, chosen_depth, family_of, plan
from explorer.wording import number, size

# as Streamlit's own metrics look, of which each, with its frame and its caption, would be an element of its own
STYLE = """<style>
.figures { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 1rem; }
@media (max-width: 640px) { .figures { grid-template-columns: minmax(0, 1fr); } }
.figures > div { padding: 15px; border-radius: 0.5rem; border: 1px solid;
  border-color: color-mix(in srgb, currentColor 20%, transparent); }
.figures p { margin: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.figures .label { display: flex; align-items: center; height: 24px; font-size: 0.875rem; overflow: visible; }
.figures .value { height: 52px; font-size: 2.25rem; line-height: 48px; }
.figures .change { display: inline-flex; align-items: center; gap: 2px; height: 23px; margin-bottom: 4px;
  padding: 2px 6px 2px 4px; border-radius: 1rem; font-size: 0.875rem; }
.figures .change::before { content: ""; width: 14px; height: 14px; background: currentColor; }
.figures .more { color: light-dark(#9e303b, #f2919a); background: light-dark(#fff1f2, #412023); }
.figures .less { color: light-dark(#0c5a44, #7ed5b0); background: light-dark(#f1fbf6, #0e2f24); }
.figures .more::before { mask: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E\
%3Cpath d='M4 12l1.41 1.41L11 7.83V20h2V7.83l5.58 5.59L20 12l-8-8-8 8z'/%3E%3C/svg%3E"); }
.figures .less::before { mask: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E\
%3Cpath d='M20 12l-1.41-1.41L13 16.17V4h-2v12.17l-5.58-5.59L4 12l8 8 8-8z'/%3E%3C/svg%3E"); }
.figures .exact { font-size: 0.875rem; line-height: 1.6; opacity: 0.6; }
.figures .help { position: relative; margin-left: 7px; cursor: help;
  color: color-mix(in srgb, currentColor 60%, transparent); }
.figures .help::before { content: ""; display: block; width: 16px; height: 16px; background: currentColor;
  mask: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' \
stroke='%23000' stroke-width='2' stroke-linecap='round'%3E%3Ccircle cx='12' cy='12' r='10'/%3E\
%3Cpath d='M9.09 9a3 3 0 0 1 5.83 1c0 2-3 3-3 3M12 17h.01'/%3E%3C/svg%3E"); }
.figures .help::after { content: attr(data-says); display: none; position: absolute; z-index: 10; right: -8px;
  bottom: 22px; width: 15rem; padding: 0.5rem 0.75rem; border-radius: 0.5rem; font-size: 0.875rem; line-height: 1.4;
  white-space: normal; color: CanvasText; background: Canvas; border: 1px solid rgba(128, 128, 128, 0.35);
  box-shadow: 0 2px 12px rgba(0, 0, 0, 0.35); }
.figures .help:is(:hover, :focus-visible)::after { display: block; }
</style>"""


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
    st.html(_html(figures(config, origin, batch)))


def _html(found: tuple[Figure, ...]) -> str:
    return f"{STYLE}<div class='figures'>{''.join(map(_cell, found))}</div>"


def _cell(figure: Figure) -> str:
    """What costs more is red, and what costs less is green."""
    help = escape(figure.help)
    asks = f"<span class='help' tabindex='0' role='img' aria-label='{help}' data-says='{help}'></span>" if help else ""
    sort = "less" if (figure.change or "").startswith("-") else "more"
    change = f"<span class='change {sort}'>{escape(figure.change)}</span>" if figure.change else ""
    return (
        f"<div><p class='label'>{escape(figure.label)}{asks}</p><p class='value'>{escape(figure.value)}</p>"
        f"{change}<p class='exact'>{escape(figure.exact)}</p></div>"
    )


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
