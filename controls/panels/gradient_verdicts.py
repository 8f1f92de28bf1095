"""Does the learning signal reach the early layers? The answer in words, one card a network, and how it is judged."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import streamlit as st

from controls.panel import panel
from controls.text import plain
from explorer.analyses import flow_verdict
from explorer.analyses.flow_verdict import Cause, Label, Verdict

IN_A_ROW = 3
RATE = f"{flow_verdict.LEARNING_RATE:g}"

Colour = Literal["blue", "orange", "red"]


class Sign(NamedTuple):
    words: str
    icon: str
    colour: Colour


# told apart by words and icon, too; blue, orange and red are told apart by colour-blind people
SIGNS: Mapping[Label, Sign] = {
    "healthy": Sign("The signal arrives: healthy", ":material/check_circle:", "blue"),
    "grows": Sign("The signal grows", ":material/trending_up:", "orange"),
    "explodes": Sign("The signal explodes", ":material/keyboard_double_arrow_up:", "red"),
    "shrinks": Sign("The signal shrinks", ":material/trending_down:", "orange"),
    "vanishes": Sign("The signal vanishes", ":material/keyboard_double_arrow_down:", "red"),
    "overflows": Sign("The signal overflows", ":material/error:", "red"),
}
CAUSES: Mapping[Cause, str] = {
    "trained": "These weights are trained: what is known of freshly drawn ones does not hold for them.",
    "sums": "Each block's add passes the gradient on unchanged, beside what comes through the branch.",
    "sums without norms": "Each block's add passes the gradient on, and without a norm the branch adds as much again: "
    "about √2 = 1.41 times a block.",
    "concatenations": "In a block each layer is read by all later ones, so the gradient also comes to it directly.",
    "norms": "A plain network: the gradient passes every layer in turn, and its norms do not keep it in size.",
    "kaiming": "A plain network without norms: Kaiming's initialisation is made to keep the gradient's size.",
    "default": "A plain network without norms: PyTorch's default draws weights too small for ReLUs.",
    "one way": "A plain network without norms: the gradient passes every layer in turn.",
}
# where theory says by how much
BY_THEORY: Mapping[Cause, str] = {
    "norms": "A plain network: the gradient passes every layer in turn, and batch norm with ReLU enlarges it",
    "default": "A plain network without norms: PyTorch's default draws weights too small for ReLUs, and shrinks it",
}


@panel
def verdicts(found: Mapping[str, Verdict]) -> None:
    """A card for each network, by its title."""
    titles = list(found)
    for row in (titles[i : i + IN_A_ROW] for i in range(0, len(titles), IN_A_ROW)):
        for box, title in zip(st.columns(max(2, len(row))), row, strict=False):
            with box.container(border=True, height="stretch"):
                _card(title, found[title])
    with st.popover("How it is judged", icon=":material/gavel:"):
        st.markdown(RULE)


def _card(title: str, verdict: Verdict) -> None:
    sign = SIGNS[verdict.label]
    st.markdown(f"**{plain(title)}** :{sign.colour}-badge[{sign.icon} {sign.words}]")
    st.markdown(number(verdict))
    st.caption(" ".join([why(verdict), *consequences(verdict)]))


def number(verdict: Verdict) -> str:
    """How the signal at the first layer compares with that at the last."""
    reading = verdict.reading
    match reading.arrival:
        case "overflows":
            return f"**{reading.broken} of {reading.convolutions}** convolutions have a gradient that is no number."
        case "vanishes":
            return f"It is **exactly zero** at the first {reading.zero} of {reading.convolutions} convolutions."
        case "alone":
            return "It reaches the **first layer and no other**: norms that start at zero close the branches."
    if 1 / 1.5 < reading.ratio < 1.5:
        return "It reaches the first layer **about as large** as the last."
    larger = reading.ratio > 1
    times = amount(reading.ratio if larger else 1 / reading.ratio)
    return f"It reaches the first layer **{times} times {'larger' if larger else 'smaller'}** than the last."


def why(verdict: Verdict) -> str:
    """In one sentence, from what the network is."""
    if verdict.factor is None or verdict.cause not in BY_THEORY:
        return CAUSES[verdict.cause]
    layers = verdict.reading.convolutions - 1
    return f"{BY_THEORY[verdict.cause]} about {verdict.factor:.2f} times a layer: {power(verdict.factor, layers)}."


def consequences(verdict: Verdict) -> Sequence[str]:
    """What the first step of training does, where that is remarkable."""
    if verdict.label in ("overflows", "healthy"):
        return []
    if verdict.diverges:
        return [
            f"The first steps will diverge: at a learning rate of {RATE} the first one changes "
            f"{plain(verdict.changed)} by {amount(verdict.step)} times its own size, and no norm makes up for it."
        ]
    if verdict.step > 1:
        return [
            f"At a learning rate of {RATE} the first step changes {plain(verdict.changed)} by {amount(verdict.step)} "
            "times its own size: what was drawn there is lost."
        ]
    if verdict.first_step < flow_verdict.ROUNDING:
        return [
            f"At a learning rate of {RATE} a step changes the first layer by less than float32 can add to it: it does "
            "not learn."
        ]
    return []


def amount(value: float) -> str:
    """Two digits, as one says them: 2.3, 11, 2,800, 1.9·10⁸."""
    if value >= 1e5:
        exponent = math.floor(math.log10(value) + 1e-9)
        first = f"{value / 10**exponent:.1f}".removesuffix(".0")
        if first == "10":
            first, exponent = "1", exponent + 1
        return ("" if first == "1" else f"{first}·") + f"10{raised(exponent)}"
    return f"{value:.2g}" if value < 99.5 else f"{float(f'{value:.2g}'):,.0f}"


def power(base: float, exponent: int) -> str:
    """1.21¹⁸ = 31."""
    logarithm = exponent * math.log10(base)
    value = amount(10**logarithm) if logarithm > -1 else f"10{raised(round(logarithm))}"
    return f"{base:.2f}{raised(exponent)} ≈ {value}"


def raised(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


RULE = f"""
The signal is the gradient of the loss at a layer's output (its L2 norm). Compared are the first convolution and the
last, at the weights as they are, on this batch.

