"""`python -m explorer`: what it prints is what the library says, and what is wrong it says in one sentence."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import torch
from published import PUBLISHED, equals

from explorer import links
from explorer.__main__ import main
from explorer.counting import costs
from explorer.families import FAMILIES, PRESETS, TITLES, Config, ConfigError, Knob, describe, knobs, parse, plan
from explorer.links import Choice
from explorer.running.network import build

ROOT = Path(__file__).parent.parent

Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command that must work, and gives what it printed."""

    def run(*argv: str) -> str:
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def counted(text: str) -> list[dict[str, str]]:
    """The exact columns of what `count` prints, by label."""
    lines = text.split("\n\n")[0].splitlines()[1:]
    found = [re.split(r"  +", line.strip()) for line in lines]
    return [{row[0]: row[i].replace(",", "") for row in found} for i in range(1, len(found[0]))]


def outside(*argv: str, **how: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    command = [sys.executable, "-m", "explorer", *argv]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, **how)


# -- count -------------------------------------------------------------------------------------------------------------


def test_counts_are_the_published_ones(say):
    found = json.loads(say("count", "--json", *PUBLISHED))
    assert [entry["name"] for entry in found] == [*PUBLISHED]
    for entry, row in zip(found, PUBLISHED.values(), strict=True):
        assert entry["params"] == int(row["params"]), row["name"]
        assert entry["flops"] == 2 * entry["macs"]
        assert entry["changes"] == {}
        assert entry["unchanged"] is None
        assert not row["macs"] or equals(entry["macs"], row["macs"]), row["name"]


def test_count_prints_exact_digits_and_short_ones(say):
    printed = say("count", "resnet50")
    for line in (
        r"depth +50",
        r"params +25,557,032 +25\.56 M",
        r"MACs +4,089,184,256 +4\.089 G",
        r"FLOPs +8,178,368,512 +8\.178 G",
        r"receptive field +427 +px",
    ):
        assert re.search(f"^{line}$", printed, re.MULTILINE), line
    assert "against" not in printed


def test_networks_stand_side_by_side(say):
    printed = say("count", "resnet18", "densenet121")
    assert printed.splitlines()[0].split() == ["resnet18", "densenet121"]
    assert re.search(r"^params +11,689,512 +11\.69 M +7,978,856 +7\.979 M$", printed, re.MULTILINE)


def test_a_turned_knob_is_compared_with_the_preset(say):
    printed = say("count", "densenet121", "--growth-rate", "24")
    now = plan(PRESETS["densenet121"].replace(growth_rate=24)).params
    fewer = now - 7978856
    wanted = rf"^params +{now:,} +\S+ M +{fewer:+,} +{fewer / 7978856:+.1%}$"
    assert re.search(wanted, printed, re.MULTILINE)
    assert "densenet121: growth_rate 32 → 24" in printed


def test_knobs_that_lose_their_meaning_are_told(say):
    assert "block bottleneck → basic, cardinality 32 → 1, group_width 4 → 0" in say(
        "count", "resnext50_32x4d", "--block", "basic"
    )


def test_one_option_for_networks_of_two_families(say):
    found = json.loads(say("count", "densenet121", "cliquenet_s0", "--bottleneck", "0", "--json"))
    assert [entry["config"]["bottleneck"] for entry in found] == [0, False]


def test_peaks_are_for_the_batch(say):
    one, many = (json.loads(say("count", "resnet18", "--json", "--batch", str(n)))[0] for n in (1, 64))
    here = plan(PRESETS["resnet18"])
    assert (one["forward_bytes"], many["forward_bytes"]) == (
        costs.forward_bytes(here, 1),
        costs.forward_bytes(here, 64),
    )
    assert many["training_bytes"] == costs.training_bytes(here, 64)
    assert one["macs"] == many["macs"]
    assert "64 images" in say("count", "resnet18", "--batch", "64")


# -- knobs -------------------------------------------------------------------------------------------------------------

KNOBS = [
    pytest.param(family.name, knob, id=f"{family.name}-{knob.name}")
    for family in FAMILIES.values()
    for knob in knobs(family.config)
]


def turned(config: Config, knob: Knob) -> tuple[str, Config]:
    """Another value of the knob as a person types it, and the configuration that it must give."""
    old = getattr(config, knob.name)
    match knob.kind:
        case "choice":
            candidates = knob.choices
        case "switch":
            candidates = (not old,)
        case "list":
            candidates = (*old[:-1], old[-1] + 1), old[:-1]
        case "whole":
            candidates = old + 1, old * 2, old - 1
        case "real":
            candidates = 0.25, 0.75
    for value in candidates:
        try:
            new = config.adapt(**{knob.name: value})
        except ConfigError:
            continue
        if value != old and new != config:
            return describe(value), new
    raise AssertionError(f"nothing to turn {knob.name} to")


