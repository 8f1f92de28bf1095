"""A run that is killed goes on from its last checkpoint, and ends where one that nobody killed ends, bit by bit."""

import random
import time

import pandas as pd
import pytest
import torch
from forking import Workers, until
from safetensors import safe_open
from safetensors.torch import load_file

from explorer.families import PRESETS
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

AN_EPOCH = 4  # steps: of 32 images, 128 in all
NETWORK = PRESETS["resnet20_cifar"].adapt(
    blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8, dropout=0.2, drop_path=0.1
)


@pytest.fixture(scope="module")
def workers():
    with Workers() as started:
        yield started


def new(path, recipe):
    return runs.create(Job(NETWORK, "digits", recipe, images=128), path).path


def weights(path):
    """Tensors and step of a checkpoint, as anybody reads them who knows safetensors."""
    with safe_open(path / "checkpoint.safetensors", "pt") as file:
        return load_file(path / "checkpoint.safetensors"), int(file.metadata()["explorer.step"])


def look_at_a_killed_one(path):
    """How far it had come, in steps."""
    if (path / "status.json").exists():
        assert runs.status(path).state == "died"
    if not (path / "checkpoint.safetensors").exists():
        return 0
    tensors, step = weights(path)
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert step % AN_EPOCH == 0
    assert load_file(path / f"optimizer-{step}.safetensors")
    rows = pd.read_csv(path / "metrics.csv")
    assert rows["step"].max() - step <= AN_EPOCH
    return step


def changed(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def killed(workers, path, chance, startup, an_epoch):
    """One worker, ended at a random moment: while it starts, or within two epochs after its next checkpoint. Whether
    it was still there.
    """
    checkpoint = path / "checkpoint.safetensors"
    before = changed(checkpoint)
    worker = workers.start(path)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, startup))
    else:
        until(lambda: changed(checkpoint) != before or worker.ended)
        time.sleep(chance.uniform(0, 2 * an_epoch))
    worker.kill()
    return worker.wait() == -9


def equal(tensors, others):
    assert tensors.keys() == others.keys()
    for name, value in tensors.items():
        assert torch.equal(value, others[name]), name


def same(path, other):
    (tensors, step), (others, other_step) = weights(path), weights(other)
    assert step == other_step
    equal(tensors, others)
    equal(*(load_file(place / f"optimizer-{step}.safetensors") for place in (path, other)))
    for file in ("gradient_norms.csv", "update_ratios.csv", "predictions.csv"):
        assert (path / file).read_bytes() == (other / file).read_bytes(), file
    rows, other_rows = (pd.read_csv(place / "metrics.csv", dtype=str) for place in (path, other))
    assert rows["seconds"].astype(float).is_monotonic_increasing
    pd.testing.assert_frame_equal(rows.drop(columns="seconds"), other_rows.drop(columns="seconds"))
    assert {file.name for file in path.iterdir()} == {file.name for file in other.iterdir()}


@pytest.mark.parametrize(
    ("recipe", "kills"),
    [
        (Recipe(epochs=60, batch_size=32, augmentation="flip and crop"), 30),
        (Recipe(epochs=12, batch_size=32, optimizer="adamw", learning_rate=0.01, precision="bfloat16"), 5),
    ],
    ids=["nesterov", "adamw, bfloat16"],
)
def test_a_run_that_is_killed_ends_as_one_that_was_not(workers, tmp_path, recipe, kills):
    whole = new(tmp_path / "whole", recipe)
    began = time.monotonic()
    undisturbed = workers.start(whole)
    until((whole / "metrics.csv").exists)
    startup = time.monotonic() - began
    assert undisturbed.wait() == 0
    an_epoch = (time.monotonic() - began - startup) / recipe.epochs

    chance, count, ended, steps = random.Random(0), 0, [], set()
    while count < kills or not ended:
        # a run that is at its end before it was killed often enough is followed by another
        path = new(tmp_path / f"broken{len(ended)}", recipe)
        while count < kills and killed(workers, path, chance, startup, an_epoch):
            count += 1
            steps.add(look_at_a_killed_one(path))
        assert workers.start(path).wait() == 0
        ended.append(path)
    assert len(steps) > kills / 3  # they were killed all along the way
    for path in ended:
        assert runs.status(path).state == "finished"
        same(path, whole)
