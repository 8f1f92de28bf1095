"""A network while it learns: one step after another, each decided by the recipe and its number alone.

Order, augmentation and dropout of a step are drawn from seeds that the recipe's seed and the step's number give, so
that a run that was stopped goes on as one that was not: on a CPU with as many threads, bit by bit.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

from explorer.learning import recipe as recipes
from explorer.learning.datasets import Dataset, Split
from explorer.learning.recipe import Precision, Recipe
from explorer.plan.wiring import owner
from explorer.running.network import plan_of

EVALUATED_AT_ONCE = 256  # images
BETAS_SECOND = 0.999  # AdamW's, as in its paper


class Step(NamedTuple):
    """What a step found, on the network's device: the mean loss of its images, and how many were right."""

    loss: Tensor
    right: Tensor


class Evaluated(NamedTuple):
    """loss: mean cross entropy; probabilities (N, classes) float32, on the CPU."""

    loss: float
    accuracy: float
    probabilities: Tensor


class Images:
    """A split on the network's device, prepared batch by batch.

    Kept as uint8 with the channels last, so that what is taken out of it is laid out as convolutions are fastest.
    """

    def __init__(self, split: Split, data: Dataset, device: str) -> None:
        self.pixels = torch.from_numpy(split.images).permute(0, 2, 3, 1).contiguous().to(device)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.mean = torch.tensor(data.mean, device=device)
        self.std = torch.tensor(data.std, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: Tensor) -> Tensor:
        """(N, C, H, W) float32, normalised as pictures.preparation.to_tensor does it, with the channels last."""
        values = self.pixels[chosen].to(torch.float32).div_(255).sub_(self.mean).div_(self.std)
        return values.permute(0, 3, 1, 2)