@pytest.mark.parametrize(("family", "knob"), KNOBS)
def test_every_knob_is_an_option(say, family, knob):
    name, before, start = next(
        (name, before, start) for name, before, start in starts(family) if knob.name not in start.unused()
    )
    text, wanted = turned(start, knob)
    assert parse(json.loads(say("export", name, *before, *option(knob, text)))) == wanted
    if knob.kind != "switch":
        assert parse(json.loads(say("export", name, *before, "=".join(option(knob, text))))) == wanted


def option(knob: Knob, text: str) -> tuple[str, ...]:
    words = knob.name.replace("_", "-")
    if knob.kind == "switch":
        return (f"--{words}" if text == "on" else f"--no-{words}",)
    return f"--{words}", text


def starts(family: str) -> Iterator[tuple[str, tuple[str, ...], Config]]:
    """The family's presets, and those with one knob turned, without which another may have no meaning."""
    presets = [(name, preset.config) for name, preset in FAMILIES[family].presets.items()]
    for name, config in presets:
        yield name, (), config
    for name, config in presets:
        for knob in knobs(type(config)):
            with suppress(AssertionError):
                text, new = turned(config, knob)
                yield name, option(knob, text), new


@pytest.mark.parametrize("family", FAMILIES)
def test_help_lists_the_knobs_with_bounds(capsys, family):
    with pytest.raises(SystemExit) as stop:
        main(["count", next(iter(FAMILIES[family].presets)), "--help"])
    assert stop.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for knob in knobs(FAMILIES[family].config):
        assert f"--{knob.name.replace('_', '-')}" in words
        assert knob.help in words
        if knob.kind in ("whole", "real"):
            assert f"{knob.least:g} to {knob.most:g}" in words


