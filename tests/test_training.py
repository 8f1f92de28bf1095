"""A step is plain PyTorch's, augmented images are their mirrored and shifted selves, and small networks learn."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import functional as transforms

from explorer.families import PRESETS, plan
from explorer.learning.datasets import find
from explorer.learning.recipe import Recipe, rate
from explorer.learning.records import Kernels
from explorer.learning.training import Images, Training, augmented, drawn_seed, evaluate
from explorer.pictures.preparation import to_tensor
from explorer.running.network import build

TINY = PRESETS["resnet20_cifar"].adapt(blocks=(1, 1, 1), shortcut="B", width=4, stem_width=4, input_size=8)
CLIQUE = PRESETS["cliquenet_k36_t12"].adapt(widths=(4, 4, 4), layers=(2, 2, 2), input_size=8)
PLAIN = TINY.adapt(norm="none")


@pytest.fixture(scope="module")
def digits():
    return find("digits").load(8, 3, 256, None)


def training(digits, recipe, config=TINY):
    return Training(build(plan(config), recipe.seed), digits, recipe)


def by_hand(digits, recipe, make, steps, config=TINY):
    """The weights after so many steps that know nothing of `Training` but which images each step takes, and when
    dropout draws; and the losses.
    """
    network = build(plan(config), recipe.seed).to(memory_format=torch.channels_last).train()
    optimizer = make(network.parameters())
    images = torch.from_numpy(digits.train.images).float() / 255
    images = (images - torch.tensor(digits.mean).view(1, -1, 1, 1)) / torch.tensor(digits.std).view(1, -1, 1, 1)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(digits.train.labels)
    each, losses = len(images) // recipe.batch_size, []
    for step in range(steps):
        draw = torch.Generator().manual_seed(drawn_seed(recipe.seed, "order", step // each))
        order = torch.randperm(len(images), generator=draw)
        chosen = order[step % each * recipe.batch_size :][: recipe.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, step, recipe.epochs * each)
        torch.manual_seed(drawn_seed(recipe.seed, "step", step))
        loss = F.cross_entropy(network(images[chosen]), labels[chosen], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return network.state_dict(), losses


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "make"),
    [
        (
            {"optimizer": "nesterov", "momentum": 0.8, "weight_decay": 1e-3},
            lambda weights: torch.optim.SGD(weights, momentum=0.8, weight_decay=1e-3, nesterov=True),
        ),
        (
            {"optimizer": "sgd", "momentum": 0.8, "weight_decay": 0, "label_smoothing": 0.1},
            lambda weights: torch.optim.SGD(weights, momentum=0.8),
        ),
        ({"optimizer": "nesterov", "momentum": 0, "weight_decay": 0}, torch.optim.SGD),
        (
            {"optimizer": "adamw", "momentum": 0.8, "weight_decay": 0.1, "learning_rate": 0.01},
            lambda weights: torch.optim.AdamW(weights, betas=(0.8, 0.999), weight_decay=0.1),
        ),
    ],
    ids=["nesterov", "sgd, label smoothing", "without momentum", "adamw"],
)
@pytest.mark.parametrize("config", [TINY, TINY.adapt(dropout=0.3)], ids=["", "dropout"])
def test_steps_are_plain_pytorchs_bit_by_bit(digits, fields, make, config):
    recipe = Recipe(epochs=2, batch_size=50, seed=3, **fields)
    ours = training(digits, recipe, config)
    losses = [float(ours.step().loss) for _ in range(7)]  # into the second epoch, of five steps
    weights, wanted = by_hand(digits, recipe, make, 7, config)
    assert losses == wanted
    for name, value in ours.network.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_sgd_by_arithmetic():
    """One weight, two steps: v = m v + g + decay w, and w -= rate (g + decay w + m v) as Nesterov has it."""
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = training_optimizer([weight], Recipe(optimizer="nesterov", momentum=0.5, weight_decay=0.1))
    w, v = 2.0, 0.0
    for gradient in (1.0, -3.0):
        weight.grad = torch.tensor([gradient])
        for group in optimizer.param_groups:
            group["lr"] = 0.25
        optimizer.step()
        g = gradient + 0.1 * w
        v = 0.5 * v + g
        w -= 0.25 * (g + 0.5 * v)
        assert weight.item() == pytest.approx(w)


def training_optimizer(weights, recipe):
    from explorer.learning import training as module

    network = torch.nn.Module()
    for i, weight in enumerate(weights):
        network.register_parameter(f"w{i}", weight)
    return module._optimizer(network, recipe)


def test_an_epoch_shows_each_image_once_and_leaves_an_incomplete_batch_out(digits):
    recipe = Recipe(epochs=3, batch_size=50)
    ours = training(digits, recipe)
    assert (ours.steps_an_epoch, ours.steps) == (256 // 50, 3 * (256 // 50))
    seen = []
    for step in range(ours.steps):
        ours.done = step
        _, labels = ours._next_batch()
        i = step % ours.steps_an_epoch
        chosen = ours._order[i * 50 : (i + 1) * 50]
        assert torch.equal(labels, torch.from_numpy(digits.train.labels)[chosen])
        seen.append(chosen)
    epochs = [torch.cat(seen[i * 5 : i * 5 + 5]) for i in range(3)]
    assert all(len(epoch.unique()) == 250 for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    # nothing was drawn from what the steps before left: the last epoch alone is the same
    other = training(digits, recipe)
    other.done = 10
    other._next_batch()
    assert torch.equal(other._order[:250], epochs[2])


def test_a_batch_larger_than_the_data_is_all_of_them(digits):
    ours = training(digits, Recipe(epochs=2, batch_size=4096))
    assert (ours.batch_size, ours.steps) == (256, 2)


def test_rates_of_steps_are_the_recipes(digits):
    recipe = Recipe(epochs=2, batch_size=64, schedule="cosine", learning_rate=0.2)
    ours = training(digits, recipe)
    for step in range(8):
        ours.step()
        assert ours.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (1 + np.cos(np.pi * step / 8)))


def test_what_a_step_found(digits):
    """Loss and right answers are those of the network before the step."""
    ours = training(digits, Recipe(batch_size=64), PLAIN)
    before = copy.deepcopy(ours.network)
    images, labels = ours._next_batch()
    found = ours.step()
    logits = before(images)
    assert float(found.loss) == pytest.approx(float(F.cross_entropy(logits, labels).detach()))
    assert int(found.right) == int((logits.argmax(1) == labels).sum())


def test_seeds_are_drawn_apart():
    seeds = {
        drawn_seed(seed, what, i) for seed in range(3) for what in ("order", "augmentation", "step") for i in range(99)
    }
    assert len(seeds) == 3 * 3 * 99
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_bfloat16_keeps_weights_in_32_bits_and_follows_float32(digits):
    losses = {}
    for precision in ("float32", "bfloat16"):
        ours = training(digits, Recipe(epochs=2, batch_size=64, precision=precision))
        losses[precision] = [float(ours.step().loss) for _ in range(8)]
        assert {weight.dtype for weight in ours.network.parameters()} == {torch.float32}
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.1)


# -- going on ----------------------------------------------------------------------------------------------------------


def layout(tensor):
    """How far apart in memory neighbours are, where there are any."""
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


@pytest.mark.parametrize(
    ("optimizer", "config"),
    [("nesterov", TINY), ("sgd", TINY), ("adamw", TINY), ("nesterov", CLIQUE)],
    ids=["nesterov", "sgd", "adamw", "shared kernels"],
)
def test_from_contiguous_copies_it_goes_on_bit_by_bit(digits, optimizer, config):
    """A file keeps no layout in memory, and sums over another layout could differ in the last bit."""
    recipe = Recipe(epochs=3, batch_size=50, optimizer=optimizer, learning_rate=0.01, augmentation="flip and crop")
    config = config.adapt(dropout=0.2)
    whole = training(digits, recipe, config)
    for _ in range(6):
        whole.step()
    weights = {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in whole.network.state_dict().items()
    }
    state = {name: value.clone(memory_format=torch.contiguous_format) for name, value in whole.state().items()}
    other = training(digits, recipe, config)
    other.network.load_state_dict(weights)
    other.restore(6, state)
    for weight, twin in zip(whole.network.parameters(), other.network.parameters(), strict=True):
        for kind, value in whole.optimizer.state[weight].items():
            assert layout(value) == layout(other.optimizer.state[twin][kind])
    for _ in range(6):
        assert float(whole.step().loss) == float(other.step().loss)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    assert whole.state().keys() == other.state().keys()
    for name, value in whole.state().items():
        assert torch.equal(value, other.state()[name]), name


def test_another_optimizer_begins_anew(digits):
    before = training(digits, Recipe(batch_size=50))
    before.step()
    after = training(digits, Recipe(batch_size=50, optimizer="adamw"))
    after.restore(1, before.state())
    after.step()
    assert {float(value) for name, value in after.state().items() if name.startswith("step.")} == {1.0}
    # Nesterov's momentum is plain SGD's
    plain = training(digits, Recipe(batch_size=50, optimizer="sgd"))
    plain.restore(1, before.state())
    assert all(torch.equal(value, plain.state()[name]) for name, value in before.state().items())


@pytest.mark.parametrize(
    "spoil", [lambda value: value[:1], lambda value: value.flatten()[0], lambda value: value[None]]
)
@pytest.mark.parametrize("optimizer", ["nesterov", "adamw"])
def test_another_networks_state_is_refused(digits, optimizer, spoil):
    before = training(digits, Recipe(batch_size=50, optimizer=optimizer))
    before.step()
    kind = "momentum_buffer" if optimizer == "nesterov" else "exp_avg"
    state = before.state() | {f"{kind}.conv1.weight": spoil(before.state()[f"{kind}.conv1.weight"])}
    with pytest.raises(ValueError, match=r"conv1\.weight"):
        training(digits, Recipe(batch_size=50, optimizer=optimizer)).restore(1, state)


def test_half_a_state_is_refused(digits):
    before = training(digits, Recipe(batch_size=50, optimizer="adamw"))
    before.step()
    state = before.state()
    del state["exp_avg_sq.conv1.weight"]
    with pytest.raises(ValueError, match=r"conv1\.weight"):
        training(digits, Recipe(batch_size=50, optimizer="adamw")).restore(1, state)


# -- images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_prepared_as_pages_prepare_pictures(channels):
    data = find("digits").load(8, channels, 100, None)
    images = Images(data.test, data, "cpu")
    chosen = torch.tensor([5, 0, 99, 5])
    seen = [np.ascontiguousarray(data.test.images[i].transpose(1, 2, 0)) for i in chosen]
    batch = images.batch(chosen)
    assert torch.equal(batch, to_tensor(seen, data.preparation))
    assert batch.is_contiguous(memory_format=torch.channels_last) or channels == 1
    assert len(images) == len(data.test.labels)


def selves(image, augmentation):
    """All that an image may become, by torchvision."""
    _, side, _ = image.shape
    mirrored = [image, transforms.hflip(image)] if "flip" in augmentation else [image]
    if "crop" not in augmentation:
        return mirrored
    border = max(1, side // 8)
    return [
        transforms.crop(transforms.pad(one, border), top, left, side, side)
        for one in mirrored
        for top in range(2 * border + 1)
        for left in range(2 * border + 1)
    ]


@pytest.mark.parametrize("side", [8, 16, 33])
@pytest.mark.parametrize("augmentation", ["flip", "crop", "flip and crop"])
def test_augmented_images_are_their_mirrored_and_shifted_selves(augmentation, side):
    recipe = Recipe(augmentation=augmentation, seed=4)
    images = torch.randn(64, 3, side, side, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    kept = images.clone()
    found = augmented(images, recipe, step=7)
    assert torch.equal(images, kept)
    assert found.shape == images.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    became = []
    for before, after in zip(images, found, strict=True):
        (which,) = [i for i, one in enumerate(selves(before, augmentation)) if torch.equal(one, after)]
        became.append(which)
    possible = len(selves(images[0], augmentation))
    assert len(set(became)) >= min(possible, 16) * 0.8  # each draws for itself
    if augmentation == "flip":
        assert 16 <= sum(became) <= 48  # about half: of 64 coins, outside of this once in 20,000 times


def test_augmentation_is_decided_by_seed_and_step():
    images = torch.randn(32, 3, 8, 8)
    recipe = Recipe(augmentation="flip and crop")
    found = augmented(images, recipe, 5)
    torch.manual_seed(123)  # which it does not draw from
    assert torch.equal(found, augmented(images, recipe, 5))
    assert not torch.equal(found, augmented(images, recipe, 6))
    assert not torch.equal(found, augmented(images, recipe.replace(seed=1), 5))


def test_without_augmentation_nothing_is_copied():
    images = torch.randn(2, 3, 8, 8)
    assert augmented(images, Recipe(), 0) is images


# -- evaluation --------------------------------------------------------------------------------------------------------


def test_evaluation_is_a_plain_loop(digits):
    network = build(plan(TINY.adapt(dropout=0.5)), 1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = Images(digits.test, digits, "cpu")  # 397: two portions, the second incomplete
    found = evaluate(network, images, "cpu")
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    network.eval()
    losses, right, probabilities = [], 0, []
    with torch.no_grad():
        for i in range(len(images)):
            logits = network(images.batch(torch.tensor([i])))
            losses.append(float(F.cross_entropy(logits, images.labels[i : i + 1])))
            right += int(logits.argmax()) == int(images.labels[i])
            probabilities.append(logits.softmax(1))
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.accuracy == right / 397
    torch.testing.assert_close(found.probabilities, torch.cat(probabilities))
    evaluate(network, images, "cpu")
    assert not network.training


def test_a_network_that_breaks_is_brought_back_to_training(digits):
    network = build(plan(TINY.adapt(channels=1))).train()
    with pytest.raises(RuntimeError):
        evaluate(network, Images(digits.test, digits, "cpu"), "cpu")
    assert network.training


# -- gradients' norms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("fields", [{}, {"weight_decay": 0}, {"optimizer": "adamw", "learning_rate": 0.01}])
def test_norms_and_ratios_are_autograds(digits, fields, foreach):
    """Also where the optimizer works on many tensors at once, as on CUDA: without weight decay, Nesterov's then adds
    the momentum to the gradients themselves.
    """
    ours = training(digits, Recipe(batch_size=64, **fields), PLAIN)
    for group in ours.optimizer.param_groups:
        group["foreach"] = foreach
    kernels = Kernels(ours)
    assert list(kernels.names) == [op.name for op in plan(PLAIN).ops if op.kind in ("conv", "linear")]
    for _ in range(3):
        network = copy.deepcopy(ours.network)
        images, labels = ours._next_batch()
        weights = dict(network.named_parameters())
        wanted = [weights[f"{name}.weight"] for name in kernels.names]
        gradients = torch.autograd.grad(F.cross_entropy(network(images), labels), wanted)
        ours.step(kernels.before)
        norms, ratios = kernels.after()
        assert norms == pytest.approx([float((gradient**2).sum().sqrt()) for gradient in gradients], rel=1e-4)
        now = dict(ours.network.named_parameters())
        changed = [
            float((now[f"{name}.weight"].detach() - was.detach()).norm() / was.detach().norm())
            for name, was in zip(kernels.names, wanted, strict=True)
        ]
        assert ratios == pytest.approx(changed, rel=1e-4)


def test_shared_kernels_have_one_norm_each():
    data = find("digits").load(8, 3, 64, None)
    ours = training(data, Recipe(batch_size=8), CLIQUE)
    kernels = Kernels(ours)
    ours.step(kernels.before)
    norms, ratios = kernels.after()
    assert len(norms) == len(ratios) == len(kernels.names)
    assert all(norm > 0 for norm in norms)


# -- learning ----------------------------------------------------------------------------------------------------------


def test_a_tiny_network_learns_digits():
    data = find("digits").load(8, 1, 0, None)
    config = TINY.adapt(channels=1, width=8, stem_width=8)
    ours = Training(build(plan(config)), data, Recipe(epochs=6, batch_size=64))
    test = Images(data.test, data, "cpu")
    assert evaluate(ours.network, test, "cpu").accuracy < 0.3
    while ours.done < ours.steps:
        ours.step()
    assert evaluate(ours.network, test, "cpu").accuracy > 0.95
