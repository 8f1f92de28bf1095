"""What may be built here: limits from the machine or its variables; refusals in a sentence, before anything is made."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from explorer.counting import budget
from explorer.counting.budget import (
    MOST_OPERATIONS,
    BudgetError,
    Limits,
    check,
    check_batch,
    fitting_batch,
    free_memory,
    lately,
    limits,
)
from explorer.counting.memory import forward_bytes
from explorer.families import PRESETS, parse, plan
from explorer.running import network
from explorer.wording import gigabytes

ROOT = Path(__file__).parents[1]
VARIABLES = ("EXPLORER_MAX_OPERATIONS", "EXPLORER_MAX_PARAMS", "EXPLORER_MAX_MEMORY")
PLENTY = Limits(operations=10**9, params=10**15, memory=10**18)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_half_of_the_free_memory_by_default():
    assert limits(free=8 * 10**9) == Limits(MOST_OPERATIONS, 10**9, 4 * 10**9)


def test_the_machines_memory(monkeypatch):
    monkeypatch.setattr(budget, "free_memory", lambda: 6 * 10**9)
    assert limits().memory == 3 * 10**9


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4000000000", 4 * 10**9),
        ("4_000_000_000", 4 * 10**9),
        ("4GB", 4 * 10**9),
        (" 4 gb ", 4 * 10**9),
        ("1.5GB", 1_500_000_000),
        ("512MB", 512_000_000),
        ("0.5mb", 500_000),
    ],
)
def test_memory_from_a_variable(monkeypatch, text, count):
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", text)
    assert limits(free=1) == Limits(MOST_OPERATIONS, count // 4, count)


def test_each_variable_comes_first(monkeypatch):
    for name, text in zip(VARIABLES, ("300", "4000", "5000000"), strict=True):
        monkeypatch.setenv(name, text)
    assert limits() == Limits(300, 4000, 5_000_000)
    monkeypatch.setenv("EXPLORER_MAX_PARAMS", " ")
    assert limits().params == 5_000_000 // 4


@pytest.mark.parametrize("text", ["lots", "4GiB", "GB", "-1", "-4GB", "0", "nanGB", "infGB", "4,5GB", "٣x"])
@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_is_no_number_is_named(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=name) as error:
        limits(free=10**9)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"memory.max": "1000\n", "memory.current": "400\n"}, 600),
        ({"memory.max": "1000\n", "memory.current": "1200\n"}, 0),
        ({"memory.max": "max\n", "memory.current": "400\n"}, 5000),
        ({"memory.max": "9000\n", "memory.current": "400\n"}, 5000),
        ({"memory.max": "1000\n"}, 5000),
        ({}, 5000),
    ],
)
def test_free_memory_is_the_containers_where_that_is_less(monkeypatch, tmp_path, files, free):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(budget, "Path", lambda _: tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 5000}))
    assert free_memory() == free


def test_within_a_second_nothing_is_asked_twice(monkeypatch):
    now, asked = [100.0], []
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])

    def free(device: str) -> int:
        asked.append(device)
        return len(asked)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: lately(free, "cpu"), range(50))) == {1}
    assert lately(free, "cuda:0") == 2
    now[0] += 0.9
    assert (lately(free, "cpu"), lately(free, "cuda:0")) == (1, 2)
    now[0] += 0.2
    assert lately(free, "cpu") == 3
    assert asked == ["cpu", "cuda:0", "cpu"]


def test_another_way_of_asking_is_asked_at_once():
    assert [lately(lambda: 5), lately(lambda: 6)] == [5, 6]


def test_free_memory_here():
    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_what_fits_is_let_through():
    p = plan(PRESETS["densenet121"])
    exactly = Limits(len(p.ops), p.params, forward_bytes(p, 3))
    assert check(p, batch=3, limit=exactly) is None
    assert check(p, limit=PLENTY) is None


def test_operations_are_refused_with_number_and_limit():
    p = plan(PRESETS["resnet18"])
    with pytest.raises(BudgetError, match=r"\b69 operations; the limit is 68\.$"):
        check(p, limit=PLENTY._replace(operations=68))


def test_parameters_are_refused_with_number_and_limit():
    p = plan(PRESETS["resnet18"])
    with pytest.raises(BudgetError, match=r"\b11,689,512 parameters; the limit is 11,689,511\.$"):
        check(p, limit=PLENTY._replace(params=p.params - 1))


def test_memory_is_refused_with_estimate_limit_and_way_out():
    p = plan(PRESETS["resnet50"])
    for batch, fits in ((64, 63), (9, 8)):
        limit = PLENTY._replace(memory=forward_bytes(p, batch) - 1)
        with pytest.raises(BudgetError) as error:
            check(p, batch, limit)
        estimate, most = gigabytes(forward_bytes(p, batch)), gigabytes(limit.memory)
        assert str(error.value) == (
            f"A forward pass on {batch} images would take about {estimate}; the limit is {most}: {fits} would fit."
        )
    with pytest.raises(BudgetError) as error:
        check(p, limit=PLENTY._replace(memory=10**6))
    assert str(error.value).startswith("A forward pass on one image would take about ")
    assert str(error.value).endswith("the limit is 1.0 MB: use a smaller input or fewer channels.")


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet_bc100_12_cifar", "cliquenet_k36_t12"])
def test_the_largest_batch_that_fits_is_found(name):
    p = plan(PRESETS[name])
    needed = [forward_bytes(p, batch) for batch in range(1, 41)]
    for memory in {0, 1, needed[0] - 1, *needed[:30], *(n - 1 for n in needed[:30]), needed[5] + 1000}:
        by_trial = sum(n <= memory for n in needed)
        assert by_trial < 40
        assert fitting_batch(p, PLENTY._replace(memory=memory)) == by_trial


def test_nothing_is_made_of_what_is_refused(monkeypatch):
    def make(*arguments, **more):
        raise AssertionError("something was made")

    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "1MB")
    for made in (torch.nn.Module, torch.fx.Graph):
        monkeypatch.setattr(made, "__init__", make)
    with pytest.raises(BudgetError, match="the limit is"):
        network.build(plan(PRESETS["resnet18"]))
    monkeypatch.delenv("EXPLORER_MAX_MEMORY")
    with pytest.raises(AssertionError, match="something was made"):
        network.build(plan(PRESETS["resnet18"]))


def test_no_machine_holds_the_largest_network():
    """The far end of every slider is refused by its sizes, and not by what torch says of lacking memory."""
    largest = parse(
        {
            "family": "resnet",
            "blocks": (200,) * 4,
            "width": 1024,
            "input_size": 1024,
            "stem": "cifar",
            "stem_width": 512,
        }
    )
    with pytest.raises(BudgetError, match="parameters; the limit is"):
        network.build(plan(largest))


WITHOUT_MEMORY = """
import resource
from explorer.counting.budget import BudgetError
from explorer.families import PRESETS, plan
from explorer.network import build