class Training:
    """`done` steps of `steps` are behind it; `step` makes the next one. The network is its own, and in train mode."""

    def __init__(self, network: GraphModule, data: Dataset, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device = recipe, device
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.images = Images(data.train, data, device)
        self.batch_size = min(recipe.batch_size, len(self.images))
        self.steps_an_epoch = len(self.images) // self.batch_size
        self.steps = recipe.epochs * self.steps_an_epoch
        self.done = 0
        self.optimizer = _optimizer(self.network, recipe)
        self._order = torch.empty(0, dtype=torch.long)
        self._order_of = -1

    @property
    def epochs(self) -> float:
        return self.done / self.steps_an_epoch

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return recipes.rate(self.recipe, self.done, self.steps)

    def step(self, before_update: Callable[[], None] | None = None) -> Step:
        """`before_update` is called once the gradients are there, and before they change the weights."""
        images, labels = self._next_batch()
        rate = self.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # what dropout and stochastic depth draw from; this process trains one network and does nothing else
        torch.manual_seed(drawn_seed(self.recipe.seed, "step", self.done))
        with autocast(self.device, self.recipe.precision):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if before_update:
            before_update()
        self.optimizer.step()
        self.done += 1
        return Step(loss.detach(), (logits.argmax(1) == labels).sum())

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        epoch, i = divmod(self.done, self.steps_an_epoch)
        if epoch != self._order_of:
            draw = torch.Generator().manual_seed(drawn_seed(self.recipe.seed, "order", epoch))
            self._order, self._order_of = torch.randperm(len(self.images), generator=draw).to(self.device), epoch
        chosen = self._order[i * self.batch_size : (i + 1) * self.batch_size]
        images = self.images.batch(chosen)
        return augmented(images, self.recipe, self.done), self.images.labels[chosen]

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state by its kind and the weight's name: momentum_buffer.conv1.weight, ..."""
        names: dict[Tensor, str] = {weight: name for name, weight in self.network.named_parameters()}
        return {
            f"{kind}.{names[weight]}": value
            for weight, kinds in self.optimizer.state.items()
            for kind, value in kinds.items()
            if isinstance(value, Tensor)
        }

    def restore(self, done: int, state: Mapping[str, Tensor]) -> None:
        """Go on after `done` steps with what `state` gave then; the network's weights are restored already. What
        another optimizer kept is left aside, and this one begins anew.

        Raises ValueError for the state of another network.
        """
        kept = _kept(self.recipe)
        for name, weight in self.network.named_parameters():
            found = {kind: state[f"{kind}.{name}"] for kind in kept if f"{kind}.{name}" in state}
            for kind, value in found.items():
                if len(found) < len(kept) or value.shape != (() if kind == "step" else weight.shape):
                    raise ValueError(f"the optimizer's state of {name} is another network's")
                # laid out in memory as the weight is: sums of other neighbours may differ in the last bit
                own = value.clone() if kind == "step" else torch.empty_like(weight).copy_(value)
                self.optimizer.state[weight][kind] = own
        self.done = done


def augmented(images: Tensor, recipe: Recipe, step: int) -> Tensor:
    """(N, C, H, W), normalised: mirrored and shifted as the recipe says, each image by a draw of its own."""
    chosen = recipe.augmentation
    if chosen == "none":
        return images
    draw = torch.Generator().manual_seed(drawn_seed(recipe.seed, "augmentation", step))
    count, _, height, width = images.shape
    columns = torch.arange(width).expand(count, width)
    rows = torch.arange(height).expand(count, height)
    if recipes.mirrors(chosen):
        mirrored = torch.rand(count, 1, generator=draw) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if recipes.crops(chosen):
        border = max(1, height // 8)
        images = F.pad(images, (border, border, border, border))  # zero is the mean colour
        shift = torch.randint(0, 2 * border + 1, (2, count, 1), generator=draw)
        rows, columns = rows + shift[0], columns + shift[1]
    rows, columns = rows.to(images.device), columns.to(images.device)
    each = torch.arange(count, device=images.device)
    # one gather for the whole batch, which leaves the channels last
    return images.permute(0, 2, 3, 1)[each[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def evaluate(network: nn.Module, images: Images, device: str, precision: Precision = "float32") -> Evaluated:
    """What a network in eval mode says of a split. A network in train mode is brought back to it."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode(), autocast(device, precision):
            logits = torch.cat(
                [
                    network(
                        images.batch(torch.arange(i, min(i + EVALUATED_AT_ONCE, len(images)), device=device))
                    ).float()
                    for i in range(0, len(images), EVALUATED_AT_ONCE)
                ]
            )
    finally:
        network.train(was_training)
    loss = float(F.cross_entropy(logits, images.labels))
    right = float((logits.argmax(1) == images.labels).double().mean())
    return Evaluated(loss, right, logits.softmax(1).cpu())


def autocast(device: str, precision: Precision) -> AbstractContextManager[object]:
    return torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=precision == "bfloat16")


def drawn_seed(seed: int, what: str, number: int) -> int:
    """A seed for each purpose and step, without which two purposes would draw the same numbers."""
    digest = hashlib.blake2b(f"{seed} {what} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def kernels(network: GraphModule) -> dict[str, nn.Parameter]:
    """The weights of convolutions and linear layers by their operation's name, in the order in which they run."""
    weights = dict(network.named_parameters())
    # what is shared by several operations stands once, at the first of them
    names = dict.fromkeys(owner(op) for op in plan_of(network).ops)
    found = {name: weights.get(f"{name}.weight") for name in names}
    return {name: weight for name, weight in found.items() if weight is not None and weight.ndim > 1}


def _kept(recipe: Recipe) -> tuple[str, ...]:
    """What the optimizer keeps of each weight between two steps."""
    if recipe.optimizer == "adamw":
        return ("step", "exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if recipe.momentum > 0 else ()


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    if recipe.optimizer == "adamw":
        betas = recipe.momentum, BETAS_SECOND
        return torch.optim.AdamW(weights, recipe.learning_rate, betas, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        weights,
        recipe.learning_rate,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.optimizer == "nesterov" and recipe.momentum > 0,
    )
