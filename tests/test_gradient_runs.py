"""Gradients as long work: what a result is remembered by, how much work it is, and which weights are run."""

from dataclasses import replace

import numpy as np
import pytest

from controls.services import gradient_runs
from controls.services.gradient_runs import Run, beside, flow_task, paths_task, reuse_task, routes_task
from explorer.analyses import gradients
from explorer.analyses.batches import Inputs
from explorer.counting import effort
from explorer.counting.budget import BudgetError
from explorer.families import PRESETS, plan
from explorer.running.weights import Weights, fresh

SMALL = PRESETS["resnet20_cifar"]
RUN = Run(SMALL, fresh(5), Inputs(4), "train", 3, "cpu")
TRAINED = Weights("torchvision", "Some_Weights.V1", "some")


def listener():
    reports = []
    return reports, lambda done, total: reports.append((done, total))


def test_seeds_follow_that_of_the_weights():
    assert list(RUN.all_seeds) == [5, 6, 7]
    assert list(replace(RUN, weights=TRAINED).all_seeds) == [0, 1, 2]


def test_a_flow_is_that_of_the_library():
    reports, progress = listener()
    found = flow_task("one", RUN, every=False).run(progress)
    small = plan(SMALL)
    expected = gradients.flow(
        gradients.fresh(small, range(5, 8), "train"), (gradients.noise(small, 4, seed) for seed in range(5, 8))
    )
    np.testing.assert_array_equal(found.activation, expected.activation)
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert reports == [(1, 3), (2, 3), (3, 3)]


def test_work_is_three_passes_for_each_image_and_seed():
    # 40,551,040 multiply-accumulates an image, at this network's slowness; and its weights are drawn
    seed, drawn = 3 * 40_551_040 * 4 * effort.slowness(RUN.plan), effort.PARAMETER * RUN.plan.params
    assert flow_task("one", RUN, every=False).macs == pytest.approx(3 * seed + drawn)
    assert routes_task(RUN).macs == pytest.approx(seed + drawn)
    assert reuse_task(RUN).macs == 0


CHANGES = {
    "config": SMALL.replace(width=20),
    "weights": fresh(6),
    "inputs": Inputs(5),
    "mode": "eval",
    "seeds": 2,
    "device": "cuda:0",
}


@pytest.mark.parametrize(
    ("task", "read"),
    [
        (lambda run: flow_task("one", run, every=False), set(CHANGES)),
        (routes_task, set(CHANGES) - {"seeds"}),  # the first seed's alone
        (paths_task, set(CHANGES) - {"seeds"}),
        (reuse_task, {"config", "weights", "device"}),  # nothing goes through the network
    ],
    ids=("flow", "routes", "paths", "reuse"),
)
def test_a_result_is_remembered_by_what_it_reads(task, read):
    changed = {name for name, value in CHANGES.items() if task(replace(RUN, **{name: value})).key != task(RUN).key}
    assert changed == read


def test_the_title_and_the_time_are_no_part_of_the_key():
    assert flow_task("one", RUN, every=False).key == flow_task("other", replace(RUN), every=False).key
    assert flow_task("one", RUN, every=True).key != flow_task("one", RUN, every=False).key


def test_other_networks_get_the_same_inputs_and_no_ones_trained_weights():
    other = PRESETS["plain20_cifar"]
    assert beside(RUN, other) == replace(RUN, config=other)
    trained = replace(RUN, weights=TRAINED)
    assert beside(trained, SMALL) == trained
    assert beside(trained, other) == replace(RUN, config=other, weights=fresh(0))


def test_too_many_images_are_refused_before_anything_is_built(monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_MEMORY", "60MB")
    monkeypatch.setattr(gradient_runs.gradients, "fresh", None)
    large = replace(RUN, inputs=Inputs(256))
    for task in (flow_task("one", large, every=False), routes_task(large), paths_task(large)):
        with pytest.raises(BudgetError, match=r"Gradients on 256 images.*a batch of \d+ would fit"):
            task.run(listener()[1])
