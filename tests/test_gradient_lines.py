"""What is said of a gradient, for readings written by hand."""

import math

import pytest

from controls.panels.gradient_lines import sentence
from explorer.analyses.flow_reading import Reading

NAN = math.nan
STEADY = Reading(
    arrival="reaches",
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
        "the first convolution's is 1.5 times the last one's, ×1.250 a layer; outputs spread by "
        "0.5 at the first layer and 2 at the last convolution; loss 2.5 (chance: 2.3)."
    )


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ({"ratio": 1234.5}, "the first convolution's is 1.23e+03 times"),
        ({"reference": ("conv3",)}, "times the last one's that is not exactly zero (conv3), ×"),
        ({"reference": ("conv3", "conv5")}, "times the last one's that is not exactly zero (conv3, conv5), ×"),
        (
            {"arrival": "overflows", "broken": 2, "ratio": NAN},
            "2 of 5 convolutions have a gradient that is infinite or no number; outputs",
        ),
        (
            {"arrival": "vanishes", "zero": 3, "ratio": NAN},
            "the gradient of the first 3 of 5 convolutions is exactly zero; outputs",
        ),
        (
            {"arrival": "alone", "ratio": NAN},
            "all convolutions but the first have a gradient of exactly zero; outputs",
        ),
        ({"zeros": 0.75}, "; 75% of the first layer's gradient are exact zeros; loss"),
    ],
)
def test_what_is_special_is_said(reading, words):
    said = sentence(STEADY._replace(**reading))
    assert words in said
    assert "nan" not in said
