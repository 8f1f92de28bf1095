"""What is known of weights beside their numbers: read from files and from what is typed, or refused in a sentence."""

import json

import pytest
import torch

from explorer.pictures.preparation import Preparation
from explorer.running import card
from explorer.running.card import UNKNOWN, Card, CardError, of_file, of_json
from explorer.running.weights import read_card, save_safetensors

DIGITS = Preparation(32, 36, (0.5,), (0.25,), "bicubic")
NAMES = ("zero", "one", 'two "2"')


def test_a_card_comes_back_from_its_own_json():
    whole = Card(DIGITS, NAMES)
    assert of_json(card.to_json(whole), size=7) == whole
    assert json.loads(card.to_json(whole))["mean"] == [0.5]
    for part in (Card(DIGITS), Card(classes=NAMES), UNKNOWN):
        assert of_json(card.to_json(part), size=7) == part


def test_a_card_travels_in_a_safetensors_file():
    network = torch.nn.Conv2d(1, 3, 1)
    assert read_card(save_safetensors(network, Card(DIGITS, NAMES)), size=7, tensors=2) == Card(DIGITS, NAMES)
    assert read_card(save_safetensors(network), size=7, tensors=2) == UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"mean": 0.5, "std": 0.25}', Card(Preparation(24, 24, (0.5,), (0.25,)))),
        (
            '{"mean": [0, 0.5, 1], "std": [1, 1, 2], "resize": 30}',
            Card(Preparation(24, 30, (0.0, 0.5, 1.0), (1.0, 1.0, 2.0))),
        ),
        ('["cat", "dog"]', Card(classes=("cat", "dog"))),
        ('{"classes": ["cat", "dog"]}', Card(classes=("cat", "dog"))),
        ("cat\ndog\n\n", Card(classes=("cat", "dog"))),
        ("\ufeffcat\r\n dog", Card(classes=("cat", "dog"))),
        ("{}", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_files(text, expected):
    assert of_file(text.encode(), "card", size=24) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"mean": 0.5}', "needs mean and std"),
        (b'{"mean": "0.5", "std": 1}', "needs mean and std"),
        (b'{"mean": true, "std": 1}', "needs mean and std"),
        (b'{"mean": NaN, "std": 1}', "cannot be: mean=(nan,)"),
        (b'{"mean": 0, "std": Infinity}', "cannot be: std=(inf,)"),
        (b'{"mean": 0, "std": 0}', "cannot be: std=(0.0,)"),
        (b'{"mean": 0, "std": -1}', "cannot be: std=(-1.0,)"),
        (b'{"mean": [0, 0], "std": [1, 1]}', "give one or three values"),
        (b'{"mean": [0, 0, 0], "std": 1}', "give one or three values"),
        (b'{"mean": 0, "std": 1, "size": 30, "resize": 20}', "needs 1 <= size <= resize"),
        (b'{"mean": 0, "std": 1, "size": 1000000000}', "whole numbers of pixels"),
        (b'{"mean": 0, "std": 1, "size": 2.5}', "whole numbers of pixels"),
        (b'{"mean": 0, "std": 1, "interpolation": "magic"}', "choose one of bilinear"),
        (b'{"mean": 0, "std": 1, "interpolation": ["bilinear"]}', "choose one of bilinear"),
        (b'{"mean": 1' + b"0" * 400 + b', "std": 1}', "out of range"),
        (b'{"classes": "cat"}', "are a list"),
        (b'{"classes": {"0": "cat"}}', "are a list"),
        (b"[1, 2]", "Class names are text"),
        (b'[["a"]]', "Class names are text"),
        (json.dumps(["x" * 79] * 600).encode(), "40,000 characters"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"x" * (2**20 + 1), "more than 1 MB"),
    ],
)
def test_what_is_no_card_is_refused_in_a_sentence(data, reason):
    with pytest.raises(CardError) as caught:
        of_file(data, "card.json", size=24)
    sentence = str(caught.value)
    assert reason in sentence
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_names_are_one_printable_line_each():
    (name,) = of_json(json.dumps(["a\u202eb\nc" + "x" * 200]), size=8).classes
    assert name == "a?b?c" + "x" * 72 + "..."


def test_numbers_that_are_typed():
    assert card.numbers("0.485, 0.456 0.406") == (0.485, 0.456, 0.406)
    assert card.numbers(" ") == ()
    with pytest.raises(CardError, match="is not a number"):
        card.numbers("0,5 or so")


def test_a_card_for_a_network():
    # one number for all channels, and as much of a larger picture cropped away: 36 of 32 are 72 of 64
    assert Card(DIGITS).fit(64, 3, 10).preparation == Preparation(64, 72, (0.5,) * 3, (0.25,) * 3, "bicubic")
    assert Card(classes=NAMES).fit(64, 3, 3) == Card(classes=NAMES)
    with pytest.raises(CardError, match="There are 3 class names, and the network has 10"):
        Card(classes=NAMES).fit(64, 3, 10)
    with pytest.raises(CardError, match="3 values, and the network's images 1 channel:"):
        Card(Preparation(8, 8, (0.0,) * 3, (1.0,) * 3)).fit(8, 1, 10)