large = plan(PRESETS["resnet18"].replace(width=512))  # 2.9 GB
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 500_000_000,) * 2)
try:
    build(large)
except BudgetError as refusal:
    print(refusal)
build(plan(PRESETS["resnet20_cifar"]))  # what was taken is free again
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process's memory cannot be limited")
def test_memory_that_ends_while_a_network_is_built_is_one_sentence():
    given = os.environ | {"EXPLORER_MAX_MEMORY": "100GB", "OMP_NUM_THREADS": "1"}  # as where others take it meanwhile
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"cpu ran out of memory when it was asked for [\d.]+ [GM]B more\. [\d.]+ [GM]B are free now; "
        r"try fewer channels or blocks\.\n",
        done.stdout,
    )


def test_an_analysis_that_needs_its_own_memory_says_which_batch_would_fit():
    limit = PLENTY._replace(memory=1_000)
    check_batch("Gradients", 10, lambda batch: 100 * batch, limit)
    with pytest.raises(BudgetError, match=r"Gradients on 64 images would take about 0\.0 MB.*a batch of 9 would fit"):
        check_batch("Gradients", 64, lambda batch: 100 + 100 * batch, limit)
    with pytest.raises(BudgetError, match="use a smaller input"):
        check_batch("Gradients", 2, lambda batch: 2_000 * batch, limit)
