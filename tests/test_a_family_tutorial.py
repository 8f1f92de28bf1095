"""docs/a-family.md, followed to the letter: the file that it gives is a family, and everything else comes by itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "a-family.md").read_text(encoding="utf-8")
FILE, USE = re.findall(r"```python\n(.*?)```", TEXT, re.S)
COMMANDS = re.findall(r"^python -m explorer (.+)$", TEXT, re.M)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    (folder / "mobilenet.py").write_text(FILE, encoding="utf-8")
    asked = json.dumps({"use": USE, "commands": COMMANDS})
    script = Path(__file__).with_name("follow_tutorial.py")
    command = [sys.executable, str(script), str(ROOT), str(folder), asked]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def layers(width: int, blocks: tuple[int, ...], side: int, classes: int) -> tuple[int, int]:
    """Parameters and MACs of table 1 of the paper, by hand: norms have two numbers a channel, convolutions no bias."""
    side //= 2
    params, macs, c = 27 * width + 2 * width, 27 * width * side**2, width
    for s, count in enumerate(blocks, start=1):
        out = width * 2**s
        for b in range(count):
            side //= 2 if s > 1 and b == 0 else 1
            params += 9 * c + 2 * c + c * out + 2 * out
            macs += (9 * c + c * out) * side**2
            c = out
    return params + c * classes + classes, macs + c * classes


def test_the_family_is_listed_by_its_year(found):
    names = found["families"]
    assert names.index("densenet") < names.index("mobilenet") < names.index("cliquenet")
    assert (found["title"], found["known"], found["others"]) == ("MobileNet-28", "mobilenet28", "resnet50")
    assert found["depth"] == "28"


def test_it_has_its_knobs_and_the_common_ones_and_no_stem(found):
    common = ["classes", "channels", "input_size", "activation", "norm", "dropout", "init"]
    assert [name for name, _ in found["knobs"]] == ["width", "blocks", *common]
    assert found["knobs"][:2] == [["width", "whole"], ["blocks", "list"]]


def test_its_costs_are_the_papers(found):
    # table 8 of 1704.04861: 4.2 million parameters, 569 million multiply-adds
    assert (round(found["params"], -5), round(found["macs"], -6)) == (4_200_000, 569_000_000)
    assert (found["params"], found["macs"]) == layers(32, (1, 2, 2, 6, 2), 224, 1000)


def test_counts_drawing_link(found):
    stages = ["stem", *(f"stage {s}" for s in range(1, 6)), "head"]
    # as by hand, and as the network has it
    by_hand, _ = layers(4, (1, 1, 2, 1, 1), 32, 5)
    assert found["counted"] == [by_hand, by_hand]
    assert found["rows"] == stages
    # stem 3; 3x3 of stride 1, 2, 2, 1, 2, 2, on steps of 2, 2, 4, 8, 8, 16 pixels
    assert found["field"] == 3 + 2 * (2 + 2 + 4 + 8 + 8 + 16)
    assert [node for node in found["nodes"] if node != "input"] == stages
    assert found["link"] == {"network": "mobilenet28", "width": "16"}


def test_the_network_runs_and_its_source_has_the_same_logits(found):
    assert found["logits"] == [2, 5]
    assert found["other shapes"] == []
    assert found["same logits"] is True


def test_gradients_reach_every_operation(found):
    assert found["without gradient"] == []
    blocks = ["stage1.0", "stage2.0", "stage3.0", "stage3.1", "stage4.0", "stage5.0"]
    convolutions = [f"{block}.conv{i}" for block in blocks for i in (1, 2)]
    assert [name for name in found["weights"] if "norm" not in name] == ["stem.conv", *convolutions, "fc"]


def test_the_snippet_and_the_commands_of_the_text(found):
    assert (found["used"]["width"], found["used"]["input_size"]) == (16, 64)
    assert found["used"]["params"] == layers(16, (1, 2, 2, 6, 2), 64, 1000)[0]
    assert COMMANDS[0] == "count mobilenet28"
    counted, described = found["printed"]
    assert f"{found['params']:,}" in counted
    assert "MobileNet, depth 28" in described
    assert "https://arxiv.org/abs/1704.04861" in described