@pytest.mark.parametrize("command", ["presets", "count", "describe", "conventions", "export"])
def test_help_without_a_network(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"python -m explorer {command}" in capsys.readouterr().out


# -- links and files ---------------------------------------------------------------------------------------------------


def test_links_copied_from_the_browser(say):
    choice = Choice("densenet121", PRESETS["densenet121"].replace(growth_rate=24, blocks=(6, 12, 8)))
    query = urlencode(links.write(choice) | {"op": "classifier", "seed": "3"})
    for link in (f"http://host:8501/feature-maps?{query}", f"https://host/?{query}#top", f"?{query}", query):
        (found,) = json.loads(say("count", link, "--json"))
        assert parse(found["config"]) == choice.config
        assert found["name"] == "densenet121"
        assert found["changes"]["growth_rate"] == {"from": 32, "to": 24}
        assert found["unchanged"]["params"] == 7978856


def test_an_option_turns_the_network_of_a_link(say):
    link = "http://host/?network=densenet121&growth_rate=24"
    for argv in (["count", link, "--classes", "10", "--json"], ["count", "--json", "--classes", "10", link]):
        (found,) = json.loads(say(*argv))
        assert (found["config"]["growth_rate"], found["config"]["classes"]) == (24, 10)


def test_a_link_without_a_network_is_what_the_browser_shows(say):
    (found,) = json.loads(say("count", "http://host/gradient-flow", "--json"))
    assert found["name"] == links.DEFAULT


def test_problems_of_a_link_are_told_and_the_rest_is_used(capsys):
    assert main(["count", "http://host/?network=densenet121&growth_rate=9999&classes=10", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["changes"] == {"classes": {"from": 1000, "to": 10}}
    assert err.count("\n") == 1
    assert "9999" in err


def test_a_checkpoint_is_counted(capsys, tmp_path):
    """Its stem is a CIFAR network's, so images are: no tensor tells their size."""
    path = tmp_path / "mine.pt"
    torch.save(build(plan(PRESETS["resnet20_cifar"].replace(classes=7, width=20))).state_dict(), path)
    assert main(["count", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "mine.pt is a ResNet of depth 20: 116 tensors have its names and shapes.\n"
    assert parse(json.loads(out)[0]["config"]) == PRESETS["resnet20_cifar"].replace(classes=7, width=20)
    path.write_bytes(b"nothing")
    assert main(["count", str(path)]) == 2
    assert capsys.readouterr().err.startswith("mine.pt is neither a safetensors file nor one that torch.save wrote")


@pytest.mark.parametrize("name", ["resnet50", "densenet_bc100_12_cifar", "cliquenet_s3_attention"])
def test_files_are_read_back(say, tmp_path, name):
    path = tmp_path / "mine.json"
    assert say("export", name, "--classes", "7", "--output", str(path)) == ""
    wanted = PRESETS[name].replace(classes=7)
    assert parse(json.loads(path.read_text())) == wanted
    path.write_text(wanted.model_dump_json())
    (found,) = json.loads(say("count", str(path), "--json"))
    assert parse(found["config"]) == wanted
    assert (found["name"], found["changes"]) == ("mine", {})
    assert found["params"] == plan(wanted).params
    assert "mine: classes 7 → 8" in say("count", str(path), "--classes", "8")
    assert "mine: classes 7 → 8" in say("count", "--batch", "2", str(path), "--classes", "8")


# -- the other commands ------------------------------------------------------------------------------------------------


def test_presets_are_all_listed(say):
    lines = say("presets").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PRESETS)
    for name, line in zip(PRESETS, lines[1:], strict=True):
        assert TITLES[name] in line
    assert re.search(r"^resnet50 +ResNet-50 +25,557,032 +4,089,184,256$", "\n".join(lines), re.MULTILINE)


@pytest.mark.parametrize("family", FAMILIES)
def test_presets_of_a_family(say, family):
    found = json.loads(say("presets", family, "--json"))
    assert [entry["name"] for entry in found] == list(FAMILIES[family].presets)
    assert {entry["family"] for entry in found} == {family}


@pytest.mark.parametrize("level", ["stage", "block", "operation"])
@pytest.mark.parametrize("name", ["resnet18", "densenet_bc100_12_cifar", "cliquenet_s0"])
def test_describe_has_the_rows_of_the_table(say, name, level):
    heading, table, papers = say("describe", name, "--level", level).split("\n\n")
    assert heading.startswith(f"{name}: {FAMILIES[PRESETS[name].family].title}, depth ")
    header, *rows, whole = table.splitlines()
    wanted = costs.table(plan(PRESETS[name]), level)
    assert [row.split("  ")[0] for row in rows] == [row.name for row in wanted]
    for text, row in zip(rows, wanted, strict=True):
        assert re.search(rf" {row.params:,} +{row.params_share:.1%} +{row.macs:,} +{row.macs_share:.1%} ", text)
    assert whole.split()[:3] == ["whole", f"{plan(PRESETS[name]).params:,}", f"{plan(PRESETS[name]).macs:,}"]
    assert header.split()[:2] == ["name", "contains"]
    for address in FAMILIES[PRESETS[name].family].papers.values():
        assert address in papers


def test_conventions_are_told(say):
    printed = say("conventions", "resnet50")
    assert re.search(r"^torchvision's weights +GFLOPS +4,089,184,256 +1\.000 ", printed, re.MULTILINE)
    assert re.search(r"^torch FlopCounterMode +FLOPs +8,178,368,512 +2\.000 ", printed, re.MULTILINE)
    assert re.search(r"^thop +MACs +-  .*shared kernels", say("conventions", "cliquenet_s0"), re.MULTILINE)


def test_export_to_csv_is_the_table(say):
    rows = list(csv.DictReader(StringIO(say("export", "cliquenet_k36_t12", "--format", "csv"))))
    here = plan(PRESETS["cliquenet_k36_t12"])
    assert [row["name"] for row in rows] == [op.name for op in here.ops[1:]]
    assert sum(int(row["params"]) for row in rows) == 935994
    assert sum(int(row["macs"]) for row in rows) == 455149216
    assert rows[0].keys() == set(costs.Row._fields)


def test_export_to_python_is_the_source(say, monkeypatch):
    """What explorer.running.source writes; its own tests run it."""
    stand_in = SimpleNamespace(python_source=lambda config, lesions: f"classes = {config.classes}\n")
    monkeypatch.setitem(sys.modules, "explorer.running.source", stand_in)
    assert say("export", "resnet20_cifar", "--classes", "7", "--format", "py") == "classes = 7\n"


def test_export_of_what_lesions_leave(say):
    """Two 3x3 convolutions of 16 to 16 channels on 32x32 and their norms drop out of ResNet-20's first stage."""
    command = ("export", "resnet20_cifar", "--format", "csv")
    whole, left = (list(csv.DictReader(StringIO(say(*command, *more)))) for more in ((), ("--off", "layer1.1")))
    for column, dropped in (("params", 2 * (16 * 16 * 9 + 2 * 16)), ("macs", 2 * 16 * 16 * 9 * 32 * 32)):
        assert sum(int(row[column]) for row in whole) - sum(int(row[column]) for row in left) == dropped
    source = say("export", "resnet20_cifar", "--format", "py", "--off", "layer1.1", "--cut", "layer3.2")
    assert "layer1.1." in source.split('"""')[1]
    assert "layer3.2." in source.split('"""')[1]


def test_weights_of_what_lesions_leave(say, tmp_path):
    from safetensors import safe_open

    files = [tmp_path / name for name in ("whole", "left")]
    for path, more in zip(files, ((), ("--off", "layer1.1")), strict=True):
        say("export", "resnet20_cifar", "--format", "safetensors", "--output", str(path), *more)
    whole, left = ({*safe_open(path, "pt").keys()} for path in files)
    assert whole - left == {name for name in whole if name.startswith("layer1.1.")}


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nosuch"], "'nosuch' is not a command"),
        (["count"], "say which network"),
        (["describe", "--level", "stage"], "say which network"),
        (["count", "resnet5"], "there is resnet50 or"),
        (["count", "qqqqqqqqqqq"], "presets` lists them"),
        (["count", "resnet50", "nosuch"], "no network 'nosuch'"),
        (["count", "resnet50", "--growth-rate", "24"], "no option --growth-rate"),
        (["count", "resnet50", "densenet121", "--growth-rate", "24"], "resnet50 has no --growth-rate"),
        (["count", "densenet121", "--growth-rate"], "expected one argument"),
        (["count", "densenet121", "--growth-rate", "500"], "growth_rate='500': .* 1 to 128"),
        (["count", "densenet121", "--growth-rate", "a"], "growth_rate='a': .* 1 to 128"),
        (["count", "densenet121", "--blocks", "6-x-6"], "blocks='x': "),
        (["count", "densenet121", "--blocks", ""], "blocks=''"),
        (["count", "resnet50", "--stem", "none"], "stem='none': "),
        (["count", "resnet50", "--input-size", "16"], "input_size=16: .* use at least 32"),
        (["count", "resnet50", "--batch", "0"], "'0' is not a number of images"),
        (["count", "resnet50", "--batch", "x"], "'x' is not a number of images"),
        (["count", "nofile.json"], "nofile.json cannot be read: no such file"),
        (["presets", "resnot"], f"'resnot' is not a family; there are {', '.join(FAMILIES)}"),
        (["presets", "--level"], "unrecognized arguments: --level"),
        (["describe", "resnet18", "resnet34"], "One network at a time"),
        (["describe", "resnet18", "--level", "layer"], "invalid choice: 'layer'"),
        (["export", "resnet18", "--format", "jpg"], "invalid choice: 'jpg'"),
        (["export", "resnet18", "--off", "layer1.1"], "A configuration has no lesions; write another --format"),
        (
            ["export", "resnet18", "--format", "csv", "--cut", "fc"],
            "no 'fc' to switch off; there are layer1.0, layer1.1",
        ),
        (["export", "resnet18", "--output", "no/such/folder/x.json"], "cannot be written: no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_sentence(capsys, argv, words):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert err.endswith(".\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds no network"),
        (b"{}", "family=None is not known"),
        (b'{"family": "resnet", "blocks": [1]}', "blocks"),
        (b'{"family": "resnet", "wings": 2}', "'wings' is not a knob"),
    ],
    ids=["cut short", "binary", "deep", "a list", "empty", "bad value", "strange field"],
)
def test_a_file_that_holds_no_network(capsys, tmp_path, content, words):
    path = tmp_path / "network.json"
    path.write_bytes(content)
    assert main(["count", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err
    assert str(path) in err


# -- as a program ------------------------------------------------------------------------------------------------------


def test_it_is_a_program():
    done = outside("count", "resnet18")
    assert (done.returncode, done.stderr) == (0, "")
    assert "11,689,512" in done.stdout
    done = outside("count", "resnet18", "--width", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("width='1': ")
    assert "Traceback" not in done.stderr


def test_without_a_command_it_says_what_it_can_do(say):
    for argv in ((), ("--help",)):
        printed = say(*argv)
        for command in ("presets", "count", "describe", "conventions", "export"):
            assert f"python -m explorer {command}" in printed


def test_nothing_heavy_is_imported():
    code = """
import sys
from explorer.__main__ import main
assert main(["count", "densenet121", "--growth-rate", "24"]) == 0
assert main(["presets"]) == main(["describe", "resnet50"]) == main(["conventions", "resnet50"]) == 0
assert main(["export", "resnet50", "--format", "csv"]) == main(["export", "resnet50"]) == 0
print([name for name in ("torch", "numpy", "pandas", "streamlit", "plotly", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_who_leaves_early_is_no_error():
    command = [sys.executable, "-m", "explorer", "describe", "densenet201", "--level", "operation"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline().startswith("densenet201")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_terminal_without_arrows_shows_question_marks():
    done = outside("count", "densenet121", "--growth-rate", "24", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "growth_rate 32 ? 24" in done.stdout
