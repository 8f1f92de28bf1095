"""Recipes: learning rates against torch's schedulers and the papers' milestones; nonsense by field and value."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from explorer.families import ConfigError
from explorer.learning.recipe import RECIPES, Recipe, crops, mirrors, rate

STEPS = 40


def rates(recipe, steps=STEPS):
    return [rate(recipe, step, steps) for step in range(steps)]


def by_torch(make, peak, steps=STEPS):
    """The rates that a scheduler of torch gives an optimizer, step for step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], peak)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


# -- schedules ---------------------------------------------------------------------------------------------------------


def test_cosine_is_torchs():
    recipe = Recipe(schedule="cosine", learning_rate=0.3)
    torchs = by_torch(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS), 0.3)
    assert rates(recipe) == pytest.approx(torchs, rel=1e-6, abs=1e-9)
    assert rate(recipe, STEPS, STEPS) == pytest.approx(0, abs=1e-12)


def test_steps_are_torchs():
    recipe = Recipe(schedule="steps", learning_rate=0.3)
    torchs = by_torch(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [STEPS // 2, 3 * STEPS // 4]), 0.3)
    assert rates(recipe) == pytest.approx(torchs)


def test_constant_is_constant():
    assert rates(Recipe(schedule="constant", learning_rate=0.3)) == [0.3] * STEPS


def test_warm_up_is_torchs_linear_one():
    recipe = Recipe(schedule="constant", warmup=0.25, learning_rate=0.5)
    torchs = by_torch(lambda optimizer: lr_scheduler.LinearLR(optimizer, 1 / 25, total_iters=STEPS // 4), 0.5)
    assert rates(recipe) == pytest.approx(torchs)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
def test_warm_up_and_then_a_cosine_of_the_rest(schedule):
    """One-cycle's warm-up is a quarter without being asked for."""
    recipe = Recipe(schedule=schedule, warmup=0.25 if schedule == "cosine" else 0, learning_rate=0.5)
    up = STEPS // 4

    def both(optimizer):
        rise = lr_scheduler.LinearLR(optimizer, 1 / 25, total_iters=up)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, STEPS - up)
        return lr_scheduler.SequentialLR(optimizer, [rise, fall], [up])

    assert rates(recipe) == pytest.approx(by_torch(both, 0.5), rel=1e-6, abs=1e-9)


def test_one_cycle_has_the_shape_of_torchs():
    """The same start, summit and fall; torch rises along a cosine too, and ends at a small rate one step earlier."""
    recipe = Recipe(schedule="one-cycle", learning_rate=0.5)
    steps = 4000
    ours = rates(recipe, steps)
    torchs = by_torch(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=steps, pct_start=0.25), 0.5, steps
    )
    assert ours[0] == pytest.approx(torchs[0])
    top = ours.index(max(ours))
    assert max(ours) == pytest.approx(0.5)
    assert abs(top - torchs.index(max(torchs))) <= 1
    assert ours[top:] == pytest.approx(torchs[top:], abs=0.5 * 2 / steps * math.pi)
    assert ours[:top] == sorted(ours[:top])
    assert ours[top:] == sorted(ours[top:], reverse=True)


def test_a_longer_warm_up_moves_the_summit_of_one_cycle():
    found = rates(Recipe(schedule="one-cycle", warmup=0.5))
    assert found.index(max(found)) == STEPS // 2


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "steps", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.3, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 1000])
def test_no_rate_is_negative_or_above_the_peak(schedule, warmup, steps):
    recipe = Recipe(schedule=schedule, warmup=warmup, learning_rate=0.7)
    found = [rate(recipe, step, steps) for step in range(steps + 1)]
    assert all(0 <= one <= 0.7 + 1e-12 for one in found)
    assert any(one > 0 for one in found[:steps])


# -- the papers' -------------------------------------------------------------------------------------------------------


