"""What is said of a gradient, for readings written by hand."""

import math

import pytest

from controls.panels.gradient_lines import sentence
from explorer.analyses.flow_reading import Reading

NAN = math.nan
STEADY = Reading(
    trend="keeps",
    convolutions=5,
    broken=0,
    zero=0,
    ratio=1.5,
    a_layer=1.25,
    reference=("conv5",),
    last="conv5",
    deviation=(0.5, 2.0),
    zeros=0.5,
    loss=2.5,
    chance=2.3026,
)


def test_everything_is_in_the_sentence():
    assert sentence(STEADY) == (
        "**keeps its size**: the first convolution's is 1.5 times the last one's, ×1.250 a layer; outputs spread by "
        "0.5 at the first layer and 2 at the last convolution; loss 2.5 (chance: 2.3)."
    )


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ({"trend": "grows", "ratio": 1234.5}, "**grows toward the input**: the first convolution's is 1.23e+03 times"),
        ({"trend": "fades", "ratio": 0.01}, "**fades toward the input**: the first convolution's is 0.01 times"),
        ({"reference": ("conv3",)}, "times the last one's that is not exactly zero (conv3), ×"),
        ({"reference": ("conv3", "conv5")}, "times the last one's that is not exactly zero (conv3, conv5), ×"),
        (
            {"trend": "overflows", "broken": 2, "ratio": NAN},
            "**overflows**: 2 of 5 convolutions have an infinite gradient or none that is a number; outputs",
        ),
        (
            {"trend": "vanishes", "zero": 3, "ratio": NAN},
            "**vanishes entirely**: the gradient of the first 3 of 5 convolutions is exactly zero; outputs",
        ),
        (
            {"trend": "alone", "ratio": NAN},
            "**reaches the first convolution alone**: all others have a gradient of exactly zero; outputs",
        ),
        ({"zeros": 0.75}, "; 75% of the first layer's gradient are exact zeros; loss"),
    ],
)
def test_what_is_special_is_said(reading, words):
    said = sentence(STEADY._replace(**reading))
    assert words in said
    assert "nan" not in said