| verdict | first over last | why there |
|---|---|---|
| healthy | within {flow_verdict.HEALTHY:,.0f} times | A plain network of 34 layers with batch norm enlarges it about 1.21³³ = 540 times, and He et al. call its gradients healthy ([1512.03385](https://arxiv.org/abs/1512.03385), section 4.1). |
| healthy, too | between, by at most {flow_verdict.HEALTHY_A_LAYER} times a layer | ResNet-152 learns well, however deep (table 4 there). |
| explodes | above 10⁶ | Plain networks of 56 layers (1.21⁵⁵ = 4·10⁴) learn, but worse than one of 20; with 110 (10⁹) the error stays above 60 % (figure 6 there). |
| vanishes | below 1/17,000 | A network whose gradient shrank so did not learn ([1502.01852](https://arxiv.org/abs/1502.01852), section 2.2). |
| grows, shrinks | between, by more a layer | |

- **1.21 a layer**: √(π/(π−1)), by which batch norm with ReLU enlarges gradients in a plain network that is freshly
  initialised, for large batches (Yang et al., [1902.08129](https://arxiv.org/abs/1902.08129)). Small batches: more.
- **0.41 a layer**: √(1/6). PyTorch's default draws weights of variance 1/(3n) for n inputs, and ReLUs need 2/n (1502.01852).
- **1.41 a block**: √2. Without a norm a block adds two signals of like size (Fixup, [1901.09321](https://arxiv.org/abs/1901.09321)).
- **The first step**: learning rate {RATE} times the gradient of a layer's weights, over their size. Above 1 the new weights
  are more step than what was drawn. Networks without norms *diverge* above {flow_verdict.DIVERGES:.0f}: tried, the loss of six
  was no number after two steps. Norms keep the loss finite.
- **Our own choice**: the powers of ten; that shrinking is healthy as far as growing; {flow_verdict.HEALTHY_A_LAYER} a layer;
  {flow_verdict.DIVERGES:.0f} times.

**What a verdict does not say**: whether the network learns well. It is about the first steps of plain SGD from these weights. Norms,
warm-up and Adam, which divides by the gradient's size, make up for much; and a signal that arrives may still teach
little.
"""  # noqa: E501