def test_resnets_milestones():
    """He et al., section 4.2: 0.1 from the start, a tenth after 32,000 of 64,000 steps and again after 48,000."""
    recipe = RECIPES["resnet"].recipe
    wanted = {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 63_999: 0.001}
    assert {step: rate(recipe, step, 64_000) for step in wanted} == pytest.approx(wanted)
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay) == (128, 0.9, 1e-4)
    assert recipe.epochs * (50_000 // 128) == pytest.approx(64_000, rel=0.002)
    assert recipe.optimizer == "sgd"


@pytest.mark.parametrize("name", ["densenet", "cliquenet"])
def test_densenets_milestones(name):
    """Huang et al., section 4.2: 300 epochs, 0.1, a tenth at 50 % and at 75 %; Yang et al. do the same."""
    recipe = RECIPES[name].recipe
    an_epoch = 50_000 // 64
    steps = 300 * an_epoch
    wanted = {0: 0.1, 150 * an_epoch - 1: 0.1, 150 * an_epoch: 0.01, 225 * an_epoch - 1: 0.01, 225 * an_epoch: 0.001}
    assert {step: rate(recipe, step, steps) for step in wanted} == pytest.approx(wanted)
    assert (recipe.epochs, recipe.batch_size, recipe.momentum, recipe.weight_decay) == (300, 64, 0.9, 1e-4)
    assert recipe.optimizer == "nesterov"


def test_the_papers_augmentation():
    """ResNet and DenseNet shift and mirror; CliqueNet's table is of CIFAR without."""
    assert {
        name: (mirrors(paper.recipe.augmentation), crops(paper.recipe.augmentation)) for name, paper in RECIPES.items()
    } == {
        "quick": (False, False),
        "resnet": (True, True),
        "densenet": (True, True),
        "cliquenet": (False, False),
    }


# -- nonsense ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("epochs", 0, "1 to 1000"),
        ("epochs", 10**9, "1 to 1000"),
        ("epochs", 1.5, "1 to 1000"),
        ("epochs", "many", "1 to 1000"),
        ("batch_size", 0, "1 to 4096"),
        ("batch_size", None, "1 to 4096"),
        ("learning_rate", 0, "1e-06 to 10"),
        ("learning_rate", -0.1, "1e-06 to 10"),
        ("learning_rate", math.nan, "1e-06 to 10"),
        ("learning_rate", math.inf, "1e-06 to 10"),
        ("learning_rate", "nan", "1e-06 to 10"),
        ("momentum", 1, "0 to 0.999"),
        ("weight_decay", -1e-9, "0 to 1"),
        ("warmup", 0.95, "0 to 0.9"),
        ("label_smoothing", 1, "0 to 0.9"),
        ("seed", -1, "0 to 2.14748e"),
        ("schedule", "linear", "'one-cycle', 'cosine', 'steps' or 'constant'"),
        ("optimizer", "lion", "'nesterov', 'sgd' or 'adamw'"),
        ("augmentation", "rotate", "'none', 'flip', 'crop' or 'flip and crop'"),
        ("precision", "float16", "'float32' or 'bfloat16'"),
        ("precision", ["float32"], "'float32' or 'bfloat16'"),
    ],
)
def test_nonsense_is_refused_by_field_and_value(field, value, allowed):
    with pytest.raises(ConfigError) as refusal:
        Recipe().replace(**{field: value})
    sentence = str(refusal.value)
    assert sentence.startswith(f"{field}={value!r}: ")
    assert allowed in sentence
    assert "\n" not in sentence


def test_a_knob_that_there_is_not_is_refused_by_name():
    with pytest.raises(ConfigError, match="'dropout' is not a knob of a recipe; it has epochs, batch_size, "):
        Recipe.parse({"dropout": 0.1})


def test_recipes_are_values():
    assert Recipe(seed=1) == Recipe(seed=1) != Recipe(seed=2)
    assert len({Recipe(), Recipe(), Recipe(seed=1)}) == 2
    assert Recipe.parse(Recipe(schedule="cosine", warmup=0.1).model_dump()) == Recipe(schedule="cosine", warmup=0.1)
